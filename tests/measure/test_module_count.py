"""Counting modules: by hand, and against torch's own counter."""

import logging
import warnings

import pytest
import torch
from torch import Tensor, nn

from madnas.measure.module_count import Audit, audit, count_module
from madnas.models import build
from madnas.network.spec import NetworkSpec
from tests.models.examples import EXAMPLES


def conv_net() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1, bias=False),  # (8, 4, 6) out of (3, 8, 12)
        nn.BatchNorm2d(8),
        nn.ReLU(),
        nn.Conv2d(8, 8, 5, padding=2, groups=8),
        nn.AdaptiveAvgPool2d(1),
        nn.Flatten(),
        nn.Linear(8, 10),
    )


def test_counts_by_hand() -> None:
    counts = count_module(conv_net(), (3, 8, 12))
    assert counts.params == 8 * 27 + 2 * 8 + (8 * 25 + 8) + (8 * 10 + 10)
    assert counts.by_operator == {"conv": 8 * 4 * 6 * (27 + 25), "linear": 80}
    assert counts.macs == sum(counts.by_operator.values())
    assert counts.activations == 2 * (8 * 4 * 6) + 10


def test_norm_and_pooling_stand_apart() -> None:
    counts = count_module(conv_net(), (3, 8, 12))
    assert set(counts.other) == {"batch_norm", "adaptive_avg_pool2d"}


def test_operators_without_a_rule_are_listed() -> None:
    counts = count_module(nn.Sequential(nn.Conv2d(3, 4, 1), nn.GELU(), nn.GELU()), (3, 4, 4))
    assert counts.uncounted == {"aten::gelu": 2}
    assert count_module(nn.Conv2d(3, 4, 1), (3, 4, 4)).uncounted == {}


def test_constants_are_no_multiply_adds() -> None:
    class Border(nn.Module):
        def __init__(self, around: int) -> None:
            super().__init__()
            self.image, self.constant, self.around = nn.Conv2d(3, 4, 3, padding=1), nn.Conv2d(1, 4, 3), around

        def forward(self, x: Tensor) -> Tensor:
            ones = nn.functional.pad(x.new_ones(1, 1, *x.shape[2:]), (self.around,) * 4)
            return self.image(x) + self.constant(ones)[..., : x.shape[2], : x.shape[3]]

    for around in (1, 2):
        counts = count_module(Border(around), (3, 5, 5))
        assert (counts.macs, counts.activations, counts.uncounted.keys() & {"aten::_convolution"}) == (2700, 100, set())


def test_only_trainable_parameters_count_and_shared_ones_once() -> None:
    shared = nn.Linear(4, 4)
    frozen = nn.Linear(4, 2)
    frozen.requires_grad_(False)
    assert count_module(nn.Sequential(shared, shared, frozen), (4,)).params == 20


def test_products_of_attention_count() -> None:
    class Product(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return x @ x.transpose(1, 2)

    assert count_module(Product(), (5, 7)).macs == 5 * 7 * 5


def test_padding_by_name_counts_as_padding_by_number() -> None:
    by_name = count_module(nn.Conv2d(4, 8, 3, padding="same", groups=2), (4, 5, 6))
    assert by_name == count_module(nn.Conv2d(4, 8, 3, padding=1, groups=2), (4, 5, 6))
    assert by_name.macs == 8 * 5 * 6 * 18


def test_module_comes_back_as_it_was() -> None:
    model = conv_net().train()
    model[1].eval()  # a frozen norm in a training network
    modes = [module.training for module in model.modules()]
    state = {name: tensor.clone() for name, tensor in model.state_dict().items()}
    count_module(model, (3, 8, 12))
    assert [module.training for module in model.modules()] == modes
    torch.testing.assert_close(dict(model.state_dict()), state)
    assert not any(module._forward_hooks for module in model.modules())


def test_counting_runs_one_input_in_eval_mode_without_gradients() -> None:
    class Probe(nn.Conv2d):
        def forward(self, x: Tensor) -> Tensor:
            seen.append((tuple(map(int, x.shape)), self.training, torch.is_grad_enabled()))
            return super().forward(x)

    seen: list[tuple[tuple[int, ...], bool, bool]] = []
    audit(Probe(3, 4, 1), (3, 8, 12))
    assert set(seen) == {((1, 3, 8, 12), False, False)}


def test_mode_comes_back_after_an_error() -> None:
    model = conv_net().train()
    with pytest.raises(RuntimeError):
        count_module(model, (4, 8, 12))
    assert all(module.training for module in model.modules())


def test_half_precision_module() -> None:
    assert count_module(conv_net().to(torch.bfloat16), (3, 8, 12)) == count_module(conv_net(), (3, 8, 12))


def test_counting_is_quiet(caplog: pytest.LogCaptureFixture) -> None:
    class Partly(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = conv_net(), nn.Linear(3, 3)

        def forward(self, x: Tensor) -> Tensor:
            warnings.warn("tracing", stacklevel=1)
            return nn.functional.gelu(self.used(x))

    with warnings.catch_warnings(), caplog.at_level(logging.WARNING):
        warnings.simplefilter("error")
        count_module(Partly(), (3, 8, 12))  # fvcore logs a module never called and an operator without a rule
    assert caplog.records == []


@pytest.mark.parametrize("spec", EXAMPLES.values(), ids=EXAMPLES.keys())
def test_two_counters_agree(spec: NetworkSpec) -> None:
    both = audit(build(spec), spec.input)
    assert both.flops == 2 * both.macs
    assert both.agrees


def test_attention_counts_its_two_products_however_it_is_written() -> None:
    class Attention(nn.Module):
        def forward(self, x: Tensor) -> Tensor:
            return nn.functional.scaled_dot_product_attention(x, x, x)

    both = audit(Attention(), (1, 8, 4))
    assert both == Audit(macs=2 * 8 * 8 * 4, flops=2 * 2 * 8 * 8 * 4)
    assert count_module(Attention(), (1, 8, 4)).uncounted == {}


def test_transformers_of_torch_are_counted_whole() -> None:
    """Projections in and out, attention, two linear layers; its fast path is one operator that nobody can count."""
    layer = nn.TransformerEncoderLayer(16, 4, 32, batch_first=True)
    assert count_module(layer, (10, 16)).macs == 10 * (4 * 16 * 16 + 2 * 16 * 32) + 2 * 10 * 10 * 16
    assert torch.backends.mha.get_fastpath_enabled()
