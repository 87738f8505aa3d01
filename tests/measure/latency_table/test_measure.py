"""Measuring a table on this machine, quickly: that the pieces are the network's, and that the sums come out."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from madnas.errors import InfeasibleError, UsageError
from madnas.measure.latency_table import measure as room
from madnas.measure.latency_table.measure import measure_table
from madnas.measure.latency_table.pieces import pieces
from madnas.measure.latency_table.profile import Profiled
from madnas.measure.latency_table.request import TableRequest
from madnas.measure.provenance import provenance
from madnas.measure.setting import Setting
from madnas.network.count import count
from madnas.network.named import get
from madnas.program.draw import draw
from madnas.program.space import load_space

QUICK = Setting(threads=1, clock="thread")


def small_space(**changes):
    return replace(load_space("basic-cifar"), **changes)


@pytest.mark.parametrize("name", ["resnet18", "mobilenetv2", "convnext-t", "deepmad-r18", "repvgg-a0"])
def test_pieces_in_their_order_are_the_network(name):
    spec = get(name)
    profiled = Profiled(spec, QUICK)
    assert len(profiled.parts) == sum(piece.repeat for piece in pieces(spec))
    with torch.inference_mode():
        x = profiled.input
        for part in profiled.parts:
            x = part(x)
        assert torch.equal(x, profiled.module(profiled.input))


def test_a_table_of_a_small_space():
    space = small_space(out=(8, 32))
    request = TableRequest(space, 4_000_000, QUICK, probes=16, held_out=4, minutes=0.0)
    said = []
    table = measure_table(request, said.append)
    assert len(table.probes) == 16 and len(table.held_out) == 4
    assert all(one.n == 3 for one in table.probes)
    assert table.setting["threads"] == 1 and table.environment["commit"]
    for one in table.probes:
        assert 0.5 < sum(one.parts_seconds) / one.seconds < 2
    assert said[0].startswith("pass 1: 0 of 20 networks")
    assert table.error.n >= 3 and table.error.median < 0.5


def test_without_evidence_there_is_no_table(monkeypatch):
    monkeypatch.setattr(room, "provenance", lambda *_: provenance("cpu") | {"commit": ""})
    with pytest.raises(UsageError, match="no result: commit"):
        measure_table(TableRequest(small_space(), 4_000_000, QUICK, probes=8, held_out=4, minutes=0.0))


def test_draws_are_in_the_range_and_the_same_again():
    space = load_space("mobilenet-se")
    nets = draw(space, 20, (50e6, 200e6), (1, 4), 3, "net")
    again = draw(space, 20, (50e6, 200e6), (1, 4), 3, "net")
    other = draw(space, 20, (50e6, 200e6), (1, 4), 4, "net")
    assert nets == again and nets != other
    for spec in nets:
        assert 50e6 <= count(spec).macs <= 200e6
        outs = [group.out for group in spec.groups]
        assert outs == sorted(outs)
        assert all(1 <= depth <= 4 for depth in spec.depths)
        assert all(1.49 <= group.hidden / group.out <= 6.01 for group in spec.groups)
    sizes = np.log([float(count(spec).macs) for spec in nets])
    assert sizes.max() - sizes.min() > np.log(2)


def test_a_range_without_networks_is_infeasible():
    with pytest.raises(InfeasibleError, match="mobilenet-se"):
        draw(load_space("mobilenet-se"), 4, (1e3, 1e4), (1, 2), 0, "net")


def test_too_few_networks_for_a_table():
    with pytest.raises(UsageError, match="at least 8"):
        measure_table(TableRequest(load_space("basic-cifar"), 1_000_000, QUICK, probes=4))


@pytest.mark.parametrize(
    ("setting", "words"),
    [
        (Setting(clock="thread", threads=2), "time of a thread"),
        (Setting(precision="fp64"), "unknown 'fp64'"),
        (Setting(layout="nchw"), "--layout"),
        (Setting(batch_size=0), "--batch-size"),
        (Setting(threads=0), "--threads"),
        (Setting(device="tpu"), "unknown device"),
        (Setting(precision="int8"), "8-bit"),
    ],
)
def test_impossible_settings_are_refused(setting, words):
    with pytest.raises(UsageError, match=words):
        measure_table(TableRequest(load_space("basic-cifar"), 4_000_000, setting, probes=8, held_out=4))
