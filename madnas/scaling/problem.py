"""A scaling problem: a base, budgets and the ranges of its multipliers."""

from dataclasses import dataclass
from fractions import Fraction

from madnas.errors import UsageError
from madnas.network.spec import NetworkSpec
from madnas.scaling.family import check_base

WIDTH_RANGE = (Fraction(1, 4), Fraction(8, 5))
DEPTH_RANGE = (Fraction(3, 5), Fraction(64, 25))
"""Multipliers of RAN, Section 3.4: widths 0.25 to 1.6, depths 0.6 to 2.56."""

OBJECTIVES = ("nn-mass", "units", "entropy", "params")
"""What is maximised; ``params`` are minimised, under a least mass."""

MOST_MULTIPLIER = 100
"""Largest multiplier."""

BUDGETS = ("macs", "params", "activations")


@dataclass(frozen=True)
class Scaling:
    """Scale a base to budgets.

    Attributes:
        base: the network that is scaled.
        budgets: upper limits by name (``macs``, ``params``, ``activations``), whole model.
        objective: one of :data:`OBJECTIVES`.
        width_range: smallest and largest width multiplier.
        depth_range: smallest and largest depth multiplier.
        max_depth: most blocks in all groups together.
        multiple: widths are multiples of this.
        tolerance: share by which budgets may be exceeded; 0: not at all.
        least_mass: least NN-Mass, for ``params``.
    """

    base: NetworkSpec
    budgets: dict[str, int]
    objective: str = "nn-mass"
    width_range: tuple[Fraction, Fraction] = WIDTH_RANGE
    depth_range: tuple[Fraction, Fraction] = DEPTH_RANGE
    max_depth: int | None = None
    multiple: int = 1
    tolerance: float = 0.0
    least_mass: float | None = None

    def __post_init__(self) -> None:
        """Reject what can be seen to be wrong."""
        check_base(self.base)
        if self.objective not in OBJECTIVES:
            raise UsageError(f"unknown objective {self.objective!r}; one of {', '.join(OBJECTIVES[:-1])}")
        if (self.objective == "params") != (self.least_mass is not None):
            raise UsageError("the objective 'params' is that of --like-mass, and --like-mass has no other")
        if self.least_mass is not None and not self.least_mass > 0:
            raise UsageError("--like-mass: that network has no NN-Mass to reach")
        if not self.budgets and self.least_mass is None:
            raise UsageError("scaling needs a budget", "give --macs (or --flops) or --params, or --like-mass")
        for name, limit in self.budgets.items():
            if name not in BUDGETS or not limit > 0:
                raise UsageError(f"budget {name}: must be one of {', '.join(BUDGETS)} and above 0, got {limit}")
        for flag, (low, high) in (("width", self.width_range), ("depth", self.depth_range)):
            if not 0 < low <= high <= MOST_MULTIPLIER:
                raise UsageError(
                    f"--{flag}-range: two multipliers, above 0 and at most {MOST_MULTIPLIER}, in this order"
                )
        if self.max_depth is not None and self.max_depth < 1:
            raise UsageError(f"--max-depth: at least 1 block, got {self.max_depth}")
        if not 1 <= self.multiple <= 1024:
            raise UsageError(f"--multiple: from 1 to 1024, got {self.multiple}")
        if not 0 <= self.tolerance < 1:
            raise UsageError(f"--tolerance: a share from 0 to below 1, got {self.tolerance:g}")

    def limit(self, name: str) -> float:
        """A budget with its tolerance."""
        return self.budgets[name] * (1 + self.tolerance)
