"""README's commands print what README shows, times and versions aside."""

import shlex

import pytest

from benchmarks import paper_table
from benchmarks.readme import README, Example, examples, masked, run, tidy
from madnas.cli.main import run as madnas

LONG = ("--rho 0.1,0.2,0.3", "--recipe r18-rho0.3", "train small.yaml")
"""Words of commands that take ten seconds and more."""


def shown() -> list[Example]:
    return examples(README.read_text(encoding="utf-8"))


def test_console_blocks_are_what_their_commands_print(tmp_path, monkeypatch, capsys):
    """One after the other in one folder, because some read what others wrote; but for the long ones."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("madnas.scores.batch.process_count", lambda *_: 1)  # others take seconds to start
    quick = [example for example in shown() if not any(words in example.command for words in LONG)]
    assert len(quick) == len(shown()) - len(LONG) >= 4
    for example in quick:
        assert madnas(shlex.split(example.command)[1:]) == 0
        assert masked(tidy(capsys.readouterr().out)) == masked(example.output), example.command


@pytest.mark.slow
def test_every_console_block_is_what_its_command_prints():
    """Each in a process of its own, as the reader runs it."""
    for example, printed in zip(shown(), run([one.command for one in shown()]), strict=True):
        assert masked(printed) == masked(example.output), example.command


def test_the_two_commands_are_targets_of_the_makefile():
    readme = README.read_text(encoding="utf-8")
    makefile = (README.parent / "Makefile").read_text(encoding="utf-8")
    for target in ("design-demo", "test"):
        assert f"make {target}\n" in readme
        assert f"\n{target}:" in makefile


def test_the_papers_numbers_are_those_of_their_own_page():
    page, readme = (path.read_text(encoding="utf-8") for path in (paper_table.README, README))
    assert paper_table.summary_of(page) == paper_table.summary_of(readme)
    assert "| all |" in paper_table.summary_of(readme)
