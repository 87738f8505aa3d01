"""Scaled networks as plain data and as a picture: JSON document, CSV table, front of NN-Mass against depth."""

from typing import TYPE_CHECKING, Any

import madnas
from madnas.csvtext import csv_text
from madnas.figures import BLUE, GREEN, GREY, ORANGE
from madnas.network.specfile import spec_to_tree
from madnas.scaling.compare import Rival
from madnas.scaling.family import multiplier_text
from madnas.scaling.problem import Scaling
from madnas.scaling.sample import Sampled
from madnas.scaling.scale import Scaled, Scored
from madnas.units import short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure

SCHEMA = "madnas/scale/1"
SAMPLE_SCHEMA = "madnas/scale-sample/1"

AXES = {"nn-mass": "NN-Mass", "units": "non-linear units", "entropy": "entropy (nats)"}
"""What pictures call the objectives."""

RULES = {"base": "base", "width": "width alone", "depth": "depth alone", "compound": "compound scaling"}
"""What pictures call the rivals."""


def scale_document(result: Scaled, rivals: list[Rival] | None = None) -> dict[str, Any]:
    """A scaled network as JSON-able data.

    Returns:
        ``schema``, ``spec``, ``budgets`` (value and limit each), ``rho``, ``entropy`` (nats), ``objective`` (of
        ``objective_name``), ``bound`` (the same: every network of the ranges was scored), ``gap`` (0), ``binding``,
        ``solver``, ``seconds``; ``base``, ``multipliers``, ``scores``, ``front`` and, if asked for, ``compare``.
    """
    problem, network = result.problem, result.network
    objective = network.value(problem.objective)
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "madnas": madnas.__version__,
        "base": problem.base.name,
        "spec": spec_to_tree(network.spec),
        "multipliers": {"width": multiplier_text(result.width), "depth": multiplier_text(result.depth)},
        "budgets": {
            name: {"value": int(getattr(network.counts, name)), "limit": limit}
            for name, limit in problem.budgets.items()
        },
        "max_depth": problem.max_depth,
        "least_mass": problem.least_mass,
        "rho": float(network.structure.rho),
        "entropy": float(network.structure.weighted_entropy()),
        "scores": scores_tree(network),
        "objective_name": problem.objective,
        "objective": objective,
        "bound": objective,
        "gap": 0.0,
        "binding": [{"limit": binding.limit, "gain_relative": binding.gain} for binding in result.binding],
        "solver": {
            "name": "enumeration" if result.problem.base.groups[0].links is None else "enumeration with bisection",
            "candidates": result.candidates,
        },
        "front": [scores_tree(one) for one in result.front],
        "seconds": result.seconds,
    }
    if rivals is not None:
        document["compare"] = [
            {"rule": rival.rule, "how": rival.how, "scores": rival.network and scores_tree(rival.network)}
            for rival in rivals
        ]
    return document


def sample_document(problem: Scaling, sampled: list[Sampled], number: int, drawn: int, seed: int) -> dict[str, Any]:
    """Sampled networks near the budgets as JSON-able data.

    Args:
        problem: what was asked.
        sampled: the networks near the budgets.
        number: networks drawn.
        drawn: how many different ones these were.
        seed: of the draw.
    """
    results = [
        {
            "spec": spec_to_tree(one.network.spec),
            "multipliers": {"width": multiplier_text(one.width), "depth": multiplier_text(one.depth)},
            "scores": scores_tree(one.network),
        }
        for one in sampled
    ]
    return {
        "schema": SAMPLE_SCHEMA,
        "madnas": madnas.__version__,
        "base": problem.base.name,
        "budgets": dict(problem.budgets),
        "tolerance": problem.tolerance,
        "max_depth": problem.max_depth,
        "width_range": [multiplier_text(bound) for bound in problem.width_range],
        "depth_range": [multiplier_text(bound) for bound in problem.depth_range],
        "seed": seed,
        "samples": number,
        "drawn": drawn,
        "results": results,
    }


