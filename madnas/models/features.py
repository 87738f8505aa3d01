"""Which maps a backbone gives out: the last one of every stage, described in timm's form."""

from typing import Any

from madnas.network.expand import segments
from madnas.network.spec import NetworkSpec


def feature_info(spec: NetworkSpec) -> list[dict[str, Any]]:
    """timm's description of the last map of every stage, stages as in :func:`madnas.network.expand.segments`."""
    if spec.is_mlp:
        return []
    stage_of = {segment.part: segment.stage for segment in segments(spec)}
    reduction = spec.stem.stride
    stages = {stage_of["stem"]: {"num_chs": spec.stem.out, "reduction": reduction, "module": "stem"}}
    reduction *= 2 if spec.stem.pool else 1
    for index, group in enumerate(spec.groups):
        reduction *= group.stride
        entry = {"num_chs": group.out, "reduction": reduction, "module": f"groups.{index}"}
        stages[stage_of[f"group{index + 1}"]] = entry
    return [stages[stage] for stage in sorted(stages)]
