"""The papers' numbers: the files hold what is printed, and what is recomputed is compared digit by digit."""

from collections import Counter
from dataclasses import replace
from decimal import Decimal
from functools import cache
from pathlib import Path

import pytest
import yaml

from madnas.errors import UsageError
from madnas.network.expand import segments
from madnas.papers import quantities as room
from madnas.papers.networks import KINDS, Network
from madnas.papers.printed import MISSING, PAPERS, SUBJECTS, cells
from madnas.papers.quantities import QUANTITIES, column
from madnas.papers.recompute import Result, network_of, recompute, result, with_digits
from madnas.program.recipe import recipe_files
from madnas.report.papers import papers_document, papers_markdown, summary, summary_markdown
from madnas.targets import find

MODULES = ("fvcore", "openmmlab", "macs+norms", "macs+norms+biases", "macs+norm outputs", "params+statistics")
"""What takes a module of every network."""

SLOW = ("zen", "search", "ethos-u55-256", "ethos-u65-512")
ABOUT = {"versions": {"madnas": "0"}, "hardware": "a machine", "commit": "0" * 40}


@cache
def all_cells():
    return [cell for paper in PAPERS for cell in cells(paper)]


def test_the_files_hold_the_papers_tables():
    tables = {paper: {cell.table for cell in cells(paper)} for paper in PAPERS}
    assert tables == {
        "deepmad": {*(str(number) for number in range(1, 12)), "Section 5.3", "Figure 3"},
        "zen-nas": {"4", "5", "6", "7", "Appendix G", "Appendix H"},
        "nn-mass": {"1", "2", "Section 4.2", "Appendix H.3", "Figure 3", "Figure 6", "Figure 9", "Figures 15 to 18"},
        "ran": {"1", "2", "3", "4", "7"},
    }
    assert len(all_cells()) > 850


def test_every_cell_can_be_computed_or_says_what_it_needs():
    for cell in all_cells():
        Decimal(cell.printed)
        assert bool(cell.quantity) != bool(cell.needs), cell
        assert cell.needs or column(cell.quantity).name in QUANTITIES, cell
        kind, name = cell.subject
        assert kind in SUBJECTS and (not kind.startswith("design") or name in recipe_files()), cell


def test_no_column_is_without_numbers():
    """RAN's Table 1 once had a column of accuracies without any of them."""
    for path in sorted(Path(room.__file__).parent.glob("*.yaml")):
        for table in yaml.safe_load(path.read_text())["tables"]:
            printed = {column for row in table["rows"] for column in row}
            columns = {*table.get("columns", {}), *table.get("needs", {})}
            assert columns and columns <= printed, (path.name, table["table"])


def test_a_ratio_of_a_network_to_itself_is_not_recomputed():
    speeds = [cell for cell in all_cells() if cell.quantity.startswith("ethos")]
    assert len(speeds) == 18 and all(cell.subject[1] != room.NPU_BASE for cell in speeds)


def test_a_network_that_cannot_be_rebuilt_is_not_left_out():
    found = {cell.column: cell.needs for cell in cells("ran") if cell.label == "SubNetwork-W"}
    assert set(found) == {"Params", "MACs", "Top-1", "Ethos-U55", "Ethos-U65"}
    assert all("not printed" in needs for needs in found.values())


def test_every_network_is_known():
    assert [*KINDS, MISSING] == list(SUBJECTS)
    for kind, name in {cell.subject for cell in all_cells()}:
        if kind in ("network", "collapsed", "backbone", "two_stage"):
            find(name)


@pytest.fixture(scope="module")
def quick():
    """Everything that takes no design, no forward passes and no compiler."""
    known = {}
    return [result(cell, network_of(cell, known)) for cell in all_cells() if is_quick(cell)]


def is_quick(cell):
    """Of a description in closed form, or a timm network's params, for which no weights are needed."""
    kind, word = cell.subject
    if cell.needs or kind not in ("network", "skip_cnn", "skip_mlp", "scaled", "networks"):
        return False
    if not word.startswith("timm/"):
        return column(cell.quantity).name not in (*SLOW, *MODULES)
    return column(cell.quantity).name == "params" and not any(size in word for size in ("base", "tnt_b", "101"))


def test_what_differs_has_a_reason(quick):
    assert len(quick) > 150
    assert [one for one in quick if one.verdict == "differs" and not one.why] == []


