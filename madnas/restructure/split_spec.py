"""A split network of ours as a description of its own: ConvNeXt's blocks know a branch."""

from dataclasses import replace

from torch import Tensor

from madnas.models import build
from madnas.network.spec import NetworkSpec
from madnas.network.specfile import check_spec
from madnas.restructure.split import Split

INSIDE = {".expand.expand.": ".expand.", ".expand.project.": ".project.", ".expand.branch.": ".branch."}
"""Names of a split block's tensors in the traced network and in a network built from a description."""


def as_spec(spec: NetworkSpec, result: Split, activation: str) -> tuple[NetworkSpec, dict[str, Tensor]] | None:
    """The description and weights of a split network; None where no description can say it.

    Args:
        spec: of the network before.
        result: of splitting it.
        activation: of the branches.
    """
    kept = {part.name: part.kept for part in result.parts}
    if any(group.block != "convnext" or group.grn or group.branch is not None for group in spec.groups):
        return None
    groups = []
    for index, group in enumerate(spec.groups):
        own = {kept.get(f"groups.{index}.{block}.expand") for block in range(int(group.depth))}
        (hidden, *others) = own
        if others or hidden is None:
            return None
        groups.append(replace(group, expand=None, hidden=hidden, branch=activation))
    described = check_spec(replace(spec, groups=tuple(groups), provenance={}))
    state = {_renamed(name): value for name, value in result.model.state_dict().items()}
    build(described).load_state_dict(state)
    return described, state


def _renamed(name: str) -> str:
    for ours, theirs in INSIDE.items():
        name = name.replace(ours, theirs)
    return name
