"""Every proxy against a straightforward implementation in loops and float64, and the laws that each obeys."""

import math

import pytest
import torch
from torch import nn
from torch.nn import functional as F

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.scores.fisher import fisher
from madnas.scores.grad_norm import grad_norm
from madnas.scores.grasp import grasp
from madnas.scores.jacob_cov import jacob_cov
from madnas.scores.linear_regions import linear_regions
from madnas.scores.naswot import naswot
from madnas.scores.ntk import ntk
from madnas.scores.snip import snip
from madnas.scores.subject import Settings, Subject, fresh, subject_of
from madnas.scores.synflow import synflow
from madnas.scores.te_nas import te_nas

SETTINGS = Settings(batch_size=4, dtype=torch.float64)


class Net(nn.Module):
    """Three layers with everything that proxies look at: a strided convolution, batch norm, groups, a linear layer."""

    scale = 1.0
    act: type[nn.Module] = nn.ReLU

    def __init__(self) -> None:
        super().__init__()
        self.one = nn.Conv2d(3, 6, 3, padding=1, bias=False)
        self.bn = nn.BatchNorm2d(6)
        self.relu = self.act()
        self.two = nn.Conv2d(6, 4, 3, 2, padding=1, groups=2)
        self.relu2 = self.act()
        self.fc = nn.Linear(4, 5)
        with torch.no_grad():
            self.two.weight *= self.scale

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        x = self.relu2(self.two(self.relu(self.bn(self.one(x)))))
        return self.fc(x.mean((2, 3)))


NET = Subject("net", Net, (3, 8, 8))


class Scaled(Net):
    scale = 3.0


def parts(seed=0):
    """A fresh network, its images and the loss of one batch."""
    module, generator = fresh(NET, SETTINGS, seed), SETTINGS.generator(seed)
    images = SETTINGS.images(NET, generator)
    labels = torch.randint(5, (4,), generator=generator)
    return module, images, labels


def weights(module):
    return [module.one.weight, module.two.weight, module.fc.weight]


def gradients(module, images, labels, create_graph=False):
    loss = F.cross_entropy(module(images), labels)
    return torch.autograd.grad(loss, weights(module), create_graph=create_graph)


def test_grad_norm():
    found = sum(math.sqrt(sum(float(g) ** 2 for g in gradient.flatten())) for gradient in gradients(*parts()))
    assert grad_norm(NET, SETTINGS)(0) == pytest.approx(found)


def test_snip():
    module, *batch = parts()
    pairs = zip(gradients(module, *batch), (weight.detach() for weight in weights(module)), strict=True)
    found = sum(abs(float(g) * float(w)) for gradient, weight in pairs
                for g, w in zip(gradient.flatten(), weight.flatten(), strict=True))  # fmt: skip
    assert snip(NET, SETTINGS)(0) == pytest.approx(found)


def test_grasp_by_finite_differences_of_the_gradient():
    """H g is how the gradient changes along itself."""
    module, *batch = parts()
    first = gradients(module, *batch)
    step = 1e-6
    with torch.no_grad():
        for weight, gradient in zip(weights(module), first, strict=True):
            weight += step * gradient
    moved = gradients(module, *batch)
    with torch.no_grad():
        for weight, gradient in zip(weights(module), first, strict=True):
            weight -= step * gradient
    curved = [(after - before) / step for after, before in zip(moved, first, strict=True)]
    found = -sum(float((one * weight.detach()).sum()) for one, weight in zip(curved, weights(module), strict=True))
    assert grasp(NET, SETTINGS)(0) == pytest.approx(found, rel=1e-4, abs=1e-7)


def test_fisher():
    module, images, labels = parts()
    one = module.one(images)
    two = module.two(F.relu(module.bn(one)))
    logits = module.fc(F.relu(two).mean((2, 3)))
    loss = F.cross_entropy(logits, labels, reduction="sum")
    slopes = torch.autograd.grad(loss, [one, two, logits])
    found = 0.0
    for output, slope in zip((one, two, logits), slopes, strict=True):
        for channel in range(output.shape[1]):
            squares = [float((output[n, channel].detach() * slope[n, channel]).sum()) ** 2 for n in range(4)]
            found += sum(squares) / (2 * 4)
    assert fisher(NET, SETTINGS)(0) == pytest.approx(found)


def test_jacob_cov():
    module, images, _ = parts()
    images.requires_grad_()
    (jacobian,) = torch.autograd.grad(module(images).sum(), images)
    rows = [row - row.mean() for row in jacobian.flatten(1)]
    matrix = torch.stack([torch.stack([(a @ b) / (a.norm() * b.norm()) for b in rows]) for a in rows])
    found = -sum(math.log(v + 1e-5) + 1 / (v + 1e-5) for v in torch.linalg.eigvalsh(matrix).tolist())
    assert jacob_cov(NET, SETTINGS)(0) == pytest.approx(found)


