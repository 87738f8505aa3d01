"""Small networks by hand, of every kind of block and shortcut, for tests of whatever every network must do."""

from madnas.network.spec import Group, Head, NetworkSpec, Stem


def network(*groups: Group, stem: Stem | None = None, head: Head | None = None, size: int = 32) -> NetworkSpec:
    """A network on square images with a default stem and head."""
    return NetworkSpec("example", (3, size, size), groups, head or Head(10), stem or Stem(8))


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
    "separable": network(
        Group("separable", 8, 2, kernel=3), Group("separable", 16, 2, kernel=5, stride=2, act="silu", se="efficientnet")
    ),
    "mlp": NetworkSpec("mlp", (3, 4, 5), (Group("linear", 16, 2), Group("linear", 12, 1, act="silu")), Head(10)),
}

CONVOLUTIONAL = {name: spec for name, spec in EXAMPLES.items() if spec.stem is not None}
