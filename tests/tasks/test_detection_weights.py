"""Weights that a detector starts from: a classifier's, another detector's, and none that fit."""

import pytest
import torch
from safetensors.torch import load_file
from torch import nn

from madnas.data.source import Facts
from madnas.errors import UsageError
from madnas.models.weights import weights
from madnas.targets import find
from madnas.tasks.detection import TASK
from madnas.train.model import build_model, fitted
from madnas.train.recipe import load_recipe
from madnas.train.run import train
from tests.tasks.shell import detection_job, engine_of, network
from tests.train.shell import finish


def classifier(folder, shapes, name="tiny"):
    """A network with a head, and its weights in a file, as a run leaves them."""
    facts = Facts(8, 8, 10, (3, 64, 64), (0.5,) * 3, (0.5,) * 3)
    target = find(network(folder)) if name == "tiny" else find(name)
    model = build_model(fitted(target, facts), facts, load_recipe("digits/quick"), 5)
    (folder / "best.safetensors").write_bytes(weights(model))
    return target, model


@pytest.mark.parametrize("name", ["tiny", "timm/mobilenetv3_small_050"])
def test_a_classifiers_weights_become_the_backbones(tmp_path, shapes, name):
    target, model = classifier(tmp_path, shapes, name)
    one = detection_job(tmp_path, shapes)
    engine, _ = engine_of(one.recipe, target, shapes)
    told = TASK.load_initial(engine.model, tmp_path / "best.safetensors")
    body = engine.model.backbone.maps.body
    number = len(body.state_dict())
    assert f"gives {number} of the backbone's {number} tensors, and 0 of the" in told
    image = torch.rand(1, 3, 64, 64)
    maps, body = model.eval().forward_intermediates(image, intermediates_only=True), body.eval()
    last = body(image)[-1]
    assert any(torch.allclose(last, one, atol=1e-5) for one in maps if one.shape == last.shape)


def test_weights_of_another_network_are_refused(tmp_path, shapes):
    classifier(tmp_path, shapes, "resnet20")
    one = detection_job(tmp_path, shapes, initial_checkpoint=tmp_path / "best.safetensors")
    with pytest.raises(UsageError, match=r"weights of another network: \d+ of the backbone's"):
        finish(one)


def test_a_detectors_weights_are_taken_whole(tmp_path, shapes, whole):
    one = detection_job(tmp_path, shapes)
    engine, _ = engine_of(one.recipe, one.target, shapes)
    told = TASK.load_initial(engine.model, whole / "best.safetensors")
    heads = sum(not name.startswith("backbone.maps.body") for name in engine.model.state_dict())
    assert f"{heads} of the {heads} others" in told


def test_frozen_norms_want_weights_and_stay_as_these_have_them(tmp_path, shapes):
    with pytest.raises(UsageError, match="freeze_norm: the backbone's batch norms stay"):
        finish(detection_job(tmp_path, shapes, "freeze_norm=true"))
    _, model = classifier(tmp_path, shapes)
    for module in model.modules():
        if isinstance(module, nn.BatchNorm2d):
            module.running_mean.fill_(0.25)
    (tmp_path / "best.safetensors").write_bytes(weights(model))
    told = []
    one = detection_job(tmp_path, shapes, "freeze_norm=true", "epochs=1",
                        initial_checkpoint=tmp_path / "best.safetensors")  # fmt: skip
    train(one, lambda progress: None, told.append)
    assert any("of the backbone's" in text for text in told)
    found = load_file(tmp_path / "run" / "last.safetensors")
    means = [value for name, value in found.items() if name.endswith("running_mean")]
    assert means and all((mean == 0.25).all() for mean in means)
