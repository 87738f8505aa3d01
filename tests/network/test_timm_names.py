"""Every network of timm's that has a description: its input and its params are those of the description."""

import pytest
import timm
import torch

from madnas.network.count import count
from madnas.network.specfile import check_spec
from madnas.network.target import resolve
from madnas.network.timm_names import RESNETS, timm_spec

DESCRIBED = [name for name in timm.list_models() if timm_spec(name) is not None]


def test_as_many_as_are_listed():
    assert len(DESCRIBED) > 110
    assert set(RESNETS) <= set(DESCRIBED)
    assert not {"resnetv2_50", "regnetz_c16", "convnext_tiny_hnf", "vit_tiny_patch16_224"} & set(DESCRIBED)


@pytest.mark.parametrize("step", [7, pytest.param(1, marks=pytest.mark.slow)], ids=["every seventh", "all"])
def test_params_and_input_are_timms(step):
    for name in DESCRIBED[::step]:
        spec = check_spec(resolve(f"timm/{name}"))
        with torch.device("meta"):
            model = timm.create_model(name)
        assert count(spec).params == sum(parameter.numel() for parameter in model.parameters()), name
        assert spec.input == model.default_cfg["input_size"], name
