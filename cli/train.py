"""``madnas train``: a network and a recipe become weights, a log and a report."""

import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from madnas.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Callable

    from madnas.train.job import Job

RECIPE, RUN, OUTPUT, INSTEAD = "Recipe", "Run", "Output", "Instead of training"

MAX_SEED = 2**63 - 1


def train(
    target: Annotated[
        str | None,
        typer.Argument(
            metavar="TARGET",
            show_default=False,
            help="A named network, a spec file (.yaml), a PlainNet or TinyNAS file, a model of timm (timm/NAME) or "
            "torchvision.",
        ),
    ] = None,
    recipe: Annotated[
        str | None,
        typer.Option(
            help="A recipe (see --list), or a recipe file (.yaml). Default: digits/quick, or that of the task; with "
            "--eval, the run's.",
            rich_help_panel=RECIPE,
        ),
    ] = None,
    task: Annotated[
        str | None,
        typer.Option(metavar="TASK", help="classification, detection ...: what the recipe has to be for; with --list, "
                     "what is listed. Default: the recipe's.", rich_help_panel=RECIPE),
    ] = None,
    set_: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Replace a setting of the recipe; may be repeated.",
                     rich_help_panel=RECIPE),
    ] = None,
    data: Annotated[
        Path, typer.Option("--data", "--data-dir", help="Folder of the data sets.", rich_help_panel=RECIPE)
    ] = Path("data"),
    seed: Annotated[
        int, typer.Option(min=0, max=MAX_SEED, help="Of weights, order and augmentation.", rich_help_panel=RECIPE)
    ] = 0,
    initial_checkpoint: Annotated[
        Path | None,
        typer.Option(help="Start from these weights: a file, or a run's folder or checkpoint; a classifier's are for "
                     "the backbone.", rich_help_panel=RECIPE),
    ] = None,
    kd_checkpoint: Annotated[
        Path | None, typer.Option(help="Weights of the teacher, for recipes with one.", rich_help_panel=RECIPE)
    ] = None,
    device: Annotated[str, typer.Option(help="cpu or cuda.", rich_help_panel=RUN)] = "cpu",
    workers: Annotated[int, typer.Option("--workers", "-j", min=0, max=1024, help="Processes that read image files.",
                                         rich_help_panel=RUN)] = 2,
    torchcompile: Annotated[
        bool, typer.Option("--torchcompile", help="Compile the model.", rich_help_panel=RUN)
    ] = False,
    sync_bn: Annotated[
        bool, typer.Option("--sync-bn", help="Batch norms over the whole batch of all processes.", rich_help_panel=RUN)
    ] = False,
    log_interval: Annotated[
        int, typer.Option(min=1, help="Updates between two lines of the log.", rich_help_panel=RUN)
    ] = 50,
    eval_interval: Annotated[int, typer.Option(min=1, help="Epochs between two tests.", rich_help_panel=RUN)] = 1,
    recovery_interval: Annotated[
        int | None,
        typer.Option(min=1, help="Updates between two checkpoints. Default: at ends of epochs, a minute apart.",
                     rich_help_panel=RUN),
    ] = None,
    checkpoint_hist: Annotated[
        int, typer.Option(min=1, help="Best weights that are kept.", rich_help_panel=RUN)
    ] = 1,
    output: Annotated[
        Path | None,
        typer.Option("-o", "--output", help="Folder of the run. Default: runs/NETWORK-RECIPE-SEED.",
                     rich_help_panel=OUTPUT),
    ] = None,
    resume: Annotated[
        str,
        typer.Option(metavar="auto|never|RUN", help="Go on with a run that was begun in the output folder; refuse to; "
                     "or go on with the run of this folder.", rich_help_panel=OUTPUT),
    ] = "auto",
    restart: Annotated[
        bool, typer.Option("--restart", help="Throw away what is in the folder.", rich_help_panel=OUTPUT)
    ] = False,
    json: Annotated[
        bool, typer.Option("--json", help="Print one JSON document and nothing else.", rich_help_panel=OUTPUT)
    ] = False,
    list_: Annotated[bool, typer.Option("--list", help="List the recipes.", rich_help_panel=INSTEAD)] = False,
    show: Annotated[
        str | None, typer.Option(metavar="RECIPE", help="Print a recipe, to copy and change.", rich_help_panel=INSTEAD)
    ] = None,
    dry_run: Annotated[
        bool,
        typer.Option("--dry-run", help="Try a few updates, and say what the run would take.", rich_help_panel=INSTEAD),
    ] = False,
    eval_: Annotated[
        Path | None,
        typer.Option("--eval", metavar="WEIGHTS", help="Test weights: a file; or a run's folder or checkpoint, which "
                     "knows its network, recipe and seed.", rich_help_panel=INSTEAD),
    ] = None,
    slurm: Annotated[
        bool, typer.Option("--slurm", help="Print a batch script that runs this command.", rich_help_panel=INSTEAD)
    ] = False,
) -> None:  # fmt: skip
    """Train a network with a recipe of the papers, or your own.

    Whatever ends a run (Ctrl-C, a scheduler, a crash), the same command goes on where it was, to the same result.
    Several GPUs or machines: torchrun --nproc-per-node 8 -m madnas train ..., or srun (see --slurm).

    Examples:
    - madnas train resnet20
    - madnas train net.yaml --recipe cifar/deepmad --data /data --device cuda --slurm
    - madnas train resnet20 --set epochs=20 --set lr=0.1 -o run
    - madnas train net.yaml --dry-run
    - madnas train timm/mobilenetv3_small_050 --task detection --data shapes
    - madnas train --eval runs/resnet20-digits-quick-0
    - madnas train --list
    """
    from . import train_report as report

    _one_of({"--list": list_, "--show": show is not None, "--dry-run": dry_run, "--eval": eval_ is not None,
             "--slurm": slurm})  # fmt: skip
    from madnas.train.kinds import CLASSIFICATION, KINDS

    if task is not None and task not in KINDS:
        raise UsageError(f"--task {task[:60]}: no such task", f"known: {', '.join(KINDS)}")
    if list_:
        report.print_recipes(json, task)
        return
    if show is not None:
        report.print_recipe(show, json)
        return
    from madnas.train.recipe import load_recipe

    network = None
    if eval_ is not None:
        from madnas.train.evaluate import past, run_of

        folder = run_of(eval_)
        if folder is not None:
            run = past(folder)
            network, recipe, seed = run.target, recipe or str(run.recipe), run.seed
    recipe = recipe or KINDS[task or CLASSIFICATION].default
    loaded = load_recipe(recipe, set_ or [])
    if task not in (None, loaded.task):
        raise UsageError(f"{recipe}: a recipe for {loaded.task}, not for {task}",
                         f"madnas train --list --task {task} lists those")  # fmt: skip
    if target is not None:
        from madnas.targets import as_library

        network = as_library(target)  # whose weights timm and --initial-checkpoint understand
    if network is None:
        raise UsageError("which network?", "madnas train resnet20, say; madnas train --help")
    if slurm:
        _print_slurm(device, workers, restart or resume == "never")
        return
    from madnas.train.job import Job

    if initial_checkpoint is not None and (initial_checkpoint.is_dir() or initial_checkpoint.name == "last"):
        from madnas.train.evaluate import weights_of

        initial_checkpoint = weights_of(initial_checkpoint)
    _check_resume(resume, restart, evaluated=eval_ is not None)
    resume, output = _resumed(resume, output)
    job = Job(
        network, recipe, loaded, seed, output or _folder(target or network.word, recipe, seed), data, device, workers,
        log_interval, eval_interval, recovery_interval, checkpoint_hist=checkpoint_hist, torchcompile=torchcompile,
        sync_bn=sync_bn, initial_checkpoint=initial_checkpoint, kd_checkpoint=kd_checkpoint, restart=restart,
    )  # fmt: skip
    _check(job)
    if dry_run:
        from madnas.train.plan import plan_of

        plan = plan_of(job)
        if report.is_first_process():
            report.print_plan(plan, json)
    elif eval_ is not None:
        from madnas.train.evaluate import evaluate

        found = evaluate(job, eval_)
        if report.is_first_process():
            report.print_test(found, json)
    else:
        _train(job, resume, json)


