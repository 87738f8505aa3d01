"""The authors' score of a network: DeepMAD's objective by the convention of its public code (``theory.tinynas``)."""

from itertools import accumulate

from madnas.errors import UsageError
from madnas.network.analyse import analyse
from madnas.network.expand import at_resolution, segments
from madnas.network.spec import NetworkSpec
from madnas.theory.numerics import Number
from madnas.theory.objective import DEPTH_PENALTY, default_stage_weights
from madnas.theory.tinynas import INPUT_RESOLUTION, penalised_depths, tinynas_entropy, tinynas_objective

INVERTED_BLOCKS = frozenset({"inverted-residual", "separable"})
"""Kinds of block that make the depth penalty look at every group."""


def tinynas_score(
    spec: NetworkSpec, weights: tuple[float, ...] | None = None, depth_penalty: float = DEPTH_PENALTY
) -> Number:
    """Score of a network in the TinyNAS convention, in nats; a float for a network, an array for a batch of candidates.

    Every resolution is that of a 224 px input, whatever the network's own input. The published networks settle which
    depths are penalised for bottlenecks and for inverted residuals; other blocks without inversion go with bottlenecks.

    Args:
        spec: a convolutional network.
        weights: alpha, one per stage (default: 1, ..., 1, 8).
        depth_penalty: beta.

    Raises:
        UsageError: an MLP, which the convention does not know.
        ValueError: not one weight per stage.
    """
    if spec.is_mlp:
        raise UsageError(f"{spec.name}: the TinyNAS convention scores convolutional networks, and this is an MLP")
    stages = analyse(at_resolution(spec, INPUT_RESOLUTION)).stages
    up_to = accumulate(stage.log_widths for stage in stages)
    entropies = [
        tinynas_entropy(stage.resolution, stage.out_chs, log_widths, squeeze_excite)
        for stage, log_widths, squeeze_excite in zip(stages, up_to, _squeeze_excite(spec), strict=True)
    ]
    inverted = any(group.block in INVERTED_BLOCKS for group in spec.groups)
    if weights is None:
        weights = default_stage_weights(len(stages))
    return tinynas_objective(entropies, weights, penalised_depths(spec.depths, inverted), depth_penalty)


def _squeeze_excite(spec: NetworkSpec) -> list[bool]:
    """For every stage that has layers on the main path, whether any of its blocks has squeeze-excitation."""
    found: dict[int, bool] = {}
    for segment in segments(spec):
        if any(layer.main for layer in segment.layers):
            here = any(layer.name == "se_reduce" for layer in segment.layers)
            found[segment.stage] = found.get(segment.stage, False) or here
    return [found[stage] for stage in sorted(found)]
