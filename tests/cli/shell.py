"""What the tests of the command line share: a quick design, and the real process."""

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

from madnas.cli.main import run

MADNAS = [sys.executable, "-m", "madnas"]
QUICK = ["design", "--space", "mlp", "--params", "100K"]
"""A design that takes a few hundredths of a second."""

SWEEP = [*QUICK[:-1], "60K,100K", "--rho", "0.1,0.2"]
"""Four of them."""

COUNTS = {"params", "macs", "activations", "layers"}
"""What a design and a score count."""


def madnas(*arguments: str, cwd: Path | None = None, **options: Any) -> subprocess.CompletedProcess:
    """Run the command as a process of its own."""
    return subprocess.run([*MADNAS, *arguments], cwd=cwd, capture_output=True, text=True, timeout=120, **options)


def document(capsys: Any, *arguments: str) -> Any:
    """The one JSON document that a command prints, and nothing else."""
    assert run([*arguments, "--json"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    found, end = json.JSONDecoder(parse_constant=lambda name: 1 / 0).raw_decode(out)
    assert out[end:] == "\n"
    return found


def refused(capsys: Any, *arguments: str, code: int = 2) -> str:
    """The message of a command that fails: one line and perhaps a hint, nothing on stdout."""
    assert run(list(arguments)) == code
    out, err = capsys.readouterr()
    assert out == ""
    first, *rest = err.splitlines()
    assert first.startswith("madnas: ")
    assert first.removeprefix("madnas: ").strip()
    assert len(rest) <= 1 and all(line.startswith("hint: ") for line in rest)
    return err