def _check_resume(resume: str, restart: bool, evaluated: bool) -> None:
    """Refuse what contradicts ``--resume``."""
    if restart and resume != "auto":
        why = "--restart throws away what --resume never protects" if resume == "never" else (
            "--restart throws away the run that --resume names")  # fmt: skip
        raise UsageError(why, "give one of them")
    if evaluated and resume != "auto":
        raise UsageError("--resume: --eval trains nothing", "leave it out")


def _resumed(resume: str, output: Path | None) -> tuple[str, Path | None]:
    """What to do with a begun run, and where it is: ``--resume`` may name it, as timm's names a checkpoint."""
    if resume in ("auto", "never"):
        return resume, output
    from madnas.train.evaluate import begun

    folder = begun(Path(resume))
    if folder is None:
        raise UsageError(
            f"--resume: {resume[:200]}: neither auto nor never, nor the folder of a run or its checkpoints/last",
            "a run goes on from its newest checkpoint; --initial-checkpoint starts another one from weights",
        )
    if output is not None and output.resolve() != folder.resolve():
        raise UsageError(f"--resume names the run of {folder}, and --output another folder", "leave --output out")
    return "auto", folder


def _check(job: "Job") -> None:
    """Refuse options that contradict each other, or do nothing."""
    if job.kd_checkpoint is not None and job.recipe.kd_model_name is None:
        raise UsageError("--kd-checkpoint: the recipe has no teacher", "--set kd_model_name=... names one")
    if job.sync_bn and job.device == "cpu":
        raise UsageError("--sync-bn: torch has it for GPUs only", "leave it out on a CPU")
    for flag, path in (("--initial-checkpoint", job.initial_checkpoint), ("--kd-checkpoint", job.kd_checkpoint)):
        if path is not None and not path.is_file():
            raise UsageError(f"{flag}: {path}: no such file")


