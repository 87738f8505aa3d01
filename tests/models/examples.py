"""Small networks by hand, of every kind of block and shortcut, for tests of whatever every network must do."""

from madnas.network.expand import at_resolution, vanishes
from madnas.network.spec import Group, Head, NetworkSpec, Stem


def network(*groups: Group, stem: Stem | None = None, head: Head | None = None, size: int = 32) -> NetworkSpec:
    """A network on square images with a default stem and head."""
    return NetworkSpec("example", (3, size, size), groups, head or Head(10), stem or Stem(8))


def stemless(*groups: Group, head: Head) -> NetworkSpec:
    """A network on square images that begins with its first group."""
    return NetworkSpec("example", (3, 32, 32), groups, head)


EXAMPLES: dict[str, NetworkSpec] = {
    "conv": network(Group("conv", 8, 2, kernel=3), Group("conv", 16, 1, kernel=5, stride=2)),
    "basic-conv": network(Group("basic", 8, 2, kernel=3), Group("basic", 16, 2, kernel=3, stride=2)),
    "basic-pool": network(
        Group("basic", 8, 2, hidden=4, kernel=3, shortcut="pool"),
        Group("basic", 16, 1, kernel=3, stride=2, shortcut="pool"),
    ),
    "basic-pad": network(
        Group("basic", 8, 1, kernel=3, shortcut="pad"),
        Group("basic", 12, 2, kernel=3, stride=2, shortcut="pad"),
        stem=Stem(8, stride=1),
    ),
    "bottleneck-conv": network(
        Group("bottleneck", 16, 2, hidden=4, kernel=3),
        Group("bottleneck", 24, 2, hidden=8, kernel=5, stride=2),
        stem=Stem(8, kernel=7, pool=True),
    ),
    "bottleneck-pool": network(
        Group("bottleneck", 16, 2, hidden=4, kernel=3, stride=2, shortcut="pool"),
        Group("bottleneck", 16, 2, hidden=8, kernel=5, shortcut="pool"),
    ),
    "bottleneck-grouped": network(
        Group("bottleneck", 16, 2, hidden=8, kernel=3, group_width=4, shortcut="avg-down", se="senet"),
        Group("bottleneck", 24, 2, hidden=24, kernel=5, stride=2, group_width=8, se="efficientnet"),
        Group("basic", 24, 2, kernel=3, stride=2, shortcut="avg-down", se="senet"),
        stem=Stem(8, hidden=(4, 6), pool=True),
    ),
    "inverted-identity": network(
        Group("separable", 8, 2, kernel=3, act="relu6"),
        Group("inverted-residual", 8, 2, expand=4, kernel=3, act="relu6"),
        Group("inverted-residual", 12, 2, expand=6, kernel=5, stride=2, act="relu6", se="efficientnet"),
        head=Head(10, conv=32, act="relu6"),
    ),
    "inverted-pool": network(
        Group("inverted-residual", 8, 2, hidden=40, kernel=5, stride=2, act="silu", se="deepmad", shortcut="pool"),
        Group("inverted-residual", 12, 2, hidden=64, kernel=3, stride=2, act="silu", se="deepmad", shortcut="pool"),
        head=Head(10, conv=32, act="silu"),
    ),
    "mobile-pair": network(
        Group("mobile-pair", 8, 2, hidden=8, expand=1, kernel=7),
        Group("mobile-pair", 16, 2, hidden=12, expand=2, kernel=3, stride=2, se="zennet"),
        head=Head(10, conv=32),
    ),
    "basic-biased": network(
        Group("basic", 8, 2, hidden=4, kernel=3, shortcut="biased"),
        Group("bottleneck", 16, 2, hidden=4, kernel=5, stride=2, shortcut="biased"),
    ),
    "separable": network(
        Group("separable", 8, 2, kernel=3), Group("separable", 16, 2, kernel=5, stride=2, act="silu", se="efficientnet")
    ),
    "restructurable": network(
        Group("act-conv", 8, 2, kernel=3, act="hard_swish"),
        Group("act-conv", 12, 2, kernel=5, stride=2, act="hard_swish"),
        Group("inverted-pair", 12, 1, expand=2, kernel=3, act="hard_swish"),
        Group("act-expand", 12, 2, expand=2, kernel=3, act="hard_swish"),
        Group("act-conv-pair", 12, 2, kernel=3, act="hard_swish"),
        Group("depthwise", 12, 1, kernel=7, act="hard_swish"),
    ),
    "afrb": network(
        Group("afrb", 8, 2, expand=2, kernel=3),
        Group("afrb", 12, 2, expand=3, kernel=5, stride=2),
        Group("afrb-pair", 12, 2, expand=2, kernel=3),
    ),
    "repvgg": stemless(
        Group("repvgg", 8, 2, kernel=3, stride=2), Group("repvgg", 12, 2, kernel=3, stride=2), head=Head(10)
    ),
    "vgg": stemless(
        Group("conv", 8, 2, kernel=3, norm="none"),
        Group("conv", 12, 2, kernel=3, stride=2, norm="none", pool=True),
        Group("conv", 12, 1, kernel=3, stride=2, pool=True),
        head=Head(10, hidden=(20, 15), pool=3),
    ),
    "preact": network(
        Group("preact", 8, 1, kernel=3),
        Group("preact", 12, 2, kernel=3),
        Group("preact", 16, 2, kernel=3, stride=2),
        stem=Stem(8, stride=1, norm="later"),
        head=Head(10, norm="batch"),
    ),
    "convnext": network(
        Group("convnext", 8, 2, expand=4, kernel=7, act="gelu"),
        Group("convnext", 12, 1, hidden=30, kernel=5, stride=2, act="gelu"),
        Group("convnext", 16, 2, expand=2, kernel=3, act="relu"),
        stem=Stem(8, kernel=4, stride=4, norm="layer"),
        head=Head(10, norm="layer"),
    ),
    "convnext-grn": network(
        Group("convnext", 8, 2, expand=4, kernel=7, act="gelu", grn=True),
        Group("convnext", 12, 1, hidden=30, kernel=5, stride=2, act="gelu", grn=True),
        stem=Stem(8, kernel=4, stride=4, norm="layer"),
        head=Head(10, norm="layer"),
    ),
    "dense": network(
        Group("dense", 8 + 3 * 4, 3, hidden=16, kernel=3, growth=4),
        Group("dense", 10 + 2 * 6, 2, kernel=5, stride=2, growth=6),
        stem=Stem(8, kernel=7, pool=True),
        head=Head(10, norm="batch"),
    ),
    "random-skip": stemless(
        Group("random-skip", 8, 5, kernel=3, links=10, bare=True, seed=3),
        Group("random-skip", 12, 4, kernel=3, stride=2, links=100, seed=3),
        Group("random-skip", 12, 3, kernel=5, links=0),
        head=Head(10, norm="batch"),
    ),
    "random-skip-mobile": network(
        Group("random-skip-mobile", 8, 4, expand=2, kernel=3, links=9, act="relu6"),
        Group("random-skip-mobile", 12, 3, hidden=20, kernel=5, stride=2, links=5, act="relu6"),
        head=Head(10, conv=32, act="relu6", norm="layer"),
    ),
    "mlp": NetworkSpec("mlp", (3, 4, 5), (Group("linear", 16, 2), Group("linear", 12, 1, act="silu")), Head(10)),
    "mlp-skip": NetworkSpec(
        "mlp-skip",
        (3, 4, 5),
        (Group("random-skip-linear", 8, 5, links=10, act="elu"), Group("linear", 12, 1)),
        Head(10, hidden=(9,)),
    ),
}

CONVOLUTIONAL = {name: spec for name, spec in EXAMPLES.items() if not spec.is_mlp}


def smallest(spec: NetworkSpec) -> int:
    """The side of the smallest square image that the network takes."""
    return next(side for side in range(1, 100) if vanishes(at_resolution(spec, side)) is None)
