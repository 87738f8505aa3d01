"""The one-page report of a training run, and its curves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.figures import BLUE, GREEN, ORANGE, render
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.train.kinds import CLASSIFICATION, KINDS, Metric

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def write_report(
    folder: Path,
    result: dict[str, Any],
    metrics: list[dict[str, Any]],
    recipe: dict[str, Any],
    environment: dict[str, Any],
) -> None:
    """``curves.png`` and ``report.md`` into a run's folder.

    Args:
        folder: of the run.
        result: what ``result.json`` says.
        metrics: lines of the log.
        recipe: its settings.
        environment: versions and hardware.
    """
    write_bytes_atomic(folder / "curves.png", render(draw_curves(metrics, result["network"]), "png"), overwrite=True)
    write_text_atomic(folder / "report.md", report_text(result, metrics, recipe, environment), overwrite=True)


def draw_curves(metrics: list[dict[str, Any]], title: str) -> "Figure":
    """Loss, the metric that ranks tests, and learning rate over the epochs."""
    from matplotlib.figure import Figure
    from matplotlib.ticker import MaxNLocator

    tests = [line for line in metrics if line["event"] == "eval"]
    lines = [line for line in metrics if line["event"] == "train"]
    per_epoch = tests[0]["step"] / (tests[0]["epoch"] + 1) if tests else 1
    figure = Figure(figsize=(9, 6.5), layout="constrained")
    losses, accuracies, rates = figure.subplots(3, 1, sharex=True, height_ratios=[2, 2, 1])
    epochs = [line["step"] / per_epoch for line in lines]
    losses.plot(epochs, [line["loss"] for line in lines], color=BLUE, linewidth=1, label="training")
    ends = [line["epoch"] + 1 for line in tests]
    tested = [line for line in tests if "loss" in line]
    if tested or not tests:
        places = [line["epoch"] + 1 for line in tested]
        losses.plot(places, [line["loss"] for line in tested], color=ORANGE, marker=".", label="test")
    shown = [line["loss"] for line in (*lines, *tested) if line["loss"] is not None]
    losses.set(ylabel="loss", yscale="log" if shown and min(shown) > 0 and max(shown) > 5 * min(shown) else "linear")
    losses.legend(frameon=False)
    metric = metrics_of(tests)[0]
    by = 100 if metric.is_share else 1
    accuracies.plot(ends, [by * line[metric.name] for line in tests], color=ORANGE, marker=".")
    accuracies.set_ylabel(f"test {metric.title}" + (" (%)" if metric.is_share else ""))
    if tests:
        best = max(tests, key=lambda line: line[metric.name])
        accuracies.axhline(by * best[metric.name], color=GREEN, linewidth=0.8, linestyle="--")
        shown_best = metric.shown(best[metric.name])
        accuracies.set_title(f"best {shown_best}, after epoch {best['epoch'] + 1}", fontsize=10)
    rates.plot(epochs, [line["lr"] for line in lines], color=BLUE, linewidth=1)
    rates.set(xlabel="epoch", ylabel="learning rate")
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (losses, accuracies, rates):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


def metrics_of(tests: list[dict[str, Any]]) -> tuple[Metric, ...]:
    """The metrics of tests' lines in the log; those of classification where there is none."""
    for kind in KINDS.values():
        if tests and all(metric.name in tests[0] for metric in kind.metrics):
            return kind.metrics
    return KINDS[CLASSIFICATION].metrics


def report_text(
    result: dict[str, Any], metrics: list[dict[str, Any]], recipe: dict[str, Any], environment: dict[str, Any]
) -> str:
    """The report in Markdown."""
    best, last = result["best"], result["last"]
    tests = [line for line in metrics if line["event"] == "eval"]
    measured = metrics_of(tests)
    shown = [tests[index] for index in sorted({round(i * (len(tests) - 1) / 19) for i in range(20)})] if tests else []
    text = [
        f"# {result['network']}, {result['recipe']}",
        "",
        f"{result['params']:,} params, {result['epochs']} epochs of {result['updates'] // result['epochs']} updates, "
        f"seed {result['seed']}.",
        "",
        *_tests(best, last, measured),
        f"- updates left out because they were not finite: {len(result['skipped_updates'])}; because float16 "
        f"overflowed: {result['overflowed_updates']}; samples that could not be read: {result['unreadable_samples']}",
        "",
        "![loss, accuracy and learning rate over the epochs](curves.png)",
        "",
        *_table(shown, measured),
        "",
        "## Recipe",
        "",
        *(f"- {name}: {value}" for name, value in recipe.items() if value is not None),
        "",
        "## Environment",
        "",
        *(f"- {name}: {value}" for name, value in environment.items() if value is not None),
        "",
    ]
    return "\n".join(text)


def _table(shown: list[dict[str, Any]], measured: tuple[Metric, ...]) -> list[str]:
    """A row for each test."""
    with_loss = any("loss" in line for line in shown) or not shown
    names = [metric.title + (" %" if metric.is_share else "") for metric in measured]
    columns = ["epoch", "training loss", *(["test loss"] if with_loss else []), *names, "learning rate"]
    rows = [columns, ["---"] * len(columns)]
    for line in shown:
        losses = [_number(line["train_loss"]), *([_number(line["loss"])] if with_loss else [])]
        values = [metric.shown(line[metric.name]).removesuffix(" %") for metric in measured]
        rows.append([str(line["epoch"] + 1), *losses, *values, f"{line['lr']:.3g}"])
    text = [f"| {' | '.join(row)} |" for row in rows]
    text[1] = text[1].replace(" ", "")
    return text


def _tests(best: dict[str, Any] | None, last: dict[str, Any] | None, measured: tuple[Metric, ...]) -> list[str]:
    """What the best and the last test said, as far as they are known."""
    text, first = [], measured[0]
    if best is not None:
        text.append(
            f"- best {first.title} {first.shown(best[first.name])} after epoch {best['epoch'] + 1} (`best.safetensors`)"
        )
    if last is not None:
        values = [f"{metric.title} {metric.shown(last[metric.name])}" for metric in measured]
        values += [f"loss {_number(last['loss'])}"] if "loss" in last else []
        text.append(f"- last {', '.join(values)} on {last['n']:,} test samples (`last.safetensors`)")
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