def test_synflow():
    module, *_ = parts()
    one, two, fc = (weight.detach().abs() for weight in weights(module))
    bias, last = module.two.bias.detach().abs(), module.fc.bias.detach().abs()

    def output(one, two, fc):
        x = F.conv2d(torch.ones(1, 3, 8, 8, dtype=torch.float64), one, padding=1)
        x = F.conv2d(x, two, bias, 2, 1, groups=2)
        return (F.linear(x.mean((2, 3)), fc, last)).sum()

    found = 0.0
    for place, weight in enumerate((one, two, fc)):  # the output is linear in every single layer
        others = [one, two, fc]
        others[place] = torch.zeros_like(weight)
        found += float(output(one, two, fc) - output(*others))
    assert synflow(NET, SETTINGS)(0) == pytest.approx(found)


def test_synflow_grows_with_every_layer_alike():
    """Homogeneous of degree 1 in each layer, but for biases, which this network does not have."""

    class Free(Net):
        def __init__(self):
            super().__init__()
            self.two.bias = None
            self.fc.bias = None

    class FreeScaled(Free):
        scale = 3.0

    one, other = (synflow(Subject("n", kind, (3, 8, 8)), SETTINGS)(0) for kind in (Free, FreeScaled))
    assert other == pytest.approx(3 * one)


def test_synflow_of_other_norms_is_refused():
    with pytest.raises(UsageError, match="not for LayerNorm"):
        synflow(subject_of(get("convnext-t")), SETTINGS)(0)


def test_naswot():
    module, images, _ = parts()
    one = module.bn(module.one(images))
    codes = torch.cat([(one > 0).flatten(1), (module.two(F.relu(one)) > 0).flatten(1)], 1)
    kernel = torch.tensor([[float((a == b).sum()) for b in codes] for a in codes], dtype=torch.float64)
    found = math.log(abs(float(torch.linalg.det(kernel))))
    assert naswot(NET, SETTINGS)(0) == pytest.approx(found)


def test_naswot_does_not_see_scales():
    class Leaky(Net):
        act = nn.LeakyReLU

    assert naswot(Subject("n", Scaled, (3, 8, 8)), SETTINGS)(0) == pytest.approx(naswot(NET, SETTINGS)(0), rel=0.05)
    assert math.isfinite(naswot(Subject("n", Leaky, (3, 8, 8)), SETTINGS)(0))


@pytest.mark.parametrize("score", [naswot, linear_regions, te_nas])
def test_networks_without_rectifiers_are_refused(score):
    class Smooth(Net):
        act = nn.SiLU

    with pytest.raises(UsageError, match="rectified linear units; activations here: silu"):
        score(Subject("n", Smooth, (3, 8, 8)), SETTINGS)(0)


def test_ntk():
    module, images, _ = parts()
    rows = []
    for n in range(4):
        logit = module(images)[n].sum()  # the batch norm sees the whole batch
        rows.append(torch.cat([g.flatten() for g in torch.autograd.grad(logit, weights(module))]))
    kernel = torch.stack([torch.stack([a @ b for b in rows]) for a in rows])
    values = torch.linalg.eigvalsh(kernel)
    assert ntk(NET, SETTINGS)(0) == pytest.approx(float(values[-1] / values[0]), rel=1e-6)


def test_linear_regions():
    found = linear_regions(NET, SETTINGS)(0)
    module, generator = fresh(NET, SETTINGS, 0), SETTINGS.generator(0)
    images = torch.randn(1000, 3, 3, 3, generator=generator).double()
    one = module.bn(module.one(images))
    codes = torch.cat([(one > 0).flatten(1), (module.two(F.relu(one)) > 0).flatten(1)], 1)
    assert found == len({tuple(code) for code in codes.tolist()})
    assert 1 < found <= 1000


def test_te_nas_is_the_difference():
    assert te_nas(NET, SETTINGS)(3) == pytest.approx(linear_regions(NET, SETTINGS)(3) - ntk(NET, SETTINGS)(3))


def test_norms_start_at_one_so_that_branches_count():
    module = fresh(subject_of(get("resnet20")), Settings(), 0)
    assert all((part.weight == 1).all() for part in module.modules() if isinstance(part, nn.BatchNorm2d))
    import timm

    zeroed = Subject("r", lambda: timm.create_model("resnet18"), (3, 32, 32))
    assert (zeroed.make().layer1[0].bn2.weight == 0).all()
    assert (fresh(zeroed, Settings(), 0).layer1[0].bn2.weight == 1).all()
