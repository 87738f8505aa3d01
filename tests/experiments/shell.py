"""What the tests of the experiments share: small recipes, and the real process."""

import sys
from pathlib import Path
from typing import Any

import yaml

MAIN = """
import sys
from madnas.cli.experiment import experiment
from madnas.cli.main import app, run

if "experiment" not in {command.callback.__name__ for command in app.registered_commands}:
    app.command()(experiment)
if __name__ == "__main__":
    sys.exit(run(sys.argv[1:]))
"""
"""The program; it registers the verb where ``cli/main.py`` does not."""

COMMAND = [sys.executable, "-c", MAIN, "experiment"]

TINY: dict[str, Any] = {
    "schema": "madnas/experiment-recipe/1",
    "figure": "none",
    "dataset": "seg4",
    "samples": 120,
    "test_samples": 40,
    "depths": [4, 5, 6],
    "links": [0, 2, 4, 9],
    "width": 4,
    "repeats": 2,
    "activation": "relu",
    "epochs": 3,
    "batch_size": 50,
    "learning_rate": 0.01,
    "isometry_samples": 7,
}
"""A recipe that takes a tenth of a second."""


def write_recipe(folder: Path, **changes: Any) -> Path:
    """A small recipe file; a change to None leaves the key out."""
    values = {key: value for key, value in (TINY | changes).items() if value is not None}
    path = folder / "tiny.yaml"
    path.write_text(yaml.safe_dump(values))
    return path
