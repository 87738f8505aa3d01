"""The papers' costs of detection, segmentation and action recognition."""

import pytest

from madnas.tasks.published import Row, rows, two_stage_costs


@pytest.fixture(scope="module")
def found() -> list[Row]:
    return list(rows())


def of(found: list[Row], source: str, equal: bool) -> set[tuple[str, str]]:
    return {(row.network, row.quantity.split()[0]) for row in found if row.source == source and row.equal == equal}


@pytest.mark.slow
def test_every_table_is_there(found: list[Row]) -> None:
    sources = [row.source for row in found]
    expected = {"DeepMAD, Table 4": 4, "DeepMAD, Table 5": 12, "DeepMAD, Table 6": 4, "DeepMAD, Table 7": 2}
    expected |= {"Zen-NAS, Appendix H": 6, "RAN, Table 3": 16}
    assert {source: sources.count(source) for source in sources} == expected


@pytest.mark.slow
def test_deepmad_comes_out_to_every_digit_but_for_what_is_explained(found: list[Row]) -> None:
    assert of(found, "DeepMAD, Table 4", False) == of(found, "DeepMAD, Table 6", False) == set()
    assert of(found, "DeepMAD, Table 5", False) == {
        *(("resnet50", "MACs"), ("resnet101", "MACs"), ("deepmad-29m-288", "MACs"), ("deepmad-29m-288", "params")),
    }
    for row in found:
        if row.ours is not None and row.source.startswith("DeepMAD"):
            assert row.ours == pytest.approx(float(row.printed), rel=0.015)


@pytest.mark.slow
def test_every_difference_has_its_reason(found: list[Row]) -> None:
    assert [row for row in found if not row.equal and not row.why] == []


def test_table_4_shows_every_printed_digit() -> None:
    table = list(rows("DeepMAD, Table 4"))
    assert [(row.network, row.printed, row.shown) for row in table] == [
        ("resnet50", "23.5", "23.5"),
        ("resnet50", "84.1", "84.1"),
        ("deepmad-r50", "24.2", "24.2"),
        ("deepmad-r50", "83.2", "83.2"),
    ]


@pytest.mark.parametrize(
    ("network", "printed"),
    [
        ("ran-i-s", 63.60),
        pytest.param("convnext-s", 94.87, marks=pytest.mark.slow),
        pytest.param("convnext-b", 149.98, marks=pytest.mark.slow),
        pytest.param("ran-i-b", 93.23, marks=pytest.mark.slow),
    ],
)
def test_rans_params_have_a_head_of_1024(network: str, printed: float) -> None:
    assert round(two_stage_costs(network, 1024).params / 1e6, 2) == printed
    assert two_stage_costs(network, 512).params / 1e6 < printed - 10


@pytest.mark.slow
def test_rans_params_are_those_printed(found: list[Row]) -> None:
    params = [
        row for row in found if row.source == "RAN, Table 3" and "params" in row.quantity and "1024" in row.quantity
    ]
    assert len(params) == 4
    for row in params:  # one is cut off
        assert float(row.printed) == pytest.approx(row.ours, abs=0.1)


@pytest.mark.slow
def test_what_was_not_published_is_not_made_up(found: list[Row]) -> None:
    missing = {row.network for row in found if row.ours is None}
    assert missing == {"ZenNet-same-mAP", "ZenNet-same-speed"}
    assert all(row.shown == "-" and "not published" in row.why for row in found if row.ours is None)
