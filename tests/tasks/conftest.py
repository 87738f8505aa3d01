"""Small sets in the formats of the real ones, made once."""

from pathlib import Path

import pytest

from madnas.data.shapes.write import write_shapes
from tests.tasks.shell import TEST, TRAIN, detection_job
from tests.train.shell import finish


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured shapes in COCO's layout."""
    folder = tmp_path_factory.mktemp("shapes") / "coco"
    write_shapes("detection", folder, TRAIN, TEST)
    return folder


@pytest.fixture(scope="session")
def whole(tmp_path_factory: pytest.TempPathFactory, shapes: Path) -> Path:
    """A run of detection that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    finish(detection_job(folder, shapes, "model_ema_decay=0.9"))
    return folder / "run"
