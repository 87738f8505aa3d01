"""Descriptions of restructured networks: what they say is enough to build them again."""

import torch
from torch import nn

from madnas.network.restructured import SCHEMA, Description
from madnas.restructure.collapse import collapse
from madnas.restructure.slopes import linear_in
from madnas.targets import restructured as room
from tests.restructure.test_collapse import Row, unsettled


class Learnt(nn.Module):
    """PReLUs, one of which has learnt to be linear in all of its channels, and one in some."""

    def __init__(self):
        super().__init__()
        self.first, self.idle, self.second = nn.Conv2d(3, 8, 1), nn.PReLU(8), nn.Conv2d(8, 4, 1)
        self.act, self.last, self.norm = nn.PReLU(4), nn.Conv2d(4, 4, 1), nn.BatchNorm2d(4)

    def forward(self, x):
        return self.norm(self.last(self.act(self.second(self.idle(self.first(x))))))


def assert_rebuilt(description, model):
    """What is made from a description takes the weights of the model that it describes, and computes the same."""
    again = room.rebuild(description)
    again.load_state_dict(model.state_dict())
    images = torch.randn(2, *description.input)
    with torch.no_grad():
        assert torch.equal(again(images), model(images))


def test_a_prelu_that_became_linear_is_so_again(monkeypatch):
    model = unsettled(Learnt())
    nn.init.ones_(model.idle.weight)
    nn.init.ones_(model.act.weight[:3])
    found = collapse(model, (3, 6, 6))
    linear = linear_in(model)
    assert linear == ("idle",)
    described = Description(
        SCHEMA, "learnt", (3, 6, 6), 4, merged=tuple(one.modules for one in found.merged), linear=linear, base="it"
    )
    monkeypatch.setattr(room, "base_model", lambda description: Learnt().eval())
    assert_rebuilt(described, found.model)


def test_merges_within_some_modules_are_made_again(monkeypatch):
    """Across their borders others would be made, which the description does not have."""
    model = unsettled(Row())
    found = collapse(model, (4, 6, 6), only=["a"])
    merged = tuple(one.modules for one in found.merged)
    described = Description(SCHEMA, "row", (4, 6, 6), 4, merged=merged, only=("a",), base="it")
    monkeypatch.setattr(room, "base_model", lambda description: Row().eval())
    assert_rebuilt(described, found.model)
