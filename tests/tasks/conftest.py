"""Small sets in the formats of the real ones, made once."""

from pathlib import Path

import pytest

from madnas.data.shapes.write import write_shapes
from tests.tasks.shell import TEST, TRAIN


@pytest.fixture(scope="session")
def shapes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Coloured shapes in COCO's layout."""
    folder = tmp_path_factory.mktemp("shapes") / "coco"
    write_shapes("detection", folder, TRAIN, TEST)
    return folder
