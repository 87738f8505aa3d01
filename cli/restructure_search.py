"""What ``madnas restructure search`` reads, shows and writes."""

from collections.abc import Sequence

from madnas.errors import UsageError
from madnas.figures import render
from madnas.files import write_bytes_atomic, write_text_atomic
from madnas.measure.npu.compare import NONE, NoEstimate, NpuChange, check_npu, npu_change
from madnas.report.restructure_front import draw_front
from madnas.report.restructure_search import draw_search, front_csv, front_rows, search_document, search_report
from madnas.train.job import Job
from madnas.train.signals import wishes
from madnas.train.supernet import Found, searchable
from madnas.train.supernet import search as run

from .console import print_json, stdout
from .progress import status
from .tables import new_table
from .train_report import is_first_process, progress, talk

FILES = PLOT, FRONT, FRONT_PLOT, REPORT = "alphas.png", "front.csv", "front.png", "report.md"


def search(job: Job, strengths: Sequence[float], macs_aware: bool, npu: str | None, json: bool) -> None:
    """Search, write what was found, and print it."""
    searchable(job.target)
    check_npu(npu)
    if any((job.folder / name).exists() for name in FILES) and not list(job.folder.glob("lambda-*")):
        raise UsageError(f"{job.folder}: has files of something else that a search would write", "name another folder")
    found: list[Found] = []
    with wishes(until_exit=True):
        for strength in strengths:
            if not json:
                talk(f"lambda {strength:g}")
            with progress(quiet=json) as show:
                found += run(job, [strength], macs_aware, lambda _, state, show=show: show(state), talk)  # type: ignore[misc]
    if not is_first_process():
        return
    name, speeds = job.target.word, _speeds(found, npu, json)
    write_bytes_atomic(job.folder / PLOT, render(draw_search(name, found), "png"), overwrite=True)
    write_text_atomic(job.folder / FRONT, front_csv(found, speeds), overwrite=True)
    if len(found) > 1:
        figure = draw_front(f"{name}: slopes as they are after the search", front_rows(found))
        write_bytes_atomic(job.folder / FRONT_PLOT, render(figure, "png"), overwrite=True)
    write_text_atomic(job.folder / REPORT, search_report(name, found, speeds), overwrite=True)
    if json:
        print_json(search_document(name, found, speeds))
        return
    _print(found, speeds)
    talk(f"written: {job.folder / REPORT}, {found[-1].folder / 'subnetwork.yaml'}")


def _speeds(found: Sequence[Found], npu: str | None, json: bool) -> list[NpuChange | NoEstimate]:
    """Estimates on an NPU, of the network before and of each that was found; none if nobody wants them."""
    speeds: list[NpuChange | NoEstimate] = []
    if npu == NONE:
        return speeds
    with status(json) as watch:
        for one in found:
            watch(f"estimating the speed on an NPU, lambda {one.strength:g}")
            known = next((speed.before for speed in speeds if isinstance(speed, NpuChange)), one.supernet)
            speeds.append(npu_change(known, one.spec, npu=npu))
    return speeds


def _print(found: Sequence[Found], speeds: Sequence[NpuChange | NoEstimate]) -> None:
    console = stdout()
    table = new_table("lambda", "top-1 %", "blocks", "params", "MACs", "units")
    for one in found:
        costs = [f"{old:,} -> {new:,}" for old, new in one.costs.values()]
        table.add_row(f"{one.strength:g}", f"{100 * one.top1:.2f}", ",".join(map(str, one.linear)) or "none", *costs)
    console.print(table)
    for one, speed in zip(found, speeds, strict=False):
        if isinstance(speed, NpuChange):
            console.print(f"lambda {one.strength:g} on {speed.after.npu}: {speed}", highlight=False)
    for reason in dict.fromkeys(str(speed) for speed in speeds if isinstance(speed, NoEstimate)):
        talk(f"no speed on an NPU: {reason}")
