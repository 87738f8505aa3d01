"""What scripts write into READMEs: the parts between marks, and the console blocks of the topmost one.

Run: make tables        (runs every command of README.md and writes what it prints below it; tests/test_readme.py checks
that the blocks are what the commands print today)
"""

import os
import re
import shlex
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from madnas.files import write_text_atomic

ROOT = Path(__file__).resolve().parent.parent
README = ROOT / "README.md"
BLOCK = re.compile(r"```console\n\$ (madnas [^\n]*)\n(.*?)```", re.DOTALL)
TIMES = re.compile(
    r"\b\d+\.\d+ s\b|\(CasADi [\d.]+\)|\b\d+\.\d+ % after epoch \d+|\blast \d+\.\d+ %|\b\d+ (s|min)\b|[\d,]+ images/s"
)


def part_of(text: str, part: str = "table") -> tuple[str, str, str]:
    """A text before a part that a script writes, the part, and the text after it; both marks are outside the part.

    >>> part_of("a<!-- table: begin, written by `make tables` -->b<!-- table: end -->c")[1]
    'b'
    """
    begin, end = f"<!-- {part}: begin, written by `make tables` -->", f"<!-- {part}: end -->"
    before, rest = text.split(begin)
    inside, after = rest.split(end)
    return before + begin, inside, end + after


def write_part(readme: Path, lines: str | Sequence[str], part: str = "table") -> None:
    """Rewrite a part of a README.

    Args:
        readme: the file.
        lines: of the part, or its text.
        part: the name in its marks.
    """
    before, _, after = part_of(readme.read_text(encoding="utf-8"), part)
    text = lines if isinstance(lines, str) else "\n".join(lines)
    write_text_atomic(readme, before + "\n" + text.rstrip("\n") + "\n" + after, overwrite=True)


@dataclass(frozen=True, slots=True)
class Example:
    """A command of README and what README says that it prints."""

    command: str
    output: str


def examples(text: str) -> list[Example]:
    """Every console block of a Markdown text, in order."""
    return [Example(command, output) for command, output in BLOCK.findall(text)]


def run(commands: list[str]) -> Iterator[str]:
    """Run commands one after the other in a folder of their own, and give what each prints.

    Raises:
        CalledProcessError: a command failed.
    """
    with tempfile.TemporaryDirectory() as folder:
        for command in commands:
            arguments = [sys.executable, "-m", *shlex.split(command)]
            done = subprocess.run(
                arguments, cwd=folder, check=True, capture_output=True, text=True, env=dict(os.environ)
            )
            yield tidy(done.stdout)


def tidy(text: str) -> str:
    """Output without the blanks that tables leave at the ends of lines, and without empty lines around."""
    return "\n".join(line.rstrip() for line in text.strip("\n").splitlines()) + "\n"


def masked(text: str) -> str:
    """Output without what differs from machine to machine: times, versions, and the last digits of a training."""
    return TIMES.sub("*", text)


def main() -> None:
    """Rewrite every block."""
    text = README.read_text(encoding="utf-8")
    outputs = run([example.command for example in examples(text)])
    README.write_text(BLOCK.sub(lambda m: f"```console\n$ {m.group(1)}\n{next(outputs)}```", text), encoding="utf-8")


if __name__ == "__main__":
    main()
