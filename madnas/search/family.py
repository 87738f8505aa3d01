"""What a search asks of a space: candidates as rows of whole numbers, and all about them that needs no module."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np

from madnas.network.spec import NetworkSpec

Values = dict[str, np.ndarray]
"""Closed-form scores and costs of N candidates by name, each (N,)."""


class Family(Protocol):
    """A space as a search sees it.

    A candidate is a row of whole numbers; several are an array (N, V) of int64. Nothing here depends on anything but
    the arguments: random numbers come from the generator that is passed.

    Attributes:
        name: of the space.
        columns: V.
        known: names of the closed-form scores and costs that :meth:`closed` gives.
        together: those of them that cost no more beside the others.
    """

    name: str
    columns: int
    known: tuple[str, ...]
    together: frozenset[str]

    def start(self, generator: np.random.Generator, number: int) -> np.ndarray:
        """The candidates that a search begins with (number, V)."""

    def mutate(self, generator: np.random.Generator, parents: np.ndarray) -> np.ndarray:
        """A changed copy of every parent, in the space's ranges."""

    def niche(self, candidates: np.ndarray) -> np.ndarray:
        """A key that candidates share which differ in widths alone (N,)."""

    def breach(self, candidates: np.ndarray) -> np.ndarray:
        """How far each is from being a network of the space, 0 where it is one (N,)."""

    def closed(self, candidates: np.ndarray, names: Sequence[str]) -> Values:
        """Closed-form scores and costs by name, of those in :attr:`known`."""

    def network(self, candidate: np.ndarray, name: str) -> NetworkSpec:
        """The network that a candidate stands for."""
