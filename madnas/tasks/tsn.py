"""TSN [Wang et al. 2016]: a network looks at single frames, and their mean says what a video shows."""

import torch
from torch import Tensor, nn


class TSN(nn.Module):
    """A network of images over the frames of videos. What it sees has no order.

    Args:
        model: from images ``(B, 3, H, W)`` to ``(B, classes)``.
        channels_last: the memory layout in which it takes them.
    """

    def __init__(self, model: nn.Module, channels_last: bool = False) -> None:
        super().__init__()
        self.model, self._channels_last = model, channels_last

    def forward(self, videos: Tensor) -> Tensor:
        """Map ``(B, frames, 3, H, W)`` to ``(B, classes)``: the mean of the frames' outputs."""
        return consensus(self.model(self.frames(videos)), len(videos))

    def frames(self, videos: Tensor) -> Tensor:
        """The frames of all videos as the network takes them, ``(B * frames, 3, H, W)``."""
        found = videos.flatten(0, 1)
        return found.contiguous(memory_format=torch.channels_last) if self._channels_last else found


def consensus(outputs: Tensor, videos: int) -> Tensor:
    """Mean over the frames of each video: ``(B * frames, classes)`` to ``(B, classes)``, in float32.

    >>> consensus(torch.tensor([[1.0, 0.0], [3.0, 0.0], [0.0, 5.0], [0.0, 7.0]]), 2).tolist()
    [[2.0, 0.0], [0.0, 6.0]]
    """
    return outputs.float().unflatten(0, (videos, -1)).mean(1)
