"""Cells: their definitions written out, their random links, and what they keep in memory."""

from dataclasses import replace

import pytest
import torch
from torch import Tensor, nn
from torch.nn import functional as F

from madnas.models import build
from madnas.models.cells import CELLS, build_cell
from madnas.models.links import RandomLinks, draw
from madnas.network.spec import Group
from tests.models.examples import EXAMPLES

DENSE = Group("dense", 8 + 3 * 4, 3, hidden=6, kernel=3, growth=4, act="silu")
SKIP = Group("random-skip", 5, 6, kernel=3, links=7, act="silu")
MOBILE = Group("random-skip-mobile", 5, 5, hidden=6, kernel=3, links=7, act="silu")
LINEAR = Group("random-skip-linear", 5, 6, links=7, act="silu")


class Reference:
    """Definitions over a cell's state, by the names that the state has."""

    def __init__(self, cell: nn.Module) -> None:
        self.state = cell.state_dict()

    def conv(self, x: Tensor, name: str, stride: int = 1, groups: int = 1) -> Tensor:
        weight = self.state[f"{name}.weight"]
        return F.conv2d(x, weight, None, stride, (weight.shape[-1] - 1) // 2, groups=groups)

    def norm(self, x: Tensor, name: str) -> Tensor:
        mean, variance, scale, shift = (
            self.state[f"{name}.bn.{key}"][:, None, None] for key in ("running_mean", "running_var", "weight", "bias")
        )
        return (x - mean) / (variance + 1e-5).sqrt() * scale + shift

    def step(self, x: Tensor, name: str, stride: int = 1) -> Tensor:
        """Batch norm, activation, convolution."""
        return self.conv(F.silu(self.norm(x, f"{name}.norm" if name else "norm")), f"{name}.conv", stride)

    def linked(self, maps: list[Tensor], index: int) -> Tensor:
        """What a layer of a random-skip cell sees: the map before it, and its links one by one."""
        key = f"{index}.skip.channels"
        width = maps[-1].shape[1]
        links = [divmod(channel, width) for channel in self.state.get(key, torch.empty(0)).int().tolist()]
        chosen = [maps[layer][:, channel : channel + 1] for layer, channel in links]
        return torch.cat([maps[-1], *chosen], 1)


def scrambled(group: Group, in_chs: int, position: int = 0) -> nn.Module:
    """A cell in eval mode whose every weight, norm and bias does something."""
    torch.manual_seed(0)
    cell = build_cell(group, in_chs, position).double().eval()
    for name, tensor in cell.state_dict().items():
        if tensor.is_floating_point():
            _ = nn.init.uniform_(tensor, 0.5, 1.5) if name.endswith("running_var") else nn.init.normal_(tensor, 0, 0.5)
    return cell


def images(chs: int) -> Tensor:
    return torch.randn(2, chs, 7, 6, dtype=torch.float64)


def test_every_kind_of_cell_is_checked_here() -> None:
    assert {group.block for group in (DENSE, SKIP, MOBILE, LINEAR)} == set(CELLS)


@pytest.mark.parametrize("stride", [1, 2])
def test_dense_cell_is_its_definition(stride: int) -> None:
    out = 3 * 4 + (8 if stride == 1 else 4)
    cell = scrambled(replace(DENSE, stride=stride, out=out), 8)
    reference, x = Reference(cell), images(8)
    output = cell(x)
    if stride == 2:
        x = F.avg_pool2d(reference.step(x, "0.transition"), 2)
    for index in range(3):
        new = reference.step(reference.step(x, f"{index}.branch.conv1"), f"{index}.branch.conv2")
        x = torch.cat((x, new), 1)
    assert x.shape[1] == out
    torch.testing.assert_close(output, x)


def test_dense_cell_without_hidden_layers() -> None:
    cell = scrambled(replace(DENSE, hidden=None), 8)
    reference, x = Reference(cell), images(8)
    output = cell(x)
    for index in range(3):
        x = torch.cat((x, reference.step(x, f"{index}.branch.conv")), 1)
    torch.testing.assert_close(output, x)


@pytest.mark.parametrize("bare", [False, True], ids=["normed", "bare"])
@pytest.mark.parametrize("stride", [1, 2])
def test_random_skip_cell_is_its_definition(stride: int, bare: bool) -> None:
    cell = scrambled(replace(SKIP, stride=stride, bare=bare), 3)
    reference, x = Reference(cell), images(3)
    first = x if bare else F.silu(reference.norm(x, "0.norm"))
    maps = [reference.conv(first, "0.conv", stride)]
    for index in range(1, 6):
        seen = reference.linked(maps, index)
        maps.append(reference.conv(F.silu(reference.norm(seen, f"{index}.norm")), f"{index}.conv"))
    torch.testing.assert_close(cell(x), maps[-1])


@pytest.mark.parametrize("stride", [1, 2])
def test_random_skip_mobile_cell_is_its_definition(stride: int) -> None:
    cell = scrambled(replace(MOBILE, stride=stride), 3)
    reference, x = Reference(cell), images(3)

    def layer(x: Tensor, index: int, stride: int) -> Tensor:
        x = F.silu(reference.norm(reference.conv(x, f"{index}.expand.conv"), f"{index}.expand"))
        x = reference.conv(x, f"{index}.depthwise.conv", stride, groups=x.shape[1])
        x = F.silu(reference.norm(x, f"{index}.depthwise"))
        return reference.norm(reference.conv(x, f"{index}.project.conv"), f"{index}.project")

    maps = [layer(x, 0, stride)]
    for index in range(1, 5):
        maps.append(layer(reference.linked(maps, index), index, 1))
    torch.testing.assert_close(cell(x), maps[-1])


def test_random_skip_linear_cell_is_its_definition() -> None:
    cell = scrambled(LINEAR, 4)
    reference, x = Reference(cell), torch.randn(3, 4, dtype=torch.float64)
    maps: list[Tensor] = []
    for index in range(6):
        seen = reference.linked(maps, index) if maps else x
        weight, bias = (reference.state[f"{index}.linear.{key}"] for key in ("weight", "bias"))
        maps.append(F.silu(seen @ weight.T + bias))
    torch.testing.assert_close(cell(x), maps[-1])


# Random links


def links_of(group: Group, position: int = 0) -> list[list[int]]:
    """The links of every layer of a cell."""
    cell = build_cell(group, 3, position)
    return [layer.skip.channels.tolist() if isinstance(layer.skip, RandomLinks) else [] for layer in cell]


def test_number_of_links_is_the_papers() -> None:
    # min(w (i - 1), t) of the channels of layers 0 ... i - 2, with w = 5 and t = 7
    links = links_of(SKIP)
    assert [len(channels) for channels in links] == [0, 0, 5, 7, 7, 7]
    for index, channels in enumerate(links):
        assert channels == sorted(set(channels))
        assert all(0 <= channel < 5 * (index - 1) for channel in channels)


def test_links_reach_all_earlier_channels_if_there_are_enough() -> None:
    assert links_of(replace(SKIP, links=1000)) == [[], [], *(list(range(5 * n)) for n in range(1, 5))]


def test_no_links() -> None:
    cell = build_cell(replace(SKIP, links=0), 3, 0)
    assert [name for name in cell.state_dict() if "skip" in name] == []


STORED = [[0, 1, 2, 4, 5, 6, 8], [4, 5, 6, 11, 12, 13, 14], [1, 4, 5, 7, 10, 12, 19]]
"""Links of the last three layers of ``SKIP``. NumPy promises the integers behind them; whoever changes them changes
every network of this kind that was ever trained."""


@pytest.mark.parametrize("seed", [1, 2])
def test_links_are_the_same_on_every_run_and_machine(seed: int) -> None:
    torch.manual_seed(seed)
    assert links_of(SKIP) == [[], [], [0, 1, 2, 3, 4], *STORED]


def test_seed_position_and_layer_decide_the_links() -> None:
    group = replace(SKIP, out=64, links=20)
    draws = [links_of(replace(group, seed=seed), position) for seed in (0, 1, 2**63 - 1) for position in (0, 1)]
    cuts = [tuple(channel for channel in links[3] if channel < 64) for links in draws]
    cuts += [tuple(channel for channel in draws[0][index] if channel < 64) for index in (2, 4)]
    assert len(set(cuts)) == 8


def test_links_are_uniform() -> None:
    # 4000 draws of 5 of 20: every number's count is binomial with mean 1000 and deviation 27.4; five of these is a
    # chance of one in 85,000 for all twenty.
    counts = torch.zeros(20)
    for seed in range(4000):
        counts[draw((seed, 0, 2), 20, 5)] += 1
    assert counts.sum() == 20_000
    assert (counts - 1000).abs().max() < 5 * 27.4


def test_links_are_state_but_not_trained() -> None:
    model = build(EXAMPLES["random-skip"])
    names = {name for name in model.state_dict() if name.endswith("skip.channels")}
    assert {"groups.0.2.skip.channels", "groups.1.3.skip.channels"} <= names
    assert len(names) == 3 + 2
    assert not names & {name for name, _ in model.named_parameters()}
    assert {model.get_buffer(name).dtype for name in names} == {torch.int64}
    assert model.half().get_buffer(min(names)).dtype == torch.int64


def test_checkpoint_brings_its_links() -> None:
    spec = EXAMPLES["random-skip"]
    other = replace(spec, groups=tuple(replace(group, seed=99) for group in spec.groups))
    saved, loaded = build(spec).eval(), build(other).eval()
    x = torch.randn(1, *spec.input)
    loaded.load_state_dict({name: t for name, t in saved.state_dict().items() if "skip" not in name}, strict=False)
    assert not torch.allclose(loaded(x), saved(x))
    loaded.load_state_dict(saved.state_dict())
    torch.testing.assert_close(loaded(x), saved(x))


# Memory


@pytest.mark.parametrize("name", ["dense", "random-skip", "random-skip-mobile", "mlp-skip"])
def test_gradient_checkpointing_recomputes_every_layer(name: str) -> None:
    spec = EXAMPLES[name]
    calls = {False: 0, True: 0}
    for enable in calls:
        model = build(spec)
        model.set_grad_checkpointing(enable)
        for layer in model.groups[0]:
            last = [part for part in layer.modules() if isinstance(part, nn.Conv2d | nn.Linear)][-1]
            last.register_forward_pre_hook(lambda *_, key=enable: calls.update({key: calls[key] + 1}))
        model(torch.randn(2, *spec.input)).sum().backward()
    assert calls == {False: len(model.groups[0]), True: 2 * len(model.groups[0])}


def kept(group: Group, checkpointing: bool) -> int:
    """Elements of activations that a cell's forward pass keeps for the backward pass, shared ones once."""
    cell = build_cell(group, 8, 0)
    cell.grad_checkpointing = checkpointing
    own = {tensor.data_ptr() for tensor in cell.state_dict().values()}
    found: dict[int, int] = {}

    def note(tensor: Tensor) -> Tensor:
        if tensor.data_ptr() not in own:
            found[tensor.data_ptr()] = max(found.get(tensor.data_ptr(), 0), tensor.numel())
        held.append(tensor)
        return tensor

    held: list[Tensor] = []  # so that no address is used twice
    x = torch.randn(2, 8, 6, 6, requires_grad=True)
    with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
        cell(x)
    return sum(found.values())


@pytest.mark.parametrize("kind", ["dense", "random-skip"])
def test_with_checkpointing_memory_grows_with_the_depth_only(kind: str) -> None:
    def of_depth(depth: int) -> Group:
        if kind == "dense":
            return Group("dense", 8 + 8 * depth, depth, kernel=3, growth=8)
        return Group("random-skip", 8, depth, kernel=3, links=10_000)

    # The maps alone: the input and one of 8 channels per layer, less the last, which no layer sees.
    assert kept(of_depth(16), True) <= 2 * 36 * (8 * 17)
    assert kept(of_depth(16), False) > 2 * 36 * (8 * 16 * 16 / 2)


def test_slice_of_a_cell_is_a_cell() -> None:
    cell = build_cell(SKIP, 3, 0).eval()
    x = torch.randn(1, 3, 5, 5)
    assert cell[:2](x).shape == (1, 5, 5, 5)


def test_names_of_a_cells_parameters_are_those_of_blocks() -> None:
    names = set(build(EXAMPLES["dense"]).state_dict())
    assert {"groups.1.0.transition.conv.weight", "groups.0.2.branch.conv1.norm.bn.weight"} <= names
