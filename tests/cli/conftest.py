"""Settings of the tests of the command line."""

import pytest

from madnas.cli import progress


@pytest.fixture(autouse=True)
def no_progress(monkeypatch):
    """A busy machine, on which a command is slow, is told no more than a fast one: stderr is what it is."""
    monkeypatch.setattr(progress, "INTERVAL", float("inf"))
