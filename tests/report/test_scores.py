"""Scores as one document and as a table."""

import csv
import io

from madnas.report.scores import SCHEMA, score_document, score_table

ONE = {"target": "a", "name": "A", "scores": {"params": {"value": 5, "std": 0.0, "n": 1}}}
OTHER = {
    "target": "b,c",
    "name": "B",
    "scores": {"params": {"value": 7, "std": 0.0, "n": 1}, "zen": {"value": 1.5, "std": 0.25, "n": 8}},
}


def test_document():
    assert score_document([ONE, OTHER]) == {"schema": SCHEMA, "results": [ONE, OTHER]}
    assert score_document([ONE], {"n": 3})["against"] == {"n": 3}
    assert SCHEMA == "madnas/score/1"


def test_table_has_spread_only_where_there_is_one():
    rows = list(csv.reader(io.StringIO(score_table([ONE, OTHER]))))
    assert rows == [
        ["target", "name", "params", "zen", "zen_std", "zen_n"],
        ["a", "A", "5", "", "", ""],
        ["b,c", "B", "7", "1.5", "0.25", "8"],
    ]
