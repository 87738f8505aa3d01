"""What ``madnas benchmark`` runs and shows."""

import json as json_format
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.markup import escape

from madnas.errors import UsageError
from madnas.files import check_writable, write_text_atomic
from madnas.measure.benchmark.request import Request, check_request
from madnas.measure.rounds import Pace
from madnas.measure.setting import Setting, usual_clock
from madnas.network.layer import Resolution
from madnas.units import counted, megabytes, parse_quantity, short_quantity

from .console import print_json, stderr, stdout
from .outputs import Outputs
from .progress import status
from .tables import new_table

if TYPE_CHECKING:
    from madnas.program.space import Space
    from madnas.search.draw import Drawn

MODES = {"infer": ("infer",), "train": ("train",), "both": ("infer", "train")}


def request(
    targets: list[str],
    device: str,
    precision: str,
    batch_size: str,
    layout: str,
    threads: int | None,
    clock: str | None,
    mode: str,
    engine: str,
    compile: bool,
    resolution: Resolution | None,
    rounds: int | None,
    seconds: float,
    selftest: bool,
) -> Request:
    """The options as a request, checked.

    Raises:
        UsageError: an option that is not possible, or that another one excludes.
    """
    if mode not in MODES:
        raise UsageError(f"--mode: unknown {mode[:60]!r}", f"one of {', '.join(MODES)}")
    auto = batch_size == "auto"
    if not auto and not batch_size.isdecimal():
        raise UsageError(f"--batch-size: a whole number or auto, got {batch_size[:60]!r}")
    if auto and engine == "onnxruntime":
        raise UsageError("--batch-size auto: for --engine torch", "give a number")
    clock = usual_clock(device, threads) if clock is None else clock
    setting = Setting(device, precision, 1 if auto else int(batch_size), layout, threads, clock)
    pace = Pace(rounds, seconds, each=not device.startswith("cuda"))
    made = Request(tuple(targets), setting, MODES[mode], engine, compile, auto, resolution, pace, selftest)
    check_request(made)
    return made


TIMED = {
    "--device": "cpu", "--precision": "fp32", "--batch-size": "1", "--mode": "infer", "--layout": "channels-first",
    "--compile": False, "--threads": None, "--clock": None, "--rounds": None, "--seconds": 20.0, "--selftest": False,
    "--plot": None,
}  # fmt: skip
"""Options that say how something is timed, and what they are where nobody gives them."""


def refuse_with_vela(given: tuple[Any, ...]) -> None:
    """Refuse options that an estimate does not use.

    Args:
        given: what the options of :data:`TIMED` are.

    Raises:
        UsageError: names them.
    """
    used = [flag for (flag, default), value in zip(TIMED.items(), given, strict=True) if value != default]
    if used:
        raise UsageError(f"{', '.join(used)}: Vela estimates an int8 network, and nothing is timed", "leave it out")


def networks(request: Request, csv: Path | None, plot: Path | None, force: bool, json: bool) -> None:
    """Measure, print and write.

    Raises:
        UsageError: a target could not be measured, or the self-test failed; after everything else was shown.
    """
    files = Outputs(None, csv, plot, force)
    files.check()
    from madnas.measure.benchmark.run import benchmark
    from madnas.report.benchmark import benchmark_document, benchmark_table

    with status(quiet=json) as say:
        result = benchmark(request, say)
    document = benchmark_document(result)
    figure = None
    if plot is not None and result.rows:
        from madnas.report.benchmark_plot import draw_benchmark

        figure = draw_benchmark(document)
    if result.rows:
        files.write(None, benchmark_table(result), figure)
    if json:
        print_json(document)
    elif result.rows:
        _print(document)
    if result.failed:
        reasons = "; ".join(f"{name}: {reason.removeprefix(f'{name}: ')}" for name, reason in result.failed.items())
        raise UsageError(f"{len(result.failed)} of {len(result.failed) + len(result.rows)} not measured: {reasons}")
    if request.selftest:
        _check_selftest(document)


def _print(document: dict[str, Any]) -> None:
    console = stdout()
    console.print(_speed_table(document))
    console.print(_latency_table(document))
    setting, about = document["setting"], document["results"][0]["environment"]
    words = [setting["engine"], setting["precision"], setting["layout"], counted(setting["threads"], "thread")]
    words += ["compiled"] if setting["compiled"] else []
    words += ["time of the thread"] if setting["clock"] == "thread" else []
    console.print(f"{escape(about['hardware'])}, {about['driver']}; {', '.join(words)}")
    peak = document["peak"]
    if peak["flops_per_second"] is not None:
        console.print(
            f"peak measured beside them: {peak['flops_per_second'] / 1e9:,.0f} GFLOP/s (matrix product), "
            f"{peak['bytes_per_second'] / 1e9:,.1f} GB/s (copy)"
        )
    versions = ", ".join(f"{name} {number}" for name, number in about["versions"].items())
    console.print(f"{versions}; commit {about['commit'][:12]}{'+changes' if '+' in about['commit'] else ''}")
    if setting["clock"] == "wall" and about["load"] is not None and about["load"] > (about["cores"] or 1):
        stderr().print(
            f"the machine was busy ({about['load']:.1f} programs for {about['cores']} cores): latencies are longer "
            "than on an idle one; --threads 1 counts the thread's own time, which hardly feels that"
        )


