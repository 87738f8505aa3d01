"""UPerNet over any timm backbone: the decoder is segmentation_models_pytorch's, the auxiliary head torchvision's."""

from typing import Any

import torch.nn.functional as F
from torch import Tensor, nn
from torchvision.models.segmentation.fcn import FCNHead

from madnas.errors import UsageError
from madnas.tasks.pyramid import Maps

LEVELS = 4
"""Maps that the decoder takes: the last ones, whose reductions are 4 to 32 in most networks."""

LEAST = 2
"""Maps without which there is no pyramid."""


class Segmenter(nn.Module):
    """UPerNet [Xiao et al. 2018] with an auxiliary head over the map before the last.

    Args:
        body: ``timm.create_model(..., features_only=True)``; see :func:`levels` for its ``out_indices``.
        classes: of a pixel.
        decoder_chs: channels of every level of the decoder.
        drop: of whole channels before the classifiers.
        auxiliary: whether there is an auxiliary head.

    Raises:
        UsageError: segmentation_models_pytorch is missing; ``body`` gives no list of maps, or a single one.
    """

    def __init__(
        self, body: nn.Module, classes: int, decoder_chs: int = 512, drop: float = 0.1, auxiliary: bool = True
    ) -> None:
        super().__init__()
        self.maps = Maps(body)
        chs = self.maps.channels
        if len(chs) < LEAST:
            raise UsageError(f"UPerNet needs {LEAST} maps or more, and the network gives {len(chs)}")
        self.decoder = _decoder(chs, decoder_chs)
        self.dropout = nn.Dropout2d(drop)
        self.classifier = nn.Conv2d(decoder_chs, classes, 1)
        self.auxiliary = FCNHead(chs[-2], classes) if auxiliary else None
        nn.init.normal_(self.classifier.weight, std=0.01)
        nn.init.zeros_(self.classifier.bias)  # type: ignore[arg-type]  # it has one

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None]:
        """Map ``(B, 3, H, W)`` to logits ``(B, classes, H', W')`` of the largest level, and the auxiliary head's.

        The auxiliary ones are those of its own map, in training alone.
        """
        maps = self.maps(images)
        auxiliary = self.auxiliary(maps[-2]) if self.auxiliary is not None and self.training else None
        decoded = self.decoder([images, images, *maps])  # two levels that it leaves out
        return self.classifier(self.dropout(decoded)), auxiliary


def levels(count: int) -> tuple[int, ...]:
    """``out_indices`` of what the decoder takes of a backbone with so many maps.

    >>> levels(5), levels(3)
    ((-4, -3, -2, -1), (-3, -2, -1))
    """
    return tuple(range(-min(LEVELS, count), 0))


def _decoder(chs: list[int], width: int) -> nn.Module:
    try:
        from segmentation_models_pytorch.decoders.upernet.decoder import UPerNetDecoder
    except ImportError as error:
        raise UsageError(
            f"segmentation takes its decoder from segmentation_models_pytorch: {error}",
            "pip install 'madnas[segmentation]'",
        ) from error
    decoder: nn.Module = UPerNetDecoder([0, 0, *chs], len(chs) + 1, width)
    return decoder


def pixel_loss(logits: Tensor, labels: Tensor, ignored: int) -> Tensor:
    """Cross-entropy summed over labelled pixels, divided by the number of all pixels.

    So a crop counts as much as it has labels, parts of a batch add up to the whole, and one without labels gives 0.

    Args:
        logits: ``(B, classes, h, w)``; resized bilinearly to the labels.
        labels: ``(B, H, W)``, whole numbers.
        ignored: the label of pixels without one.
    """
    full = upsampled(logits, labels.shape[-2:])
    return F.cross_entropy(full, labels.long(), ignore_index=ignored, reduction="sum") / labels.numel()


def upsampled(logits: Tensor, size: Any) -> Tensor:
    """Logits ``(B, classes, h, w)`` at another height and width, in float32."""
    found: Tensor = F.interpolate(logits.float(), size=tuple(size), mode="bilinear", align_corners=False)
    return found
