"""All scores of one target as plain data, as they are printed, saved and sent between processes."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from math import isfinite
from typing import TYPE_CHECKING, Any

import madnas
from madnas.errors import UsageError
from madnas.network.analyse import Structure, analyse
from madnas.network.count import count, count_backbone
from madnas.network.expand import at_resolution
from madnas.network.layer import Resolution
from madnas.network.mass import nn_mass
from madnas.network.spec import NetworkSpec
from madnas.scores.targets import subject
from madnas.targets import Target, backbone_of, find, resized

if TYPE_CHECKING:
    from torch import nn

    from madnas.scores.subject import Subject

Tree = dict[str, Any]

BACKBONE = ("backbone-params", "backbone-macs")
PATH, LINKS = ("layers", "width", "rho", "entropy"), ("nn-mass", "density")
"""Scores of the backbone, of the main path, and of its skip connections."""


@dataclass(frozen=True, slots=True)
class Request:
    """What to compute of a target.

    Attributes:
        word: the target, as the user wrote it.
        metrics: scores besides those that are always there.
        repeats: draws of each.
        seed: of all draws.
        batch_size: images of a batch.
        resolution: height and width of the input; default: the network's own.
        device: where.
        dtype: precision.
        verify: recount the built module.
        backbone: count also what of it gives the maps, without the head.
        single_thread: use one core, because other processes use the others; sums have another order on several.
    """

    word: str
    metrics: tuple[str, ...] = ()
    repeats: int = 8
    seed: int = 0
    batch_size: int = 16
    resolution: Resolution | None = None
    device: str = "cpu"
    dtype: str = "float32"
    verify: bool = False
    backbone: bool = False
    single_thread: bool = False


def evaluate(request: Request, on_progress: Callable[[float], None] = lambda share: None) -> Tree:
    """Score a target.

    Args:
        request: what to compute.
        on_progress: takes the share that is done.

    Returns:
        ``target``, ``name``, ``input``, ``scores`` (each ``value``, ``std``, ``n``), ``stages``, ``failed`` (reasons by
        score); of described networks ``nn_mass_policies``, of others ``blocks``; ``verified`` where asked for;
        ``settings`` of scores at initialisation.

    Raises:
        UsageError: no such target; a module that cannot be traced.
        SpecError: a file that is no network.
    """
    target = find(request.word)
    with _threads(request.single_thread):
        if target.spec is not None:
            tree = _described(resized(target.spec, request.word, request.resolution), request)
        else:
            tree = _traced(subject(target, request.resolution), request)
        if request.backbone:
            _add_backbone(tree, target, request)
        if request.metrics:
            _measure(tree, subject(target, request.resolution), request, on_progress)
    return tree


def evaluate_module(what: "Subject", metrics: Sequence[str] = (), repeats: int = 8, seed: int = 0) -> Tree:
    """Score any module from Python, as :func:`evaluate` does a target without a description.

    Args:
        what: the module, or rather what builds it.
        metrics: scores at initialisation besides the structural ones.
        repeats: draws of each.
        seed: of all draws.

    >>> from timm import create_model
    >>> from madnas.scores.subject import Subject
    >>> found = evaluate_module(Subject("mine", lambda: create_model("resnet18"), (3, 64, 64)), ["zen"], repeats=2)
    >>> found["scores"]["layers"]["value"], found["scores"]["zen"]["n"]
    (17, 2)
    """
    request = Request(what.name, tuple(metrics), repeats, seed)
    tree = _traced(what, request)
    if metrics:
        _measure(tree, what, request, lambda share: None)
    return tree


@contextmanager
def _threads(single: bool) -> Iterator[None]:
    """One thread, if other processes use the other cores."""
    if not single:
        yield
        return
    import torch

    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _described(spec: NetworkSpec, request: Request) -> Tree:
    mass, structure = nn_mass(spec), analyse(spec)
    values: Tree = count(spec).tree() | _structural(structure)
    objective = float(structure.objective())
    if isfinite(objective):
        values |= {"objective": objective}
    values |= {"nn-mass": float(mass.mass), "density": float(mass.density), "units": int(mass.units)}
    tree = _tree(request.word, spec.name, spec.input, values, structure)
    tree["nn_mass_policies"] = mass.policies
    if not isfinite(objective):
        tree["failed"]["objective"] = "its depths are so uneven that the penalty exceeds every number"
    if request.verify:
        _recount(tree, spec)
    return tree


def _recount(tree: Tree, spec: NetworkSpec) -> None:
    """Add whether the built module has the same costs, or that memory does not suffice to build and run it."""
    from madnas.device import ran_out  # loads torch
    from madnas.measure.verify import verify

    try:
        mismatches = verify(spec).mismatches
    except (RuntimeError, MemoryError) as error:
        if not ran_out(error):
            raise
        tree["failed"]["recount"] = "out of memory"
    else:
        tree["verified"] = {"matches": not mismatches, "mismatches": [str(mismatch) for mismatch in mismatches]}


def _add_backbone(tree: Tree, target: Target, request: Request) -> None:
    """Add what the backbone costs, or why there is none; in closed form where there is a description."""
    try:
        costs = _backbone(target, tuple(tree["input"]), tree if "verified" in tree else None)
    except UsageError as error:
        tree["failed"] |= dict.fromkeys(BACKBONE, str(error))
    else:
        tree["scores"] |= {
            f"backbone-{name}": {"value": costs[name], "std": 0.0, "n": 1} for name in ("params", "macs")
        }


def _backbone(target: Target, images: tuple[int, int, int], verified: Tree | None) -> dict[str, int]:
    if target.spec is None:
        return _counted(backbone_of(target), images)
    spec = at_resolution(target.spec, *images[1:])
    costs = count_backbone(spec).tree()
    if verified is not None:
        counted = _counted(backbone_of(Target(target.word, spec)), images)
        wrong = [f"backbone {name}: {costs[name]} in closed form, {counted[name]} counted" for name in counted
                 if costs[name] != counted[name]]  # fmt: skip
        found = verified["verified"]
        found["mismatches"] += wrong
        found["matches"] = not found["mismatches"]
    return costs


def _counted(module: "nn.Module", images: tuple[int, ...]) -> dict[str, int]:
    from madnas.measure.module_count import count_module

    counts = count_module(module, images)
    return {"params": counts.params, "macs": counts.macs}


def _structural(structure: Structure) -> Tree:
    return {
        "layers": int(structure.depth),
        "width": float(structure.width),
        "rho": float(structure.rho),
        "entropy": float(structure.weighted_entropy()),
    }


def _traced(what: "Subject", request: Request) -> Tree:
    """Costs and structural scores of a module without a description, from the module and its graph."""
    from madnas.measure.graph import trace
    from madnas.measure.module_count import count_module
    from madnas.measure.refusal import explained_refusal
    from madnas.measure.structure import structure
    from madnas.measure.topology import topology_of
    from madnas.scores.subject import made

    module = made(what, 0)
    with explained_refusal(request.word, what.input):
        counts = count_module(module, what.input)
    values: Tree = {"params": counts.params, "macs": counts.macs, "activations": counts.activations}
    failed: dict[str, str] = {}
    if request.verify:
        failed["recount"] = "has no description that could be compared with its module"
    blocks: dict[str, int] = {}
    found: Structure | None = None
    try:
        traced = trace(module, what.input)
    except UsageError as error:
        failed |= dict.fromkeys((*PATH, *LINKS), str(error))
    else:
        topology = topology_of(traced)
        blocks = dict(Counter(block.kind for block in topology.blocks))
        if not topology.left_out:  # without blocks it is a plain chain, whose mass is 0
            values |= {"nn-mass": topology.mass, "density": topology.density}
        if topology.left_out:
            parts = "; ".join(f"{number} x {part}" for part, number in topology.left_out.items())
            reason = f"does not cover all of the network; left out: {parts}"
            failed |= dict.fromkeys(LINKS, reason)
        try:
            found = structure(traced)
            values |= _structural(found)
        except UsageError as error:
            failed |= dict.fromkeys(PATH, str(error))
    failed |= dict.fromkeys(("objective", "units"), "needs a description, which says what the network's groups are")
    tree = _tree(request.word, request.word.rpartition("/")[2], what.input, values, found)
    return tree | {"failed": failed, "blocks": blocks}


def _tree(word: str, name: str, shape: tuple[int, ...], values: Tree, structure: Structure | None) -> Tree:
    return {
        "target": word,
        "name": name,
        "input": list(shape),
        "scores": {key: {"value": value, "std": 0.0, "n": 1} for key, value in values.items()},
        "stages": [] if structure is None else [stage.tree() for stage in structure.stages],
        "failed": {},
    }


def _measure(tree: Tree, what: "Subject", request: Request, on_progress: Callable[[float], None]) -> None:
    """Add the scores that were asked for, or why there are none."""
    import torch

    from madnas.scores.registry import measure
    from madnas.scores.subject import Settings

    settings = Settings(request.batch_size, request.device, getattr(torch, request.dtype))
    tree["settings"] = {
        "repeats": request.repeats,
        "seed": request.seed,
        "batch_size": request.batch_size,
        "device": request.device.partition(":")[0],
        "dtype": request.dtype,
        "madnas": madnas.__version__,
        "torch": str(torch.__version__),
    }
    for done, name in enumerate(request.metrics):
        on_progress(done / len(request.metrics))
        try:
            found = measure(what, name, request.repeats, request.seed, settings)
        except UsageError as error:
            tree["failed"][name] = str(error)
        else:
            tree["scores"][name] = {"value": found.value, "std": found.std, "n": found.n}