def _speed_table(document: dict[str, Any]) -> Any:
    table = new_table("target", "params", "MACs", "batch", "MB", "images/s", "times as fast", "95 % interval")
    for row in document["results"]:
        ratio, memory = row["ratio_to_first"], row["peak_memory_bytes"]
        first = ratio["low"] == ratio["high"] == 1
        table.add_row(
            escape(row["name"]),
            short_quantity(row["params"]),
            short_quantity(row["macs"]),
            str(row["batch_size"]),
            "-" if memory is None else megabytes(memory),
            f"{row['images_per_second']:,.4g}",
            f"{ratio['value']:.3g}",
            "" if first else f"{ratio['low']:.3g} to {ratio['high']:.3g}",
        )
    return table


def _latency_table(document: dict[str, Any]) -> Any:
    table = new_table("target", "p50 ms", "p95 ms", "spread", "n", "GFLOP/s", "of peak", "GB/s", "of the copy's")
    for row in document["results"]:
        latency, of_flops, of_bytes = row["latency_seconds"], row["flops_share_of_peak"], row["bytes_share_of_peak"]
        table.add_row(
            escape(row["name"]),
            f"{1e3 * latency['p50']:.3g}",
            f"{1e3 * latency['p95']:.3g}",
            f"{100 * latency['spread']:.0f} %",
            str(latency["n"]),
            f"{row['flops_per_second'] / 1e9:,.3g}",
            "-" if of_flops is None else f"{100 * of_flops:.0f} %",
            f"{row['least_bytes_per_second'] / 1e9:,.3g}",
            "-" if of_bytes is None else f"{100 * of_bytes:.0f} %",
        )
    return table


def _check_selftest(document: dict[str, Any]) -> None:
    from madnas.measure.benchmark.run import AGAIN

    for row in document["results"]:
        if row["name"].endswith(AGAIN):
            ratio = row["ratio_to_first"]
            text = f"the network against itself: {ratio['value']:.3f} ({ratio['low']:.3f} to {ratio['high']:.3f})"
            if not ratio["low"] <= 1 <= ratio["high"]:
                raise UsageError(f"self-test failed: {text}", "something else disturbs this machine: more --rounds")
            stderr().print(f"self-test: {text}, 1 is inside")


def latency_table(
    space: str,
    macs: str,
    resolution: int | None,
    classes: int | None,
    device: str,
    precision: str,
    batch_size: int,
    layout: str,
    threads: int | None,
    clock: str | None,
    probes: int,
    held_out: int,
    minutes: float,
    seed: int,
    output: Path | None,
    force: bool,
    json: bool,
) -> None:
    """Measure a table, print how good it is, write it."""
    from madnas.measure.latency_table.request import TableRequest, check_table_request

    clock = usual_clock(device, threads) if clock is None else clock
    setting = Setting(device, precision, batch_size, layout, threads, clock)
    found = _space(space, resolution, classes)
    request = TableRequest(found, parse_quantity(macs, "--macs"), setting, probes, held_out, minutes, seed)
    check_table_request(request)
    if output is not None:
        check_writable(output, force)
    from madnas.measure.latency_table.measure import measure_table

    with status(quiet=json) as say:
        table = measure_table(request, say)
    document = table.document()
    if output is not None:
        write_text_atomic(output, json_format.dumps(document) + "\n", force)
    if json:
        print_json(document)
        return
    console, error = stdout(), table.error
    times = [1e3 * one.seconds for one in table.held_out]
    console.print(f"space {escape(found.name)} up to {short_quantity(request.macs)} MACs on {escape(table.device)}")
    console.print(
        f"{len(table.rates)} shapes of blocks from {len(table.probes)} networks, each measured "
        f"{min(one.n for one in table.probes)} times"
    )
    if not error.n:
        console.print(
            f"none of the {error.left_out} other networks is covered: how far predictions are off is not known; more "
            "--probes cover more"
        )
    else:
        console.print(
            f"{error.n} other networks, {min(times):.3g} to {max(times):.3g} ms for {_images(batch_size)}: predictions "
            f"are off by {100 * error.median:.1f} % (median), {100 * error.p95:.1f} % (95th percentile), "
            f"bias {100 * error.bias:+.1f} %" + (f"; {error.left_out} are not covered" if error.left_out else "")
        )
    console.print(
        "all of these are least times, of an undisturbed device; the medians that madnas benchmark prints were "
        f"{100 * table.spread:.0f} % above them"
    )
    if output is not None:
        console.print(f"wrote {escape(str(output))}")


def _space(name: str, resolution: int | None, classes: int | None) -> "Space | Drawn":
    """One of DeepMAD's spaces, or one of free length."""
    from madnas.search.space import is_evolution_space, load_evolution_space

    if is_evolution_space(name):
        from madnas.search.draw import Drawn

        return Drawn(load_evolution_space(name).customised(resolution=resolution, classes=classes))
    from madnas.program.space import customise, load_space

    return customise(load_space(name), resolution=resolution, classes=classes)


def _images(number: int) -> str:
    return "an image" if number == 1 else f"a batch of {number}"
