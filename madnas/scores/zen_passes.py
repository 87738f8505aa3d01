r"""Both passes of Zen-Score through a chain of convolutions, batch norms and activations: in float32, or in bfloat16.

**Less to read and write.** Maps are larger than weights by far, so that norms take as long as convolutions. A 1x1
convolution that widens has an output whose mean and variance follow from the second moments of its narrow input:

.. math:: y = W x, \quad \mu_y = W \mu_x, \quad \sigma_y^2 = \mathrm{diag}(W \Sigma_x W^T)

The norm then is a scale of its weights and a bias, and its map is made, rectified and convolved again for a few images
at a time, which stay in the processor's cache.

**bfloat16**, in which CPUs and GPUs multiply several times as fast. A map and its perturbed copy differ by a hundredth,
and numbers in bfloat16 are rounded by up to a 256th: the difference of two such maps would partly be that of their
rounding. So the passes begin with the map and the *difference*, which a convolution maps to that of its outputs; only
norms and activations need both maps, in float32. Every norm with its rectifier makes the maps differ more, by a fifth
or so; where they differ by :data:`DIFFER` rounding no longer matters, and two maps are what is computed from there on.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.scores.bare import StatNorm

DIFFER = 0.06
"""Root mean square of the difference of two maps in bfloat16, in units of that of the map, from which both are kept."""

LOOK = 8
"""Images by which that is judged."""

VECTOR = 256
"""Elements that are taken together as channels of a norm, at most."""

TILE = 2**21
"""Elements of a wide map that are made at a time."""

SMALL = 2**18
"""Elements of a map below which it costs more to begin such things than they save."""

MOMENTS = 32
"""Second moments of an input of C channels cost as much as norms of an output of about C * C / 32 channels."""

Maps = tuple[Tensor, Tensor]


@dataclass(frozen=True, slots=True)
class Step:
    """A convolution, the batch norm behind it, and what comes before the next convolution.

    Attributes:
        conv: its bias does not matter, for the norm takes it out again.
        eps: of the norm.
        after: activation and pooling.
    """

    conv: nn.Conv2d
    eps: float
    after: tuple[nn.Module, ...]

    @property
    def pointwise(self) -> bool:
        """Whether it is a matrix product over the rows of a map."""
        conv = self.conv
        return conv.kernel_size == (1, 1) and conv.stride == (1, 1) and conv.padding == (0, 0) and conv.groups == 1

    def folds(self, x: Tensor) -> bool:
        """Whether the statistics of its output follow from its input more cheaply than from itself."""
        inputs, outputs = self.conv.in_channels, self.conv.out_channels
        return self.pointwise and inputs**2 <= MOMENTS * outputs and x.numel() // inputs * outputs >= SMALL

    def weight(self, dtype: torch.dtype) -> Tensor:
        """Its weights (O, I / groups, K, K)."""
        return self.conv.weight.detach().to(dtype).contiguous(memory_format=torch.channels_last)

    def matrix(self) -> Tensor:
        """Those of a 1x1 convolution (O, I), in float64."""
        return self.conv.weight.detach().flatten(1).double()

    def run(self, x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
        """Its output (B, O, H, W) with other weights."""
        conv = self.conv
        return F.conv2d(x, weight, bias, conv.stride, conv.padding, conv.dilation, conv.groups)


def steps_of(network: nn.Module) -> list[Step] | None:
    """A bare chain as steps; None for one that is no sequence of convolutions with a batch norm each."""
    if not isinstance(network, nn.Sequential):
        return None
    parts = list(network)
    begins = [place for place, part in enumerate(parts) if isinstance(part, nn.Conv2d)]
    steps = []
    for begin, end in zip(begins, [*begins[1:], len(parts)], strict=True):
        conv, norm, *after = parts[begin:end]
        if not isinstance(conv, nn.Conv2d) or not isinstance(norm, StatNorm):
            return None
        steps.append(Step(conv, norm.eps, tuple(part for part in after if not isinstance(part, nn.Identity))))
    return steps


def passes(steps: Sequence[Step], pair: Maps, dtype: torch.dtype) -> tuple[Tensor, Tensor]:
    """Both passes of a chain.

    Args:
        steps: of the chain, with their weights in float32.
        pair: images and their perturbed copies (B, C, H, W), float32.
        dtype: float32 or bfloat16, of the convolutions.

    Returns:
        The difference of the last maps (B, C, H, W), float32, and the sum over the norms of the logarithm of the
        standard deviation, float64.
    """
    first, second = (images.contiguous(memory_format=torch.channels_last) for images in pair)
    apart = dtype == torch.bfloat16
    maps = (first.bfloat16(), (second - first).bfloat16()) if apart else (first, second)
    variances: list[Tensor] = []
    place = 0
    while place < len(steps):
        step = steps[place]
        if place + 1 < len(steps) and step.folds(maps[0]):
            maps, variance = (_folded_apart if apart else _folded)(step, steps[place + 1], maps)
            variances.append(variance)
            place += 1
            step = steps[place]
        else:
            weight = step.weight(dtype)
            maps = (step.run(maps[0], weight), step.run(maps[1], weight))
        maps, variance = (_normed_apart if apart else _normed)(step, maps)
        variances.append(variance)
        if apart and _differ(maps):
            maps, apart = (maps[0], maps[0] + maps[1]), False
        place += 1
    here, there = (x.float() for x in maps)
    return there if apart else there - here, 0.5 * torch.log(torch.stack(variances)).sum()


def _differ(maps: Maps) -> bool:
    here, apart = (torch.linalg.vector_norm(x[:LOOK].float()) for x in maps)
    return bool(apart >= DIFFER * here)


# Two maps


def _normed(step: Step, maps: Maps) -> tuple[Maps, Tensor]:
    """Outputs of a convolution behind norm and activation, and the first one's mean variance."""
    if maps[0].numel() < SMALL:
        one = torch.ones(maps[0].shape[1], device=maps[0].device)  # parameters in float32 make the statistics so too
        (here, _, inverse), (near, _, _) = (
            torch.native_batch_norm(x, one, torch.zeros_like(one), None, None, True, 0.0, step.eps) for x in maps
        )
        return (_after(step, here), _after(step, near)), (inverse.double() ** -2 - step.eps).mean()
    statistics = [_statistics(x) for x in maps]
    here, near = (_after(step, _norm(step, x, one)) for x, one in zip(maps, statistics, strict=True))
    return (here, near), statistics[0][1].double().mean()


