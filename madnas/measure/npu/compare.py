"""A network before and after something was done to it, on an NPU."""

from dataclasses import dataclass
from typing import Any

from torch import nn

from madnas.errors import UsageError
from madnas.measure.npu.accelerators import DEFAULT, accelerator
from madnas.measure.npu.estimate import NpuEstimate, estimate
from madnas.measure.npu.vela import left_out, need_vela
from madnas.network.spec import NetworkSpec

NONE = "none"
"""In place of an NPU's name: no estimate."""


@dataclass(frozen=True, slots=True)
class NpuChange:
    """Two estimates under the same conditions.

    Attributes:
        before: of the network as it was.
        after: of what became of it.
    """

    before: NpuEstimate
    after: NpuEstimate

    @property
    def ratio(self) -> float:
        """How many times as fast it has become."""
        return self.after.inferences_per_second / self.before.inferences_per_second

    @property
    def caveat(self) -> str:
        """What the speeds are without; empty if the NPU does all of both."""
        old, new = (left_out(one.cpu_operators) for one in (self.before, self.after))
        if old == new:
            return old
        whole = "with all operators on the NPU"
        return f"not of the same work: before {old or whole}, after {new or whole}"

    def document(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {"before": self.before.document(), "after": self.after.document(), "ratio": self.ratio}

    def __str__(self) -> str:
        old, new = self.before.inferences_per_second, self.after.inferences_per_second
        speeds = f"{old:,.1f} -> {new:,.1f} inferences/s ({self.ratio:.2f} times)"
        return f"{speeds}, {self.caveat}" if self.caveat else speeds


@dataclass(frozen=True, slots=True)
class NoEstimate:
    """Why there is none.

    Attributes:
        reason: what is missing or was refused.
        hint: what to do about it.
    """

    reason: str
    hint: str | None = None

    def document(self) -> dict[str, Any]:
        """As JSON-able data."""
        return {"failed": self.reason, "hint": self.hint}

    def __str__(self) -> str:
        return self.reason if self.hint is None else f"{self.reason}: {self.hint}"


def check_npu(npu: str | None) -> None:
    """Refuse before the work what was asked for and cannot be done.

    Args:
        npu: what the user asked for; None, if nothing.

    Raises:
        UsageError: no such NPU, or Vela is not installed.
    """
    if npu not in (None, NONE):
        accelerator(npu)
        need_vela()


def npu_change(
    before: NetworkSpec | nn.Module | NpuEstimate,
    after: NetworkSpec | nn.Module,
    input_shape: tuple[int, ...] | None = None,
    npu: str | None = None,
    name: str | None = None,
) -> NpuChange | NoEstimate:
    """Estimate both, or say why not: the rest of a report does not depend on it.

    Args:
        before: a network, or its estimate for the same NPU.
        after: what became of it.
        input_shape: (C, H, W) of modules.
        npu: which; None for the usual one.
        name: of modules.
    """
    try:
        if not isinstance(before, NpuEstimate):
            before = estimate(before, input_shape, npu or DEFAULT, name=name)
        return NpuChange(before, estimate(after, input_shape, npu or DEFAULT, name=name))
    except UsageError as error:
        return NoEstimate(str(error), error.hint)
