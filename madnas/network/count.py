"""Closed-form costs of a network: params, MACs, activations, layers.

Conventions (``madnas/theory/README.md``): one multiply-add is 1; params are all trainable parameters, norm and
classifier included; activations are the elements of every convolution's and linear layer's output for one image
(RegNet's and fvcore's), which at 4 bytes each is the activation memory of float32; layers are those on the main path.
"""

from collections.abc import Iterable
from dataclasses import dataclass

from madnas.errors import UsageError
from madnas.network.expand import Segment, segments
from madnas.network.spec import NetworkSpec
from madnas.theory.numerics import Number


@dataclass(frozen=True, slots=True)
class Counts:
    """Costs of one network, or of a batch of candidates as arrays.

    Attributes:
        params: trainable parameters.
        macs: multiply-adds of convolutions and linear layers, one image.
        activations: output elements of convolutions and linear layers, one image.
        layers: layers on the main path (depth L of DeepMAD).
    """

    params: Number
    macs: Number
    activations: Number
    layers: Number

    def tree(self) -> dict[str, int]:
        """The costs of one network as plain data."""
        return {name: int(getattr(self, name)) for name in ("params", "macs", "activations", "layers")}


def count(spec: NetworkSpec) -> Counts:
    """Count a network in closed form; symbolic where the spec is (for :mod:`madnas.program`)."""
    return count_segments(segments(spec))


def count_backbone(spec: NetworkSpec, last: int = -1) -> Counts:
    """Count what gives a network's maps: all but the head's convolution, norms and classifier.

    That is ``build(spec, features_only=True)``, at any size of the input through
    :func:`~madnas.network.expand.at_resolution`.

    Args:
        spec: the description of a CNN.
        last: of its maps, one for each stage, the last that is wanted; as in timm's ``out_indices``.

    Raises:
        UsageError: an MLP, which has no maps; no such map.

    >>> from madnas.network.named import get
    >>> from madnas.network.expand import at_resolution
    >>> counts = count_backbone(at_resolution(get("deepmad-r50"), 800, 1280))
    >>> counts.params, round(counts.macs / 1e9, 2)
    (24208144, 82.48)
    """
    if spec.is_mlp:
        raise UsageError(f"{spec.name}: an MLP has no feature maps, so it is no backbone")
    body = [one for one in segments(spec) if one.part != "head"]
    stages = sorted({one.stage for one in body})
    if not -len(stages) <= last < len(stages):
        raise UsageError(f"{spec.name}: has {len(stages)} maps, and none of number {last}")
    return count_segments(one for one in body if one.stage <= stages[last])


def count_segments(found: Iterable[Segment]) -> Counts:
    """The same of a network's segments, those of a batch of candidates included; a segment may repeat 0 times."""
    params: Number = 0
    macs: Number = 0
    activations: Number = 0
    layers: Number = 0
    for segment in found:
        params += segment.repeat * sum(layer.params for layer in segment.layers)
        macs += segment.repeat * sum(layer.macs for layer in segment.layers)
        activations += segment.repeat * sum(layer.outputs for layer in segment.layers)
        layers += segment.repeat * sum(layer.main for layer in segment.layers)
    return Counts(params, macs, activations, layers)
