"""README's commands print what README shows, times and versions aside."""

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
