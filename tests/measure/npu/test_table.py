"""RAN's tables in the README: what is said of the rows has to follow from them."""

import pytest

from benchmarks.npu_table import BASE, COMPARED, NPUS, PRINTED, README, agreement


def ratios_of(npu):
    """Frames per second over the base's in one NPU's table; its differences have too few digits to be counted."""
    _, _, text = README.read_text(encoding="utf-8").partition(f"| {npu} | printed |")
    rows = (line.strip("| ").split(" | ") for line in text.partition("\n\n")[0].splitlines()[2:])
    speeds = {row[0]: float(row[5]) for row in rows}
    return {name: speed / speeds[BASE] for name, speed in speeds.items()}


@pytest.mark.parametrize(("npu", "near"), [("ethos-u55-256", 5), ("ethos-u65-512", 1)])
def test_the_network_that_all_are_divided_by_is_no_agreement(npu, near):
    column, found = NPUS.index(npu), ratios_of(npu)
    assert set(found) == set(PRINTED)
    others = set(found) - {BASE, f"{BASE}, H-Swish", "SubNetwork-W"}
    assert sum(abs(found[name] - PRINTED[name][column]) <= 0.02 for name in others) == near
    said = agreement({name: found[name] for name in COMPARED}, column)
    assert said.startswith(f"within 0.02 of the paper for {near} of the 7 networks other than {BASE}")
    (line,) = (line for line in README.read_text(encoding="utf-8").splitlines() if line.startswith(f"- {npu} at"))
    assert said in line
