"""The speeds on NPUs in the README of madnas/measure/npu: RAN's Tables 1 and 2 beside ours.

Run: python -m benchmarks.npu_table        (make tables; a few minutes)
"""

import platform
from collections.abc import Iterator, Mapping
from dataclasses import replace
from importlib.metadata import version

from torch import nn

import madnas
from benchmarks.readme import ROOT, write_part
from benchmarks.restructure_table import closest, narrower
from madnas.measure.npu.convert import convert
from madnas.measure.npu.estimate import Activations, NpuEstimate, estimate_graph
from madnas.models import build
from madnas.models.norms import unsettle
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.restructure.collapse import collapse

README = ROOT / "madnas" / "measure" / "npu" / "README.md"
NPUS = ("ethos-u55-256", "ethos-u65-512")
BASE = "EfficientNet-Lite-B0"
ACTIVATIONS: tuple[Activations, ...] = ("relu6", "as-is")
IMAGE = (3, 224, 224)
NEAR = 0.02

PRINTED: dict[str, tuple[float, float]] = {
    BASE: (1.0, 1.0),
    f"{BASE}, H-Swish": (1.0, 1.0),
    "SuperNet": (0.86, 0.87),
    "SubNetwork-W": (0.91, 0.90),
    "RAN-e-A": (0.88, 0.91),
    "RAN-e-B": (1.10, 1.34),
    "RAN-e-C": (1.06, 1.28),
    "RAN-e-GT": (1.16, 1.49),
    "ResNet-18": (0.46, 0.48),
    "RepVGG-A0": (0.72, 0.69),
}
"""Normalised frames per second on Ethos-U55 and Ethos-U65: Table 1, and the last two rows Table 2."""

COMPARED = tuple(name for name in PRINTED if name != "SubNetwork-W" and not name.startswith(BASE))
"""Networks whose ratios are ours to get right: not the base, nor what cannot be rebuilt."""

Estimates = dict[tuple[str, str, Activations], NpuEstimate]


def network(name: str) -> nn.Module:
    """A row's network as it is deployed."""
    if name.endswith("H-Swish"):
        return build(with_act(get("efficientnet-lite0"), "hard_swish"))
    if name == "SubNetwork-W":
        width, multiple, _ = closest()
        return build(narrower(get("ran-e-supernet"), width, multiple))
    named = {BASE: "efficientnet-lite0", "SuperNet": "ran-e-supernet", "ResNet-18": "resnet18"}
    model = build(get(named.get(name, name.lower())))
    if name != "RepVGG-A0":
        return model
    unsettle(model.eval(), 0)
    return collapse(model, IMAGE).model


def with_act(spec: NetworkSpec, act: str) -> NetworkSpec:
    """A network with another activation everywhere."""
    assert spec.stem is not None
    groups = tuple(replace(group, act=act) for group in spec.groups)
    return replace(spec, groups=groups, stem=replace(spec.stem, act=act), head=replace(spec.head, act=act))


def estimates() -> Estimates:
    """All networks with ReLU6 and with their own activations on both NPUs."""
    found: Estimates = {}
    for name in PRINTED:
        model = network(name)
        for activations in ACTIVATIONS:
            graph = convert(model, IMAGE, activations == "relu6", 0, name)
            for npu in NPUS:
                found[name, npu, activations] = estimate_graph(graph, IMAGE, npu, activations)
    return found


def table(found: Estimates, npu: str, column: int) -> Iterator[str]:
    """One NPU's rows."""
    yield f"| {npu} | printed | ReLU6 | difference | own activations | frames/s, ReLU6 | own | peak SRAM KiB |"
    yield "|---|---|---|---|---|---|---|---|"
    base = found[BASE, npu, "relu6"].inferences_per_second
    for name, printed in PRINTED.items():
        clipped, own = (found[name, npu, activations] for activations in ACTIVATIONS)
        ratio = clipped.inferences_per_second / base
        yield (
            f"| {name} | {printed[column]:.2f} | {ratio:.2f} | {ratio - printed[column]:+.3f} "
            f"| {own.inferences_per_second / base:.2f} | {clipped.inferences_per_second:.1f} "
            f"| {own.inferences_per_second:.1f} | {clipped.memory['sram'] / 1024:.0f} |"
        )


def summary(found: Estimates) -> Iterator[str]:
    """How many rows come out, what H-Swish costs, and what all of it depends on."""
    for column, npu in enumerate(NPUS):
        base = found[BASE, npu, "relu6"].inferences_per_second
        ratios = {name: found[name, npu, "relu6"].inferences_per_second / base for name in COMPARED}
        swish = found[f"{BASE}, H-Swish", npu, "as-is"].inferences_per_second
        conditions = found[BASE, npu, "relu6"].conditions.replace(", ReLU6 for all activations", "")
        cost = f"H-Swish costs {BASE} {100 * (1 - swish / base):.0f} % of its speed"
        yield f"- {conditions}: {agreement(ratios, column)}; {cost}."


def agreement(ratios: Mapping[str, float], column: int) -> str:
    """How many ratios are the paper's, in words.

    Args:
        ratios: speeds over that of the base, of the networks compared; the base's own is 1 by construction and no
            agreement.
        column: of the printed ones.
    """
    near = sum(abs(ratio - PRINTED[name][column]) <= NEAR for name, ratio in ratios.items())
    others, each = len(ratios), f"{BASE}, by whose speed all are divided"
    return (
        f"within {NEAR} of the paper for {near} of the {others} networks other than {each} ({near + 1} of {others + 1} "
        "with it, whose difference is 0 by construction; without SubNetwork-W, which cannot be rebuilt)"
    )


def main() -> None:
    """Rewrite the generated part."""
    found = estimates()
    parts = ["\n".join(table(found, npu, column)) for column, npu in enumerate(NPUS)]
    parts.append("\n".join(summary(found)))
    versions = f"madnas {madnas.__version__}, Python {platform.python_version()}, torch {version('torch')}, "
    versions += f"ethos-u-vela {version('ethos-u-vela')}, tflite {version('tflite')}."
    write_part(README, ["\n\n".join(parts), "", versions])


if __name__ == "__main__":
    main()
