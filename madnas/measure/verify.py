"""The closed form against the built module: what ``madnas score --verify`` runs."""

from dataclasses import dataclass

from madnas.measure.module_count import ModuleCounts, count_module
from madnas.models import build
from madnas.network.count import Counts, count
from madnas.network.spec import NetworkSpec

COMPARED = ("params", "macs", "activations")
"""What both sides count, by the name that it has on both."""


@dataclass(frozen=True, slots=True)
class Mismatch:
    """A cost on which closed form and module differ, which is always a defect of madnas.

    Attributes:
        quantity: ``params``, ``macs`` or ``activations``.
        closed_form: the sum over the description's layers.
        module: what was counted on the built module.
    """

    quantity: str
    closed_form: int
    module: int


@dataclass(frozen=True, slots=True)
class Verification:
    """Both counts of one network, and where they differ."""

    closed_form: Counts
    module: ModuleCounts

    @property
    def mismatches(self) -> tuple[Mismatch, ...]:
        """The costs that differ; empty when all is well."""
        pairs = ((name, getattr(self.closed_form, name), getattr(self.module, name)) for name in COMPARED)
        return tuple(Mismatch(name, int(ours), counted) for name, ours, counted in pairs if ours != counted)


def verify(spec: NetworkSpec) -> Verification:
    """Build a network, run one image of its input size through it on the CPU, and compare the counts.

    Args:
        spec: the description.

    >>> from madnas.network.spec import Group, Head, Stem
    >>> verify(NetworkSpec("tiny", (3, 8, 8), (Group("conv", out=8, depth=1, kernel=3),), Head(10), Stem(4))).mismatches
    ()
    """
    return Verification(count(spec), count_module(build(spec), spec.input))
