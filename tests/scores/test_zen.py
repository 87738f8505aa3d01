"""Zen-Score against a straightforward implementation, the paper's Table 5, and what the theory predicts."""

import math
from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.network.spec import Group, Head, NetworkSpec, Stem
from madnas.network.zen import zen_closed
from madnas.scores.bare import bare
from madnas.scores.phi import phi
from madnas.scores.registry import measure
from madnas.scores.subject import Settings, Subject, subject_of
from madnas.scores.targets import subject
from madnas.scores.zen import zen, zen_running
from madnas.targets import find
from madnas.theory.zen import ACTIVATIONS, convolved_variance, largest, rectified_square, response, taps

DOUBLE = Settings(batch_size=4, dtype=torch.float64)
SMALL = NetworkSpec(
    "small",
    (3, 24, 24),
    (
        Group("basic", 6, 2, kernel=3, stride=2),
        Group("bottleneck", 12, 1, hidden=5, kernel=3, stride=2, se="efficientnet", group_width=5),
        Group("inverted-residual", 12, 2, expand=2, kernel=5, act="relu6", se="efficientnet"),
        Group("mobile-pair", 8, 1, hidden=8, expand=2, kernel=3, se="zennet"),
    ),
    Head(10, 20),
    Stem(4, pool=True),
)


