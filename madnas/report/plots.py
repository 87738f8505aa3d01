"""Pictures of designs. matplotlib is imported only when one is drawn, and draws without a display."""

from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREEN, GREY, ORANGE
from madnas.network.expand import segments
from madnas.program.design import Design
from madnas.report.document import front
from madnas.units import short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_design(design: Design) -> "Figure":
    """One network, layer by layer: width along the depth, and the entropy that each stage's output has."""
    figure, (top, bottom) = _figure(2)
    widths: list[float] = []
    borders: list[int] = []
    stage = 0
    for segment in segments(design.spec):
        if segment.stage != stage:
            borders.append(len(widths))
            stage = segment.stage
        widths += [float(layer.width) for layer in segment.layers if layer.main] * int(segment.repeat)
    top.step(range(1, len(widths) + 1), widths, where="mid", color=BLUE, linewidth=1)
    top.axhline(float(design.structure.width), color=ORANGE, linewidth=1, label="average width (Eq. 3)")
    for border in borders:
        top.axvline(border + 0.5, color=GREY, linewidth=0.8, linestyle=":")
    top.set(yscale="log", xlabel="layer", ylabel="width  c k² / g", title=_title(design))
    top.legend(loc="upper left", frameon=False)

    stages = design.structure.stages
    places = range(len(stages))
    labels = [f"{s.resolution:g} px\n{int(s.out_chs)} ch\n{int(s.depth)} layers" for s in stages]
    bars = bottom.bar(places, [float(s.entropy) for s in stages], color=GREEN)
    bottom.bar_label(
        bars, [f"{float(s.entropy):,.0f} × {w:g}" for s, w in zip(stages, design.problem.weights, strict=True)]
    )
    bottom.set_xticks(list(places), labels)
    bottom.margins(y=0.15)
    bottom.set(xlabel="stage", ylabel="entropy (nats)")
    return figure


def draw_sweep(designs: list[Design]) -> "Figure":
    """Depth, width, entropy and objective against the swept value (Figures 2 and 5 of DeepMAD)."""
    key = next(iter(designs[0].swept))
    numeric = key != "stage_weights" and all(one.swept[key] is not None for one in designs)
    places = [float(one.swept[key]) if numeric else float(i) for i, one in enumerate(designs)]
    series = {
        "layers on the main path": [float(one.counts.layers) for one in designs],
        "average width": [float(one.structure.width) for one in designs],
        "weighted entropy (nats)": [float(one.structure.weighted_entropy(one.problem.weights)) for one in designs],
        "objective (nats)": [float(one.objective) for one in designs],
    }
    figure, axes = _figure(4)
    best = front(designs)
    lines = _lines(designs, key)
    for axis, (label, values), colour in zip(axes, series.items(), (BLUE, ORANGE, GREEN, BLUE), strict=True):
        for rows in lines:
            axis.plot(
                [places[i] for i in rows], [values[i] for i in rows], "o-", color=colour, linewidth=1, markersize=4
            )
        axis.set(ylabel=label)
    if best is not None and key in designs[0].problem.budgets:
        on_front = [i for i, here in enumerate(best) if here]
        axes[-1].plot(
            [places[i] for i in on_front], [series["objective (nats)"][i] for i in on_front],
            "o", markersize=9, markerfacecolor="none", color=ORANGE, label="Pareto front",
        )  # fmt: skip
        axes[-1].legend(frameon=False)
    for axis in axes:
        axis.set_xlabel(key.replace("_", " "))
        if not numeric:
            axis.set_xticks(places, [_value(one.swept[key]) for one in designs], rotation=20)
        elif key in designs[0].problem.budgets:
            axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
    figure.suptitle(f"space {designs[0].problem.space.name}", fontsize=10)
    return figure


def _lines(designs: list[Design], key: str) -> list[list[int]]:
    """Designs that differ in the first swept value alone belong to one line."""
    lines: dict[str, list[int]] = {}
    for index, one in enumerate(designs):
        rest = {name: value for name, value in one.swept.items() if name != key}
        lines.setdefault(repr(rest), []).append(index)
    return list(lines.values())


def _value(value: Any) -> str:
    if isinstance(value, tuple):
        return ",".join(f"{part:g}" for part in value)
    return "none" if value is None else str(value)


def _title(design: Design) -> str:
    counts = design.counts
    return (
        f"{design.spec.name}: {short_quantity(counts.macs)} MACs, {short_quantity(counts.params)} params, "
        f"{int(counts.layers)} layers, ρ {design.structure.rho:.3f}, gap {100 * design.gap:.2f} %"
    )


def _figure(panels: int) -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    rows, columns = (2, 1) if panels == 2 else (2, 2)
    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = figure.subplots(rows, columns)
    for axis in axes.flat:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(10)
    return figure, list(axes.flat)
