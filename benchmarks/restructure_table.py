"""Recompute the tables of RAN-e and of its Section 4, and measure collapsed networks; write both into a README.

Run: make tables     (some two minutes on two cores)
"""

import platform
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version

import timm
import torch
from torch import nn

import madnas
from benchmarks.readme import ROOT, write_part
from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.models.norms import unsettle
from madnas.models.restructurable import alphas_of
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.spec import NetworkSpec
from madnas.restructure.collapse import collapse
from madnas.restructure.search_space import restructurable
from madnas.restructure.split import split

README = ROOT / "madnas" / "restructure" / "README.md"
PRINTED = {
    "ran-e-supernet": ("4.7", "590"),
    "ran-e-a": ("4.6", "561"),
    "ran-e-b": ("4.6", "482"),
    "ran-e-c": ("4.7", "488"),
    "ran-e-gt": ("4.5", "433"),
}
"""Params and MACs of Table 1, in millions."""

W = (4.13, 488.0)
"""Of SubNetwork-W, and what it is said to be: 0.91 times as wide."""

TABLE_4 = {
    "convnext-t": ("28.6", "4.47"),
    "convnext-t-pruned-40": ("18.2", "2.8"),
    "convnext-t-pruned-27.5": ("21.5", "3.32"),
    "convnext-t-split-40": ("21.5", "3.32"),
    "convnext-t-split-40-gelu": ("21.5", "3.32"),
    "convnext-t-split-40-exp": ("21.5", "3.32"),
}
"""Params in millions and MACs in billions."""

CLASSIFIER = 1344 * 1000


def costs(spec: NetworkSpec) -> tuple[float, float, float, float]:
    """Params with and without running statistics, MACs without and with classifier, in millions."""
    found, model = count(spec), build(spec)
    statistics = sum(2 * part.num_features for part in model.modules() if isinstance(part, nn.BatchNorm2d))
    return (found.params + statistics) / 1e6, found.params / 1e6, (found.macs - CLASSIFIER) / 1e6, found.macs / 1e6


def table_1() -> Iterator[str]:
    """RAN-e's networks."""
    yield (
        "| RAN, Table 1 | printed params, MACs (M) | params with / without running statistics "
        "| MACs without / with classifier |"
    )
    yield "|---|---|---|---|"
    for name, (params, macs) in PRINTED.items():
        ours = costs(get(name))
        yield f"| {name} | {params}, {macs} | {ours[0]:.3f} / {ours[1]:.3f} | {ours[2]:.2f} / {ours[3]:.2f} |"
    width, multiple, ours = closest()
    yield (
        f"| SubNetwork-W (0.91x) | {W[0]}, {W[1]:.0f} | {ours[0]:.3f} / {ours[1]:.3f} | {ours[2]:.2f} / {ours[3]:.2f}: "
        f"not reproducible; closest of widths 0.85 to 0.95: {width:.2f}, channels in multiples of {multiple} |"
    )


def closest() -> tuple[float, int, tuple[float, float, float, float]]:
    """The narrower SuperNet that comes closest to SubNetwork-W: its width, rounding and costs."""
    found = []
    for width in (0.85 + step / 100 for step in range(11)):
        for multiple in (1, 2, 4, 8, 16):
            spec = narrower(get("ran-e-supernet"), width, multiple)
            ours = costs(spec)
            away = max(abs(ours[0] / W[0] - 1), abs(ours[2] / W[1] - 1))
            found.append((away, width, multiple, ours))
    _, width, multiple, ours = min(found)
    return width, multiple, ours


def narrower(spec: NetworkSpec, width: float, multiple: int) -> NetworkSpec:
    """All channels but the top's times a width; the AFRB-3's even."""

    def scaled(chs: int) -> int:
        return max(2, multiple * round(chs * width / multiple)) // 2 * 2

    *groups, conv, depthwise = spec.groups
    body = tuple(replace(group, out=scaled(group.out)) for group in groups)
    assert spec.stem is not None
    return replace(spec, groups=(*body, conv, depthwise), stem=replace(spec.stem, out=scaled(spec.stem.out)))


