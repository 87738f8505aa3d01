"""What ``madnas/tasks/README.md`` shows works."""

import re
from pathlib import Path
from typing import Any

import pytest
import torch

BLOCKS = re.findall(
    r"```python\n(.*?)```", (Path(__file__).parents[2] / "madnas" / "tasks" / "README.md").read_text(), re.DOTALL
)


def test_all_blocks_are_here() -> None:
    assert len(BLOCKS) == 3


def test_backbones(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from madnas.network.specfile import dump_spec
    from tests.models.examples import EXAMPLES

    (tmp_path / "net.yaml").write_text(dump_spec(EXAMPLES["basic-conv"]))
    monkeypatch.chdir(tmp_path)
    names: dict[str, Any] = {}
    with torch.device("meta"):
        exec(BLOCKS[0], names)
    assert names["body"].feature_info.channels() == [512, 1024, 1232]
    assert names["body"].feature_info.reduction() == [8, 16, 32]


def test_detection() -> None:
    torch.manual_seed(0)
    names: dict[str, Any] = {}
    exec(BLOCKS[1].replace("480, 640", "96, 128"), names)
    losses = names["losses"]
    assert set(losses) == {"classification", "bbox_regression", "bbox_ctrness"}
    assert all(torch.isfinite(loss) for loss in losses.values())


def test_segmentation() -> None:
    pytest.importorskip("segmentation_models_pytorch")
    names: dict[str, Any] = {}
    exec(BLOCKS[2], names)
    assert names["model"].eval()(torch.zeros(1, 3, 64, 96)).shape == (1, 150, 64, 96)
