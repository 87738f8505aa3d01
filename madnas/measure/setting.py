"""What a measurement is of, besides the network: device, precision, batch, layout of memory, threads."""

from dataclasses import asdict, dataclass
from typing import Any

from madnas.errors import UsageError

PRECISIONS = ("fp32", "bf16", "fp16", "int8")
LAYOUTS = ("channels-first", "channels-last")
CLOCKS = ("wall", "thread")
MAX_BATCH = 65_536
MAX_THREADS = 1024


@dataclass(frozen=True, slots=True)
class Setting:
    """How networks are measured.

    Attributes:
        device: ``cpu``, ``cuda`` or ``cuda:1``.
        precision: of weights and activations.
        batch_size: images of a batch.
        layout: of images and maps in memory.
        threads: of the CPU; None for torch's own number.
        clock: ``wall``; or ``thread``, the seconds during which the one thread of the CPU ran, which other programs on
            the same machine stretch less.
    """

    device: str = "cpu"
    precision: str = "fp32"
    batch_size: int = 1
    layout: str = "channels-first"
    threads: int | None = None
    clock: str = "wall"

    def tree(self) -> dict[str, Any]:
        """As plain data."""
        return asdict(self)


def usual_clock(device: str, threads: int | None) -> str:
    """The clock where nobody names one: that of the thread where one thread of a CPU does all the work."""
    return "thread" if device == "cpu" and threads == 1 else "wall"


def check_setting(setting: Setting) -> None:
    """Refuse what nothing can be measured with.

    Raises:
        UsageError: an unknown word, a number out of range, or two that do not go together.
    """
    for flag, word, known in (
        ("--precision", setting.precision, PRECISIONS),
        ("--layout", setting.layout, LAYOUTS),
        ("--clock", setting.clock, CLOCKS),
    ):
        if word not in known:
            raise UsageError(f"{flag}: unknown {word[:60]!r}", f"one of {', '.join(known)}")
    if not 1 <= setting.batch_size <= MAX_BATCH:
        raise UsageError(f"--batch-size: from 1 to {MAX_BATCH}, got {setting.batch_size}")
    if setting.threads is not None and not 1 <= setting.threads <= MAX_THREADS:
        raise UsageError(f"--threads: from 1 to {MAX_THREADS}, got {setting.threads}")
    if setting.clock == "thread" and (setting.device != "cpu" or setting.threads != 1):
        raise UsageError(
            "--clock thread: the time of a thread says nothing where there are several, or a GPU",
            "--device cpu --threads 1, or leave it out",
        )