def scores_tree(network: Scored) -> dict[str, Any]:
    """Costs and scores of a network as plain data."""
    return {
        "name": network.spec.name,
        "blocks": int(network.blocks),
        "depths": [int(depth) for depth in network.spec.depths],
        "outs": [int(group.out) for group in network.spec.groups],
        "input": list(network.spec.input),
        "macs": int(network.counts.macs),
        "params": int(network.counts.params),
        "layers": int(network.counts.layers),
        "nn_mass": float(network.mass.mass),
        "density": float(network.mass.density),
        "units": int(network.mass.units),
        "rho": float(network.structure.rho),
        "entropy": float(network.structure.weighted_entropy()),
    }


def scores_csv(networks: list[Scored]) -> str:
    """Networks as a CSV table, one row each; costs are plain numbers."""
    rows = [scores_tree(network) for network in networks]
    for row in rows:
        row |= {name: " ".join(map(str, row[name])) for name in ("depths", "outs", "input")}
    return csv_text(rows)


def draw_scale(result: Scaled, rivals: list[Rival] | None = None) -> "Figure":
    """The objective of the best network of every depth at the budget: what the depth cap costs."""
    problem = result.problem
    objective = problem.objective
    figure, axis = _figure()
    axis.plot(
        [one.blocks for one in result.front], [one.value(objective) for one in result.front],
        "o-", color=BLUE, linewidth=1, markersize=4, label="best of its depth within the budgets",
    )  # fmt: skip
    axis.plot(
        result.network.blocks, result.network.value(objective),
        "*", color=ORANGE, markersize=16, label=f"{result.network.spec.name} (answer)",
    )  # fmt: skip
    for rival, marker in zip(rivals or [], "sv^D", strict=False):
        if rival.network is not None:
            axis.plot(
                rival.network.blocks, rival.network.value(objective),
                marker, color=GREEN, markersize=7, label=RULES[rival.rule],
            )  # fmt: skip
    if problem.max_depth is not None:
        axis.axvline(problem.max_depth + 0.5, color=GREY, linestyle=":", linewidth=1, label="depth cap")
    budgets = ", ".join(f"{name} {short_quantity(limit)}" for name, limit in problem.budgets.items())
    goals = [budgets] if budgets else []
    goals += [] if problem.least_mass is None else [f"an NN-Mass of at least {problem.least_mass:,.1f}"]
    axis.set(
        xlabel="blocks",
        ylabel=AXES.get(objective, objective),
        title=f"{problem.base.name} scaled to {' and '.join(goals)}",
    )
    axis.xaxis.get_major_locator().set_params(integer=True)
    if objective == "params":
        axis.yaxis.set_major_formatter(lambda y, _: short_quantity(y))
    axis.legend(frameon=False, fontsize=8)
    return figure


def draw_sample(base: str, sampled: list[Sampled]) -> "Figure":
    """Sampled networks near the budgets, NN-Mass against MACs (Fig. 6 of RAN without the accuracies)."""
    figure, axis = _figure()
    points = axis.scatter(
        [one.network.counts.macs for one in sampled],
        [one.network.mass.mass for one in sampled],
        c=[one.network.blocks for one in sampled],
        cmap="viridis",
    )
    figure.colorbar(points, label="blocks")
    axis.xaxis.set_major_formatter(lambda x, _: short_quantity(x))
    axis.set(xlabel="MACs", ylabel="NN-Mass", title=f"networks sampled from {base}, near the budgets")
    return figure


def _figure() -> tuple["Figure", Any]:
    from matplotlib.figure import Figure

    figure = Figure(figsize=(8, 5), layout="constrained")
    axis = figure.subplots()
    axis.spines[["top", "right"]].set_visible(False)
    axis.title.set_fontsize(10)
    return figure, axis
