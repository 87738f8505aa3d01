"""RAN-e's networks: Table 1, which counts the running statistics of batch norms, and no MACs of the classifier."""

import pytest
import torch

from madnas.models import build
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get

CLASSIFIER = 1344 * 1000
STATISTICS = {"running_mean", "running_var"}

# params with and without statistics and MACs without and with the classifier, in millions; recomputed from the tables
TABLE_1 = {
    "ran-e-supernet": (4.672, 4.623, 589.86, 591.21),
    "ran-e-a": (4.603, 4.563, 561.06, 562.40),
    "ran-e-b": (4.596, 4.558, 482.18, 483.53),
    "ran-e-c": (4.673, 4.635, 487.83, 489.17),
    "ran-e-gt": (4.524, 4.487, 433.05, 434.40),
}
# as Table 1 prints them: params, MACs
PRINTED = {
    "ran-e-supernet": ("4.7", 590),
    "ran-e-a": ("4.6", 561),
    "ran-e-b": ("4.6", 482),
    "ran-e-c": ("4.7", 488),
    "ran-e-gt": ("4.5", 433),
}


@pytest.mark.parametrize("name", TABLE_1)
def test_table_1(name):
    spec = get(name)
    found = count(spec)
    module = build(spec)
    statistics = sum(value.numel() for key, value in module.named_buffers() if key.rpartition(".")[2] in STATISTICS)
    params = sum(weight.numel() for weight in module.parameters())
    assert params == found.params
    costs = ((params + statistics) / 1e6, params / 1e6, (found.macs - CLASSIFIER) / 1e6, found.macs / 1e6)
    assert tuple(round(one, digits) for one, digits in zip(costs, (3, 3, 2, 2), strict=True)) == TABLE_1[name]
    assert (f"{costs[0]:.1f}", round(costs[2])) == PRINTED[name]


def test_blocks_are_those_of_figure_4():
    kinds = [group.block for group in get("ran-e-gt").groups]
    assert [row for row, kind in enumerate(kinds, 2) if kind.startswith("act-conv")] == [2, 3, 4, 5, 10, 11]
    assert kinds[9] == "act-conv-pair"
    kernels = {row: group.kernel for row, group in enumerate(get("ran-e-c").groups[:-2], 2) if group.kernel != 3}
    assert kernels == {6: 5, 8: 5, 13: 7, 16: 5, 17: 5}


def test_collapsing_removes_non_linear_units():
    units = [nn_mass(get(name)).units for name in TABLE_1]
    assert units == sorted(units, reverse=True)


def test_repvgg_a0_is_timms():
    import timm

    theirs = timm.create_model("repvgg_a0")
    ours = build(get("repvgg-a0"))
    assert sum(one.numel() for one in ours.parameters()) == sum(one.numel() for one in theirs.parameters())
    shapes = [sorted(str(tuple(one.shape)) for one in model.state_dict().values()) for model in (ours, theirs)]
    assert shapes[0] == shapes[1]
    assert ours.eval()(torch.rand(1, 3, 64, 64)).shape == (1, 1000)
