"""The random links of NN-Mass's cells: which channels of earlier layers a layer sees besides those of the last one."""

import numpy as np
import torch
from torch import Tensor, nn

from madnas.network.cells import skip_chs
from madnas.network.spec import Group


class LastMap(nn.Module):
    """No links: the last map alone."""

    def forward(self, *maps: Tensor) -> Tensor:
        """The last of the maps."""
        return maps[-1]


class RandomLinks(nn.Module):
    """The last map, followed by chosen channels of those before it.

    Args:
        channels: places of the chosen channels in the concatenation of the maps before the last one. They are a part of
            the state, so that a checkpoint carries them.
    """

    channels: Tensor

    def __init__(self, channels: np.ndarray) -> None:
        super().__init__()
        self.register_buffer("channels", torch.tensor(channels))

    def forward(self, *maps: Tensor) -> Tensor:
        """Map maps of ``w`` channels each to ``(B, w + chosen, ...)``."""
        chosen = torch.cat(maps[:-1], 1).index_select(1, self.channels)
        return torch.cat((maps[-1], chosen), 1)


def random_links(group: Group, index: int, position: int) -> nn.Module:
    """The links of one layer of a random-skip cell.

    Args:
        group: the cell.
        index: place of the layer in the cell, from 0.
        position: place of the cell in the network, from 0.
    """
    number = 0 if index < 2 else skip_chs(group, group.out, index) - group.out
    if number == 0:
        return LastMap()
    return RandomLinks(draw((group.seed, position, index), group.out * (index - 1), number))


def draw(seed: tuple[int, ...], candidates: int, number: int) -> np.ndarray:
    """A sample of the numbers below ``candidates``, uniform, without replacement, in ascending order.

    The same on every machine and with every version: it uses the raw integers of PCG64 and of ``SeedSequence``, for
    which NumPy guarantees that, and no distribution, for which it does not.

    Args:
        seed: non-negative integers.
        candidates: how many numbers there are.
        number: how many are drawn.

    >>> draw((0, 1, 5), 10, 4).tolist()
    [0, 1, 3, 6]
    """
    keys = np.random.PCG64(np.random.SeedSequence(seed)).random_raw(candidates)
    return np.sort(np.argsort(keys, kind="stable")[:number]).astype(np.int64)
