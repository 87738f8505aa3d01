"""The passes of Zen-Score that save time, against the plain ones over the same weights and images, in float64."""

import math
from dataclasses import replace
from statistics import fmean, stdev

import pytest
import torch
from torch import nn

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.scores import zen_passes
from madnas.scores.bare import StatNorm, bare, draw_perturbed, norms
from madnas.scores.registry import draws
from madnas.scores.subject import Settings, subject_of
from madnas.scores.zen import zen, zen_running
from madnas.scores.zen_passes import passes, steps_of

SETTINGS = Settings(batch_size=6)


@pytest.fixture(autouse=True)
def _large(monkeypatch):
    """The networks here are small ones."""
    monkeypatch.setattr(zen_passes, "SMALL", 0)


def network(*groups: Group, size: int = 20) -> NetworkSpec:
    return NetworkSpec("small", (3, size, size), groups, Head(10, 20), Stem(12))


CASES = {
    "pairs of convolutions": network(
        Group("basic", 12, 2, kernel=3, stride=2, shortcut="pool"),
        Group("basic", 20, 1, kernel=5, stride=1, shortcut="pool"),
    ),
    "wide between narrow": network(
        Group("bottleneck", 40, 3, hidden=5, kernel=3, stride=2, shortcut="pool"),
        Group("bottleneck", 32, 2, hidden=7, kernel=5, stride=2, shortcut="pool"),
    ),
    "wide before a stride of its own": network(
        Group("bottleneck", 48, 1, hidden=6, kernel=3, shortcut="pool"),
        Group("basic", 12, 1, kernel=3, stride=2, shortcut="pool"),
    ),
    "depthwise, SiLU": network(
        Group("inverted-residual", 12, 2, expand=3, kernel=5, stride=2, act="silu", shortcut="pool"),
        Group("inverted-residual", 20, 2, expand=4, kernel=3, stride=2, act="silu", shortcut="pool"),
    ),
    "depthwise, hard swish, gates": network(
        Group("mobile-pair", 12, 2, hidden=10, expand=2, kernel=3, act="hard_swish", se="zennet"),
    ),
    "down to maps of one element": network(
        *(Group("bottleneck", 24, 1, hidden=8, kernel=3, stride=2, shortcut="pool") for _ in range(4)), size=16
    ),
}


def plain(spec: NetworkSpec, seed: int, dtype: torch.dtype = torch.float64) -> tuple[float, float]:
    """Both terms of the score from the modules of the chain, one after the other."""
    chain = bare(subject_of(spec)).to_empty(device="cpu").to(memory_format=torch.channels_last)
    with torch.no_grad():
        pair = draw_perturbed(chain, subject_of(spec), SETTINGS, seed)
        chain = chain.to(dtype)
        here, near = (chain(images.to(dtype)) for images in pair)
    moved = (here - near).abs().sum((1, 2, 3), dtype=torch.float64).mean().log()
    return float(moved), sum(0.5 * math.log(norm.variances[0]) for norm in norms(chain))


def quick(spec: NetworkSpec, seed: int, dtype: torch.dtype) -> tuple[float, float]:
    chain = bare(subject_of(spec)).to_empty(device="cpu").to(memory_format=torch.channels_last)
    with torch.no_grad():
        pair = draw_perturbed(chain, subject_of(spec), SETTINGS, seed)
        difference, taken = passes(steps_of(chain) or [], pair, dtype)
    return float(difference.double().abs().sum((1, 2, 3)).mean().log()), float(taken)


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("seed", [0, 1])
def test_float32_is_the_plain_computation(name, seed):
    assert quick(CASES[name], seed, torch.float32) == pytest.approx(plain(CASES[name], seed), abs=2e-4)


@pytest.mark.parametrize("name", [name for name in CASES if "one element" not in name])
def test_bfloat16_is_off_by_rounding_that_averages_out(name):
    """By less in every draw than draws differ, and by nothing that is the same in all."""
    number = 8
    exact = [sum(plain(CASES[name], seed)) for seed in range(number)]
    off = [sum(quick(CASES[name], seed, torch.bfloat16)) - one for seed, one in enumerate(exact)]
    assert math.sqrt(sum(one**2 for one in off) / number) < 0.35 * stdev(exact)
    assert abs(fmean(off)) < 0.002 + 3 * stdev(off) / math.sqrt(number)
    assert abs(fmean(off)) < 0.05


