"""The module of a restructured network: the network that it was, merged and split again as its description says."""

import torch
from torch import nn

from madnas.errors import UsageError
from madnas.models.norms import set_norms
from madnas.network.restructured import Description
from madnas.network.specfile import parse_spec
from madnas.restructure.merge import apply, finish, plan
from madnas.restructure.prepared import traced_for_merging
from madnas.restructure.slopes import slopes_of
from madnas.restructure.split import split_structure
from madnas.targets.build import module_of
from madnas.targets.find import RESTRUCTURED, Target, as_library


def rebuild(description: Description) -> nn.Module:
    """The restructured module with fresh weights, for those of a file.

    Raises:
        UsageError: the network has no such parts: another version of its library.
    """
    model = base_model(description)
    set_norms(model, None, description.bn_eps)
    if description.split:
        model = split_structure(model, description.input, description.split, description.branch)
    if not description.merged:
        return model
    for name, slopes in slopes_of(model).items():
        if name in description.linear:
            with torch.no_grad():
                slopes.fill_(1.0)
    traced = traced_for_merging(model, description.input)
    wanted = set(description.merged)
    merges = [merge for merge in plan(traced, description.costly, description.only)[0] if merge.modules in wanted]
    missing = wanted - {merge.modules for merge in merges}
    if missing:
        raise UsageError(f"{description.name}: the network has no {min(missing)[0]} that can be merged as described")
    for merge in merges:
        apply(traced, merge)
    return finish(traced)


def base_model(description: Description) -> nn.Module:
    """The network before, with fresh weights."""
    if description.spec is None:
        assert description.base is not None
        target = as_library(description.base)
        if target.library == RESTRUCTURED:
            raise UsageError(f"{description.name}: its base {description.base} is restructured itself")
    else:
        target = Target(description.name, parse_spec(description.spec, description.name))
    return module_of(target, description.classes, description.input)
