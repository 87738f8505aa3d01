"""``output_stride``: strides that become dilation."""

import pytest
import timm
import torch
from torch import nn

import madnas.models  # noqa: F401  # registers with timm
from madnas.errors import UsageError
from madnas.measure.module_count import count_params
from madnas.models import build
from madnas.network.spec import Group, NetworkSpec, Stem
from tests.models.examples import CONVOLUTIONAL, EXAMPLES, network

TRUE_TO_THE_PIXEL = {
    name: spec
    for name, spec in CONVOLUTIONAL.items()
    if name != "convnext-grn" and all(group.se in (None, "none") for group in spec.groups)
}
"""Examples in which nothing looks at whole maps."""

DEEP = network(
    Group("bottleneck", 16, 2, hidden=6, kernel=3, stride=2, shortcut="pool"),
    Group("bottleneck", 16, 2, hidden=6, kernel=5, stride=2, shortcut="pool"),
    Group("basic", 20, 1, kernel=3),
    Group("mobile-pair", 24, 2, hidden=8, expand=2, kernel=3, stride=2),
    stem=Stem(8, stride=2),
)
"""Reductions 2, 4, 8, 16 in blocks with average-pooled links."""


def pair(spec: NetworkSpec, output_stride: int) -> tuple[nn.Module, nn.Module]:
    """A backbone and the same with dilation, in their whole range of numbers."""
    torch.manual_seed(0)
    plain = build(spec, features_only=True, zero_init_last=False).double().eval()
    dilated = build(spec, features_only=True, zero_init_last=False, output_stride=output_stride).double().eval()
    dilated.load_state_dict(plain.state_dict())
    return plain, dilated


def assert_every_second_pixel_is_the_same(spec: NetworkSpec, output_stride: int, side: int) -> None:
    plain, dilated = pair(spec, output_stride)
    image = torch.randn(2, 3, side, side + 16, dtype=torch.float64)
    strides = [max(1, one // output_stride) for one in plain.feature_info.reduction()]
    assert max(strides) > 1
    for stride, ours, theirs in zip(strides, dilated(image), plain(image), strict=True):
        torch.testing.assert_close(ours[..., ::stride, ::stride], theirs)


@pytest.mark.parametrize("name", sorted(TRUE_TO_THE_PIXEL))
def test_every_kind_of_block(name: str) -> None:
    spec = TRUE_TO_THE_PIXEL[name]
    first, last = 1, build(spec).feature_info[-1]["reduction"]
    if spec.stem is not None:
        first = spec.stem.stride * (2 if spec.stem.pool else 1)
    if first == last:
        pytest.skip("has no stride but the stem's")
    for output_stride in {first, last // 2}:
        assert_every_second_pixel_is_the_same(spec, output_stride, 32)


@pytest.mark.parametrize("output_stride", [2, 4, 8])
@pytest.mark.parametrize("side", [32, 41])
def test_several_strides_and_sizes_that_they_do_not_divide(output_stride: int, side: int) -> None:
    assert_every_second_pixel_is_the_same(DEEP, output_stride, side)


def test_resnet_is_that_of_timm() -> None:
    theirs = timm.create_model("resnet18", features_only=True, output_stride=8).eval()
    ours = timm.create_model("madnas_resnet18", features_only=True, output_stride=8).eval()
    assert ours.feature_info.reduction() == theirs.feature_info.reduction() == [2, 4, 8, 8, 8]
    convs, others = ([one for one in model.modules() if isinstance(one, nn.Conv2d)] for model in (ours, theirs))
    for one, other in zip(convs, others, strict=True):
        assert (one.kernel_size, one.dilation, one.stride) == (other.kernel_size, other.dilation, other.stride)
    image = torch.randn(1, 3, 64, 64)
    assert [one.shape for one in ours(image)] == [one.shape for one in theirs(image)]


def test_squeeze_excitation_too_has_larger_maps_and_the_same_weights() -> None:
    plain, dilated = pair(EXAMPLES["inverted-pool"], 4)
    assert count_params(plain) == count_params(dilated)
    assert [one.shape[-1] for one in dilated(torch.zeros(1, 3, 32, 32, dtype=torch.float64))] == [16, 8, 8]
    assert dilated.feature_info.reduction() == [2, 4, 4]


def test_an_output_stride_that_the_strides_have_anyway_changes_nothing() -> None:
    plain, dilated = pair(DEEP, 16)
    assert str(plain) == str(dilated)


@pytest.mark.parametrize(("output_stride", "message"), [(12, "a power of two"), (0, "a power of two"), (1, "stem")])
def test_impossible(output_stride: int, message: str) -> None:
    with pytest.raises(UsageError, match=message):
        build(DEEP, output_stride=output_stride)


def test_mlp() -> None:
    with pytest.raises(UsageError, match="MLP"):
        build(EXAMPLES["mlp"], output_stride=8)
