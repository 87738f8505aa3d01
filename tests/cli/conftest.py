"""Tests of the command line see no terminal: tables are as wide as in a file, whatever runs the tests."""

import pytest


@pytest.fixture(autouse=True)
def no_terminal(monkeypatch):
    for name in ("COLUMNS", "LINES", "FORCE_COLOR", "TTY_COMPATIBLE"):
        monkeypatch.delenv(name, raising=False)
