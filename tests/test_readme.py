"""README's commands print what README shows, times and versions aside."""

from benchmarks import paper_table
from benchmarks.readme import README, examples, masked, run


def test_every_console_block_is_what_its_command_prints():
    shown = examples(README.read_text(encoding="utf-8"))
    assert len(shown) >= 4
    for example, printed in zip(shown, run([one.command for one in shown]), strict=True):
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