def straightforward(spec: NetworkSpec, settings: Settings, seed: int) -> tuple[float, float]:
    """Zen-Score and the authors' variant of :data:`SMALL`'s kinds, layer by layer; weights as ours draws them."""
    weights = torch.Generator().manual_seed(seed)
    inputs = settings.generator(seed)
    chain: list[tuple[Tensor, int, int, str]] = []  # weight, stride, groups, activation behind

    def layer(chs: int, out: int, kernel: int, stride: int, act: str, groups: int = 1) -> int:
        drawn = torch.empty(out, kernel, kernel, chs // groups, dtype=torch.float64).normal_(generator=weights)
        chain.append((drawn.permute(0, 3, 1, 2), stride, groups, act))
        return out

    chs = layer(3, spec.stem.out, 3, 2, "relu+pool")
    for group in spec.groups:
        for index in range(group.depth):
            stride = group.stride if index == 0 else 1
            if group.block == "basic":
                chs = layer(layer(chs, group.out, 3, stride, "relu"), group.out, 3, 1, "relu")
            elif group.block == "bottleneck":
                inner = layer(chs, group.hidden, 1, 1, "relu")
                chs = layer(layer(inner, inner, 3, stride, "relu", inner // group.group_width), group.out, 1, 1, "relu")
            elif group.block == "inverted-residual":
                inner = layer(chs, 2 * chs, 1, 1, "relu6")
                chs = layer(layer(inner, inner, 5, stride, "relu6", inner), group.out, 1, 1, "none")
            else:
                for out in (group.hidden, group.out):
                    inner = layer(chs, int(group.expand * out), 1, 1, "relu")
                    chs = layer(layer(inner, inner, 3, stride, "relu", inner), out, 1, 1, "relu")
    layer(chs, spec.head.conv, 1, 1, "relu")

    def run(x: Tensor) -> tuple[Tensor, list[Tensor], list[int]]:
        variances, sizes = [], []
        for weight, stride, groups, act in chain:
            x = F.conv2d(x, weight, None, stride, weight.shape[-1] // 2, groups=groups)
            mean, variance = x.mean((0, 2, 3), keepdim=True), x.var((0, 2, 3), unbiased=False, keepdim=True)
            variances.append(variance.mean())
            sizes.append(x.numel() // x.shape[1])
            x = (x - mean) / (variance + 1e-5).sqrt()
            x = x.clamp(0, 6) if act == "relu6" else x if act == "none" else x.clamp(min=0)
            x = F.max_pool2d(x, 3, 2, 1) if act == "relu+pool" else x
        return x, variances, sizes

    shape = (settings.batch_size, *spec.input)
    x, noise = (torch.randn(shape, generator=inputs).double() for _ in range(2))
    (one, first, sizes), (other, second, _) = run(x), run(x + 0.01 * noise)
    moved = (one - other).abs().sum((1, 2, 3)).mean().log()
    running = [0.81 + n / (n - 1) * (0.09 * v + 0.1 * w) for v, w, n in zip(first, second, sizes, strict=True)]
    score, variant = (float(moved + sum(v.sqrt().log() for v in values)) for values in (first, running))
    return score, variant


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_is_the_straightforward_computation(seed):
    expected, running = straightforward(SMALL, DOUBLE, seed)
    assert zen(subject_of(SMALL), DOUBLE)(seed) == pytest.approx(expected, abs=1e-8)
    assert zen_running(subject_of(SMALL), DOUBLE)(seed) == pytest.approx(running, abs=1e-8)


@pytest.mark.parametrize(("name", "printed", "repeats"), [("resnet18", 59.53, 2), ("resnet50", 140.3, 2)])
def test_table_5_of_the_paper(name, printed, repeats):
    assert measure(subject_of(get(name)), "zen", repeats).value == pytest.approx(printed, abs=0.1)


@pytest.mark.slow
@pytest.mark.parametrize(("name", "printed", "tolerance"), [
    ("resnet34", 112.32, 0.1), ("resnet101", 287.87, 2.9), ("resnet152", 433.57, 4.4),
])  # fmt: skip
def test_the_rest_of_table_5(name, printed, tolerance):
    assert measure(subject_of(get(name)), "zen", 8).value == pytest.approx(printed, abs=tolerance)


def test_timms_module_has_the_score_of_ours():
    ours, theirs = (
        zen(subject(find(word)), replace(DOUBLE, batch_size=8)) for word in ("resnet18", "torchvision/resnet18")
    )
    mine, other = ([score(seed) for seed in range(2)] for score in (ours, theirs))
    assert mine == pytest.approx(other, rel=1e-9)


def test_links_and_gates_do_not_matter():
    bare_groups = tuple(replace(group, se="none") for group in SMALL.groups)
    assert zen(subject_of(SMALL), DOUBLE)(0) == zen(subject_of(replace(SMALL, groups=bare_groups)), DOUBLE)(0)


def test_phi_is_zen_without_norms():
    """Theorem 1 of the appendix: for wide networks of rectifiers the two are close."""
    spec = NetworkSpec("wide", (3, 32, 32), (Group("conv", 96, 3, kernel=3),), Head(10), Stem(96))
    settings = Settings(batch_size=16, dtype=torch.float64)
    first, second = zen(subject_of(spec), settings)(0), phi(subject_of(spec), settings)(0)
    assert second == pytest.approx(first, abs=0.2)


def test_phi_by_hand():
    class Plain(nn.Module):
        def __init__(self):
            super().__init__()
            self.one, self.two = nn.Conv2d(3, 5, 3, padding=1), nn.Conv2d(5, 4, 3, padding=1)

        def forward(self, x):
            return torch.relu(self.two(torch.relu(self.one(x)))).mean((2, 3))

    settings = Settings(batch_size=3, dtype=torch.float64)
    weights, inputs = torch.Generator().manual_seed(5), settings.generator(5)
    one, two = (
        torch.empty(shape, dtype=torch.float64).normal_(generator=weights) for shape in ((5, 3, 3, 3), (4, 5, 3, 3))
    )
    x, noise = (torch.randn(3, 3, 8, 8, generator=inputs).double() for _ in range(2))

    def run(x):
        return F.relu(F.conv2d(F.relu(F.conv2d(x, one, padding=1)), two, padding=1))

    expected = (run(x) - run(x + 0.01 * noise)).abs().sum((1, 2, 3)).mean().log()
    assert phi(Subject("plain", Plain, (3, 8, 8)), settings)(5) == pytest.approx(float(expected), abs=1e-9)


@pytest.mark.parametrize(("word", "reason"), [
    ("convnext-t", "LayerNorm2d"), ("densenet-121", "concatenations"), ("vgg11", "no batch norms"),
    ("timm/repvgg_a0", "two branches"), ("timm/vit_tiny_patch16_224", "tokens"),
])  # fmt: skip
def test_what_is_no_chain_is_said(word, reason):
    with pytest.raises(UsageError, match=reason):
        bare(subject(find(word)))


def test_half_precision_is_refused():
    with pytest.raises(UsageError, match="float32 or float64"):
        zen(subject_of(SMALL), Settings(dtype=torch.float16))
    with pytest.raises(UsageError, match="homogeneous, not for"):
        phi(subject_of(get("mobilenetv2")), Settings(2))(0)


# The closed form


def test_rectifier_by_hand():
    found = response("relu")
    assert found.mean == pytest.approx(1 / math.sqrt(2 * math.pi), abs=1e-5)
    assert found.variance == pytest.approx(0.5 - 0.5 / math.pi, abs=1e-4)
    for distance in (0.01, 0.1, 0.5, 1.0, 1.4):
        assert found.square(distance) == pytest.approx(rectified_square(distance), rel=5e-3)
    assert response("identity").square(0.7) == pytest.approx(0.49, rel=1e-3)
    assert response("identity").size(0.7) == pytest.approx(0.7 * math.sqrt(2 / math.pi), rel=1e-2)


@pytest.mark.parametrize("act", ACTIVATIONS)
def test_responses_by_sampling(act):
    from timm.layers import create_act_layer

    generator = torch.Generator().manual_seed(0)
    z, noise = (torch.randn(1_000_000, dtype=torch.float64, generator=generator) for _ in range(2))
    distance = 0.3
    cosine = 1 - distance**2 / 2
    layer = create_act_layer(act, inplace=False) if act != "identity" else nn.Identity()
    one, other = layer(z), layer(cosine * z + math.sqrt(1 - cosine**2) * noise)
    found = response(act)
    assert found.mean == pytest.approx(float(one.mean()), abs=4e-3)
    assert found.variance == pytest.approx(float(one.var()), rel=1e-2)
    assert found.square(distance) == pytest.approx(float((one - other).square().mean()), rel=2e-2)
    assert found.size(distance) == pytest.approx(float((one - other).abs().mean()), rel=2e-2)


def test_maximum_by_sampling():
    drawn = torch.randn(200_000, 9, generator=torch.Generator().manual_seed(0)).amax(1).clamp(min=0)
    mean, variance, above = largest(9)
    assert (mean, variance) == (
        pytest.approx(float(drawn.mean()), abs=5e-3),
        pytest.approx(float(drawn.var()), rel=2e-2),
    )
    assert above == 1 - 2**-9


@pytest.mark.parametrize(
    ("side", "kernel", "stride"), [(1, 3, 1), (2, 5, 1), (7, 3, 2), (8, 3, 2), (9, 7, 2), (5, 1, 2)]
)
def test_taps_by_counting(side, kernel, stride):
    shares = [
        sum(0 <= place * stride - kernel // 2 + tap < side for place in range(-(-side // stride))) / -(-side // stride)
        for tap in range(kernel)
    ]
    assert taps(side, kernel, stride) == (pytest.approx(sum(shares)), pytest.approx(sum(q * q for q in shares)))


def test_variance_of_a_padded_convolution_by_sampling():
    generator = torch.Generator().manual_seed(0)
    x = 0.4 + 0.6 * torch.randn(64, 16, 6, 6, generator=generator, dtype=torch.float64)
    weight = torch.randn(4000, 16, 5, 5, generator=generator, dtype=torch.float64)
    measured = F.conv2d(x, weight, padding=2).var((0, 2, 3), unbiased=False).mean()
    (a, a2) = taps(6, 5, 1)
    assert convolved_variance(16, a * a, a2 * a2, 0.4, 0.36) == pytest.approx(float(measured), rel=2e-2)


@pytest.mark.parametrize("name", ["resnet18", "resnet20", "mobilenetv2", "zennet-0.1ms", "wrn-16-8"])
def test_closed_form_is_near(name):
    assert zen_closed(get(name)) == pytest.approx(zen(subject_of(get(name)), Settings())(0), rel=0.02)


@pytest.mark.parametrize("name", ["convnext-t", "densenet-121", "vgg11", "nnmass-cifar-3.8m"])
def test_closed_form_is_defined_where_the_score_is(name):
    with pytest.raises(UsageError):
        zen_closed(get(name))
