"""What every network must do, and timm's interface."""

from dataclasses import replace

import pytest
import timm
import torch
from timm.layers import DropPath
from timm.models import group_parameters
from torch import nn

from madnas.models import build
from madnas.models.registry import FIRST_CONVS
from madnas.network.expand import at_resolution
from madnas.network.spec import Group, NetworkSpec
from madnas.network.specfile import STEMLESS
from tests.models.examples import CONVOLUTIONAL, EXAMPLES, network, smallest

every = pytest.mark.parametrize("spec", EXAMPLES.values(), ids=EXAMPLES.keys())
every_conv = pytest.mark.parametrize("spec", CONVOLUTIONAL.values(), ids=CONVOLUTIONAL.keys())


def images(spec: NetworkSpec, batch: int = 2, dtype: torch.dtype = torch.float32) -> torch.Tensor:
    torch.manual_seed(1)
    return torch.randn(batch, *spec.input, dtype=dtype)


@every
def test_gradient_reaches_every_parameter(spec: NetworkSpec) -> None:
    torch.manual_seed(0)
    # Eval mode, because a batch's own statistics make a loss blind to some shifts and scales before them.
    model = build(spec, zero_init_last=False).double().eval()
    for name, parameter in model.named_parameters():
        if name.endswith("gamma"):
            nn.init.ones_(parameter)  # ConvNeXt's, which start so small that hardly a gradient passes
    logits = model(images(spec, batch=4, dtype=torch.float64))
    nn.functional.cross_entropy(logits, torch.tensor([0, 1, 2, 3])).backward()
    assert [name for name, p in model.named_parameters() if p.grad is None or p.grad.abs().max() < 1e-9] == []


@every
def test_training_step_with_batch_of_two(spec: NetworkSpec) -> None:
    torch.manual_seed(0)
    model = build(spec, drop_rate=0.2, drop_path_rate=0.2)
    nn.functional.cross_entropy(model(images(spec)), torch.tensor([0, 1])).backward()
    assert all(p.grad is not None and bool(p.grad.isfinite().all()) for p in model.parameters())


