"""The one-page report of a training run, and its curves."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.report.figures import BLUE, GREEN, ORANGE, render

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
    """Loss, accuracy and learning rate over the epochs."""
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
    losses.plot(ends, [line["loss"] for line in tests], color=ORANGE, marker=".", label="test")
    shown = [line["loss"] for line in (*lines, *tests) if line["loss"] is not None]
    losses.set(ylabel="loss", yscale="log" if shown and min(shown) > 0 and max(shown) > 5 * min(shown) else "linear")
    losses.legend(frameon=False)
    accuracies.plot(ends, [100 * line["top1"] for line in tests], color=ORANGE, marker=".")
    accuracies.set_ylabel("test accuracy (%)")
    if tests:
        best = max(tests, key=lambda line: line["top1"])
        accuracies.axhline(100 * best["top1"], color=GREEN, linewidth=0.8, linestyle="--")
        accuracies.set_title(f"best {100 * best['top1']:.2f} %, after epoch {best['epoch'] + 1}", fontsize=10)
    rates.plot(epochs, [line["lr"] for line in lines], color=BLUE, linewidth=1)
    rates.set(xlabel="epoch", ylabel="learning rate")
    rates.xaxis.set_major_locator(MaxNLocator(integer=True))
    for axis in (losses, accuracies, rates):
        axis.spines[["top", "right"]].set_visible(False)
    figure.suptitle(title)
    return figure


def report_text(
    result: dict[str, Any], metrics: list[dict[str, Any]], recipe: dict[str, Any], environment: dict[str, Any]
) -> str:
    """The report in Markdown."""
    best, last = result["best"], result["last"]
    tests = [line for line in metrics if line["event"] == "eval"]
    shown = [tests[index] for index in sorted({round(i * (len(tests) - 1) / 19) for i in range(20)})] if tests else []
    text = [
        f"# {result['network']}, {result['recipe']}",
        "",
        f"{result['params']:,} params, {result['epochs']} epochs of {result['updates'] // result['epochs']} updates, "
        f"seed {result['seed']}.",
        "",
        *_tests(best, last),
        f"- updates left out because they were not finite: {len(result['skipped_updates'])}; because float16 "
        f"overflowed: {result['overflowed_updates']}; samples that could not be read: {result['unreadable_samples']}",
        "",
        "![loss, accuracy and learning rate over the epochs](curves.png)",
        "",
        "| epoch | training loss | test loss | top-1 % | top-5 % | learning rate |",
        "|---|---|---|---|---|---|",
        *(
            f"| {line['epoch'] + 1} | {_number(line['train_loss'])} | {_number(line['loss'])} | "
            f"{100 * line['top1']:.2f} | {100 * line['top5']:.2f} | {line['lr']:.3g} |"
            for line in shown
        ),
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


def _tests(best: dict[str, Any] | None, last: dict[str, Any] | None) -> list[str]:
    """What the best and the last test said, as far as they are known."""
    text = []
    if best is not None:
        text.append(f"- best top-1 {100 * best['top1']:.2f} % after epoch {best['epoch'] + 1} (`best.safetensors`)")
    if last is not None:
        text.append(
            f"- last top-1 {100 * last['top1']:.2f} %, top-5 {100 * last['top5']:.2f} %, loss {_number(last['loss'])} "
            f"on {last['n']:,} test samples (`last.safetensors`)"
        )
    return text


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"
