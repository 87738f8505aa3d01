"""All scores of a target as plain data."""

import json

import pytest

from madnas.measure import verify as verify_module
from madnas.models import build
from madnas.network.analyse import analyse
from madnas.network.count import count
from madnas.network.mass import nn_mass
from madnas.network.named import get
from madnas.scores.evaluate import Request, evaluate, evaluate_module
from madnas.scores.subject import Subject
from madnas.targets import find


@pytest.mark.parametrize("name", ["deepmad-r18", "deepmad-29m", "resnet20"])
def test_scores_are_those_of_the_network(name):
    result = evaluate(Request(name.upper()))
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
    assert (result["target"], result["name"]) == (name.upper(), name)
    assert set(result["nn_mass_policies"]) == {group.block for group in spec.groups}
    assert all((score["std"], score["n"]) == (0.0, 1) for score in result["scores"].values())
    assert result["input"] == list(spec.input)
    assert [stage["entropy"] for stage in result["stages"]] == list(structure.entropies)
    assert json.loads(json.dumps(result)) == result
    assert "verified" not in result


def test_recount(monkeypatch):
    assert evaluate(Request("resnet20", verify=True))["verified"] == {"matches": True, "mismatches": []}
    other = verify_module.build
    monkeypatch.setattr(verify_module, "build", lambda spec: other(spec).requires_grad_(False))
    verified = evaluate(Request("resnet20", verify=True))["verified"]
    assert not verified["matches"]
    assert verified["mismatches"][0].startswith("Mismatch(quantity='params'")


@pytest.mark.parametrize(
    ("word", "library"),
    [("torchvision/resnet18", "torchvision"), ("mobilenetv3_small_050", "timm"), ("googlenet", "torchvision")],
)
def test_words_of_libraries(word, library):
    target = find(word)
    assert (target.spec, target.library) == (None, library)
    assert find("timm/resnet18d").spec is not None


def test_heads_for_training_alone_do_not_count():
    """torchvision's documentation: GoogLeNet has 6.62 M parameters and 1.50 G multiply-adds."""
    scores = evaluate(Request("torchvision/googlenet"))["scores"]
    assert round(scores["params"]["value"] / 1e6, 2) == 6.62
    assert round(scores["macs"]["value"] / 1e9, 2) == 1.5


def test_a_module_from_python():
    found = evaluate_module(Subject("mine", lambda: build(get("resnet20")), (3, 32, 32)), ["synflow"], repeats=2)
    described = evaluate(Request("resnet20"))["scores"]
    for name in ("params", "macs", "layers", "rho", "entropy", "nn-mass"):
        assert found["scores"][name]["value"] == pytest.approx(described[name]["value"])
    assert found["scores"]["synflow"]["n"] == 2
    assert found["settings"]["repeats"] == 2


def test_a_chain_without_links_has_mass_0():
    assert evaluate(Request("torchvision/vgg11_bn"))["scores"]["nn-mass"]["value"] == 0
    assert evaluate(Request("vgg11"))["scores"]["nn-mass"]["value"] == 0


def test_a_traced_network_has_the_scores_of_its_description():
    traced, described = (
        evaluate(Request("torchvision/resnet18", resolution=(64, 64))),
        evaluate(Request("resnet18", resolution=(64, 64))),
    )
    for name in ("params", "macs", "activations", "layers", "width", "rho", "entropy", "nn-mass", "density"):
        assert traced["scores"][name]["value"] == pytest.approx(described["scores"][name]["value"]), name
    assert traced["stages"] == [pytest.approx(stage) for stage in described["stages"]]
    assert traced["blocks"] == {"basic": 8}
    assert set(traced["failed"]) == {"objective", "units"}


def test_what_a_transformer_does_not_have_is_said():
    result = evaluate(Request("timm/vit_tiny_patch16_224", ("zen", "naswot"), repeats=1))
    assert set(result["scores"]) == {"params", "macs", "activations"}
    always = {"layers", "width", "rho", "entropy", "objective", "nn-mass", "density", "units"}
    assert set(result["failed"]) == always | {"zen", "naswot"}
    assert "tokens" in result["failed"]["entropy"]


def test_verify_needs_a_description():
    result = evaluate(Request("timm/mnasnet_100", verify=True))
    assert "has no description" in result["failed"]["recount"]
    assert "verified" not in result


def test_progress_is_told():
    told = []
    evaluate(Request("resnet20", ("zen-closed", "synflow"), repeats=1), told.append)
    assert told == [0, 0.5]


def test_backbone_of_a_network_without_a_description() -> None:
    ours, theirs, none = (
        evaluate(Request(word, resolution=(32, 40), backbone=True))
        for word in ("resnet18", "timm/resnet18.a1_in1k", "torchvision/squeezenet1_1")
    )
    assert theirs["scores"]["backbone-macs"] == ours["scores"]["backbone-macs"]
    assert theirs["scores"]["backbone-params"] == ours["scores"]["backbone-params"]
    assert "backbone-macs" not in none["scores"]
    assert "only timm's models" in none["failed"]["backbone-params"]
