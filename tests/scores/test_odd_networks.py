"""Networks that are built in unusual ways: the right number, or none."""

from dataclasses import replace

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.network.spec import Stem
from madnas.network.zen import zen_closed
from madnas.scores.evaluate import Request, evaluate
from madnas.scores.naswot import naswot
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

    with pytest.raises(UsageError, match=r"constants of its own in Blur|several maps|parameter outside"):
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

    with pytest.raises(UsageError, match="uses a batch norm twice"):
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
    result = evaluate(Request("timm/mnasnet_100", resolution=8))
    assert "entropy" not in result["scores"]
    assert "ConvTranspose2d" in result["failed"]["entropy"]


@pytest.mark.parametrize("stem", [Stem(8, 4, 4, norm="layer"), Stem(8, norm="later")])
def test_closed_form_needs_a_norm_for_each_convolution(stem):
    with pytest.raises(UsageError, match="no batch norm for each"):
        zen_closed(replace(get("resnet18"), stem=stem))


def test_a_network_of_a_size_that_it_does_not_take():
    with pytest.raises(UsageError, match="timm/vit_tiny_patch16_224: cannot be run on an input of 3 x 64 x 64"):
        evaluate(Request("timm/vit_tiny_patch16_224", resolution=64))
