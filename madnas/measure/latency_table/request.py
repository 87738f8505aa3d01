"""Which latency table is to be measured, checked before anything heavy is loaded."""

from dataclasses import dataclass
from typing import Protocol

from madnas.errors import UsageError
from madnas.measure.setting import Setting, check_setting
from madnas.network.spec import NetworkSpec

FEWEST_PROBES, FEWEST_HELD_OUT = 8, 4
MOST = 100_000


class Drawable(Protocol):
    """A family of networks: one of DeepMAD's spaces, or one of free length."""

    @property
    def name(self) -> str:
        """What it is called."""

    def draw(
        self, number: int, macs: tuple[float, float], depth: tuple[int, int], seed: int, name: str
    ) -> list[NetworkSpec]:
        """Networks whose multiply-adds, widths and depths are uniform in their logarithm, as far as the family allows.

        Args:
            number: of networks.
            macs: fewest and most.
            depth: fewest and most blocks of a group, where the family allows both.
            seed: the same networks for the same seed.
            name: of the networks, before their number.

        Raises:
            InfeasibleError: the family has too few networks in this range.
        """


@dataclass(frozen=True, slots=True)
class TableRequest:
    """What is to be measured.

    Attributes:
        space: the family of networks.
        macs: largest networks, in multiply-adds.
        setting: how.
        probes: networks that the rates are fitted to.
        held_out: networks that say how good that is.
        minutes: after which no further pass begins; the first one is always finished.
        seed: of the networks that are drawn.
    """

    space: Drawable
    macs: int
    setting: Setting
    probes: int = 96
    held_out: int = 24
    minutes: float = 5.0
    seed: int = 0


def check_table_request(request: TableRequest) -> None:
    """Refuse what no table can be measured with.

    Raises:
        UsageError: names the option.
    """
    check_setting(request.setting)
    if request.setting.precision == "int8":
        raise UsageError("--precision int8: torch computes no network in 8-bit integers", "fp32, bf16 or fp16")
    if not FEWEST_PROBES <= request.probes <= MOST or not FEWEST_HELD_OUT <= request.held_out <= MOST:
        raise UsageError(
            f"a table needs at least {FEWEST_PROBES} networks to fit and {FEWEST_HELD_OUT} to test with",
            "--probes 96 --held-out 24",
        )
    if not 0 <= request.minutes <= 10_000:
        raise UsageError(f"--minutes: from 0 to 10000, got {request.minutes:g}")
    if not 0 <= request.seed < 2**32 - 1:
        raise UsageError(f"--seed: a whole number from 0 to below 2^32 - 1, got {request.seed}")
