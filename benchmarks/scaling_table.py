"""Recompute every printed number of NN-Mass and RAN-i that needs no training, and write the table beside the printed.

Run: make tables
"""

import platform
from collections.abc import Iterator
from fractions import Fraction
from importlib.metadata import version
from typing import Any

import numpy as np
import torch
import yaml
from torch import nn

import madnas
from benchmarks.readme import ROOT, write_part
from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.network.zoo.skip import skip_cnn
from madnas.scaling.family import depth_choices, width_choices

README = ROOT / "madnas" / "scaling" / "README.md"
HEADER = "| source | network | quantity | printed | ours | difference |\n|---|---|---|---|---|---|\n"

Row = tuple[str, str, str, str, float]
"""Source, network, quantity, printed digits, our value in the printed unit."""


def golden(name: str) -> Any:
    """Printed numbers, with their source."""
    return yaml.safe_load((ROOT / "tests" / "golden" / f"{name}.yaml").read_text())


def norm_elements(model: nn.Module, spec: NetworkSpec) -> int:
    """Elements that the batch norms of a module give out for one image."""
    seen: list[int] = []
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_hook(lambda *arguments: seen.append(arguments[-1].numel()))
    with torch.no_grad():
        model.eval()(torch.zeros(1, *spec.input))
    return sum(seen)


def nn_mass_rows() -> Iterator[Row]:
    """Fig. 9 and Tables 1 and 2 of NN-Mass."""
    yield (
        "NN-Mass, Fig. 9",
        "d = 4, w = 2, 3, 4, t = 3, 4, 5",
        "NN-Mass",
        "28",
        nn_mass(skip_cnn("fig9", 4, (2, 3, 4), (3, 4, 5))).mass,
    )
    published, masses = golden("nn_mass_published"), golden("nn_mass")["table1"]
    for (name, printed), mass in zip(published["cifar"].items(), masses, strict=True):
        spec = get(name)
        model = build(spec)
        counts = count_module(model, spec.input)
        source = "NN-Mass, Table 1"
        yield source, name, "params (M)", printed["params"], counts.params / 1e6
        yield source, name, "FLOPs (G)", printed["flops"], 2 * (counts.macs + norm_elements(model, spec)) / 1e9
        yield source, name, "NN-Mass, cut off", mass["mass"], float(int(nn_mass(spec).mass))
    table_2 = {"mobilenetv2-1.4": "1807", "nnmass-mbv2-a": "1654", "mobilenetv2-0.75": "975.0", "nnmass-mbv2-b": "1030"}
    for name, mass in table_2.items():
        spec = get(name)
        source = "NN-Mass, Table 2"
        yield source, name, "NN-Mass", mass, float(int(nn_mass(spec).mass))
        printed = published["imagenet"].get(name, {"params": "2.6", "macs": "220"})
        model = build(spec)
        counts = count_module(model, spec.input)
        yield source, name, "params (M)", printed["params"], counts.params / 1e6
        yield source, name, "MACs (M)", printed["macs"], (counts.macs + 2 * norm_elements(model, spec)) / 1e6


def figure_6_rows() -> Iterator[Row]:
    """Fig. 6(a, b) of NN-Mass: accuracy of ResNets and Wide-ResNets against params and mass."""
    data = golden("wide_resnet_imagenet")
    accuracy = np.array([100 - error for error in data["errors"].values()])
    params = [float(count_module(build(get(name)), get(name).input).params) for name in data["errors"]]
    mass = [mass_as_in_figure_6(name) for name in data["errors"]]
    what = "R² of top-1 accuracy against ln "
    yield "NN-Mass, Fig. 6(a)", "11 ResNets and WRNs", what + "params", data["r2"]["params"], r2(params, accuracy)
    yield "NN-Mass, Fig. 6(b)", "11 ResNets and WRNs", what + "NN-Mass", data["r2"]["mass"], r2(mass, accuracy)
    real = [float(nn_mass(get(name)).mass) for name in data["errors"]]
    yield "NN-Mass, Fig. 6(b)", "the same, real WRN-50-2", what + "NN-Mass", data["r2"]["mass"], r2(real, accuracy)


def mass_as_in_figure_6(name: str) -> float:
    """NN-Mass with every width of a Wide-ResNet scaled, that of bottlenecks' outputs included."""
    if name == "wrn-imagenet-50-2":
        return 2 * float(nn_mass(get("resnet50")).mass)
    return float(nn_mass(get(name)).mass)


def r2(values: list[float], accuracy: np.ndarray) -> float:
    """Share of the variance that a straight line over the logarithm explains."""
    return float(np.corrcoef(np.log(values), accuracy)[0, 1] ** 2)


def ran_rows() -> Iterator[Row]:
    """Table 7 of RAN: widths and depths from the printed multipliers, the rest from the networks."""
    base = get("convnext-t")
    for name, printed in golden("ran_i_published").items():
        spec = get(name)
        counts = count_module(build(spec), spec.input)
        source = "RAN, Table 7"
        total = counts.macs + sum(counts.other.values())
        width, depth = Fraction(printed["width"]), Fraction(printed["depth"])
        (wide,) = width_choices(base, width, width)
        (deep,) = depth_choices(base, depth, depth)
        widths = wide.sizes[1:]  # after the stem
        for what, theirs, ours in (("width", printed["widths"], widths), ("blocks", printed["depths"], deep.sizes)):
            for stage, (one, other) in enumerate(zip(theirs, ours, strict=True), 1):
                yield source, name, f"{what} of stage {stage}", str(one), float(other)
        yield source, name, "params (M)", printed["params"], counts.params / 1e6
        yield source, name, "MACs (G), cut off", printed["macs"], int(100 * total / 1e9) / 100
        mass = golden("nn_mass")["ran_i"][name]["mass"]
        yield "RAN, Eq. (4) at Table 7", name, "NN-Mass", mass, float(nn_mass(spec).mass)


def line(row: Row) -> str:
    """One line of the table: ours at the printed digits, and the sign of what differs there."""
    source, network, quantity, printed, value = row
    digits = len(printed.partition(".")[2])
    ours = f"{value:.{digits}f}"
    difference = float(ours) - float(printed)
    sign = f"{difference:+.{digits}f}" if difference else "0"
    return f"| {source} | {network} | {quantity} | {printed} | {ours} | {sign} |\n"


def main() -> None:
    """Recompute all and write the table."""
    lines = [line(row) for rows in (nn_mass_rows(), figure_6_rows(), ran_rows()) for row in rows]
    versions = ", ".join(f"{package} {version(package)}" for package in ("torch", "timm", "fvcore", "numpy"))
    stamp = f"\nmadnas {madnas.__version__}, Python {platform.python_version()}, {versions}.\n"
    write_part(README, f"{HEADER}{''.join(lines)}{stamp}")


if __name__ == "__main__":
    main()
