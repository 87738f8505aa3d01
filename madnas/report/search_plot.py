"""Pictures of searches: the best so far, the population's depth and width, and score against budgets."""

from typing import TYPE_CHECKING, Any

from madnas.report.figures import BLUE, GREEN, GREY, ORANGE
from madnas.search.outcome import Outcome
from madnas.units import short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_search(outcome: Outcome) -> "Figure":
    """Best so far, layers and width of the population, and where the result is within its budgets (or the front)."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(9, 7), layout="constrained")
    axes = list(figure.subplots(2, 2).flat)
    rows = [row for row in outcome.history if row["best"] is not None]
    measured = bool(outcome.goal.measured)
    places = [row["scored" if measured else "proposed"] for row in rows]
    label = "candidates scored" if measured else "candidates"
    axes[0].step(places, [row["best"] for row in rows], where="post", color=BLUE)
    if outcome.program is not None:
        axes[0].axhline(outcome.program.objective, color=ORANGE, linewidth=1, label="mathematical program")
        axes[0].axhline(outcome.program.bound, color=GREY, linewidth=1, linestyle=":", label="its bound")
        axes[0].legend(frameon=False, loc="lower right")
    axes[0].set(xlabel=label, ylabel=outcome.goal.fitness.text, title="best so far")
    for axis, name, colour in ((axes[1], "layers", GREEN), (axes[2], "width", ORANGE)):
        noted = [(place, row[name]) for place, row in zip(places, rows, strict=True) if name in row]
        if noted:
            where, bands = [place for place, _ in noted], list(zip(*(band for _, band in noted), strict=True))
            axis.fill_between(where, bands[0], bands[2], color=colour, alpha=0.2, linewidth=0)
            axis.plot(where, bands[1], color=colour)
        axis.set(xlabel=label, ylabel=name, title=f"{name} of the population: least, median, largest")
    if outcome.front:
        _front(axes[3], outcome)
    else:
        _budgets(axes[3], outcome)
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(10)
    for axis in axes[:3]:
        axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
    best = outcome.best
    figure.suptitle(
        f"{outcome.method}, space {outcome.family.name}: {short_quantity(best.counts.params)} params, "
        f"{short_quantity(best.counts.macs)} MACs, {int(best.counts.layers)} layers", fontsize=10,
    )  # fmt: skip
    return figure


def _front(axis: Any, outcome: Outcome) -> None:
    cost = outcome.goal.front[0]
    factor = 1e3 if cost == "latency" else 1
    axis.plot([factor * one.costs[cost] for one in outcome.front], [one.fitness for one in outcome.front], "o-",
              color=BLUE, markersize=4, linewidth=1)  # fmt: skip
    if cost != "latency":
        axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
    axis.set(xlabel="latency (ms)" if cost == "latency" else cost, ylabel=outcome.goal.fitness.text, title="front")


def _budgets(axis: Any, outcome: Outcome) -> None:
    used = outcome.used(outcome.best)
    names = list(used)
    shares = [100 * value / limit for value, limit in used.values()]
    bars = axis.barh(names, shares, color=BLUE)
    axis.bar_label(bars, [f"{share:.1f} %" for share in shares], padding=3)
    axis.axvline(100, color=GREY, linewidth=0.8, linestyle=":")
    axis.margins(x=0.2)
    axis.invert_yaxis()
    axis.set(xlabel="percent of the budget", title="budgets")