def _statistics(x: Tensor) -> Maps:
    """Mean and variance (C,) of a map's channels, in float32."""
    if x.device.type != "cpu":
        variance, mean = torch.var_mean(x.float(), (0, 2, 3), correction=0)
        return mean, variance
    wide, beside = _wide(x)  # on a CPU that function takes ten times as long as what norms call
    one = torch.ones(wide.shape[1])  # in float32, as above
    means, variances = torch.batch_norm_update_stats(wide, torch.zeros_like(one), one, 0.0)
    if beside == 1:
        return means, variances
    means = means.view(beside, -1)
    mean = means.mean(0)
    return mean, variances.view(beside, -1).mean(0) + (means - mean).square_().mean(0)


def _norm(step: Step, x: Tensor, statistics: Maps) -> Tensor:
    """A map behind its norm."""
    wide, beside = _wide(x)
    mean, variance = (part.expand(beside, -1).reshape(-1) for part in statistics)
    one = torch.ones_like(mean)
    out, _, _ = torch.native_batch_norm(wide, one, torch.zeros_like(one), mean, variance, False, 0.0, step.eps)
    images, channels, height, width = x.shape
    return out.permute(0, 2, 3, 1).reshape(images, height, width, channels).permute(0, 3, 1, 2)


def _wide(x: Tensor) -> tuple[Tensor, int]:
    """A map with neighbours of a row as channels of it, and how many: processors work on long vectors."""
    images, channels, height, width = x.shape
    beside = math.gcd(width, max(1, VECTOR // channels))
    return x.permute(0, 2, 3, 1).reshape(images, height, width // beside, -1).permute(0, 3, 1, 2), beside


def _after(step: Step, x: Tensor) -> Tensor:
    """A map behind activation and pooling, in place where that can be."""
    for part in step.after:
        if isinstance(part, nn.ReLU) and x.dtype == torch.bfloat16:
            x.view(torch.int16).clamp_min_(0)  # the sign is the same bit; torch's own goes by way of float32
        elif isinstance(part, nn.ReLU):
            x.clamp_min_(0)
        else:
            x = part(x)
    return x


def _folded(step: Step, following: Step, maps: Maps) -> tuple[Maps, Tensor]:
    """Outputs of the convolution that follows on a 1x1 one, and the mean variance of the first one's output."""
    weight, after = step.matrix(), following.weight(maps[0].dtype)
    (here, variance), (near, _) = (_folded_one(step, following, x, weight, after) for x in maps)
    return (here, near), variance


def _folded_one(step: Step, following: Step, x: Tensor, weight: Tensor, after: Tensor) -> tuple[Tensor, Tensor]:
    mean, moments = _moments(x)
    variance = _along(weight, moments)
    scale = (variance + step.eps).rsqrt()
    folded, bias = _kernel(weight * scale[:, None], x.dtype), (-(weight @ mean) * scale).to(x.dtype)
    outs = [following.run(_after(step, F.conv2d(tile, folded, bias)), after) for tile in x.split(_tile(len(weight), x))]
    return _joined(outs), variance.mean()


# A map and how far the other one is apart from it


def _normed_apart(step: Step, maps: Maps) -> tuple[Maps, Tensor]:
    """As :func:`_normed`; rounding does not matter to the statistics, for it averages out."""
    first, second = _statistics(maps[0]), _statistics(maps[0] + maps[1])
    size = _tile(maps[0].shape[1], maps[0]) // 4 or 1
    outs = []
    for tile, apart in zip(maps[0].split(size), maps[1].split(size), strict=True):
        here = tile.float()
        near = _norm(step, apart.float().add_(here), second)  # torch adds slowly where precisions differ
        outs.append(_after_apart(step, _norm(step, here, first), near))
    return (_joined([one for one, _ in outs]), _joined([one for _, one in outs])), first[1].double().mean()


def _after_apart(step: Step, here: Tensor, near: Tensor) -> Maps:
    here, near = _after(step, here), _after(step, near)
    return here.bfloat16(), near.sub_(here).bfloat16()


def _folded_apart(step: Step, following: Step, maps: Maps) -> tuple[Maps, Tensor]:
    """As :func:`_folded`: the other map's norm has another scale, so that the difference depends on the map too."""
    weight, after = step.matrix(), following.weight(maps[0].dtype)
    inputs, both = weight.shape[1], torch.cat(maps, 1)
    mean, moments = _moments(both)
    variance, other = _along(weight, moments[:inputs, :inputs]), _along(torch.cat([weight, weight], 1), moments)
    scale, scale_near = (variance + step.eps).rsqrt(), (other + step.eps).rsqrt()
    offset, offset_apart = weight @ mean[:inputs], weight @ mean[inputs:]
    more = scale_near - scale
    folded, bias = _kernel(weight * scale[:, None], both.dtype), (-offset * scale).bfloat16()
    folded_apart = _kernel(torch.cat([weight * more[:, None], weight * scale_near[:, None]], 1), both.dtype)
    bias_apart = (-offset * more - offset_apart * scale_near).bfloat16()
    size = _tile(len(weight), both) // 4 or 1  # there are four maps, two of them in float32
    outs = []
    for tile, tile_both in zip(maps[0].split(size), both.split(size), strict=True):
        here = F.conv2d(tile, folded, bias).float()
        near = F.conv2d(tile_both, folded_apart, bias_apart).float().add_(here)
        outs.append(tuple(following.run(x, after) for x in _after_apart(step, here, near)))
    return (_joined([one for one, _ in outs]), _joined([one for _, one in outs])), variance.mean()


# Arithmetic of both


def _moments(x: Tensor) -> tuple[Tensor, Tensor]:
    """Mean (C,) and covariance (C, C) of a map's channels, in float64."""
    rows = x.permute(0, 2, 3, 1).reshape(-1, x.shape[1]).float()
    mean = rows.mean(0).double()
    return mean, (rows.T @ rows).double() / len(rows) - torch.outer(mean, mean)


def _along(weight: Tensor, moments: Tensor) -> Tensor:
    """Variances (O,) of what weights (O, I) make of inputs with this covariance."""
    return ((weight @ moments) * weight).sum(1)


def _kernel(weight: Tensor, dtype: torch.dtype) -> Tensor:
    """Weights (O, I) of a 1x1 convolution."""
    return weight.to(dtype)[:, :, None, None].contiguous(memory_format=torch.channels_last)


def _tile(channels: int, x: Tensor) -> int:
    """Images at a time, of a map of so many channels."""
    images, _, height, width = x.shape
    return max(1, min(images, TILE // (channels * height * width))) if x.device.type == "cpu" else images


def _joined(outs: Sequence[Tensor]) -> Tensor:
    return torch.cat(list(outs)) if len(outs) > 1 else outs[0]