def _one_of(modes: dict[str, bool]) -> None:
    """Refuse several things to do instead of training."""
    given = [name for name, wanted in modes.items() if wanted]
    if len(given) > 1:
        raise UsageError(f"{' and '.join(given)}: each is done instead of training", "give one of them")


def _print_slurm(device: str, workers: int, starts_anew: bool) -> None:
    if starts_anew:
        raise UsageError("--slurm with --restart or --resume never: the job would lose its work when requeued",
                         "leave them out")  # fmt: skip
    from madnas.train.slurm import slurm_script

    from .train_report import talk

    if device == "cpu":
        talk("the script asks for GPUs, and the command trains on the CPU: add --device cuda")
    print(slurm_script(_without(sys.argv[1:], "--slurm"), workers), end="")


def _train(job: "Job", resume: str, json: bool) -> None:
    from madnas.train.signals import wishes

    with wishes(until_exit=True):  # before what takes long to import
        from madnas.train.run import train as run

        _run(job, resume, json, lambda show, talk: run(job, show, talk))


def _run(job: "Job", resume: str, json: bool, run: "Callable[..., dict[str, Any]]") -> None:
    from . import train_report as report

    if resume == "never" and (job.folder / "run.json").exists():
        raise UsageError(f"{job.folder}: a run was begun there", "--resume auto goes on with it")
    if job.folder.parts[:1] == ("runs",) and len(job.folder.parts) == 2:
        Path("runs").mkdir(exist_ok=True)
    with report.progress(quiet=json) as show:
        result = run(show, report.talk)
    if not report.is_first_process():
        return
    if json:
        from .console import print_json

        print_json(result)
    else:
        report.print_result(result)


def _folder(target: str, recipe: str, seed: int) -> Path:
    """A folder that the same command finds again."""
    words = [Path(target).stem if target.endswith((".yaml", ".yml", ".txt")) else target, Path(recipe).with_suffix("")]
    name = "-".join(str(word).strip("/.").replace("/", "-") for word in words)
    return Path("runs") / f"{name}-{seed}"


def _without(arguments: list[str], flag: str) -> list[str]:
    """The arguments after the verb, without a flag."""
    rest = arguments[arguments.index("train") + 1 :] if "train" in arguments else arguments
    return [one for one in rest if one != flag]
