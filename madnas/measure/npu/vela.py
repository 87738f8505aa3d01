"""Arm's compiler Vela as a process of its own: a TFLite file in, its estimates out."""

import csv
import importlib
import subprocess
import sys
import tempfile
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from madnas.errors import UsageError
from madnas.measure.npu.accelerators import Accelerator

CONFIG = "Arm/vela.ini"
"""Vela's file of systems and memory modes."""

CUSTOM = "CUSTOM"
"""What a run of operators for the NPU becomes."""

KIB = 1024


@dataclass(frozen=True, slots=True)
class Compiled:
    """What Vela says.

    Attributes:
        summary: its table of one row.
        cpu: operators that stay on the CPU.
        version: Vela's.
    """

    summary: Mapping[str, str]
    cpu: Mapping[str, int]
    version: str


def need_vela() -> None:
    """Import what an estimate needs.

    Raises:
        UsageError: it is not installed.
    """
    try:
        for name in ("ethosu.vela", "flatbuffers", "tflite"):
            importlib.import_module(name)
    except ImportError as error:
        raise UsageError(
            f"estimates for an NPU need {error.name or 'ethos-u-vela'}, which is not installed",
            "pip install 'madnas[npu]'",
        ) from error


def compile_network(data: bytes, accelerator: Accelerator, sram: int | None = None) -> Compiled:
    """Compile a network.

    Args:
        data: a TFLite file.
        accelerator: what for.
        sram: bytes that its feature maps should not exceed; Vela trades speed for them.

    Raises:
        UsageError: Vela is not installed, or refuses the network.
    """
    need_vela()
    with tempfile.TemporaryDirectory(prefix="madnas-vela-") as name:
        folder = Path(name)
        file = folder / "network.tflite"
        file.write_bytes(data)
        arguments = [
            *("--accelerator-config", accelerator.name, "--config", CONFIG),
            *("--system-config", accelerator.system_config, "--memory-mode", accelerator.memory_mode),
            *(("--arena-cache-size", str(sram)) if sram is not None else ()),
            *("--output-dir", str(folder), str(file)),
        ]
        done = subprocess.run(
            [sys.executable, "-m", "ethosu.vela", *arguments],
            stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=folder, check=False,
        )  # fmt: skip
        tables = sorted(folder.glob("network_summary_*.csv"))
        result = folder / "network_vela.tflite"
        if done.returncode or not tables or not result.exists():
            raise UsageError(f"Vela refuses the network for {accelerator.name}: {_reason(done)}")
        with tables[0].open(encoding="utf-8", newline="") as opened:
            row = next(csv.DictReader(opened))
        return Compiled(row, operators_of(result.read_bytes()), version("ethos-u-vela"))


def operators_of(data: bytes) -> Counter[str]:
    """Operators of a TFLite file by their names, without those for the NPU."""
    import tflite

    names = {code: name for name, code in vars(tflite.BuiltinOperator).items() if not name.startswith("_")}
    model = tflite.Model.GetRootAsModel(data, 0)
    found: Counter[str] = Counter()
    for index in range(model.SubgraphsLength()):
        graph = model.Subgraphs(index)
        for place in range(graph.OperatorsLength()):
            code = model.OperatorCodes(graph.Operators(place).OpcodeIndex())
            found[names[max(code.BuiltinCode(), code.DeprecatedBuiltinCode())]] += 1
    found.pop(CUSTOM, None)
    return found


def named(cpu: Mapping[str, int]) -> str:
    """Operators in words.

    >>> named({"MEAN": 32, "GATHER": 1})
    '32 MEAN, 1 GATHER'
    """
    return ", ".join(f"{number} {name}" for name, number in cpu.items())


def left_out(cpu: Mapping[str, int]) -> str:
    """What an estimate is without, because it stays on the CPU; empty if nothing does.

    >>> left_out({"MEAN": 32})
    'without 32 operators on the CPU (32 MEAN)'
    """
    number = sum(cpu.values())
    return f"without {number} operator{'s' * (number > 1)} on the CPU ({named(cpu)})" if number else ""


def _reason(done: "subprocess.CompletedProcess[str]") -> str:
    """The last line that says what is wrong, of what Vela has printed."""
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    errors = [line for line in lines if "error" in line.lower()]
    return next(reversed(errors or lines), f"it ended with code {done.returncode}")
