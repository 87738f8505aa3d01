"""What was computed and measured of networks: scores, latencies side by side, a space's table, the papers' numbers."""

from typing import TYPE_CHECKING, Any

from madnas.measure.latency_table.table import table_from
from madnas.report.page.collect import Found
from madnas.report.page.draw import draw_prediction
from madnas.report.page.html import Section, Table
from madnas.report.page.sections.parts import evidence_of, results_of
from madnas.report.page.values import rows_table, shown
from madnas.units import counted, megabytes, short_quantity

if TYPE_CHECKING:
    from matplotlib.figure import Figure


Picture = tuple["Figure | tuple[bytes, str]", str]


def scores_section(found: Found) -> Section:
    """Scores of several networks, side by side."""
    from madnas.report.score_plot import draw_scores

    results = results_of(found)
    names = list(dict.fromkeys(name for row in results for name in row["scores"]))
    rows = []
    for row in results:
        cells = [row["target"]]
        for name in names:
            score = row["scores"].get(name)
            spread = "" if score is None or score.get("n", 1) == 1 else f" ± {score['std']:.2g}"
            cells.append("" if score is None else shown(score["value"], name) + spread)
        rows.append(cells)
    metrics = [name for name in names if any(row["scores"].get(name, {}).get("n", 1) > 1 for row in results)]
    made = Section(f"Scores of {len(results)} networks", found.source, tables=[Table(["target", *names], rows)])
    made.figures.append((draw_scores(results, metrics), "scores of all networks"))
    failed = [[row["target"], name, reason] for row in results for name, reason in row["failed"].items()]
    if failed:
        made.tables.append(Table(("target", "score", "why there is none"), failed))
    return made


def benchmark_section(found: Found) -> Section:
    """Networks timed side by side."""
    from madnas.report.benchmark_plot import draw_benchmark

    tree, results = found.content, results_of(found)
    made = Section(f"Benchmark of {len(results)} networks", found.source)
    setting = ", ".join(
        f"{name} {shown(value)}" for name, value in tree["setting"].items() if value not in (None, False)
    )
    made.words.append(f"Setting: {setting}. Times as fast: images per second over those of the first, 95 % interval.")
    rows = []
    for row in results:
        latency, ratio = row["latency_seconds"], row["ratio_to_first"]
        memory, share = row["peak_memory_bytes"], row["flops_share_of_peak"]
        interval = "" if ratio["low"] == ratio["high"] else f" ({ratio['low']:.3g} to {ratio['high']:.3g})"
        rows.append([
            row["name"], short_quantity(row["params"]), short_quantity(row["macs"]), str(row["batch_size"]),
            f"{1e3 * latency['p50']:.4g}", f"{1e3 * latency['p95']:.4g}", f"{100 * latency['spread']:.0f} %",
            str(latency["n"]), f"{row['images_per_second']:,.4g}", "-" if memory is None else megabytes(memory),
            f"{row['flops_per_second'] / 1e9:,.3g}", "-" if share is None else f"{100 * share:.0f} %",
            f"{ratio['value']:.3g}" + interval,
        ])  # fmt: skip
    columns = ("target", "params", "MACs", "batch", "p50 ms", "p95 ms", "spread", "n", "images/s", "peak MB", "GFLOP/s",
               "of peak", "times as fast")  # fmt: skip
    made.tables.append(Table(columns, rows))
    if results:
        made.figures.append((draw_benchmark(tree), "latencies and ratios"))
        made.evidence = evidence_of(results[0]["environment"])
    if tree["failed"]:
        made.tables.append(
            Table(("target", "why it was not measured"), [list(pair) for pair in tree["failed"].items()])
        )
    return made


def latency_table_section(found: Found) -> Section:
    """A space's latency table, and how good its predictions are."""
    table = table_from(found.content, found.source)
    error = table.error
    words = [
        f"Space {table.space}, up to {short_quantity(table.macs)} MACs, on {table.device}: {table.precision}, batches "
        f"of {table.batch_size}, {counted(table.setting['threads'], 'thread')}, {table.setting['clock']} clock. "
        f"{len(table.rates)} shapes of blocks from {len(table.probes)} networks.",
        f"Predictions of {error.n} networks that were held out are off by {100 * error.median:.1f} % (median) and "
        f"{100 * error.p95:.1f} % (95th percentile), bias {100 * error.bias:+.1f} %."
        if error.n
        else "No held-out network is covered: how far predictions are off is not known.",
    ]
    rows = [
        [str(shape), "first" if shape.opens else "following", str(rates.pieces), f"{100 * rates.error:.1f} %"]
        for shape, rates in table.rates.items()
    ]
    figures: list[Picture] = [(draw_prediction(table), "predicted over measured latency")]
    return Section("Latency table", found.source, words, figures,
                   [Table(("shape", "place", "measured", "typical error of a piece"), rows)],
                   evidence_of(table.environment))  # fmt: skip


def papers_section(found: Found) -> Section:
    """The papers' printed numbers beside ours."""
    tree = found.content
    made = Section("The papers' numbers", found.source, tables=[rows_table(tree["summary"])])
    rows = [
        [_place(row), row["row"], row["head"], row["printed"], row["shown"] or "-",
         row["difference"] or "-", row["why"] or ""]
        for row in tree["results"] if row["verdict"] != "not here"
    ]  # fmt: skip
    made.tables.append(Table(("source", "row", "column", "printed", "ours", "difference", "why"), rows))
    reasons = [(_place(row), row["why"]) for row in tree["results"] if row["verdict"] == "not here"]
    counted = [[place, str(reasons.count((place, why))), why] for place, why in dict.fromkeys(reasons)]
    made.tables.append(Table(("source", "numbers", "not computed here: they need"), counted))
    made.evidence = evidence_of(tree["environment"])
    return made


def _place(row: dict[str, Any]) -> str:
    """Where a number is printed; some stand in a figure or in the text, which say what they are."""
    table = row["table"]
    return f"{row['paper']}, {'table ' if table[0].isdigit() else ''}{table}"
