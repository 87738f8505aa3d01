"""What came out when a network was measured beside a reference."""

from dataclasses import asdict, dataclass
from typing import Any

from madnas.measure.intervals import Ratio


@dataclass(frozen=True, slots=True)
class Bout:
    """A network beside a reference, in rounds in which both ran.

    Attributes:
        ratio: how many times as many images per second as the reference.
        images_per_second: of the network, at its median latency.
        reference_images_per_second: of the reference in the same rounds.
        batch: images of a call of the network.
        reference_batch: of the reference.
        rounds: in which both ran.
    """

    ratio: Ratio
    images_per_second: float
    reference_images_per_second: float
    batch: int
    reference_batch: int
    rounds: int

    def tree(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def bout_from(tree: dict[str, Any]) -> Bout:
    """The inverse of :meth:`Bout.tree`.

    Raises:
        KeyError: a key is missing.
        TypeError: one is too many, or it is no mapping.
    """
    return Bout(**{**tree, "ratio": Ratio(**tree["ratio"])})
