"""DenseNet."""

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec, Stem

DENSENETS = {
    "densenet-121": (32, (6, 12, 24, 16)),
    "densenet-169": (32, (6, 12, 32, 32)),
    "densenet-201": (32, (6, 12, 48, 32)),
    "densenet-161": (48, (6, 12, 36, 24)),
}
"""Growth rate and depths of the DenseNets for ImageNet."""


@named(*DENSENETS)
def densenet(name: str) -> NetworkSpec:
    """DenseNet-BC for ImageNet [Huang et al. 2017, Table 1]: the stem has twice the growth rate's channels."""
    growth, depths = DENSENETS[name]
    chs, groups = 2 * growth, []
    for index, depth in enumerate(depths):
        chs = (chs if index == 0 else chs // 2) + depth * growth
        groups.append(Group("dense", chs, depth, 4 * growth, kernel=3, stride=1 if index == 0 else 2, growth=growth))
    stem = Stem(2 * growth, kernel=7, pool=True)
    return NetworkSpec(name, IMAGENET, tuple(groups), Head(1000, norm="batch"), stem)
