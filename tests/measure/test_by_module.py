"""Counting module by module."""

import torch
from torch import nn

from madnas.measure.by_module import ModuleElements, count_elements


def model() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 8, 3, stride=2, padding=1), nn.BatchNorm2d(8), nn.ReLU(inplace=True), nn.MaxPool2d(2), nn.SiLU(),
        nn.Conv2d(8, 8, 3, groups=4, bias=False), nn.Flatten(), nn.Linear(8 * 4, 5),
    )  # fmt: skip


def test_by_hand() -> None:
    after = 8 * 8 * 8
    macs = after * 27 + 8 * 2 * 2 * 18 + 32 * 5
    expected = ModuleElements(macs, biases=after, norms=after, activations=after, pools=after)
    found = count_elements(model(), (3, 16, 16))
    assert found == expected
    assert found.openmmlab == macs + 5 * after


def test_a_module_that_is_called_twice_counts_twice_and_one_unseen_not_at_all() -> None:
    act = nn.ReLU()
    twice = nn.Sequential(nn.Conv2d(3, 4, 1), act, act)
    assert count_elements(twice, (3, 2, 2)).activations == 2 * 16
    assert count_elements(twice, (3, 2, 2), unseen=(act,)).activations == 0


def test_nothing_is_computed_and_no_hook_is_left() -> None:
    with torch.device("meta"):
        empty = model()
    assert count_elements(empty, (3, 16, 16)) == count_elements(model(), (3, 16, 16))
    assert all(not part._forward_hooks for part in empty.modules()) and empty.training