@every
def test_logits_of_one_image_in_eval_mode(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    batch = images(spec, batch=3)
    logits = model(batch)
    assert logits.shape == (3, 10)
    torch.testing.assert_close(model(batch[:1]), logits[:1])


@every
def test_double_precision(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    single = model(images(spec)).double()
    double = model.double()(images(spec).double())
    assert double.dtype == torch.float64
    torch.testing.assert_close(double, single, rtol=1e-3, atol=1e-4)


@every
def test_autocast_to_bfloat16(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    with torch.autocast("cpu", torch.bfloat16):
        logits = model(images(spec))
    assert logits.dtype == torch.bfloat16
    torch.testing.assert_close(logits.float(), model(images(spec)), rtol=0.05, atol=0.1)


@every_conv
def test_channels_last_gives_the_same(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    expected = model(images(spec))
    model.to(memory_format=torch.channels_last)
    strided = images(spec).to(memory_format=torch.channels_last)
    assert model.forward_features(strided).is_contiguous(memory_format=torch.channels_last)
    torch.testing.assert_close(model(strided), expected, rtol=1e-4, atol=1e-5)


@every_conv
@pytest.mark.parametrize("size", [None, (17, 32), (40, 9)], ids=["smallest", "17x32", "40x9"])
def test_any_input_size(spec: NetworkSpec, size: tuple[int, int] | None) -> None:
    size = size or (smallest(spec), smallest(spec))
    model, other = build(spec).eval(), build(at_resolution(spec, *size)).eval()
    other.load_state_dict(model.state_dict())  # the size is no part of the weights
    batch = torch.randn(1, 3, *size)
    torch.testing.assert_close(model(batch), other(batch))


@every
def test_head_splits_in_pooled_features_and_classifier(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    batch = images(spec)
    pooled = model.forward_head(model.forward_features(batch), pre_logits=True)
    assert pooled.shape == (2, model.head_hidden_size)
    torch.testing.assert_close(model.get_classifier()(pooled), model(batch))


@every
def test_every_parameter_belongs_to_a_group(spec: NetworkSpec) -> None:
    model = build(spec)
    groups = group_parameters(model, model.group_matcher())
    blocks = sum(spec.depths)
    assert sum(len(names) for names in groups.values()) == len(list(model.parameters()))
    assert len(groups) == blocks + 1 + (spec.stem is not None)


@every
def test_reset_classifier(spec: NetworkSpec) -> None:
    model = build(spec).eval()
    batch = images(spec)
    features = model.forward_features(batch)
    model.reset_classifier(7)
    assert model.num_classes == 7
    assert model(batch).shape == (2, 7)
    torch.testing.assert_close(model.forward_features(batch), features)
    model.reset_classifier(0)
    torch.testing.assert_close(model(batch), model.forward_head(features, pre_logits=True))


def test_reset_classifier_with_other_pooling() -> None:
    model = build(EXAMPLES["basic-conv"]).eval()
    model.reset_classifier(5, "catavgmax")
    assert model.head_hidden_size == 2 * model.num_features
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 5)
    model.reset_classifier(0, "")
    assert model(torch.randn(1, 3, 32, 32)).shape == (1, 16, 8, 8)


@every
def test_number_of_classes_and_of_input_channels_can_be_overridden(spec: NetworkSpec) -> None:
    model = build(spec, num_classes=3, in_chans=1).eval()
    assert (model.num_classes, model.in_chans) == (3, 1)
    assert model(torch.randn(2, 1, *spec.input[1:])).shape == (2, 3)


@pytest.mark.parametrize("name", ["stemless-conv", "vgg", "repvgg", "random-skip", "random-skip-mobile"])
def test_first_convolution_has_the_name_that_timm_is_told(name: str) -> None:
    spec = EXAMPLES["conv"] if name == "stemless-conv" else EXAMPLES[name]
    model = timm.create_model("madnas", spec=replace(spec, stem=None))
    first = next(module for module in model.modules() if isinstance(module, nn.Conv2d))
    assert model.get_submodule(model.default_cfg["first_conv"]) is first


def test_every_block_that_may_come_first_has_its_first_convolution() -> None:
    assert set(FIRST_CONVS) == STEMLESS


@every
def test_gradient_checkpointing_gives_the_same_gradients(spec: NetworkSpec) -> None:
    torch.manual_seed(0)
    model = build(spec).double()
    gradients = []
    for enable in (False, True):
        model.set_grad_checkpointing(enable)
        model.zero_grad()
        model(images(spec, dtype=torch.float64)).square().sum().backward()
        gradients.append([parameter.grad.clone() for parameter in model.parameters()])
    torch.testing.assert_close(gradients[1], gradients[0])


def test_gradient_checkpointing_recomputes_every_group() -> None:
    spec = EXAMPLES["bottleneck-pool"]
    calls = {False: 0, True: 0}
    for enable in calls:
        model = build(spec)
        model.set_grad_checkpointing(enable)
        model.groups[1][0].conv1.conv.register_forward_hook(lambda *_, key=enable: calls.update({key: calls[key] + 1}))
        model(images(spec)).sum().backward()
    assert calls == {False: 1, True: 2}


@pytest.mark.parametrize("name", ["basic-conv", "bottleneck-pool", "inverted-identity", "inverted-pool", "separable"])
def test_blocks_with_a_link_start_as_their_shortcut(name: str) -> None:
    model = build(EXAMPLES[name]).eval()
    linked = 0
    for group in model.groups:
        for block in group:
            chs = next(module for module in block.modules() if isinstance(module, nn.Conv2d)).in_channels
            x = torch.randn(1, chs, 6, 6)
            if block.shortcut is None:
                assert block(x).std() > 0  # a zeroed norm here would stop the signal
                continue
            linked += 1
            torch.testing.assert_close(block(x), getattr(block, "act", nn.Identity())(block.shortcut(x)))
    assert linked > 0


def test_zero_initialisation_can_be_left_out() -> None:
    for norm in build(EXAMPLES["bottleneck-pool"], zero_init_last=False).modules():
        if isinstance(norm, nn.BatchNorm2d):
            assert bool((norm.weight == 1).all())


@pytest.mark.parametrize(
    ("group", "conv", "fan_out"),
    [
        (Group("conv", 96, 1, kernel=5), "groups.0.0.conv.conv", 96 * 25),
        (Group("separable", 8, 1, kernel=7), "groups.0.0.depthwise.conv", 49),
    ],
    ids=["dense", "depthwise"],
)
def test_convolutions_start_with_the_variance_of_he_et_al(group: Group, conv: str, fan_out: int) -> None:
    torch.manual_seed(0)
    spec = network(group, stem=EXAMPLES["conv"].stem)
    weights = torch.cat([build(spec).get_parameter(f"{conv}.weight").flatten() for _ in range(20)])
    # n normal samples: the variance's relative error is sqrt(2 / n); four of them is a chance of 1 in 16,000.
    assert weights.var().item() == pytest.approx(2 / fan_out, rel=4 * (2 / weights.numel()) ** 0.5)
    assert weights.mean().item() == pytest.approx(0, abs=4 * (2 / fan_out / weights.numel()) ** 0.5)


def test_biases_of_squeeze_excitation_start_at_zero() -> None:
    state = build(EXAMPLES["separable"]).state_dict()
    biases = [tensor for name, tensor in state.items() if name.endswith("conv.bias")]
    assert len(biases) == 4
    assert not any(bool(bias.any()) for bias in biases)


def test_stochastic_depth_grows_linearly_over_the_blocks() -> None:
    model = build(EXAMPLES["basic-conv"], drop_path_rate=0.3)
    rates = [module.drop_prob for module in model.modules() if isinstance(module, DropPath)]
    assert rates == pytest.approx([0.0, 0.1, 0.2, 0.3])


@pytest.mark.parametrize("kwargs", [{"drop_path_rate": 0.9}, {"drop_rate": 0.5}], ids=["drop-path", "dropout"])
def test_dropping_happens_in_training_only(kwargs: dict[str, float]) -> None:
    spec = EXAMPLES["basic-conv"]
    model = build(spec, zero_init_last=False, **kwargs)
    batch = images(spec, batch=16)
    assert not torch.equal(model(batch), model(batch))
    model.eval()
    assert torch.equal(model(batch), model(batch))


def test_state_has_readable_names() -> None:
    names = set(build(EXAMPLES["inverted-identity"]).state_dict())
    assert {
        "stem.conv.weight",
        "stem.bn.running_mean",
        "groups.0.1.depthwise.conv.weight",
        "groups.2.0.se.reduce.conv.bias",
        "groups.2.1.project.bn.weight",
        "head_conv.conv.weight",
        "head.fc.bias",
    } <= names


def test_classifier_has_the_name_that_timm_is_told() -> None:
    model = timm.create_model("madnas", spec=EXAMPLES["basic-conv"])
    assert model.get_submodule(model.default_cfg["classifier"]) is model.get_classifier()
    assert model.get_submodule(model.get_classifier(name_only=True)) is model.get_classifier()
    assert model.get_submodule(model.default_cfg["first_conv"]) is model.stem.conv


def test_parameters_group_by_depth() -> None:
    model = build(EXAMPLES["basic-conv"])
    groups = group_parameters(model, model.group_matcher())
    # Stem, two groups of two blocks each, head.
    assert len(groups) == 6
    assert groups[0] == ["stem.conv.weight", "stem.bn.weight", "stem.bn.bias"]
    assert all(name.startswith("groups.1.0.") for name in groups[3])


MODERN = ["inverted-pool", "convnext", "dense", "preact", "random-skip", "vgg"]


@pytest.mark.parametrize("name", MODERN)
def test_compiles_without_a_break(name: str) -> None:
    spec = EXAMPLES[name]
    model = build(spec).eval()
    compiled = torch.compile(model, backend="eager", fullgraph=True)
    torch.testing.assert_close(compiled(images(spec)), model(images(spec)))


@pytest.mark.parametrize("name", MODERN)
def test_exports(name: str) -> None:
    spec = EXAMPLES[name]
    model = build(spec).eval()
    program = torch.export.export(model, (images(spec),))
    torch.testing.assert_close(program.module()(images(spec)), model(images(spec)))


@every
def test_builds_on_the_meta_device(spec: NetworkSpec) -> None:
    with torch.device("meta"):
        model = build(spec)
    assert {tensor.device.type for tensor in model.state_dict().values()} == {"meta"}
    assert model(torch.empty(2, *spec.input, device="meta")).shape == (2, 10)
