"""The picture of DeepMAD's effectiveness experiment: Figures 2, 3 and 5 of the paper, a panel each."""

from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREEN, GREY, ORANGE, tau_text

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

COLOURS = (BLUE, ORANGE, GREEN, "#cc79a7", "#e69f00", "#56b4e9")
"""Of the groups, in their order; repeated where there are more."""


def draw_effectiveness(summary: dict[str, Any]) -> "Figure":
    """Entropy, depth and width against rho; where accuracies are known also accuracy against rho and entropy.

    Args:
        summary: of :func:`madnas.experiments.effectiveness.summary.summarise`.
    """
    from matplotlib.figure import Figure

    known = [one for one in summary["networks"] if one["accuracy"] is not None]
    rows = 2 if known else 1
    figure = Figure(figsize=(10, 4.1 * rows), layout="constrained")
    panels = figure.subplots(rows, 2, squeeze=False)
    _entropy(panels[0, 0], summary)
    _shape(panels[0, 1], summary)
    if known:
        _accuracy(panels[1, 0], summary, known)
        _groups(panels[1, 1], summary)
    for axis in panels.flat:
        axis.spines["top"].set_visible(False)
    networks = len(summary["networks"])
    figure.suptitle(
        f"{summary['experiment']}: {networks} random networks with the cost of {summary['settings']['like']}"
    )
    return figure


def _entropy(axis: "Axes", summary: dict[str, Any]) -> None:
    networks = summary["networks"]
    axis.plot(_column(networks, "rho"), _column(networks, "entropy"), "o", ms=4, color=BLUE)
    axis.set(xlabel="effectiveness ρ", ylabel="weighted entropy (nats)", title=tau_text(summary["tau"]["entropy"]))


def _shape(axis: "Axes", summary: dict[str, Any]) -> None:
    networks = summary["networks"]
    rho = _column(networks, "rho")
    axis.plot(rho, _column(networks, "layers"), "o", ms=4, color=BLUE)
    axis.set(xlabel="effectiveness ρ", title="depth and width")
    axis.set_ylabel("layers on the main path", color=BLUE)
    other = axis.twinx()
    other.plot(rho, _column(networks, "width"), "s", ms=4, color=ORANGE)
    other.set_ylabel("average width (Eq. 3)", color=ORANGE)
    other.spines["top"].set_visible(False)


def _accuracy(axis: "Axes", summary: dict[str, Any], known: list[dict[str, Any]]) -> None:
    axis.plot(_column(known, "rho"), _column(known, "accuracy"), "o", ms=4, color=GREY)
    for group, colour in _coloured(summary):
        axis.axvspan(group["low"], group["high"], color=colour, alpha=0.12, linewidth=0)
    best = summary["best"]
    axis.plot([best["rho"]], [best["accuracy"]], "*", ms=14, color=ORANGE, label=f"best, at ρ {best['rho']:.2f}")
    axis.set(xlabel="effectiveness ρ", ylabel="accuracy", title=tau_text(summary["tau"]["accuracy"]))
    axis.legend(frameon=False)


def _groups(axis: "Axes", summary: dict[str, Any]) -> None:
    by_name = {one["name"]: one for one in summary["networks"]}
    for group, colour in _coloured(summary):
        members = [by_name[name] for name in group["networks"] if by_name[name]["accuracy"] is not None]
        label = f"ρ around {group['rho']:g}: {tau_text(group['tau'])}"
        axis.plot(_column(members, "entropy"), _column(members, "accuracy"), "o", ms=4, color=colour, label=label)
    axis.set(xlabel="weighted entropy (nats)", ylabel="accuracy", title="Kendall's τ by group")
    axis.legend(frameon=False, fontsize=8)


def _coloured(summary: dict[str, Any]) -> list[tuple[dict[str, Any], str]]:
    return [(group, COLOURS[index % len(COLOURS)]) for index, group in enumerate(summary["groups"])]


def _column(networks: list[dict[str, Any]], name: str) -> list[float]:
    return [one[name] for one in networks]
