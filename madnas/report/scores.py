"""Scores as plain data: the JSON document of ``madnas score``. Loads no solver."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from madnas.network.analyse import Stage, Structure
from madnas.network.count import Counts
from madnas.network.mass import Mass
from madnas.network.spec import NetworkSpec

if TYPE_CHECKING:
    from madnas.measure.verify import Verification
    from madnas.scores.registry import Measured

SCHEMA = "madnas/score/1"


@dataclass(frozen=True, slots=True)
class Scored:
    """A target with its structural scores.

    Attributes:
        target: what the user wrote.
        spec: the network that it names.
        counts: costs in closed form.
        structure: structural scores.
        mass: NN-Mass, density and non-linear units.
        measured: scores of the built module, by name.
        failed: why a score that was asked for does not exist, by name.
        verification: the recount on the built module, if there was one.
    """

    target: str
    spec: NetworkSpec
    counts: Counts
    structure: Structure
    mass: Mass
    measured: "dict[str, Measured]" = field(default_factory=dict)
    failed: dict[str, str] = field(default_factory=dict)
    verification: "Verification | None" = None


def score_document(scored: Sequence[Scored]) -> dict[str, Any]:
    """Scores as JSON-able data: ``schema`` and ``results``, one for each target, in order."""
    return {"schema": SCHEMA, "results": [_result(one) for one in scored]}


def _result(one: Scored) -> dict[str, Any]:
    structure = one.structure
    values: dict[str, int | float] = counts_tree(one.counts) | {
        "width": float(structure.width),
        "rho": float(structure.rho),
        "entropy": float(structure.weighted_entropy()),
        "objective": float(structure.objective()),
        "nn-mass": float(one.mass.mass),
        "density": float(one.mass.density),
        "units": int(one.mass.units),
    }
    scores = {name: {"value": value, "std": 0.0, "n": 1} for name, value in values.items()}
    scores |= {name: {"value": m.value, "std": m.std, "n": m.n} for name, m in one.measured.items()}
    document: dict[str, Any] = {
        "target": one.target,
        "name": one.spec.name,
        "input": list(one.spec.input),
        "scores": scores,
        "nn_mass_policies": one.mass.policies,
        "stages": [stage_tree(stage) for stage in structure.stages],
        "failed": one.failed,
    }
    if one.verification is not None:
        document["verified"] = {
            "matches": not one.verification.mismatches,
            "mismatches": [str(mismatch) for mismatch in one.verification.mismatches],
        }
    return document


def counts_tree(counts: Counts) -> dict[str, int]:
    """Costs of a network as plain data."""
    return {name: int(getattr(counts, name)) for name in ("params", "macs", "activations", "layers")}


def stage_tree(stage: Stage) -> dict[str, int | float]:
    """A stage as plain data: side of its output map in pixels, channels, layers, rho, entropy in nats."""
    return {
        "resolution": float(stage.resolution),
        "out": int(stage.out_chs),
        "layers": int(stage.depth),
        "rho": float(stage.rho),
        "entropy": float(stage.entropy),
    }
