"""The NPUs that Vela knows, and the system around each unless another one is named."""

import difflib
from dataclasses import dataclass

from madnas.errors import UsageError

DEFAULT = "ethos-u55-256"


@dataclass(frozen=True, slots=True)
class Accelerator:
    """An NPU in a system.

    Attributes:
        name: with its multiply-adds per cycle: ``ethos-u55-256``.
        system_config: Vela's name of clock, memories and their bandwidths.
        memory_mode: Vela's name of what lies where.
    """

    name: str
    system_config: str
    memory_mode: str


FAMILIES = {
    "ethos-u55": ((32, 64, 128, 256), "Ethos_U55_High_End_Embedded", "Shared_Sram"),
    "ethos-u65": ((256, 512), "Ethos_U65_Client_Server", "Dedicated_Sram_384KB"),
    "ethos-u85": ((128, 256, 512, 1024, 2048), "Ethos_U85_SYS_DRAM_Mid", "Dedicated_Sram_384KB"),
}
"""Sizes, and the systems that Vela itself takes where nobody names one."""

ACCELERATORS = {
    f"{family}-{size}": Accelerator(f"{family}-{size}", system, mode)
    for family, (sizes, system, mode) in FAMILIES.items()
    for size in sizes
}

SYSTEMS = {
    "ethos-u55": ("Ethos_U55_Deep_Embedded", "Ethos_U55_High_End_Embedded"),
    "ethos-u65": ("Ethos_U65_Embedded", "Ethos_U65_Mid_End", "Ethos_U65_High_End", "Ethos_U65_Client_Server"),
    "ethos-u85": (
        *("Ethos_U85_SYS_Flash_Low", "Ethos_U85_SYS_Flash_High", "Ethos_U85_SYS_DRAM_Low"),
        *("Ethos_U85_SYS_DRAM_Mid", "Ethos_U85_SYS_DRAM_High"),
    ),
}
"""Vela's system configurations by family."""

MEMORY_MODES = (
    *("Sram_Only", "Shared_Sram", "Dedicated_Sram", "Dedicated_Sram_256KB", "Dedicated_Sram_384KB"),
    "Dedicated_Sram_512KB",
)
"""Vela's memory modes."""


def accelerator(name: str, system_config: str | None = None, memory_mode: str | None = None) -> Accelerator:
    """An NPU by its name.

    Args:
        name: such as ``ethos-u55-256``, in upper or lower case.
        system_config: another one of Vela's.
        memory_mode: another one of Vela's.

    Raises:
        UsageError: Vela knows none of that name, or no such system for it.

    >>> accelerator("ethos-u65-512").memory_mode
    'Dedicated_Sram_384KB'
    """
    known = _one_of("NPU", name.lower(), tuple(ACCELERATORS))
    chosen = ACCELERATORS[known]
    family = known.rpartition("-")[0]
    return Accelerator(
        known,
        _one_of(f"system configuration of an {family}", system_config or chosen.system_config, SYSTEMS[family]),
        _one_of("memory mode", memory_mode or chosen.memory_mode, MEMORY_MODES),
    )


def _one_of(what: str, name: str, known: tuple[str, ...]) -> str:
    if name in known:
        return name
    close = difflib.get_close_matches(name, known, 1)
    choice = f"did you mean {close[0]}? " if close else ""
    raise UsageError(f"no {what} {name[:60]!r}", f"{choice}there are {', '.join(known)}")
