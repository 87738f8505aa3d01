"""Random descriptions of networks: small ones, of every kind of block, valid."""

from dataclasses import replace
from typing import Any

from hypothesis import strategies as st

from madnas.network.blocks import CATALOGUE
from madnas.network.cells import MIN_CELL, dense_out
from madnas.network.expand import at_resolution, vanishes
from madnas.network.spec import LINEAR_BLOCKS, Group, Head, NetworkSpec, Stem
from madnas.network.specfile import PAIRS, SAME_SHAPE, STEMLESS

CHANNELS = st.sampled_from([4, 6, 8, 16, 24])
KERNELS = st.sampled_from([1, 3, 5, 7])
ACTS = st.sampled_from(["relu", "relu6", "silu", "hard_swish"])
CONVOLUTIONAL = tuple(kind for kind in CATALOGUE if kind not in LINEAR_BLOCKS)


@st.composite
def groups(draw: st.DrawFn, block: str, in_chs: int) -> Group:
    """A group of the kind ``block`` over ``in_chs`` channels, with any of the keys that its kind takes."""
    kind = CATALOGUE[block]
    keys = kind.needs | kind.takes
    shortcut = draw(st.sampled_from([None, *kind.shortcuts]))
    out = in_chs if block in SAME_SHAPE else draw(CHANNELS if shortcut != "pad" else st.integers(in_chs, 24))
    may_lack_hidden = "hidden" not in kind.needs and "expand" not in keys
    hidden = draw(st.integers(4, 40)) if "hidden" in keys and not (may_lack_hidden and draw(st.booleans())) else None
    expand = None
    if "expand" in kind.needs:
        expand = draw(st.sampled_from([1, 1.5, 2.0, 4]))
    elif "expand" in keys and draw(st.booleans()):
        hidden, expand = None, draw(st.sampled_from([1, 1.5, 2.0, 4]))
    # Only a given hidden width has the quarter that DeepMAD's squeeze-excitation takes.
    squeezes = ["none", *(se for se in kind.se if se != "deepmad" or hidden is not None)]
    group = Group(
        block,
        out,
        depth=draw(st.integers(MIN_CELL, MIN_CELL + 2) if "links" in keys else st.integers(1, 3)),
        hidden=hidden,
        expand=expand,
        kernel=draw(KERNELS) if "kernel" in keys else None,
        stride=draw(st.integers(1, 2)) if "stride" in keys else 1,
        act=draw(ACTS) if "act" in keys else "relu",
        se=draw(st.sampled_from(squeezes)),
        shortcut=shortcut,
    )
    return replace(group, **draw(special_keys(group, in_chs, keys)))


@st.composite
def special_keys(draw: st.DrawFn, group: Group, in_chs: int, keys: frozenset[str]) -> dict[str, Any]:
    """Keys that only a few kinds have."""
    special: dict[str, Any] = {}
    if "norm" in keys:
        special["norm"] = draw(st.sampled_from(["batch", "none"]))
    if "pool" in keys:
        special["pool"] = group.stride == 2 and draw(st.booleans())
    if "links" in keys:
        special |= {"links": draw(st.integers(0, 50)), "seed": draw(st.integers(0, 2**63 - 1))}
    if "group_width" in keys and group.hidden is not None:
        special["group_width"] = draw(st.sampled_from([None, *(n for n in range(1, 41) if group.hidden % n == 0)]))
    if "grn" in keys:
        special["grn"] = draw(st.booleans())
    if "bare" in keys:
        special["bare"] = draw(st.booleans())
    if "growth" in keys:
        special["growth"] = draw(st.integers(1, 12))
        special["out"] = dense_out(replace(group, **special), in_chs)
    return special


@st.composite
def stems(draw: st.DrawFn) -> Stem:
    """A stem of any kind."""
    out, pool, norm = draw(CHANNELS), draw(st.booleans()), draw(st.sampled_from(["batch", "layer", "later"]))
    if norm == "layer":
        side = draw(st.integers(1, 4))
        return Stem(out, side, side, pool=pool, norm=norm)
    act = draw(ACTS) if norm == "batch" else "relu"
    hidden = tuple(draw(st.lists(st.integers(1, 12), max_size=2)))
    return Stem(out, draw(KERNELS), draw(st.integers(1, 2)), act, pool, norm, hidden)


@st.composite
def heads(draw: st.DrawFn) -> Head:
    """A head of any kind, of a convolutional network."""
    conv = draw(st.none() | CHANNELS)
    norm = draw(st.sampled_from(["none", "layer"] if conv else ["none", "layer", "batch"]))
    hidden = tuple(draw(st.lists(st.integers(1, 12), max_size=2)))
    return Head(draw(st.integers(1, 12)), conv, draw(ACTS), norm, hidden, draw(st.integers(1, 3)))


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...] = CONVOLUTIONAL) -> NetworkSpec:
    """A convolutional network of one to three groups of the given kinds, on a small rectangular input."""
    blocks = draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3))
    size = draw(st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)))
    stem = draw(st.none() | stems()) if blocks[0] in STEMLESS else draw(stems())
    chs, body = stem.out if stem else size[0], []
    for block in blocks:
        group = draw(groups("conv" if block in PAIRS and chs % 2 else block, chs))
        body.append(group)
        chs = group.out
    spec = NetworkSpec("random", size, tuple(body), draw(heads()), stem)
    while vanishes(spec) is not None:
        spec = at_resolution(spec, 2 * spec.input[1], 2 * spec.input[2])
    return spec


@st.composite
def mlps(draw: st.DrawFn) -> NetworkSpec:
    """A multi-layer perceptron of one to three groups."""
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    blocks = draw(st.lists(st.sampled_from(sorted(LINEAR_BLOCKS)), min_size=1, max_size=3))
    hidden = tuple(draw(st.lists(st.integers(1, 9), max_size=2)))
    body = tuple(draw(groups(block, 0)) for block in blocks)
    return NetworkSpec("random-mlp", size, body, Head(draw(st.integers(1, 12)), hidden=hidden))
