"""Images with masks for training and testing."""

import numpy as np
from PIL import Image

from madnas.data.augment.scene import Scene, SceneAugmentation, fitted_size
from madnas.data.folder import SeededSamples
from madnas.data.masks import IGNORED, Scenes


class TrainingScenes(SeededSamples):
    """Augmented crops: (3, size, size), and labels (size, size).

    Args:
        scenes: the files.
        augmentation: of both.
        seed: the user's.
    """

    def __init__(self, scenes: Scenes, augmentation: SceneAugmentation, seed: int) -> None:
        super().__init__(scenes, augmentation, seed)
        self._augmentation = augmentation

    def load(self, index: int) -> Scene:
        """Image and labels.

        Raises:
            ValueError: a mask from which nothing can be learned; and what the files' reader raises.
        """
        found: Scene = self._reader.read(index)
        if (found[1] == IGNORED).all():
            raise ValueError("no pixel of its mask has a label: 0 means none, and classes begin at 1")
        return found

    def finish(self, loaded: Scene) -> tuple[np.ndarray, np.ndarray]:
        """An augmented crop and its labels."""
        image, labels = self._augmentation(loaded)
        return _array(image), labels


class TestedScenes(SeededSamples):
    """Whole images, resized, and labels at their own size.

    Args:
        scenes: the files.
        short: the images' short side; the long one has at most four times as much.
    """

    def __init__(self, scenes: Scenes, short: float) -> None:
        super().__init__(scenes, self._resized, 0)
        self._short = short

    def load(self, index: int) -> Scene:
        """Image and labels."""
        found: Scene = self._reader.read(index)
        return found

    def finish(self, loaded: Scene) -> tuple[np.ndarray, np.ndarray]:
        """The resized image, and its labels as they are."""
        image, labels = loaded
        return _array(self._resized(image)), labels

    def _resized(self, image: Image.Image) -> Image.Image:
        return image.resize(fitted_size(image.size, self._short), Image.Resampling.BILINEAR)


def _array(image: Image.Image) -> np.ndarray:
    """An image as (3, height, width), uint8."""
    return np.ascontiguousarray(np.asarray(image).transpose(2, 0, 1))
