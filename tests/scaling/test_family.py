"""A family holds every network that some multiplier makes, and no other."""

from fractions import Fraction
from math import ceil, floor, lcm

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from madnas.errors import UsageError
from madnas.network.named import get
from madnas.network.specfile import check_spec
from madnas.network.target import resolve
from madnas.scaling.family import (
    assemble,
    check_base,
    depth_choices,
    is_uniform,
    rounded,
    width_choices,
    width_sites,
)

BASES = ["convnext-t", "resnet18", "resnet50", "mobilenetv2", "densenet-121", "wrn-28-10", "efficientnet-b0"]
LOW, HIGH = Fraction(1, 4), Fraction(8, 5)


@pytest.mark.parametrize("name", BASES)
@settings(max_examples=30)
@given(numerator=st.integers(250, 1600), multiple=st.sampled_from([1, 8]))
def test_every_multiplier_makes_a_listed_network(name, numerator, multiple):
    base, multiplier = get(name), Fraction(numerator, 1000)
    listed = {choice.sizes for choice in width_choices(base, LOW, HIGH, multiple)}
    (made,) = width_choices(base, multiplier, multiplier, multiple)
    assert made.sizes in listed
    assert all(size % multiple == 0 and size >= multiple for size in made.sizes)


@pytest.mark.parametrize("name", BASES)
def test_listed_multipliers_make_their_networks_once(name):
    base = get(name)
    choices = width_choices(base, LOW, HIGH)
    assert len({choice.sizes for choice in choices}) == len(choices)
    for choice in choices[:: len(choices) // 50 + 1]:
        assert LOW <= choice.multiplier <= HIGH
        sizes = [
            rounded(size, max(choice.multiplier, 1) if site == "head" else choice.multiplier)
            for site, size in width_sites(base).items()
        ]
        assert tuple(sizes) == choice.sizes


def test_ties_go_to_the_even_number_as_in_python():
    assert [rounded(size, Fraction(1, 2)) for size in (1, 3, 5, 7)] == [1, round(1.5), round(2.5), round(3.5)]
    assert rounded(20, Fraction(1), 8) == 16
    assert rounded(1, Fraction(1, 100), 8) == 8


def test_a_multiplier_at_which_two_widths_tie_is_not_missed():
    """Widths 3 and 5 at exactly one half: 2 and 2, which no multiplier just below or above makes."""
    base = get("convnext-t")
    choices = depth_choices(base, Fraction(1, 2), Fraction(1, 2))
    assert choices[0].sizes == (2, 2, 4, 2)
    assert (2, 2, 4, 2) in {choice.sizes for choice in depth_choices(base, Fraction(2, 5), Fraction(3, 5))}


@pytest.mark.parametrize(("width", "depth", "name"), [
    ("0.666", "1.65", "ran-i-t"), ("0.789", "1.65", "ran-i-s"), ("0.9105", "2.30", "ran-i-b"),
])  # fmt: skip
def test_multipliers_of_table_7_make_its_networks(width, depth, name):
    base = get("convnext-t")
    (wide,) = width_choices(base, Fraction(width), Fraction(width))
    (deep,) = depth_choices(base, Fraction(depth), Fraction(depth))
    sites = dict(zip(width_sites(base), wide.sizes, strict=True))
    assert assemble(base, sites, deep.sizes, name) == get(name)


@pytest.mark.parametrize("name", BASES)
def test_the_base_is_in_its_family(name):
    base = get(name)
    (wide,), (deep,) = width_choices(base, Fraction(1), Fraction(1)), depth_choices(base, Fraction(1), Fraction(1))
    sites = dict(zip(width_sites(base), wide.sizes, strict=True))
    assert assemble(base, sites, deep.sizes, base.name) == base


@pytest.mark.parametrize("name", BASES)
def test_scaled_networks_can_be_built(name):
    base = get(name)
    for multiplier in (Fraction(1, 4), Fraction(7, 10), Fraction(13, 10)):
        (wide,) = width_choices(base, multiplier, multiplier)
        (deep,) = depth_choices(base, multiplier, multiplier)
        check_spec(assemble(base, dict(zip(width_sites(base), wide.sizes, strict=True)), deep.sizes, "scaled"))


def test_bases_that_cannot_be_scaled_are_refused():
    with pytest.raises(UsageError, match="vgg16: has stages without shortcuts"):
        check_base(get("vgg16"))


def test_uniform_bases():
    """Equal blocks in every group, openings included: a ResNet's have another number of input channels."""
    assert is_uniform(get("convnext-t"))
    assert is_uniform(get("wrn-28-10"))
    for name in ("efficientnet-b0", "mobilenetv2", "resnet50", "resnet18"):
        assert not is_uniform(get(name))


def lattice(sizes):
    """Multipliers of the default width range among which every change of a rounded size, and every tie, lies."""
    step = 4 * lcm(*sizes)
    return (Fraction(k, step) for k in range(ceil(LOW * step), floor(HIGH * step) + 1))


@pytest.mark.parametrize("name", ["convnext-t", "resnet18", "wrn-16-8"])
def test_the_whole_range_by_brute_force(name):
    base = get(name)
    sizes = list(width_sites(base).values())
    made = {tuple(max(1, round(size * multiplier)) for size in sizes) for multiplier in lattice(sizes)}
    assert {choice.sizes for choice in width_choices(base, LOW, HIGH)} == made
    low, high, step = Fraction(3, 5), Fraction(64, 25), 4 * lcm(*base.depths)
    multipliers = [low, high, *(Fraction(k, step) for k in range(ceil(low * step), floor(high * step) + 1))]
    deep = {tuple(max(1, round(depth * multiplier)) for depth in base.depths) for multiplier in multipliers}
    assert {choice.sizes for choice in depth_choices(base, low, high)} == deep


@pytest.mark.parametrize("name", BASES)
def test_the_text_of_a_multiplier_makes_its_sizes(name):
    base = get(name)
    for choice in width_choices(base, LOW, HIGH):
        typed = Fraction(choice.text)
        assert width_choices(base, typed, typed)[0].sizes == choice.sizes


def test_a_huge_range_is_refused():
    with pytest.raises(UsageError, match=r"holds [\d,]+ sizes; at most"):
        width_choices(get("convnext-t"), Fraction(1, 100), Fraction(100))


@pytest.mark.parametrize("name", ["timm/resnext50_32x4d", "timm/regnety_032"])
@pytest.mark.parametrize("multiple", [1, 8])
def test_group_convolutions_keep_the_width_of_a_group(name, multiple):
    base = resolve(name)
    for choice in width_choices(base, LOW, HIGH, multiple):
        spec = assemble(base, dict(zip(width_sites(base), choice.sizes, strict=True)), base.depths, "scaled")
        check_spec(spec)
        for group, before in zip(spec.groups, base.groups, strict=True):
            assert group.hidden % lcm(multiple, before.group_width) == 0
            assert (group.out == group.hidden) == (before.out == before.hidden)


def test_a_deep_stem_scales_as_a_whole():
    base = resolve("timm/resnet50d")
    (choice,) = width_choices(base, Fraction(1, 2), Fraction(1, 2))
    stem = assemble(base, dict(zip(width_sites(base), choice.sizes, strict=True)), base.depths, "scaled").stem
    assert (*stem.hidden, stem.out) == (16, 16, 32)
