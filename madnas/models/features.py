"""Which maps a backbone gives out: the last one of every stage, described in timm's form."""

from typing import Any

from madnas.network.expand import openings
from madnas.network.spec import NetworkSpec


def feature_info(spec: NetworkSpec) -> list[dict[str, Any]]:
    """timm's description of the last map of every stage, stages as in :func:`madnas.network.expand.segments`."""
    if spec.is_mlp:
        return []
    stages: dict[int, dict[str, Any]] = {}
    reduction = 1
    if spec.stem is not None:
        reduction = spec.stem.stride
        stages[0] = {"num_chs": spec.stem.out, "reduction": reduction, "module": "stem"}
        reduction *= 2 if spec.stem.pool else 1
    for opening in openings(spec):
        reduction *= opening.group.stride
        module = f"groups.{opening.index}"
        stages[opening.stage] = {"num_chs": opening.group.out, "reduction": reduction, "module": module}
    return [stages[stage] for stage in sorted(stages)]