def test_most_numbers_come_out_to_every_digit(quick):
    counts = Counter(one.verdict for one in quick)
    assert counts["same"] >= 0.8 * len(quick)
    own = [one for one in quick if one.cell.paper == "nn-mass"]
    assert own and all(one.verdict == "same" for one in own)


def test_ways_of_counting_by_hand():
    network = Network("mobilenetv2-1.4")
    outputs = room.norm_outputs(network)
    assert outputs == sum(
        layer.outputs * segment.repeat for segment in segments_of(network) for layer in segment.layers if layer.norm
    )
    assert room.macs_and_norms(network) - room.macs(network) == 2 * outputs
    statistics = room.params_and_statistics(network) - room.params(network)
    assert statistics == sum(2 * layer.out_chs * segment.repeat
                             for segment in segments_of(network) for layer in segment.layers if layer.norm)  # fmt: skip
    assert room.macs(network) - room.macs_before_classifier(network) == 1792 * 1000


def segments_of(network):
    return list(segments(network.described))


def test_digits_are_rounded_or_cut_as_the_paper_does():
    assert with_digits(2.5, "3", False) == "3" and with_digits(2.999, "2", True) == "2"
    assert with_digits(0.0136, "0.01", False) == "0.01"


def test_a_wrong_number_would_be_seen():
    cell = next(cell for cell in cells("nn-mass") if cell.column == "NN-Mass")
    network = network_of(cell, {})
    assert result(cell, network).verdict == "same"
    wrong = result(replace(cell, printed="1127"), network)
    assert (wrong.verdict, wrong.difference) == ("differs", "-1")


def test_a_missing_extra_is_told_and_the_rest_computed(monkeypatch):
    def missing(network):
        raise UsageError("Vela is not installed", "pip install 'madnas[npu]'")

    monkeypatch.setitem(QUANTITIES, "ethos-u55-256", missing)
    cell = next(cell for cell in cells("ran") if cell.quantity == "ethos-u55-256")
    found = result(cell, network_of(cell, {}))
    assert found.verdict == "not installed" and "madnas[npu]" in found.why


def test_an_unknown_quantity_is_refused():
    with pytest.raises(UsageError, match="unknown quantity"):
        room.value(Network("resnet18"), column("beauty M"))


def test_documents_and_tables(quick):
    here = [*quick, *[one for one in recompute_nothing() if one.verdict == "not here"]]
    document = papers_document(here, ABOUT)
    assert document["schema"] == "madnas/paper-numbers/1" and len(document["results"]) == len(here)
    text = papers_markdown(here, ABOUT)
    assert text.count("\n| ") == len(quick)  # the head is the first line
    assert "imagenet/deepmad" in text and "a machine" in text
    short = summary_markdown(here, ABOUT)
    total = sum(row["recomputed"] for row in summary(here))
    assert f"| all | | {total} |" in short


def recompute_nothing():
    """The cells that need what is not here."""
    return [Result(cell, None, "", "not here", cell.needs) for cell in all_cells() if cell.needs]


@pytest.mark.slow
@pytest.mark.parametrize("paper", PAPERS)
def test_all_of_a_paper(paper):
    found = recompute([paper])
    assert [one for one in found if one.verdict == "differs" and not one.why] == []
    stale = [one for one in found if one.verdict == "same" and one.cell.why and one.cell.why not in shared_reasons()]
    assert stale == []


def shared_reasons():
    """Reasons that hold for a whole column, of which some numbers come out all the same."""
    folder = Path(room.__file__).parent
    return {
        reason
        for path in folder.glob("*.yaml")
        for table in yaml.safe_load(path.read_text())["tables"]
        for reason in table.get("why", {}).get("*", {}).values()
    }


def test_reasons_are_of_rows_and_columns_that_exist():
    for path in sorted(Path(room.__file__).parent.glob("*.yaml")):
        for table in yaml.safe_load(path.read_text())["tables"]:
            labels = {row["label"] for row in table["rows"]} | {"*"}
            for label, reasons in table.get("why", {}).items():
                assert label in labels and set(reasons) <= set(table.get("columns", {})), (path.name, label)
            for label, others in table.get("otherwise", {}).items():
                known = {*table.get("columns", {}), *table.get("needs", {})}
                assert label in labels and set(others) <= known, (path.name, label)
