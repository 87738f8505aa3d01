r"""Zen-Score [Lin et al. 2021]: how much the last map moves with the input, and what batch norms took from it.

.. math:: Z = \ln E_{x,\epsilon} \|f(x) - f(x + \alpha \epsilon)\|_1 + \sum_l \ln \sqrt{\bar\sigma_l^2}

f is the map before the global pooling, summed in absolute value over its elements and averaged over the batch; x and
:math:`\epsilon` are standard normal images, :math:`\alpha = 0.01`; every weight is drawn from N(0, 1), biases are 0;
residual links, with their projections, and squeeze-excitation are removed; batch norms use the batch, and
:math:`\bar\sigma_l^2` is the mean over a norm's channels of the variance that it divides by in the first pass.

With batch size 16 this gives Table 5 of the paper's appendix. The authors' code reads the norms' *running* variances
instead, which after its two passes are 0.81 + 0.09 v + 0.10 v', so that its number depends on how often the network
has been run; that variant is ``zen-running``.
"""

from collections.abc import Callable, Sequence
from dataclasses import replace

import torch
from torch import Tensor, nn

from madnas.errors import UsageError
from madnas.scores.bare import StatNorm, bare, draw_perturbed, exact_convolutions, norms
from madnas.scores.subject import Settings, Subject
from madnas.scores.zen_passes import Step, passes, steps_of

MOMENTUM = 0.1
"""Of the authors' batch norms, which start at a variance of 1."""

Draw = Callable[[int], float]


def zen(subject: Subject, settings: Settings) -> Draw:
    """Zen-Score of a network: a function from a seed to one draw.

    Raises:
        UsageError: it is not defined for this network or precision; says why.

    >>> from madnas.network.named import get
    >>> from madnas.scores.subject import subject_of
    >>> 25 < zen(subject_of(get("resnet20")), Settings())(0) < 75
    True
    """
    return _prepare(subject, settings, _first_pass)


def zen_running(subject: Subject, settings: Settings) -> Draw:
    """The authors' variant, with the running variances of one evaluation."""
    return _prepare(subject, settings, _running)


def _prepare(subject: Subject, settings: Settings, variance: Callable[[StatNorm], Tensor]) -> Draw:
    chain = bare(subject)
    network = chain.to_empty(device=settings.device)
    network = network.to(memory_format=torch.channels_last)  # no layer has to reorder its input, and pooling is faster
    if _is_fast(settings) and variance is _first_pass and (steps := steps_of(network)):
        return _fast(network, steps, subject, settings)
    if settings.dtype == torch.bfloat16 and variance is _first_pass:
        raise UsageError("is computed in bfloat16 for networks of Zen-NAS's and DeepMAD's blocks only: use float32")
    if settings.dtype not in (torch.float32, torch.float64):
        raise UsageError("needs float32 or float64: its difference of two maps is lost in half precision")
    network = network.to(settings.dtype)
    stats = norms(network)

    @torch.no_grad()
    @exact_convolutions()
    def draw(seed: int) -> float:
        pair = draw_perturbed(network, subject, settings, seed)
        for norm in stats:
            norm.variances.clear()
        here, near = (network(images.contiguous(memory_format=torch.channels_last)) for images in pair)
        taken = sum(0.5 * torch.log(variance(norm)) for norm in stats)
        return float(_moved(here.sub_(near)) + taken)

    return draw


def _is_fast(settings: Settings) -> bool:
    """Whether chains of ours take less time by :mod:`madnas.scores.zen_passes`, which saves caches of CPUs work."""
    on_cpu = torch.device(settings.device).type == "cpu"
    return settings.dtype == torch.bfloat16 or (settings.dtype == torch.float32 and on_cpu)


def _fast(network: nn.Module, steps: Sequence[Step], subject: Subject, settings: Settings) -> Draw:
    """The same for chains of ours, with the same weights and images, in less time."""
    single = replace(settings, dtype=torch.float32)

    @torch.no_grad()
    @exact_convolutions()
    def draw(seed: int) -> float:
        difference, taken = passes(steps, draw_perturbed(network, subject, single, seed), settings.dtype)
        return float(_moved(difference) + taken)

    return draw


def _moved(difference: Tensor) -> Tensor:
    """Logarithm of the L1 norm (B, C, H, W), averaged over the batch."""
    return torch.log(difference.abs_().sum((1, 2, 3), dtype=torch.float64).mean())


def _first_pass(norm: StatNorm) -> Tensor:
    return norm.variances[0]


def _running(norm: StatNorm) -> Tensor:
    """Running variance after both passes; torch keeps unbiased ones."""
    kept = (1 - MOMENTUM) ** 2
    unbiased = norm.elements / max(1, norm.elements - 1)
    first, second = norm.variances
    return kept + MOMENTUM * unbiased * ((1 - MOMENTUM) * first + second)
