"""Scores as one document and as a table."""

import csv
import io

from madnas.report.scores import SCHEMA, score_document, score_table

ONE = {"target": "a", "name": "A", "input": [3, 8, 8],
       "scores": {"params": {"value": 5, "std": 0.0, "n": 1}}, "failed": {"zen": "no norms"}}  # fmt: skip
OTHER = {
    "target": "b,c",
    "name": "B",
    "input": [3, 8, 8],
    "failed": {},
    "scores": {"params": {"value": 7, "std": 0.0, "n": 1}, "zen": {"value": 1.5, "std": 0.25, "n": 8}},
}


def test_document():
    assert score_document([ONE, OTHER]) == {"schema": SCHEMA, "results": [ONE, OTHER]}
    assert score_document([ONE], {"n": 3})["against"] == {"n": 3}
    assert SCHEMA == "madnas/score/1"


def test_table_has_spread_only_where_there_is_one():
    rows = list(csv.reader(io.StringIO(score_table([ONE, OTHER]))))
    assert rows == [
        ["target", "name", "params", "zen", "zen_std", "zen_n", "input", "failed"],
        ["a", "A", "5", "", "", "", "3x8x8", "zen: no norms"],
        ["b,c", "B", "7", "1.5", "0.25", "8", "3x8x8", ""],
    ]
    assert score_table([ONE], ["zen"]).splitlines()[0] == "target,name,params,zen,input,failed"
