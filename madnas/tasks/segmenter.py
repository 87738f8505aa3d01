"""UPerNet over any timm backbone: the decoder is segmentation_models_pytorch's, the auxiliary head torchvision's."""

from collections.abc import Iterator
from typing import Any

import torch
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
        body: ``timm.create_model(..., features_only=True)``; of its last :data:`LEVELS` maps.
        classes: of a pixel.
        decoder_chs: channels of every level of the decoder.
        drop: of whole channels before the classifiers.
        auxiliary: whether there is an auxiliary head.
        scales: at which images are tested, as shares of the largest, at which they are given.
        flip: whether their mirror images are tested too.

    Raises:
        UsageError: segmentation_models_pytorch is missing; ``body`` gives no list of maps, or a single one.
    """

    def __init__(
        self,
        body: nn.Module,
        classes: int,
        decoder_chs: int = 512,
        drop: float = 0.1,
        auxiliary: bool = True,
        scales: tuple[float, ...] = (1.0,),
        flip: bool = False,
    ) -> None:
        super().__init__()
        self._scales, self._flip = scales, flip
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

    def forward(self, images: Tensor) -> tuple[Tensor, Tensor | None] | Tensor:
        """Map ``(B, 3, H, W)`` to logits.

        In training, those of the decoder's largest level, ``(B, classes, H', W')``, and the auxiliary head's of its own
        map; else those that are tested.
        """
        if not self.training:
            return self._tested(images)
        maps = self.maps(images)
        return self._decoded(images, maps), None if self.auxiliary is None else self.auxiliary(maps[-2])

    def _tested(self, images: Tensor) -> Tensor:
        """Logits of the largest level; of several views the logarithm of their mean share, ``(B, classes, H, W)``."""
        if self._scales == (1.0,) and not self._flip:
            return self._decoded(images, self.maps(images))
        size = images.shape[-2:]
        shares = [self._share(one, size) for one in self._views(images)]
        return torch.stack(shares).mean(0).clamp(min=torch.finfo(torch.float32).tiny).log()

    def _views(self, images: Tensor) -> Iterator[tuple[Tensor, bool]]:
        """Images at every scale, and whether they are mirrored."""
        for scale in self._scales:
            size = [max(1, round(side * scale)) for side in images.shape[-2:]]
            view = images if scale == 1 else F.interpolate(images, size, mode="bilinear", antialias=True)
            yield view, False
            if self._flip:
                yield view.flip(-1), True

    def _share(self, view: tuple[Tensor, bool], size: Any) -> Tensor:
        images, mirrored = view
        found = upsampled(self._decoded(images, self.maps(images)), size).softmax(1)
        return found.flip(-1) if mirrored else found

    def _decoded(self, images: Tensor, maps: list[Tensor]) -> Tensor:
        decoded = self.decoder([images, images, *maps])  # two levels that it leaves out
        logits: Tensor = self.classifier(self.dropout(decoded))
        return logits


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
