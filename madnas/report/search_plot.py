"""Pictures of searches: the best so far, the population's depth and width, and score against budgets."""

from statistics import median
from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREEN, GREY, ORANGE
from madnas.search.outcome import Outcome
from madnas.units import short_quantity

COLUMNS = 3
SPAN = 3.0
"""Members are drawn that are at most so many times as far below the median as the result is above it."""

WIDE = 20.0
"""Ratio of the largest and the least cost of a front from which on its axis is logarithmic."""

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def draw_search(outcome: Outcome) -> "Figure":
    """Best so far, layers and width of the population, the score against every budget, and the front."""
    from matplotlib.figure import Figure

    budgets = list(outcome.goal.budgets)
    panels = 3 + len(budgets) + bool(outcome.front)
    rows = -(-panels // COLUMNS)
    figure = Figure(figsize=(4 * COLUMNS, 3.4 * rows), layout="constrained")
    axes = list(figure.subplots(rows, COLUMNS).flat)
    _best(axes[0], outcome)
    _band(axes[1], outcome, "layers", GREEN)
    _band(axes[2], outcome, "width", ORANGE)
    for axis, name in zip(axes[3:], budgets, strict=False):
        _budget(axis, outcome, name)
    if outcome.front:
        _front(axes[panels - 1], outcome)
    for axis in axes[panels:]:
        axis.set_axis_off()
    for axis in axes:
        axis.spines[["top", "right"]].set_visible(False)
        axis.title.set_fontsize(10)
    best = outcome.best
    figure.suptitle(
        f"{outcome.method}, space {outcome.family.name}: {short_quantity(best.counts.params)} params, "
        f"{short_quantity(best.counts.macs)} MACs, {int(best.counts.layers)} layers", fontsize=10,
    )  # fmt: skip
    return figure


def _course(axis: Any, outcome: Outcome) -> tuple[list[dict[str, Any]], list[int]]:
    """The noted rounds with an answer, and the candidates until then, which the axis shows."""
    rows = [row for row in outcome.history.rows if row["best"] is not None]
    measured = bool(outcome.goal.measured)
    axis.set_xlabel("candidates scored" if measured else "candidates")
    axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
    return rows, [row["scored" if measured else "proposed"] for row in rows]


def _best(axis: Any, outcome: Outcome) -> None:
    rows, places = _course(axis, outcome)
    axis.step(places, [row["best"] for row in rows], where="post", color=BLUE)
    if outcome.program is not None:
        axis.axhline(outcome.program.objective, color=ORANGE, linewidth=1, label="mathematical program")
        axis.axhline(outcome.program.bound, color=GREY, linewidth=1, linestyle=":", label="its bound")
        axis.legend(frameon=False, loc="lower right")
    axis.set(ylabel=outcome.goal.fitness.text, title="best so far")


def _band(axis: Any, outcome: Outcome, name: str, colour: str) -> None:
    rows, places = _course(axis, outcome)
    noted = [(place, row[name]) for place, row in zip(places, rows, strict=True) if name in row]
    if noted:
        where, bands = [place for place, _ in noted], list(zip(*(band for _, band in noted), strict=True))
        axis.fill_between(where, bands[0], bands[2], color=colour, alpha=0.2, linewidth=0)
        axis.plot(where, bands[1], color=colour)
    axis.set(ylabel=name, title=f"{name} of the population: least, median, largest")


def _budget(axis: Any, outcome: Outcome, name: str) -> None:
    """Members of the populations, the later the darker, and the result."""
    value, limit = outcome.used(outcome.best)[name]
    members = outcome.history.members
    if members:  # penalties put some so far below that there would be no room for the rest
        middle = median(one["fitness"] for one in members)
        least = middle - SPAN * (outcome.best.fitness - middle)
        members = [one for one in members if one["fitness"] >= least]
    factor = _factor(name)
    if members:
        axis.scatter([factor * one[name] for one in members], [one["fitness"] for one in members],
                     c=[one["round"] for one in members], cmap="Blues", vmin=-0.3 * (1 + members[-1]["round"]),
                     s=9, linewidths=0)  # fmt: skip
    axis.axvline(factor * limit, color=GREY, linewidth=1, linestyle=":")
    axis.plot([factor * value], [outcome.best.fitness], "*", color=ORANGE, markersize=11)
    _label(axis, name)
    axis.set(ylabel=outcome.goal.fitness.text, title=f"{name}: {100 * value / limit:.1f} % of the budget")


def _front(axis: Any, outcome: Outcome) -> None:
    cost = outcome.goal.front[0]
    axis.plot([_factor(cost) * one.costs[cost] for one in outcome.front], [one.fitness for one in outcome.front],
              "o-", color=BLUE, markersize=4, linewidth=1)  # fmt: skip
    costs = [one.costs[cost] for one in outcome.front]
    if max(costs) > WIDE * min(costs) > 0:
        axis.set_xscale("log")
    _label(axis, cost)
    axis.set(ylabel=outcome.goal.fitness.text, title="front")


def _factor(cost: str) -> float:
    return 1e3 if cost == "latency" else 1.0


def _label(axis: Any, cost: str) -> None:
    axis.set_xlabel("latency (ms)" if cost == "latency" else cost)
    if cost not in ("latency", "rho"):
        axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
