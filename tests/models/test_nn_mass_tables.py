"""Tables 1 and 2 of NN-Mass, counted on the built modules as the paper counts."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from torch import nn

from madnas.measure.module_count import count_module
from madnas.models import build
from madnas.network import named
from madnas.network.spec import NetworkSpec

GOLDEN = yaml.safe_load((Path(__file__).parents[1] / "golden" / "nn_mass_published.yaml").read_text())


def shows(printed: str, value: float) -> bool:
    """Whether a value shows every digit that was printed."""
    return f"{value:.{len(printed.partition('.')[2])}f}" == printed


def norm_elements(model: nn.Module, spec: NetworkSpec) -> int:
    """Elements that the batch norms give out for one image."""
    seen: list[int] = []
    for part in model.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.register_forward_hook(lambda *args: seen.append(args[-1].numel()))
    with torch.no_grad():
        model.eval()(torch.zeros(1, *spec.input))
    return sum(seen)


def test_golden_file_is_whole() -> None:
    mine = {*GOLDEN["cifar"], *(name for name in GOLDEN["imagenet"] if name.startswith("nnmass"))}
    assert mine == {name for name in named.names() if name.startswith("nnmass")}


@pytest.mark.parametrize(("name", "printed"), GOLDEN["cifar"].items())
def test_table_1(name: str, printed: dict[str, Any]) -> None:
    spec = named.get(name)
    model = build(spec)
    counts = count_module(model, spec.input)
    assert shows(printed["params"], counts.params / 1e6)
    assert shows(printed["flops"], 2 * (counts.macs + norm_elements(model, spec)) / 1e9)
    assert sum(spec.depths) + 4 == printed["layers"]


def test_table_1_is_not_met_without_its_batch_norms() -> None:
    # The second row tells the conventions apart: 2.53 G without them.
    spec = named.get("nnmass-cifar-8.2m")
    assert not shows(GOLDEN["cifar"][spec.name]["flops"], 2 * count_module(build(spec), spec.input).macs / 1e9)


@pytest.mark.parametrize(("name", "printed"), GOLDEN["imagenet"].items())
def test_table_2(name: str, printed: dict[str, Any]) -> None:
    spec = named.get(name)
    model = build(spec)
    counts = count_module(model, spec.input)
    assert shows(printed["params"], counts.params / 1e6)
    assert shows(printed["macs"], (counts.macs + 2 * norm_elements(model, spec)) / 1e6)


def test_seed_changes_the_links_and_no_cost() -> None:
    spec = named.get("nnmass-cifar-3.8m")
    other = replace(spec, groups=tuple(replace(group, seed=7) for group in spec.groups))
    assert count_module(build(other), spec.input) == count_module(build(spec), spec.input)


RAN_I = yaml.safe_load((Path(__file__).parents[1] / "golden" / "ran_i_published.yaml").read_text())


@pytest.mark.parametrize(("name", "printed"), RAN_I.items())
def test_ran_table_7(name: str, printed: dict[str, Any]) -> None:
    spec = named.get(name)
    counts = count_module(build(spec), spec.input)
    assert [group.out for group in spec.groups] == printed["widths"]
    assert list(spec.depths) == printed["depths"]
    assert shows(printed["params"], counts.params / 1e6)
    total = (counts.macs + sum(counts.other.values())) / 1e9
    assert shows(printed["macs"], int(100 * total) / 100)  # two digits, cut off
