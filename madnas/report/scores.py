"""Scores as plain data: the JSON document of ``madnas score``. Loads no solver."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from madnas.network.analyse import Stage, Structure
from madnas.network.count import Counts
from madnas.network.mass import Mass
from madnas.network.spec import NetworkSpec

if TYPE_CHECKING:
    from madnas.measure.module_count import ModuleCounts
    from madnas.measure.topology import Topology
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


@dataclass(frozen=True, slots=True)
class Traced:
    """A module that no spec describes, with what its trace tells.

    Attributes:
        target: what the user wrote.
        input: shape of one input.
        counts: costs, counted on the module.
        topology: its blocks, and what is none.
    """

    target: str
    input: tuple[int, ...]
    counts: "ModuleCounts"
    topology: "Topology"

    @property
    def failed(self) -> dict[str, str]:
        """What it has no score for, and why."""
        found = {"entropy": "only networks with a spec have one", "rho": "only networks with a spec have one"}
        if self.topology.left_out:
            parts = "; ".join(f"{number} x {what}" for what, number in self.topology.left_out.items())
            found["nn-mass"] = f"does not cover all of the network; left out: {parts}"
        return found


def score_document(scored: Sequence[Scored | Traced]) -> dict[str, Any]:
    """Scores as JSON-able data: ``schema`` and ``results``, one for each target, in order."""
    return {
        "schema": SCHEMA,
        "results": [_result(one) if isinstance(one, Scored) else _traced_result(one) for one in scored],
    }


def _traced_result(one: Traced) -> dict[str, Any]:
    values: dict[str, int | float] = {
        "params": one.counts.params,
        "macs": one.counts.macs,
        "activations": one.counts.activations,
    }
    if one.topology.blocks:
        values |= {"nn-mass": one.topology.mass, "density": one.topology.density}
    return {
        "target": one.target,
        "name": one.target,
        "input": list(one.input),
        "scores": {name: {"value": value, "std": 0.0, "n": 1} for name, value in values.items()},
        "stages": [],
        "failed": one.failed,
    }


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
