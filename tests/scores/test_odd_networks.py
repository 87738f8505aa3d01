"""Networks that are built in unusual ways: the right number, or none."""

import math
from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.measure.graph import trace
from madnas.measure.structure import structure
from madnas.measure.topology import topology
from madnas.network.named import get
from madnas.network.spec import Stem
from madnas.network.zen import zen_closed
from madnas.scores.evaluate import Request, evaluate
from madnas.scores.grad_norm import grad_norm
from madnas.scores.grasp import grasp
from madnas.scores.naswot import naswot
from madnas.scores.ntk import ntk
from madnas.scores.patterns import rectified
from madnas.scores.phi import phi
from madnas.scores.snip import snip
from madnas.scores.subject import Settings, Subject, fresh
from madnas.scores.synflow import synflow
from madnas.scores.zen import zen

SETTINGS = Settings(batch_size=4, dtype=torch.float64)


class Net(nn.Module):
    """Two convolutions; what is special is in the subclasses."""

    def __init__(self) -> None:
        super().__init__()
        self.one, self.bn1 = nn.Conv2d(3, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.two, self.bn2 = nn.Conv2d(6, 6, 3, padding=1), nn.BatchNorm2d(6)
        self.pool, self.fc = nn.AdaptiveAvgPool2d(1), nn.Linear(6, 5)

    def body(self, x: torch.Tensor) -> torch.Tensor:
        return torch.relu(self.bn1(self.one(x)))

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.body(x)
        return self.fc(self.pool(torch.relu(self.bn2(self.two(x)))).flatten(1))


def subject(kind: type[nn.Module]) -> Subject:
    return Subject("odd", kind, (3, 8, 8))


def test_dropout_draws_nothing():
    class Dropping(Net):
        def __init__(self):
            super().__init__()
            self.drop = nn.Dropout(0.5)

        def body(self, x):
            return F.dropout(self.drop(super().body(x)), 0.5, self.training)

    for score in (snip, synflow, naswot, zen):
        torch.manual_seed(1)
        first = score(subject(Dropping), SETTINGS)(0)
        torch.manual_seed(2)
        assert score(subject(Dropping), SETTINGS)(0) == first == pytest.approx(score(subject(Net), SETTINGS)(0))


def test_constants_and_other_layers_are_refused():
    class Blurred(Net):
        def __init__(self):
            super().__init__()
            self.blur = Blur()

        def body(self, x):
            return self.blur(super().body(x))

    class Blur(nn.Module):
        def __init__(self):
            super().__init__()
            self.register_buffer("kernel", torch.ones(6, 1, 3, 3))

        def forward(self, x):
            return F.conv2d(x, self.kernel, padding=1, groups=6)

    with pytest.raises(UsageError, match="weights or constants of its own"):
        zen(subject(Blurred), SETTINGS)


def test_a_link_that_ends_the_network_is_cut():
    class Linked(Net):
        def forward(self, x):
            x = self.body(x)
            return self.fc(self.pool(x + torch.relu(self.bn2(self.two(x)))).flatten(1))

    assert zen(subject(Linked), SETTINGS)(0) == pytest.approx(zen(subject(Net), SETTINGS)(0))


def test_what_takes_several_maps_is_no_chain():
    class Subtracting(Net):
        def body(self, x):
            x = super().body(x)
            return x - torch.relu(x)

    with pytest.raises(UsageError, match="takes several maps"):
        zen(subject(Subtracting), SETTINGS)


def test_any_global_pooling():
    class Averaging(Net):
        def __init__(self):
            super().__init__()
            self.pool = nn.AvgPool2d(8)

    class Mean(Net):
        def forward(self, x):
            return self.fc(torch.relu(self.bn2(self.two(self.body(x)))).mean((2, 3)))

    for kind in (Averaging, Mean):
        for score in (zen, phi):
            assert score(subject(kind), SETTINGS)(0) == pytest.approx(score(subject(Net), SETTINGS)(0))


def test_activations_that_are_functions_are_seen():
    class Modules(Net):
        def __init__(self):
            super().__init__()
            self.act = nn.ReLU(inplace=True)

        def forward(self, x):
            x = self.act(self.bn1(self.one(x)))
            return self.fc(self.pool(self.act(self.bn2(self.two(x)))).flatten(1))

    class Smooth(Net):
        def body(self, x):
            return F.gelu(super().body(x))

    assert naswot(subject(Modules), SETTINGS)(0) == pytest.approx(naswot(subject(Net), SETTINGS)(0))
    for score in (naswot, phi):
        with pytest.raises(UsageError, match="gelu"):
            score(subject(Smooth), SETTINGS)(0)


def test_a_norm_used_twice_is_refused():
    class Shared(Net):
        def body(self, x):
            return self.bn2(super().body(x))

    with pytest.raises(UsageError, match="uses a norm or layer twice"):
        zen(subject(Shared), SETTINGS)


def test_networks_that_look_at_values_when_they_are_made():
    class Looking(Net):
        def __init__(self):
            super().__init__()
            assert float(self.one.weight.abs().max()) > 0

    assert zen(subject(Looking), SETTINGS)(0) == pytest.approx(zen(subject(Net), SETTINGS)(0))


def test_other_norms_start_at_one_too():
    class Grouped(Net):
        def __init__(self):
            super().__init__()
            self.bn2 = nn.GroupNorm(2, 6)
            nn.init.zeros_(self.bn2.weight)

    assert (fresh(subject(Grouped), SETTINGS, 0).bn2.weight == 1).all()


def test_outputs_that_are_no_logits():
    class Several(Net):
        def forward(self, x):
            return [super().forward(x)]

    with pytest.raises(UsageError, match="gives out list, not logits"):
        snip(subject(Several), SETTINGS)(0)


def test_transposed_convolutions_have_no_entropy(monkeypatch):
    class Transposed(Net):
        def __init__(self):
            super().__init__()
            self.two = nn.ConvTranspose2d(6, 6, 2, 2)

    import timm

    monkeypatch.setattr(timm, "create_model", lambda name: Transposed())
    result = evaluate(Request("timm/mnasnet_100", resolution=(8, 8)))
    assert "entropy" not in result["scores"]
    assert "ConvTranspose2d" in result["failed"]["entropy"]


@pytest.mark.parametrize("stem", [Stem(8, 4, 4, norm="layer"), Stem(8, norm="later")])
def test_closed_form_needs_a_norm_for_each_convolution(stem):
    with pytest.raises(UsageError, match="no batch norm for each"):
        zen_closed(replace(get("resnet18"), stem=stem))


def test_a_network_of_a_size_that_it_does_not_take():
    with pytest.raises(UsageError, match="timm/vit_tiny_patch16_224: cannot be run on an input of 3 x 64 x 64"):
        evaluate(Request("timm/vit_tiny_patch16_224", resolution=(64, 64)))


def test_a_hand_written_activation_is_no_gate():
    """x sigmoid(x) once counted as a gate of x and was cut away."""

    class Smooth(Net):
        def body(self, x):
            x = super().body(x)
            return x * torch.sigmoid(x)

    with pytest.raises(UsageError, match="takes several maps"):
        zen(subject(Smooth), SETTINGS)


def test_links_inside_of_strangers_modules_are_seen():
    class Link(nn.Module):
        def __init__(self):
            super().__init__()
            self.bn = nn.BatchNorm2d(6)

        def forward(self, x):
            return x + F.relu(self.bn(x))

    class Linked(Net):
        def __init__(self):
            super().__init__()
            self.link = Link()

        def body(self, x):
            return self.link(super().body(x))

    with pytest.raises(UsageError, match="neither is a residual link"):
        zen(subject(Linked), SETTINGS)


def test_phi_refuses_a_convolution_used_twice():
    class Shared(Net):
        def __init__(self):
            super().__init__()
            self.same = nn.Conv2d(6, 6, 3, padding=1, bias=False)

        def body(self, x):
            return self.same(self.same(super().body(x)))

    with pytest.raises(UsageError, match="uses a norm or layer twice"):
        phi(subject(Shared), SETTINGS)


def test_layers_behind_a_pooling_count():
    class Pooled(nn.Sequential):
        def __init__(self):
            super().__init__(
                nn.Conv2d(3, 4, 3, padding=1), nn.AdaptiveAvgPool2d(4), nn.Conv2d(4, 5, 3, padding=1),
                nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(5, 2),
            )  # fmt: skip

    assert structure(trace(Pooled(), (3, 8, 8))).depth == 2


def test_kernels_that_are_no_squares():
    plain = structure(trace(nn.Sequential(nn.Conv2d(3, 4, (1, 7), padding=(0, 3))), (3, 8, 8)))
    assert plain.width == pytest.approx(3 * 7)


@pytest.mark.parametrize("layer", [nn.ConvTranspose2d(4, 4, 3, padding=1), nn.Sequential(nn.ConvTranspose2d(4, 4, 1))])
def test_other_layers_have_no_entropy(layer):
    with pytest.raises(UsageError, match="no convolution over maps"):
        structure(trace(nn.Sequential(nn.Conv2d(3, 4, 3, padding=1), layer), (3, 8, 8)))


def test_layers_without_a_module_have_no_entropy():
    class Functional(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 4, 3, padding=1)
            self.weight = nn.Parameter(torch.ones(4, 4, 3, 3))

        def forward(self, x):
            return F.conv2d(self.conv(x), self.weight, padding=1)

    with pytest.raises(UsageError, match="calls conv2d as a function"):
        structure(trace(Functional(), (3, 8, 8)))


def test_one_concatenation_at_the_end_is_no_dense_cell():
    class Aggregated(nn.Module):
        def __init__(self):
            super().__init__()
            self.convs = nn.ModuleList(nn.Conv2d(3 if i == 0 else 4, 4, 3, padding=1) for i in range(5))

        def forward(self, x):
            maps = []
            for conv in self.convs:
                x = conv(x)
                maps.append(x)
            return torch.cat(tensors=maps, dim=1)

    found = topology(Aggregated(), (3, 8, 8))
    assert (found.blocks, found.left_out) == ((), {"concatenation of 5 maps": 1})


def test_singular_kernels_are_no_numbers():
    """Fewer weights, or units, than images: both kernels have an eigenvalue of 0."""

    class Thin(nn.Module):
        def __init__(self):
            super().__init__()
            self.conv = nn.Conv2d(3, 1, 1)
            self.fc = nn.Linear(1, 2)

        def forward(self, x):
            return self.fc(F.relu(self.conv(x)).mean((2, 3)))

    thin = Subject("thin", Thin, (3, 2, 2))
    many = Settings(batch_size=32)
    for score in (ntk, naswot):
        with pytest.raises(UsageError, match="singular"):
            score(thin, many)(0)


def test_unused_weights_have_no_gradient_and_stop_nothing():
    class Spare(Net):
        def __init__(self):
            super().__init__()
            self.spare = nn.Linear(2, 2)

    for score in (snip, grad_norm, grasp, synflow, ntk):
        assert math.isfinite(score(subject(Spare), SETTINGS)(0))


def test_weights_of_other_kinds_are_refused():
    class Attending(Net):
        def __init__(self):
            super().__init__()
            self.attention = nn.MultiheadAttention(4, 2)

    with pytest.raises(UsageError, match=r"MultiheadAttention\.in_proj_weight"):
        snip(subject(Attending), SETTINGS)(0)


def test_gains_that_start_at_0_are_revived():
    class Gained(Net):
        def __init__(self):
            super().__init__()
            self.gain = nn.Parameter(torch.zeros(()))

    assert float(fresh(subject(Gained), SETTINGS, 0).gain.detach()) == 1


def test_an_upper_end_is_a_border_of_linear_regions():
    images = torch.tensor([[-1.0], [3.0], [8.0]])
    (on,) = rectified(nn.ReLU6(), images)
    assert on.flatten().tolist() == [False, True, True]
    patterns = torch.cat(rectified(nn.ReLU6(), images, ends=True), 1)
    assert len(torch.unique(patterns, dim=0)) == 3
    with pytest.raises(UsageError, match="hardtanh"):
        rectified(nn.Hardtanh(), images)
