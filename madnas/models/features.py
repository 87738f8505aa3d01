"""Which maps a backbone gives out: the last one of every stage, described in timm's form."""

from typing import Any

from madnas.network.expand import openings
from madnas.network.spec import NetworkSpec


def feature_info(spec: NetworkSpec, output_stride: int | None = None) -> list[dict[str, Any]]:
    """timm's description of the last map of every stage, stages as in :func:`madnas.network.expand.segments`.

    Args:
        spec: the description.
        output_stride: the largest reduction, where strides became dilation.
    """
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
    largest = reduction if output_stride is None else output_stride
    return [stages[stage] | {"reduction": min(stages[stage]["reduction"], largest)} for stage in sorted(stages)]
