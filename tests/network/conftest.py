"""Values of the golden file."""

from pathlib import Path
from typing import Any

import pytest
import yaml

GOLDEN = Path(__file__).parents[1] / "golden" / "deepmad_published.yaml"


@pytest.fixture(scope="session")
def golden() -> dict[str, Any]:
    return yaml.safe_load(GOLDEN.read_text())
