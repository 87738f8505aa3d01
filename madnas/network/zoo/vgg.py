"""VGG."""

from madnas.network.named import IMAGENET, named
from madnas.network.spec import Group, Head, NetworkSpec

VGGS = {
    "vgg11": (1, 1, 2, 2, 2),
    "vgg13": (2, 2, 2, 2, 2),
    "vgg16": (2, 2, 3, 3, 3),
    "vgg19": (2, 2, 4, 4, 4),
}
"""Convolutions between the poolings."""


@named(*VGGS)
def vgg(name: str) -> NetworkSpec:
    """VGG without batch norm [Simonyan and Zisserman 2015, Table 1, A, B, D, E], as torchvision builds it.

    Its last pooling, from 14 to 7 pixels, is the head's.
    """
    groups = tuple(
        Group("conv", chs, depth, kernel=3, stride=1 if index == 0 else 2, norm="none", pool=index > 0)
        for index, (chs, depth) in enumerate(zip((64, 128, 256, 512, 512), VGGS[name], strict=True))
    )
    return NetworkSpec(name, IMAGENET, groups, Head(1000, hidden=(4096, 4096), pool=7))
