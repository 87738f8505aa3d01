"""Scores as one document."""

import json
from types import SimpleNamespace

import pytest

from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.report.scores import SCHEMA, Scored, score_document


def scored(name, verification=None):
    spec = get(name)
    return Scored(name.upper(), spec, count(spec), analyse(spec), nn_mass(spec), verification=verification)


def test_is_plain_data_with_a_result_for_each_target():
    document = score_document([scored("resnet18"), scored("deepmad-r18"), scored("resnet18")])
    assert json.loads(json.dumps(document)) == document
    assert document["schema"] == SCHEMA == "madnas/score/1"
    assert [result["target"] for result in document["results"]] == ["RESNET18", "DEEPMAD-R18", "RESNET18"]
    assert [result["name"] for result in document["results"]] == ["resnet18", "deepmad-r18", "resnet18"]
    assert document["results"][0] == document["results"][2]


@pytest.mark.parametrize("name", ["deepmad-r18", "deepmad-29m", "resnet20"])
def test_scores_are_those_of_the_network(name):
    (result,) = score_document([scored(name)])["results"]
    spec = get(name)
    structure = analyse(spec)
    assert {key: score["value"] for key, score in result["scores"].items()} == {
        **{cost: getattr(count(spec), cost) for cost in ("params", "macs", "activations", "layers")},
        "width": structure.width,
        "rho": structure.rho,
        "entropy": structure.weighted_entropy(),
        "objective": structure.objective(),
        "nn-mass": nn_mass(spec).mass,
        "density": nn_mass(spec).density,
        "units": nn_mass(spec).units,
    }
    assert set(result["nn_mass_policies"]) == {group.block for group in spec.groups}
    assert all((score["std"], score["n"]) == (0.0, 1) for score in result["scores"].values())
    assert result["input"] == list(spec.input)
    assert [stage["entropy"] for stage in result["stages"]] == list(structure.entropies)
    assert sum(stage["layers"] for stage in result["stages"]) == count(spec).layers


def test_recount_is_shown_where_there_was_one():
    assert "verified" not in score_document([scored("resnet20")])["results"][0]
    for mismatches in ((), ("params: 1 and 2",)):
        (result,) = score_document([scored("resnet20", SimpleNamespace(mismatches=mismatches))])["results"]
        assert result["verified"] == {"matches": not mismatches, "mismatches": list(mismatches)}