@pytest.mark.parametrize("name", ["wide between narrow", "depthwise, SiLU"])
def test_the_difference_is_needed(name, monkeypatch):
    """Two maps in bfloat16 from the beginning: their own rounding makes the score's first term larger."""
    exact = [plain(CASES[name], seed)[0] for seed in range(4)]
    kept = [quick(CASES[name], seed, torch.bfloat16)[0] for seed in range(4)]
    monkeypatch.setattr(zen_passes, "DIFFER", 0.0)
    lost = [quick(CASES[name], seed, torch.bfloat16)[0] for seed in range(4)]
    off, worse = (fmean(one) - fmean(exact) for one in (kept, lost))
    assert worse > 0.04 and worse > 3 * abs(off)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("name", ["wide between narrow", "depthwise, SiLU"])
def test_tiles_change_nothing(name, dtype, monkeypatch):
    whole = quick(CASES[name], 0, dtype)
    monkeypatch.setattr(zen_passes, "TILE", 2**12)  # an image or two at a time
    assert quick(CASES[name], 0, dtype) == pytest.approx(whole, abs=1e-4 if dtype == torch.float32 else 5e-3)


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_small_maps_take_the_short_way(dtype, monkeypatch):
    spec = CASES["depthwise, SiLU"]
    monkeypatch.setattr(zen_passes, "SMALL", 2**40)
    monkeypatch.setattr(zen_passes, "_folded", None)  # which is not called then
    tolerance = 2e-4 if dtype == torch.float32 else 0.03
    assert sum(quick(spec, 0, dtype)) == pytest.approx(sum(plain(spec, 0)), abs=tolerance)


@pytest.mark.parametrize("channels", [1, 3, 8, 300])
def test_norms_of_neighbours_taken_together(channels):
    x = torch.randn(4, channels, 6, 8).mul_(3).add_(2).contiguous(memory_format=torch.channels_last)
    step = zen_passes.Step(nn.Conv2d(channels, channels, 1), 1e-3, ())
    found = zen_passes._norm(step, x, zen_passes._statistics(x))
    norm = StatNorm(1e-3)
    assert torch.allclose(found, norm(x), atol=2e-5)
    assert float(zen_passes._statistics(x)[1].mean()) == pytest.approx(float(norm.variances[0]), rel=1e-5)


def test_scores_take_these_passes():
    spec = CASES["wide between narrow"]
    exact = sum(plain(spec, 3))
    assert zen(subject_of(spec), SETTINGS)(3) == pytest.approx(exact, abs=2e-4)
    assert zen(subject_of(spec), replace(SETTINGS, dtype=torch.bfloat16))(3) == pytest.approx(exact, abs=0.08)
    assert zen(subject_of(spec), replace(SETTINGS, dtype=torch.bfloat16))(3) != pytest.approx(exact, abs=1e-7)


def test_a_draw_is_the_same_every_time():
    subject = subject_of(CASES["wide between narrow"])
    settings = replace(SETTINGS, dtype=torch.bfloat16)
    assert draws(subject, "zen", [0, 1], 0, settings)[1] == draws(subject, "zen", [1], 0, settings)[0]


def test_what_has_no_such_form_is_refused():
    with pytest.raises(UsageError, match="blocks only: use float32"):
        zen(subject_of(get("resnet18")), replace(SETTINGS, dtype=torch.bfloat16))
    with pytest.raises(UsageError, match="lost in half precision"):
        zen(subject_of(CASES["wide between narrow"]), replace(SETTINGS, dtype=torch.float16))
    with pytest.raises(UsageError, match="lost in half precision"):
        zen_running(subject_of(CASES["wide between narrow"]), replace(SETTINGS, dtype=torch.bfloat16))
