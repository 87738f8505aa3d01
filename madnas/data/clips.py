"""Videos for training and testing: a few frames of each, augmented alike."""

from dataclasses import dataclass
from typing import Any

import numpy as np
from PIL import Image

from madnas.data.augment.clip import ClipAugmentation, shortened, views
from madnas.data.folder import SeededSamples
from madnas.data.frames import Choice, read_folder, read_video
from madnas.data.segments import central, sampled
from madnas.data.videolist import VideoList

Loaded = tuple[list[Image.Image], int]
"""Frames and label of a video."""


@dataclass(frozen=True, slots=True)
class Reader:
    """What :class:`~madnas.data.folder.SeededSamples` asks of a list of videos."""

    videos: VideoList

    def __len__(self) -> int:
        return len(self.videos.videos)

    def filename(self, index: int) -> str:
        """Folder or file of a video."""
        return str(self.videos.folder / self.videos.videos[index].path)

    def read(self, index: int, choice: Choice) -> Loaded:
        """The chosen frames of a video, and its label; decoders raise whatever they like."""
        video = self.videos.videos[index]
        path = self.videos.folder / video.path
        return read_folder(path, video.frames, choice) if video.frames else read_video(path, choice), video.label


class TrainingClips(SeededSamples):
    """A random frame of each segment, all augmented alike; an image is (segments, 3, size, size).

    Args:
        videos: the list.
        segments: frames of a sample.
        augmentation: of its frames.
        seed: the user's.
    """

    def __init__(self, videos: VideoList, segments: int, augmentation: ClipAugmentation, seed: int) -> None:
        super().__init__(Reader(videos), augmentation, seed)
        self._segments, self._augmentation = segments, augmentation

    def load(self, index: int) -> Loaded:
        """Frames and label."""
        found: Loaded = self._reader.read(index, lambda frames: sampled(frames, self._segments))
        return found

    def finish(self, loaded: Loaded) -> tuple[np.ndarray, int]:
        """Augmented frames and label."""
        frames, label = loaded
        return _array(self._augmentation(frames)), label


class TestedClips(SeededSamples):
    """The middle frame of each segment, in one or more crops; an image is (segments * crops, 3, size, size).

    Args:
        videos: the list.
        segments: frames of a sample.
        crops: of each frame: 1, 3 or 10.
        short: the frames' short side before the crop.
        size: side of a crop.
    """

    def __init__(self, videos: VideoList, segments: int, crops: int, short: int, size: int) -> None:
        super().__init__(Reader(videos), self._views, 0)
        self._segments, self._crops, self._short, self._size = segments, crops, short, size

    def load(self, index: int) -> Loaded:
        """Frames and label."""
        found: Loaded = self._reader.read(index, lambda frames: central(frames, self._segments))
        return found

    def finish(self, loaded: Loaded) -> tuple[np.ndarray, int]:
        """Views of the frames, and label."""
        frames, label = loaded
        return _array(self._views(frames)), label

    def _views(self, frames: list[Image.Image]) -> list[Image.Image]:
        return views(shortened(frames, self._short), self._size, self._crops)


def _array(frames: Any) -> np.ndarray:
    """Images as (frames, 3, height, width), uint8."""
    return np.ascontiguousarray(np.stack([np.asarray(one) for one in frames]).transpose(0, 3, 1, 2))
