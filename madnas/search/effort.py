"""How a search is done: sizes, seeds and limits, none of which depends on how many processes there are."""

from dataclasses import dataclass

import numpy as np

PURPOSES = ("start", "parents", "mutate", "survivors")
"""What random numbers are for; each purpose of each round has a generator of its own."""


@dataclass(frozen=True, slots=True)
class Effort:
    """Sizes and limits of a search.

    Attributes:
        seed: decides every random draw, together with the round it is for.
        population: candidates that are parents.
        proposals: candidates that a round proposes.
        survivors: of them, how many a measured score is spent on.
        repeats: draws of a measured score that a leader needs.
        batch_size: images of a draw.
        dtype: precision of measured scores.
        device: where they are measured.
        random: survivors are drawn at random, which makes it a random search.
        prescreen: whether a closed form picks the survivors where there is one.
        candidates: stop after so many: proposed ones in closed form, scored ones of a measured score.
        seconds: stop after so many; a measured search draws its winner again before.
        warming: random numbers of their own, for the search in closed form that a measured one begins with.
    """

    seed: int = 0
    population: int = 256
    proposals: int = 1024
    survivors: int = 32
    repeats: int = 8
    batch_size: int = 16
    dtype: str = "float32"
    device: str = "cpu"
    random: bool = False
    prescreen: bool = True
    candidates: int | None = 200_000
    seconds: float | None = None
    warming: bool = False

    def generator(self, round_: int, purpose: str) -> np.random.Generator:
        """Random numbers of a round for a purpose: the same whatever was drawn before, and by whom."""
        key = (round_, PURPOSES.index(purpose) + len(PURPOSES) * self.warming)
        return np.random.default_rng(np.random.SeedSequence(self.seed, spawn_key=key))

    def request(self) -> dict[str, object]:
        """What decides the course of a search, as JSON-able data; limits only end it."""
        names = (
            "seed",
            "population",
            "proposals",
            "survivors",
            "repeats",
            "batch_size",
            "dtype",
            "random",
            "prescreen",
        )
        return {name: getattr(self, name) for name in names} | {"device": self.device.partition(":")[0]}