def table_4() -> Iterator[str]:
    """Section 4's networks; the paper's MACs have layer norms in them."""
    yield "| RAN, Table 4 | printed params (M), MACs (B) | params (M) | MACs (B) | with layer norms |"
    yield "|---|---|---|---|---|"
    for name, (params, macs) in TABLE_4.items():
        spec = get(name)
        found = count(spec)
        norms = layer_norms(build(spec), spec.input)
        yield (
            f"| {name} | {params}, {macs} | {found.params / 1e6:.2f} | {found.macs / 1e9:.3f} "
            f"| {(found.macs + norms) / 1e9:.3f} |"
        )


def layer_norms(model: nn.Module, shape: tuple[int, ...]) -> int:
    """Elements that layer norms give out for one image, five operations each as fvcore counts them."""
    seen: list[int] = []
    for part in model.modules():
        if isinstance(part, nn.LayerNorm):
            part.register_forward_hook(lambda *arguments: seen.append(arguments[-1].numel()))
    with torch.no_grad():
        model.eval()(torch.zeros(1, *shape))
    return 5 * sum(seen)


def collapsed() -> Iterator[str]:
    """Networks before and after, on this machine."""
    yield "| collapsed | input | merges | params | MACs | MAC ratio | speed, one image | float64 | float32 |"
    yield "|---|---|---|---|---|---|---|---|---|"
    linear = build(restructurable(get("ran-e-supernet")))
    for alpha in alphas_of(linear).values():
        alpha.data.fill_(1.0)
    networks = {
        "ran-e-supernet, every alpha 1": (linear, (3, 224, 224)),
        "ran-e-b": (build(get("ran-e-b")), (3, 224, 224)),
        "repvgg-a0": (build(get("repvgg-a0")), (3, 224, 224)),
        "timm/mobileone_s0": (timm.create_model("mobileone_s0"), (3, 224, 224)),
        "resnet18": (build(get("resnet18")), (3, 224, 224)),
    }
    for name, (model, shape) in networks.items():
        unsettle(model.eval(), 0)
        found = collapse(model, shape, device="cpu")
        after = found.latency["after"]
        errors = " | ".join(f"{found.errors[dtype].relative:.0e}" for dtype in ("float64", "float32"))
        yield (
            f"| {name} | {shape[1]} px | {len(found.merged)} | {found.before.params:,} -> {found.after.params:,} "
            f"| {found.before.macs / 1e6:.0f} -> {found.after.macs / 1e6:.0f} M "
            f"| {found.before.macs / found.after.macs:.2f} | {after.ratio:.2f} ({after.low:.2f} to {after.high:.2f}) "
            f"| {errors} |"
        )


def splits() -> Iterator[str]:
    """Networks split, and how exact that is."""
    yield "| split by 40 % | params | MACs | float64 | float32 |"
    yield "|---|---|---|---|---|"
    for name in ("convnext_tiny", "mixer_s32_224"):
        model = timm.create_model(name)
        for weight in model.parameters():
            weight.data.normal_(0, 0.05)
        found = split(model, (3, 224, 224), 0.4)
        errors = " | ".join(f"{found.errors[dtype].relative:.0e}" for dtype in ("float64", "float32"))
        counted = count_module(found.model, (3, 224, 224))
        assert (counted.params, counted.macs) == (found.after.params, found.after.macs)
        yield (
            f"| timm/{name} | {found.before.params:,} -> {found.after.params:,} "
            f"| {found.before.macs / 1e9:.3f} -> {found.after.macs / 1e9:.3f} G | {errors} |"
        )


def main() -> None:
    """Rewrite the generated part."""
    torch.manual_seed(0)
    parts = ["\n".join(part()) for part in (table_1, table_4, collapsed, splits)]
    versions = f"madnas {madnas.__version__}, Python {platform.python_version()}, torch {torch.__version__}, "
    versions += f"timm {version('timm')}; {torch.get_num_threads()} threads, {platform.machine()}."
    write_part(README, ["\n\n".join(parts), "", versions])


if __name__ == "__main__":
    main()
