"""The papers' files: how a row is read, and what is refused."""

from pathlib import Path

import pytest

from madnas.errors import SpecError
from madnas.papers import printed
from madnas.papers.printed import cells
from madnas.report.papers import papers_markdown
from tests.papers.test_papers import ABOUT, recompute_nothing

FILE = """
schema: madnas/paper/2
paper: toy
title: Toy
tables:
  - table: "3"
    columns: {{size: params M, cost: macs G}}
    needs: {{accuracy: "ImageNet"}}
    otherwise: {{b: {{cost: openmmlab G, accuracy: "a teacher"}}}}
    why: {{"*": {{cost: "rounded"}}, b: {{cost: "counted otherwise"}}}}
    rows:
{rows}
"""


@pytest.fixture
def toy(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """Cells of a file with these rows."""
    monkeypatch.setattr(printed, "__file__", str(tmp_path / "printed.py"))

    def read(*rows: str):
        (tmp_path / "toy.yaml").write_text(FILE.format(rows="\n".join(f"      - {{{row}}}" for row in rows)))
        return list(cells("toy"))

    return read


def test_columns_have_quantities_and_needs(toy):
    size, cost, accuracy = toy('label: a, network: resnet18, size: "1", cost: "2", accuracy: "3"')
    assert (size.quantity, size.why, size.needs) == ("params M", "", "")
    assert (cost.quantity, cost.why, cost.needs) == ("macs G", "rounded", "")
    assert (accuracy.quantity, accuracy.why, accuracy.needs) == ("", "", "ImageNet")
    assert size.subject == ("network", "resnet18") and size.size is None and size.place == "Table 3"


def test_a_row_may_be_counted_otherwise(toy):
    cost, accuracy = toy('label: b, network: resnet18, cost: "2", accuracy: "3"')
    assert (cost.quantity, cost.why, accuracy.needs) == ("openmmlab G", "counted otherwise", "a teacher")


def test_nothing_of_a_missing_network_is_computed(toy):
    found = toy('label: b, missing: "its structure", size: "1", cost: "2", accuracy: "3"')
    assert {(cell.quantity, cell.why, cell.needs) for cell in found} == {("", "", "its structure")}


@pytest.mark.parametrize(("text", "size"), [("300", (300, 300)), ("800x1280", (800, 1280))])
def test_images_of_another_size(toy, text, size):
    assert toy(f'label: a, network: resnet18, input: "{text}", size: "1"')[0].size == size


@pytest.mark.parametrize(
    "row",
    [
        'network: resnet18, size: "1"',
        'label: a, size: "1"',
        'label: a, network: resnet18, design: 29m, size: "1"',
        'label: a, network: resnet18, colour: "1"',
    ],
)
def test_a_row_needs_a_label_one_subject_and_known_columns(toy, row):
    with pytest.raises(SpecError, match="table 3: a row needs"):
        toy(row)


def test_a_size_is_height_and_width(toy):
    with pytest.raises(SpecError, match="300 or 800x1280"):
        toy('label: a, network: resnet18, input: "wide", size: "1"')


def test_what_is_not_here_is_told_once_for_each_reason():
    lines = [line for line in papers_markdown(recompute_nothing(), ABOUT).splitlines() if line.startswith("- ")]
    (structures,) = [line for line in lines if line.startswith("- Zen-NAS, Table 7, DNANet-a, ")]
    assert "OFANet-595M*" in structures and structures.endswith(
        "needs its structure, which neither madnas nor timm has"
    )
    assert len(lines) == len(set(lines)) < 70
