"""The DenseNet-type networks of NN-Mass, whose layers take random channels of earlier ones."""

from madnas.network.named import named
from madnas.network.spec import Group, Head, NetworkSpec

TABLE_1 = {
    "nnmass-cifar-11.9m": (64, (90, 170, 300)),
    "nnmass-cifar-8.2m": (64, (50, 100, 150)),
    "nnmass-cifar-5.0m": (40, (60, 130, 170)),
    "nnmass-cifar-4.7m": (37, (70, 140, 180)),
    "nnmass-cifar-3.8m": (31, (70, 140, 200)),
}
"""Depth and links of the networks of NN-Mass, Table 1, which prints depth, params, FLOPs and mass. The links are the
only multiples of ten that give these; those of depth 40 stand in Table 3 as well."""


@named(*TABLE_1)
def nn_mass_cifar(name: str) -> NetworkSpec:
    """The CNNs of NN-Mass, Table 1, for CIFAR-10: three cells, width multiplier 2."""
    depth, links = TABLE_1[name]
    return skip_cnn(name, (depth - 4) // 3, (32, 64, 128), links)


@named("densenet-cifar")
def densenet_cifar(name: str) -> NetworkSpec:
    """The family of DenseNet-type CNNs of NN-Mass for CIFAR-10, by its network of depth 64 and mass 1126."""
    return skip_cnn(name, 20, (32, 64, 128), (90, 170, 300))


def skip_cnn(
    name: str, depth: int, widths: tuple[int, ...], links: tuple[int, ...], classes: int = 10, seed: int = 0
) -> NetworkSpec:
    """A CNN of NN-Mass's setup (Appendices E and G.2).

    Args:
        name: its name.
        depth: layers in every cell, d_c.
        widths: channels of each cell, w_c.
        links: most channels that a layer takes from earlier ones, of each cell, t_c.
        classes: number of classes.
        seed: decides which channels these are; each cell has its own draw.
    """
    groups = tuple(
        Group(
            "random-skip", width, depth, kernel=3, stride=1 if index == 0 else 2, links=most, seed=seed, bare=index == 0
        )
        for index, (width, most) in enumerate(zip(widths, links, strict=True))
    )
    return NetworkSpec(name, (3, 32, 32), groups, Head(classes, norm="batch"))


def skip_mlp(name: str, inputs: int, depth: int, width: int, links: int, classes: int, seed: int = 0) -> NetworkSpec:
    """An MLP of NN-Mass's setup (Appendix G.1): one cell of ``depth`` layers on ``inputs`` features."""
    cell = Group("random-skip-linear", width, depth, act="elu", links=links, seed=seed)
    return NetworkSpec(name, (inputs, 1, 1), (cell,), Head(classes))
