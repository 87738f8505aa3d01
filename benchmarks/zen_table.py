"""Recompute the printed numbers of Zen-NAS that need no training, and see how near the closed form comes.

Run: make tables     (some ten minutes on two cores)
"""

import platform
import random
from collections.abc import Iterator
from dataclasses import replace
from importlib.metadata import version
from statistics import fmean, median

import yaml

import madnas
from benchmarks.readme import ROOT, write_part
from benchmarks.scaling_table import Row
from madnas.device import keep_freed_memory
from madnas.errors import UsageError
from madnas.network.count import count
from madnas.network.named import get, names
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.zen import zen_closed
from madnas.scores.ranks import kendall
from madnas.scores.registry import measure
from madnas.scores.subject import Settings, subject_of

README = ROOT / "madnas" / "scores" / "README.md"
TABLE_5 = {"resnet18": "59.53", "resnet34": "112.32", "resnet50": "140.3", "resnet101": "287.87", "resnet152": "433.57"}
REPEATS = 8
RANDOM = 200


def table_5() -> Iterator[Row]:
    """Zen-Scores of the ResNets, the mean of eight draws."""
    for name, printed in TABLE_5.items():
        value = measure(subject_of(get(name)), "zen", REPEATS).value
        yield "Zen-NAS, Table 5", name, f"Zen-Score at 224 px, mean of {REPEATS}", printed, value


def tables_4_and_7() -> Iterator[Row]:
    """Params of the ZenNets; those with squeeze-excitation without it, as the paper counts them."""
    golden = yaml.safe_load((ROOT / "tests" / "golden" / "zennet_published.yaml").read_text())
    for name, printed in golden.items():
        spec = get(name)
        bare = replace(spec, groups=tuple(replace(group, se="none") for group in spec.groups))
        table = "4" if "cifar" in name else "7"
        yield f"Zen-NAS, Table {table}", name, "params (M)", printed["printed"], count(bare).params / 1e6


def rows(found: Iterator[Row]) -> Iterator[str]:
    """Lines of the table."""
    for source, network, quantity, printed, value in found:
        digits = len(printed.partition(".")[2])
        ours = f"{value:.{digits}f}"
        difference = float(ours) - float(printed)
        told = "0" if difference == 0 else f"{difference:+.{digits}f}"
        yield f"| {source} | {network} | {quantity} | {printed} | {ours} | {told} |"


def random_network(draw: random.Random, number: int) -> NetworkSpec:
    """A chain of any of the kinds that Zen-Score is defined on, for 32 px."""
    kinds = ("basic", "bottleneck", "inverted-residual", "mobile-pair", "separable", "conv", "preact")
    kind = draw.choice(kinds)
    groups, width = [], draw.choice((16, 24, 32, 48))
    for place in range(draw.randint(2, 4)):
        width = 8 * draw.randint(width // 8, width // 4)
        group = Group(kind, width, draw.randint(1, 6), kernel=draw.choice((3, 5, 7)), stride=2 if place else 1)
        if kind in ("bottleneck", "mobile-pair"):
            group = replace(group, hidden=8 * draw.randint(1, max(1, width // 8)))
        if kind in ("inverted-residual", "mobile-pair"):
            group = replace(group, expand=draw.choice((1, 2, 4, 6)))
        groups.append(group)
    norm = "later" if kind == "preact" else "batch"
    head = Head(10, norm="batch") if kind == "preact" else Head(10, draw.choice((None, 256)))
    return NetworkSpec(
        f"random-{number}", (3, 32, 32), tuple(groups), head, Stem(draw.choice((16, 24, 32)), 3, 1, norm=norm)
    )


def closed_against_drawn(specs: list[NetworkSpec]) -> tuple[list[float], list[float]]:
    """The closed form and a draw of the Zen-Score of every network that has one."""
    closed, drawn = [], []
    for spec in specs:
        try:
            estimate = zen_closed(spec)
        except UsageError:
            continue
        closed.append(estimate)
        drawn.append(measure(subject_of(spec), "zen", 1, settings=Settings(16)).value)
    return closed, drawn


def agreement(label: str, specs: list[NetworkSpec]) -> str:
    """A line on how near the closed form comes."""
    import numpy as np

    closed, drawn = closed_against_drawn(specs)
    errors = [100 * (one - other) / other for one, other in zip(closed, drawn, strict=True)]
    size = [abs(error) for error in errors]
    tau = float(kendall(np.array(closed), np.array(drawn))[0])
    told = f"{fmean(errors):+.2f} % | {median(size):.2f} % | {max(size):.2f} %"
    return f"| {label} | {len(closed)} | {told} | {tau:.3f} |"


def main() -> None:
    """Rewrite the tables in the README of the scores."""
    keep_freed_memory()
    draw = random.Random(0)
    lines = ["| source | network | quantity | printed | ours | difference |", "|---|---|---|---|---|---|"]
    lines += [*rows(table_5()), *rows(tables_4_and_7()), ""]
    lines += ["| closed form against one draw | networks | mean error | median size | largest | Kendall tau |"]
    lines += ["|---|---|---|---|---|---|"]
    lines += [agreement("named networks", [get(name) for name in names()])]
    lines += [agreement("random networks, 32 px", [random_network(draw, number) for number in range(RANDOM)])]
    packages = ", ".join(f"{name} {version(name)}" for name in ("torch", "timm", "numpy"))
    lines += ["", f"madnas {madnas.__version__}, Python {platform.python_version()}, {packages}."]
    write_part(README, lines)


if __name__ == "__main__":
    main()
