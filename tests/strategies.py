"""Random descriptions of networks: small ones, of every kind of block, valid."""

from hypothesis import strategies as st

from madnas.network.blocks import CATALOGUE
from madnas.network.spec import Group, Head, NetworkSpec, Stem

CHANNELS = st.sampled_from([4, 6, 8, 16, 24])
KERNELS = st.sampled_from([1, 3, 5, 7])
ACTS = st.sampled_from(["relu", "relu6", "silu", "hard_swish"])
CONVOLUTIONAL = tuple(kind for kind in CATALOGUE if kind != "linear")


@st.composite
def groups(draw: st.DrawFn, block: str, in_chs: int) -> Group:
    """A group of the kind ``block`` over ``in_chs`` channels, with any of the keys that its kind takes."""
    kind = CATALOGUE[block]
    keys = kind.needs | kind.takes
    shortcut = draw(st.sampled_from([None, *kind.shortcuts]))
    out = draw(CHANNELS if shortcut != "pad" else st.integers(in_chs, 24))
    hidden = draw(st.integers(4, 40)) if "hidden" in keys and (block != "basic" or draw(st.booleans())) else None
    expand = None
    if "expand" in keys and draw(st.booleans()):
        hidden, expand = None, draw(st.sampled_from([1, 1.5, 2.0, 4]))
    # Only a given hidden width has the quarter that DeepMAD's squeeze-excitation takes.
    squeezes = ["none", "efficientnet"] if hidden is None else ["none", "efficientnet", "deepmad"]
    return Group(
        block,
        out,
        depth=draw(st.integers(1, 3)),
        hidden=hidden,
        expand=expand,
        kernel=draw(KERNELS) if "kernel" in keys else None,
        stride=draw(st.integers(1, 2)) if "stride" in keys else 1,
        act=draw(ACTS),
        se=draw(st.sampled_from(squeezes)) if "se" in keys else "none",
        shortcut=shortcut,
    )


@st.composite
def networks(draw: st.DrawFn, kinds: tuple[str, ...] = CONVOLUTIONAL) -> NetworkSpec:
    """A convolutional network of one to three groups of the given kinds, on a small rectangular input."""
    stem = Stem(draw(CHANNELS), draw(KERNELS), draw(st.integers(1, 2)), draw(ACTS), draw(st.booleans()))
    chs, body = stem.out, []
    for block in draw(st.lists(st.sampled_from(kinds), min_size=1, max_size=3)):
        group = draw(groups(block, chs))
        body.append(group)
        chs = group.out
    head = Head(draw(st.integers(1, 12)), draw(st.none() | CHANNELS), draw(ACTS))
    size = draw(st.tuples(st.integers(1, 4), st.integers(1, 20), st.integers(1, 20)))
    return NetworkSpec("random", size, tuple(body), head, stem)


@st.composite
def mlps(draw: st.DrawFn) -> NetworkSpec:
    """A multi-layer perceptron of one to three groups."""
    size = draw(st.tuples(st.integers(1, 3), st.integers(1, 6), st.integers(1, 6)))
    body = tuple(draw(groups("linear", 0)) for _ in range(draw(st.integers(1, 3))))
    return NetworkSpec("random-mlp", size, body, Head(draw(st.integers(1, 12))))
