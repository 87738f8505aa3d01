"""RAN's stages by hand: the networks of Table 1, one command after the other."""

from dataclasses import replace

import pytest

from madnas.errors import SpecError, UsageError
from madnas.network.count import count
from madnas.network.named import get
from madnas.network.specfile import dump_spec
from madnas.restructure.stages import block_macs, blocks_of, changes, collapse_blocks, with_blocks, with_kernels


def same(one, other):
    return dump_spec(replace(one, name="x")) == dump_spec(replace(other, name="x"))


def test_the_papers_networks_one_after_the_other():
    a = collapse_blocks(get("ran-e-supernet"), [5, 7, 9, 12, 15])
    b = collapse_blocks(a, [2, 3])
    c = with_kernels(b, {6: 5, 8: 5, 13: 7, 16: 5, 17: 5})
    for found, name in ((a, "ran-e-a"), (b, "ran-e-b"), (c, "ran-e-c")):
        assert count(found) == count(get(name))
        assert [group.block for group in blocks_of(found)] == [group.block for group in blocks_of(get(name))]


def test_the_ground_truth():
    collapsed = collapse_blocks(get("ran-e-supernet"), [2, 3, 4, 5, 10, 11])
    found = with_kernels(collapsed, {6: 5, 7: 5, 12: 7, 16: 5, 17: 5})
    assert count(found) == count(get("ran-e-gt"))


def test_what_changed_and_what_it_costs():
    """Expansion 6 saves, expansion 4 costs (facts of Section 2.2: 12 n^2 and 8 n^2 against 9 n^2)."""
    supernet = get("ran-e-supernet")
    found = changes(supernet, collapse_blocks(supernet, [2, 9]))
    assert [one.number for one in found] == [2, 9]
    assert found[0].macs_after < found[0].macs_before
    assert found[1].macs_after > found[1].macs_before
    assert sum(block_macs(supernet)) < count(supernet).macs


def test_restructurable_blocks_get_the_papers_activation():
    spec = get("ran-e-supernet")
    groups = tuple(replace(group, block="afrb", act="relu") if group.block == "inverted-residual" else group
                   for group in spec.groups)  # fmt: skip
    found = blocks_of(collapse_blocks(replace(spec, groups=groups), [5]))[3]
    assert (found.block, found.act) == ("act-conv", "hard_swish")


def test_groups_of_several_blocks():
    spec = get("mobilenetv2-1.4")
    assert same(with_blocks(spec, blocks_of(spec)), spec)
    edited = collapse_blocks(spec, [4])
    assert sum(edited.depths) == sum(spec.depths)
    assert [one.number for one in changes(spec, edited)] == [4]


@pytest.mark.parametrize(("number", "why"), [(1, "no block 1"), (99, "no block 99"), (18, "conv cannot be collapsed")])
def test_blocks_that_are_none(number, why):
    with pytest.raises(UsageError, match=why):
        collapse_blocks(get("ran-e-supernet"), [number])


def test_a_block_is_collapsed_once():
    with pytest.raises(UsageError, match="block 5: act-conv is linear already"):
        collapse_blocks(get("ran-e-a"), [5])


def test_squeeze_excitation_is_no_line():
    spec = get("efficientnet-b0")
    with pytest.raises(UsageError, match="squeeze-excitation is not linear"):
        collapse_blocks(spec, [3])


def test_kernels_that_are_none():
    with pytest.raises(SpecError, match="kernel"):
        with_kernels(get("ran-e-supernet"), {6: 4})
    with pytest.raises(UsageError, match="cell"):
        collapse_blocks(get("densenet-cifar"), [2])


def test_an_edit_that_would_change_other_blocks_is_refused():
    """DeepMAD's shortcuts project in the first block of every group: a group that is divided would have two."""
    with pytest.raises(UsageError, match=r"block \d+ would change too"):
        with_kernels(get("deepmad-r18"), {5: 3})


def test_what_a_collapsed_block_has_no_place_for_is_refused():
    spec = get("mobilenetv2")
    hidden = replace(spec, groups=tuple(
        replace(group, expand=None, hidden=96) if group.expand else group for group in spec.groups))  # fmt: skip
    number = next(
        n for n, block in enumerate(blocks_of(hidden), 2) if block.block == "inverted-residual" and block.hidden
    )
    with pytest.raises(UsageError, match="--expanded needs expand"):
        collapse_blocks(hidden, [number], expanded=True)
