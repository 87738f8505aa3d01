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


def resnet(block: str, depths: tuple[int, ...], shortcut: str | None = None, size: int = 64) -> NetworkSpec:
    """ResNet as He et al. 2015 have it, with 1000 classes."""
    hidden, factor = (None, 1) if block == "basic" else (64, 4)
    groups = tuple(
        Group(
            block,
            64 * 2**i * factor,
            depth,
            hidden=hidden and hidden * 2**i,
            kernel=3,
            stride=1 if i == 0 else 2,
            shortcut=shortcut,
        )
        for i, depth in enumerate(depths)
    )
    return NetworkSpec("resnet", (3, size, size), groups, Head(1000), Stem(64, kernel=7, pool=True))


def mobilenet_v2(size: int = 64) -> NetworkSpec:
    """MobileNetV2 at width 1, Table 2 of Sandler et al. 2018."""
    rows = ((24, 2, 2), (32, 3, 2), (64, 4, 2), (96, 3, 1), (160, 3, 2), (320, 1, 1))
    groups = tuple(
        Group("inverted-residual", out, depth, expand=6, kernel=3, stride=stride, act="relu6")
        for out, depth, stride in rows
    )
    first = Group("separable", 16, 1, kernel=3, act="relu6")
    stem, head = Stem(32, act="relu6"), Head(1000, conv=1280, act="relu6")
    return NetworkSpec("mobilenetv2", (3, size, size), (first, *groups), head, stem)


def efficientnet_b0(size: int = 64) -> NetworkSpec:
    """EfficientNet-B0, Table 1 of Tan and Le 2019."""
    rows = ((24, 3, 2, 2), (40, 5, 2, 2), (80, 3, 2, 3), (112, 5, 1, 3), (192, 5, 2, 4), (320, 3, 1, 1))
    groups = tuple(
        Group("inverted-residual", out, depth, expand=6, kernel=kernel, stride=stride, act="silu", se="efficientnet")
        for out, kernel, stride, depth in rows
    )
    first = Group("separable", 16, 1, kernel=3, act="silu", se="efficientnet")
    stem, head = Stem(32, act="silu"), Head(1000, conv=1280, act="silu")
    return NetworkSpec("efficientnet-b0", (3, size, size), (first, *groups), head, stem)
