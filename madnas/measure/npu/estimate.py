"""How fast a network is on an NPU, and what it needs there, as Vela estimates it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from math import isfinite
from typing import Any, Literal

from torch import nn

from madnas.errors import UsageError
from madnas.measure.npu.accelerators import DEFAULT, accelerator
from madnas.measure.npu.convert import convert
from madnas.measure.npu.flatbuffer import flatbuffer
from madnas.measure.npu.graph import Graph
from madnas.measure.npu.vela import KIB, Compiled, compile_network, need_vela
from madnas.network.spec import NetworkSpec

Activations = Literal["as-is", "relu6"]
"""The network's own activations, or ReLU6 for all of them, as RAN's tables have it."""

MEMORIES = ("sram", "dram", "on_chip_flash", "off_chip_flash")


@dataclass(frozen=True, slots=True)
class NpuEstimate:
    """What Vela estimates of one network on one NPU, with everything that the numbers depend on.

    Attributes:
        network: its name.
        input: (C, H, W).
        activations: ``as-is`` or ``relu6``.
        seed: of the random int8 weights.
        npu: such as ``ethos-u55-256``.
        system_config: Vela's.
        memory_mode: Vela's.
        core_clock: hertz.
        vela: its version.
        inferences_per_second: of the operators on the NPU; those on the CPU are not estimated.
        cycles: of one image: in all (``total``), and of each unit alone: ``npu`` computes, and memories are accessed
            (``sram``, ``dram``, ``on_chip_flash``, ``off_chip_flash``).
        memory: peak of each memory, in bytes.
        macs: multiply-adds of convolutions and linear layers, one image.
        npu_macs: those that the NPU does, poolings and means included.
        operators: of the int8 network.
        cpu_operators: those that stay on the CPU.
    """

    network: str
    input: tuple[int, ...]
    activations: Activations
    seed: int
    npu: str
    system_config: str
    memory_mode: str
    core_clock: float
    vela: str
    inferences_per_second: float
    cycles: Mapping[str, int]
    memory: Mapping[str, int]
    macs: int
    npu_macs: int
    operators: int
    cpu_operators: Mapping[str, int]

    @property
    def seconds(self) -> float:
        """Of one image."""
        return 1 / self.inferences_per_second

    @property
    def npu_share(self) -> float:
        """Share of the operators that are on the NPU."""
        return 1 - sum(self.cpu_operators.values()) / self.operators

    @property
    def utilisation(self) -> float:
        """Share of the cycles in which all of the multiply-add units would be busy."""
        return self.npu_macs / self.cycles["total"] / int(self.npu.rpartition("-")[2])

    def document(self) -> dict[str, Any]:
        """As JSON-able data."""
        own = asdict(self) | {"cycles": dict(self.cycles), "memory": dict(self.memory)}
        own |= {"input": list(self.input), "cpu_operators": dict(self.cpu_operators)}
        return own | {"seconds": self.seconds, "npu_share": self.npu_share, "utilisation": self.utilisation}

    @property
    def conditions(self) -> str:
        """What the numbers depend on, in one line."""
        own = "the network's activations" if self.activations == "as-is" else "ReLU6 for all activations"
        clock = f"{self.core_clock / 1e6:g} MHz"
        return f"{self.npu} at {clock}, {self.system_config}, {self.memory_mode}, {own}; Vela {self.vela}"


def estimate(
    network: NetworkSpec | nn.Module,
    input_shape: tuple[int, ...] | None = None,
    npu: str = DEFAULT,
    activations: Activations = "as-is",
    seed: int = 0,
    system_config: str | None = None,
    memory_mode: str | None = None,
    sram: int | None = None,
    name: str | None = None,
) -> NpuEstimate:
    """Estimate a network's speed on an NPU, for one image, with random int8 weights.

    Args:
        network: a description, or any module that torch can export, such as a collapsed one or one of timm's.
        input_shape: (C, H, W); default: the description's.
        npu: which one.
        activations: the network's own, or ReLU6 for all.
        seed: of the weights.
        system_config: another one than the NPU's usual, by Vela's name.
        memory_mode: another one than the NPU's usual, by Vela's name.
        sram: bytes of SRAM that there are; Vela aims at them.
        name: of the network; default: the description's, or the module's class.

    Raises:
        UsageError: Vela is not installed, no such NPU, an operation without a counterpart, a network that Vela refuses
            or that needs more SRAM than there is, or that has no operator for the NPU.
    """
    need_vela()
    accelerator(npu, system_config, memory_mode)  # refused before any work
    if isinstance(network, NetworkSpec):
        from madnas.models import build

        shape, label = input_shape or network.input, name or network.name
        module: nn.Module = build(network)
    else:
        assert input_shape is not None, "a module does not say what it takes"
        module, shape, label = network, input_shape, name or type(network).__name__
    graph = convert(module, shape, activations == "relu6", seed, label)
    return estimate_graph(graph, shape, npu, activations, seed, system_config, memory_mode, sram)


def estimate_graph(
    graph: Graph,
    input_shape: tuple[int, ...],
    npu: str = DEFAULT,
    activations: Activations = "as-is",
    seed: int = 0,
    system_config: str | None = None,
    memory_mode: str | None = None,
    sram: int | None = None,
) -> NpuEstimate:
    """The same of a network that was converted already, with these activations and this seed: for several NPUs.

    Raises:
        UsageError: as :func:`estimate`.
    """
    chosen = accelerator(npu, system_config, memory_mode)
    compiled = compile_network(flatbuffer(graph), chosen, sram)
    row = compiled.summary
    per_second = float(row["inferences_per_second"])
    if not isfinite(per_second) or per_second <= 0 or sum(compiled.cpu.values()) >= len(graph.operations):
        raise UsageError(f"{graph.name}: no operator of it runs on {chosen.name}")
    memory = {name: round(float(row[f"{name}_memory_used"]) * KIB) for name in MEMORIES}
    if sram is not None and memory["sram"] > sram:
        raise UsageError(
            f"{graph.name}: does not fit {chosen.name}: it needs {memory['sram']:,} bytes of SRAM, of {sram:,}"
        )
    return NpuEstimate(
        network=graph.name,
        input=tuple(input_shape),
        activations=activations,
        seed=seed,
        npu=chosen.name,
        system_config=chosen.system_config,
        memory_mode=chosen.memory_mode,
        core_clock=float(row["core_clock"]),
        vela=compiled.version,
        inferences_per_second=per_second,
        cycles=_cycles(compiled),
        memory=memory,
        macs=graph.macs,
        npu_macs=int(row["nn_macs"]),
        operators=len(graph.operations),
        cpu_operators=dict(compiled.cpu),
    )


def _cycles(compiled: Compiled) -> dict[str, int]:
    row = compiled.summary
    memories = {name: int(row[f"cycles_{name}_access"]) for name in MEMORIES}
    return {"total": int(row["cycles_total"]), "npu": int(row["cycles_npu"]), **memories}
