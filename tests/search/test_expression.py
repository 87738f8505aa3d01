"""Expressions over scores: what they mean, and what is refused."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import UsageError
from madnas.search.expression import parse

KNOWN = ["zen", "zen-closed", "macs", "params", "te-nas", "latency"]


@pytest.mark.parametrize(
    "text, value",
    [
        ("zen", 60.0),
        ("zen - 0.1*macs/1G", 60 - 0.1 * 2),
        ("zen-macs/1G", 58.0),
        ("zen-closed - zen", -5.0),
        ("-te-nas", 7.0),
        ("zen:2, params:1e-6", 120 + 3.0),
        ("zen - params/1M:2, macs/1G:-1", 2 * (60 - 3.0) - 2.0),
        ("log(params/1M) * 2 ** 3", np.log(3) * 8),
        ("min(zen, 10) + max(zen, 100)", 110.0),
        ("zen - latency/0.5ms", 60 - 4.0),
        ("sqrt(abs(-te-nas * te-nas))", 7.0),
    ],
)
def test_values(text, value):
    values = {"zen": 60.0, "zen-closed": 55.0, "macs": 2e9, "params": 3e6, "te-nas": -7.0, "latency": 2e-3}
    assert parse(text, KNOWN)(values) == pytest.approx(value)


def test_arrays_give_what_numbers_give():
    expression = parse("max(zen, 2) / sqrt(params) - log(macs)", KNOWN)
    columns = {name: np.array([1.0, 3.0, 9.0]) for name in expression.names}
    each = [expression({name: column[i] for name, column in columns.items()}) for i in range(3)]
    assert expression(columns) == pytest.approx(each)


@pytest.mark.parametrize("text", ["zen / (params - params)", "log(zen - zen)", "zen ** 9999", "sqrt(-zen)"])
def test_no_value_is_not_a_number(text):
    values = {"zen": 60.0, "params": 1.0}
    assert not np.isfinite(parse(text, KNOWN)(values))
    columns = {name: np.array([value]) for name, value in values.items()}
    assert not np.isfinite(parse(text, KNOWN)(columns)).any()


@pytest.mark.parametrize(
    "text, part",
    [
        ("zan", "did you mean 'zen'"),
        ("zen - maccs", "did you mean 'macs'"),
        ("zen - 1X", "unknown unit '1X'"),
        ("", "is empty"),
        ("zen +", "is no arithmetic expression"),
        ("3 * 4", "has no score"),
        ("min(zen)", "gives min() 1 values; it takes 2"),
        ("__import__('os')", "in it"),
        ("zen.real", "in it"),
        ("zen if zen else macs", "unknown score 'if'"),
        ("zen:1,macs", "is no list"),
        ("(zen, macs)", "is no arithmetic expression"),
        ("zen" + "+zen" * 200, "more than 400"),
        ("log", "is no arithmetic expression"),
    ],
)
def test_refused(text, part):
    with pytest.raises(UsageError) as error:
        parse(text, KNOWN)
    assert part in str(error.value)


@settings(max_examples=40)
@given(st.text(max_size=40))
def test_any_text_is_read_or_refused(text):
    try:
        expression = parse(text, KNOWN)
    except UsageError:
        return
    expression(dict.fromkeys(KNOWN, 2.0))


def test_other_scores_in_the_same_place():
    assert parse("zen - macs", KNOWN).renamed({"zen": "zen-closed"})({"zen-closed": 5.0, "macs": 1.0}) == 4.0


@pytest.mark.parametrize(
    "text",
    [
        "zen + 1/0",
        "zen + log(0-1)",
        "10**10**10 * zen",
        "zen + (0-8)**0.5",
        "abs((0-zen)**0.5)",
        "min((0-zen)**0.5, 3)",
    ],
)
def test_numbers_and_arrays_agree_on_what_is_not_finite(text):
    expression = parse(text, ["zen"])
    assert not np.isfinite(expression({"zen": 4.0}))
    assert not np.isfinite(expression({"zen": np.array([4.0, 5.0])})).any()


def test_a_number_that_is_too_large_is_refused():
    with pytest.raises(UsageError, match="too large"):
        parse("zen + 1e400", ["zen"])
