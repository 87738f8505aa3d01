"""Quantities: what is typed is what is meant, to the last unit, and a budget never grows."""

from decimal import Decimal

import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st

from madnas.errors import UsageError
from madnas.units import SUFFIXES, format_quantity, parse_quantity, parse_size, short_quantity

COUNTS = st.integers(1, 10**18)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("4.5G", 4_500_000_000),
        ("29M", 29_000_000),
        ("11.69M", 11_690_000),  # 11689999.999999998 in floats
        ("1.82G", 1_820_000_000),
        ("0.3K", 300),
        ("2T", 2_000_000_000_000),
        ("71", 71),
        ("4.5e9", 4_500_000_000),
        ("4.5E+9", 4_500_000_000),
        ("1e3K", 1_000_000),
        (".5M", 500_000),
        ("5.M", 5_000_000),
        ("+5M", 5_000_000),
        (" 4.5 G ", 4_500_000_000),
        ("1", 1),
        ("1e18", 10**18),
        ("1.9999", 1),  # down, never up
        ("0.0015K", 1),
        ("123456789012345678", 123456789012345678),  # not through a float
        ("1.000000000000000001G", 1_000_000_000),
    ],
)
def test_reads(text, value):
    found = parse_quantity(text, "--macs")
    assert found == value
    assert isinstance(found, int)


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("4.5g", "4.5G"),
        ("29m", "29M"),
        ("29B", "29G"),
        ("29b", "29G"),
        ("29X", "4.5G, 29M or 4.5e9"),
        ("29Mi", "4.5G, 29M or 4.5e9"),
        ("29MB", "4.5G, 29M or 4.5e9"),
        ("29MM", "4.5G, 29M or 4.5e9"),
        ("", "4.5G, 29M or 4.5e9"),
        ("many", "4.5G, 29M or 4.5e9"),
        ("M", "4.5G, 29M or 4.5e9"),
        ("4,5G", "4.5G, 29M or 4.5e9"),
        ("4.5.1G", "4.5G, 29M or 4.5e9"),
        ("4_500_000", "4.5G, 29M or 4.5e9"),
        ("0x10", "4.5G, 29M or 4.5e9"),
        ("nan", "4.5G, 29M or 4.5e9"),
        ("inf", "4.5G, 29M or 4.5e9"),
        ("1e", "4.5G, 29M or 4.5e9"),
        ("--5M", "4.5G, 29M or 4.5e9"),
        ("5M\n6M", "4.5G, 29M or 4.5e9"),
    ],
    ids=repr,
)
def test_what_cannot_be_read_is_refused_with_what_could_be(text, hint):
    with pytest.raises(UsageError, match="--macs: cannot read ") as caught:
        parse_quantity(text, "--macs")
    assert repr(text) in str(caught.value)
    assert hint in str(caught.value.hint)


@pytest.mark.parametrize("text", ["0", "-1", "-4.5G", "0.9999", "0G", "1e19", "2e18", "1e400", "1e-400", "1e999999999"])
def test_what_is_no_budget_is_refused(text):
    with pytest.raises(UsageError, match=r"--params: (must be above 0|.*out of range)"):
        parse_quantity(text, "--params")


@given(COUNTS)
@example(10**18)
@example(999_999_999_999_999_999)
@example(1)
def test_format_reads_back(value):
    assert parse_quantity(format_quantity(value), "n") == value


@given(st.decimals(min_value=1, max_value=10**9, places=9), st.sampled_from(sorted(SUFFIXES)))
def test_a_budget_is_never_rounded_up(number, suffix):
    exact = number * Decimal(10) ** SUFFIXES[suffix]
    assume(1 <= exact <= 10**18)
    found = parse_quantity(f"{number:f}{suffix}", "n")
    assert found <= exact < found + 1


@given(COUNTS)
def test_format_is_short_and_has_a_known_suffix(value):
    text = format_quantity(value)
    assert len(text) <= len(str(value)) + 2
    assert text.rstrip("KMGT").replace(".", "").isdigit()
    assert not text.startswith("0") and "e" not in text.lower()
    if "." in text:
        assert not text.rstrip("KMGT").endswith("0")


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (71, "71"),
        (999, "999"),
        (1000, "1K"),
        (1001, "1.001K"),
        (11_690_000, "11.69M"),
        (4_500_000_000, "4.5G"),
        (10**12, "1T"),
        (10**18, "1000000T"),
        (100, "100"),
    ],
)
def test_formats(value, text):
    assert format_quantity(value) == text


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (71, "71"),
        (999, "999"),
        (1000, "1K"),
        (98_930, "98.93K"),
        (28_669_956, "28.67M"),
        (4_323_768_752, "4.324G"),
        (1_500_000_000_000, "1.5T"),
        (0, "0"),
    ],
)
def test_short_forms(value, text):
    assert short_quantity(value) == text


@given(st.integers(1000, 10**15 - 1))
def test_short_forms_keep_four_digits(value):
    text = short_quantity(value)
    assert "e" not in text
    shown = Decimal(text[:-1]) * Decimal(10) ** SUFFIXES[text[-1]]
    assert abs(shown - value) <= Decimal(value) / 2000


@pytest.mark.parametrize(
    ("text", "size"),
    [("1", (1, 1)), ("224", (224, 224)), ("800x1333", (800, 1333)), (" 3 X 4 ", (3, 4)), ("5×6", (5, 6))],
)
def test_sizes(text: str, size: tuple[int, int]) -> None:
    assert parse_size(text, "--resolution") == size


@pytest.mark.parametrize("text", ["", "x", "3x", "x3", "3x4x5", "1.5", "a", "1e3", "0", "-1", "3x0", "20000", "9" * 99])
def test_no_sizes(text: str) -> None:
    with pytest.raises(UsageError, match="--resolution"):
        parse_size(text, "--resolution")
