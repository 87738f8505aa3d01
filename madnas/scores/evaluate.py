"""All scores of one target as plain data, as they are printed, saved and sent between processes."""

from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

from madnas.errors import UsageError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.report.scores import counts_tree, stage_tree
from madnas.scores.targets import Target, find, resized, subject

if TYPE_CHECKING:
    from madnas.scores.subject import Subject

Tree = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Request:
    """What to compute of a target.

    Attributes:
        word: the target, as the user wrote it.
        metrics: scores besides those that are always there.
        repeats: draws of each.
        seed: of the first draw.
        batch_size: images of a batch.
        resolution: side of the input; default: the network's own.
        device: where.
        dtype: precision.
        verify: recount the built module.
        single_thread: use one core, because other processes use the others; sums have another order on several.
    """

    word: str
    metrics: tuple[str, ...] = ()
    repeats: int = 8
    seed: int = 0
    batch_size: int = 16
    resolution: int | None = None
    device: str = "cpu"
    dtype: str = "float32"
    verify: bool = False
    single_thread: bool = False


def evaluate(request: Request, on_progress: Callable[[float], None] = lambda share: None) -> Tree:
    """Score a target.

    Args:
        request: what to compute.
        on_progress: takes the share that is done.

    Returns:
        ``target``, ``name``, ``input``, ``scores`` (each ``value``, ``std``, ``n``), ``stages``, ``failed`` (reasons by
        score); of described networks ``nn_mass_policies``, of others ``blocks``; ``verified`` where asked for.

    Raises:
        UsageError: no such target; a module that cannot be traced.
        SpecError: a file that is no network.
    """
    target = find(request.word)
    if request.metrics or target.spec is None:
        with _set_up(request.single_thread):
            return _evaluate(target, request, on_progress)
    return _evaluate(target, request, on_progress)


def _evaluate(target: Target, request: Request, on_progress: Callable[[float], None]) -> Tree:
    if target.spec is not None:
        tree = _described(resized(target.spec, request.word, request.resolution), request)
    else:
        tree = _traced(target, request)
    if request.metrics:
        _measure(tree, subject(target, request.resolution), request, on_progress)
    return tree


@contextmanager
def _set_up(single_thread: bool) -> Iterator[None]:
    """Settings of this process that make repeated scoring fast."""
    import torch

    from madnas.scores.memory import keep_freed_memory

    keep_freed_memory()
    threads = torch.get_num_threads()
    if single_thread:
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _described(spec: NetworkSpec, request: Request) -> Tree:
    mass, structure = nn_mass(spec), analyse(spec)
    values: Tree = counts_tree(count(spec)) | _structural(structure)
    objective = float(structure.objective())
    if isfinite(objective):
        values |= {"objective": objective}
    values |= {"nn-mass": float(mass.mass), "density": float(mass.density), "units": int(mass.units)}
    tree = _tree(request.word, spec.name, spec.input, values, structure)
    tree["nn_mass_policies"] = mass.policies
    if not isfinite(objective):
        tree["failed"]["objective"] = "its depths are so uneven that the penalty exceeds every number"
    if request.verify:
        from madnas.measure.verify import verify

        mismatches = verify(spec).mismatches
        tree["verified"] = {"matches": not mismatches, "mismatches": [str(mismatch) for mismatch in mismatches]}
    return tree


def _structural(structure: Structure) -> Tree:
    return {
        "layers": int(structure.depth),
        "width": float(structure.width),
        "rho": float(structure.rho),
        "entropy": float(structure.weighted_entropy()),
    }


def _traced(target: Target, request: Request) -> Tree:
    """Costs and structural scores of a module without a description, from the module and its graph."""
    from madnas.measure.graph import trace
    from madnas.measure.module_count import count_module
    from madnas.measure.structure import structure
    from madnas.measure.topology import topology_of

    if request.verify:
        raise UsageError(f"{request.word}: has no description that --verify could compare with its module")
    what = subject(target, request.resolution)
    module = what.make()
    try:
        counts = count_module(module, what.input)
    except (AssertionError, RuntimeError, ValueError) as error:  # of somebody else's code
        size = " x ".join(map(str, what.input))
        reason = str(error).strip().partition("\n")[0] or type(error).__name__
        raise UsageError(f"{request.word}: cannot be run on an input of {size}: {reason}") from error
    values: Tree = {"params": counts.params, "macs": counts.macs, "activations": counts.activations}
    failed: dict[str, str] = {}
    blocks: dict[str, int] = {}
    found: Structure | None = None
    try:
        traced = trace(module, what.input)
    except UsageError as error:
        failed |= dict.fromkeys(("entropy", "rho", "nn-mass"), str(error))
    else:
        topology = topology_of(traced)
        if topology.blocks:
            values |= {"nn-mass": topology.mass, "density": topology.density}
            blocks = dict(Counter(block.kind for block in topology.blocks))
        if topology.left_out or not topology.blocks:
            parts = "; ".join(f"{number} x {what}" for what, number in topology.left_out.items())
            failed["nn-mass"] = (
                f"does not cover all of the network; left out: {parts}"
                if parts
                else "no residual or dense block is known"
            )
        try:
            found = structure(traced)
            values |= _structural(found)
        except UsageError as error:
            failed |= {"entropy": str(error), "rho": str(error)}
    tree = _tree(request.word, target.model, what.input, values, found)
    return tree | {"failed": failed, "blocks": blocks}


def _tree(word: str, name: str, shape: tuple[int, ...], values: Tree, structure: Structure | None) -> Tree:
    return {
        "target": word,
        "name": name,
        "input": list(shape),
        "scores": {key: {"value": value, "std": 0.0, "n": 1} for key, value in values.items()},
        "stages": [] if structure is None else [stage_tree(stage) for stage in structure.stages],
        "failed": {},
    }


def _measure(tree: Tree, what: "Subject", request: Request, on_progress: Callable[[float], None]) -> None:
    """Add the scores that were asked for, or why there are none."""
    import torch

    from madnas.scores.registry import measure
    from madnas.scores.subject import Settings

    settings = Settings(request.batch_size, request.device, getattr(torch, request.dtype))
    for done, name in enumerate(request.metrics):
        on_progress(done / len(request.metrics))
        try:
            found = measure(what, name, request.repeats, request.seed, settings)
        except UsageError as error:
            tree["failed"][name] = str(error)
        else:
            tree["scores"][name] = {"value": found.value, "std": found.std, "n": found.n}
