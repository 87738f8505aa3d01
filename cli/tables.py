"""Tables that several commands print."""

from rich import box
from rich.table import Table

from madnas.network.spec import NetworkSpec

TEXT = frozenset(
    {
        "part",
        "target",
        "name",
        "R² of",
        "block",
        "stage",
        "limit",
        "space",
        "recipe",
        "summary",
        "row",
        "blocks",
        "1 % more adds",
        "scaling",
        "how",
        "dataset",
        "opt",
        "merged",
        "pair",
        "was",
        "",
    }
)
"""Columns of words, which are aligned to the left."""


def new_table(*columns: str) -> Table:
    """A table with a line under its head."""
    made = Table(box=box.SIMPLE_HEAD, pad_edge=False)
    for column in columns:
        made.add_column(column, justify="left" if column in TEXT else "right", no_wrap=column != "summary")
    return made


def network_table(spec: NetworkSpec) -> Table:
    """Stem, groups and head of a network, a row each."""
    made = new_table("part", "block", "stride", "kernel", "hidden", "out", "blocks")
    if spec.stem is not None:
        hidden = ", ".join(map(str, spec.stem.hidden))
        blocks = str(len(spec.stem.hidden) + 1)
        made.add_row("stem", "conv", str(spec.stem.stride), str(spec.stem.kernel), hidden, str(spec.stem.out), blocks)
    for number, group in enumerate(spec.groups, 1):
        hidden = f"x {group.expand:g}" if group.expand is not None else _text(group.hidden)
        block = group.block + (f" + SE ({group.se})" if group.se != "none" else "")
        block += "" if group.links is None else f", {group.links} links"
        block += "" if group.group_width is None else f", groups of {group.group_width}"
        block += " + GRN" if group.grn else ""
        made.add_row(
            f"group {number}", block, str(group.stride), _text(group.kernel), hidden, str(group.out), str(group.depth)
        )
    if spec.head.conv is not None:
        made.add_row("head", "conv", "1", "1", "", str(spec.head.conv), "1")
    for chs in (*spec.head.hidden, spec.head.classes):
        made.add_row("head", "linear", "", "", "", str(chs), "")
    return made


def _text(value: object) -> str:
    return "" if value is None else str(value)


def share(value: float, limit: float) -> str:
    """Percentage, cut and not rounded, so that 100 % is said only where it is so."""
    return f"{int(10000 * value / limit) / 100:.2f} %"
