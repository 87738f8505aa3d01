"""Image files on disk or in shards: every sample is augmented from a seed of its own, whoever reads it, and when.

That is what makes a run go on in the middle of an epoch without having saved anything of the loader, and read the same
samples on another number of processes.
"""

import multiprocessing
import os
import random
import signal
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from hashlib import blake2b
from threading import Thread
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from madnas.data.colours import in_colours
from madnas.data.order import Order
from madnas.data.source import Batch, Facts, Process
from madnas.errors import DataError, MadnasError, ReaderError

TRIES = 100
"""Samples that are tried in the place of an unreadable one."""

Samples = tuple[Any, Callable[[Any], Any]]
"""A reader, timm's or one like it, and a transform."""

Item = tuple[Any, Any, int, list[dict[str, Any]]]
"""Image (uint8 array), label, index, and what was broken."""


class SeededSamples(Dataset[Item]):
    """Samples by (epoch, index), each with its own random numbers.

    Other tasks have their own :meth:`load` and :meth:`finish`.

    Args:
        reader: gives a file and a label for a number, and the name of a sample.
        transform: from an image to a uint8 array; what it raises is no broken sample but a bug.
        seed: the user's.
    """

    def __init__(self, reader: Any, transform: Callable[[Any], Any], seed: int) -> None:
        self._reader, self._transform, self._seed = reader, transform, seed

    def __getitem__(self, place: tuple[int, int]) -> Item:
        epoch, wanted = place
        broken: list[dict[str, Any]] = []
        index = wanted
        for attempt in range(TRIES):
            self._seed_all(epoch, wanted, attempt)
            try:
                loaded = self.load(index)
            except Exception as error:  # decoders raise whatever they like
                name = str(self._reader.filename(index))
                broken.append({"index": index, "file": name, "error": _reason(error)})
                index = self._key(epoch, wanted, attempt, "instead") % len(self._reader)
            else:
                return *self.finish(loaded), index, broken
        first = broken[0]
        raise DataError(
            f"{TRIES} samples one after the other could not be read; the first: {first['file']}: {first['error']}"
        )

    def __len__(self) -> int:
        return len(self._reader)

    def load(self, index: int) -> Any:
        """What a sample's files hold; whatever this raises makes the sample a broken one."""
        return _read(self._reader, index)

    def finish(self, loaded: Any) -> tuple[Any, Any]:
        """Image and label from what :meth:`load` gave, by random numbers that are the sample's own."""
        image, label = loaded
        return np.ascontiguousarray(self._transform(image)), label

    def _seed_all(self, *purpose: int) -> None:
        key = self._key(*purpose)
        random.seed(key)
        np.random.seed(key % 2**32)
        torch.default_generator.manual_seed(key)  # torch.manual_seed, for GPUs too, would take most of a small sample

    def _key(self, *purpose: Any) -> int:
        return int.from_bytes(blake2b(repr((self._seed, *purpose)).encode(), digest_size=7).digest(), "little")


@dataclass(frozen=True, slots=True)
class _Places:
    """The batches of a run, as places for :class:`SeededSamples`."""

    order: Order
    start: int
    stop: int
    process: Process

    def __iter__(self) -> Iterator[list[tuple[int, int]]]:
        for step in range(self.start, self.stop):
            epoch = step // self.order.steps_per_epoch
            indices = self.order.batch(step, self.process.rank, self.process.world)
            yield [(epoch, index) for index in indices.tolist()]

    def __len__(self) -> int:
        return self.stop - self.start


GONE = "DataLoader worker (pid"
"""What torch says of one that has ended begins so."""

LOST = "a process that reads data has ended, probably for want of memory"
LOST_HINT = "fewer --workers, or a smaller batch; the same command goes on"


class FileSource:
    """Samples on disk.

    Args:
        train: samples for training.
        test: samples for testing.
        facts: of them.
        workers: processes that read; 0 reads in this one.
        stacked: whether images and labels of a batch are tensors; else lists of what the samples are.
    """

    def __init__(
        self, train: SeededSamples, test: SeededSamples, facts: Facts, workers: int, stacked: bool = True
    ) -> None:
        self.facts = facts
        self._train, self._test = train, test
        self._workers, self._stacked = workers, stacked

    def train(self, order: Order, start: int, stop: int, process: Process) -> Iterator[Batch]:
        """See :class:`~madnas.data.source.Source`; reading goes on over the ends of epochs."""
        places = _Places(order, start, stop, process)
        for images, labels, indices, broken in _told(self._loader(self._train, places, process)):
            device = process.device
            yield Batch(_as_float(_placed(images, device)), _placed(labels, device), indices, broken)

    def test(self, batch_size: int, process: Process) -> Iterator[tuple[Any, Any]]:
        """See :class:`~madnas.data.source.Source`.

        Raises:
            DataError: a sample that cannot be read: a test set has to be whole.
        """
        mine = [(0, index) for index in range(process.rank, len(self._test), process.world)]
        batches = [mine[start : start + batch_size] for start in range(0, len(mine), batch_size)]
        for images, labels, _, broken in _told(self._loader(self._test, batches, process)):
            if broken:
                raise DataError(
                    f"{broken[0]['file']}: a test sample cannot be read: {broken[0]['error']}",
                    "mend it or take it out: a result over other samples would be another one",
                )
            yield _as_float(_placed(images, process.device)), _placed(labels, process.device)

    def _loader(self, samples: SeededSamples, places: Any, process: Process) -> "DataLoader[Any]":
        return DataLoader(
            samples,
            batch_sampler=places,
            num_workers=self._workers,
            collate_fn=_collate if self._stacked else _collate_lists,
            worker_init_fn=_let_the_parent_decide,
            pin_memory=process.device.type == "cuda",
            multiprocessing_context="forkserver" if self._workers and process.device.type == "cuda" else None,
        )


class FolderSource(FileSource):
    """Images with one label each, on disk.

    Args:
        train, test: readers, each with its transform.
        facts: of them.
        seed: of the augmentation.
        workers: processes that read; 0 reads in this one.
    """

    def __init__(self, train: Samples, test: Samples, facts: Facts, seed: int, workers: int) -> None:
        super().__init__(SeededSamples(*train, seed), SeededSamples(*test, seed), facts, workers)


def _placed(values: Any, device: torch.device) -> Any:
    """Tensors, and those in lists and dictionaries, on the device."""
    if isinstance(values, Tensor):
        return values.to(device, non_blocking=True)
    if isinstance(values, dict):
        return {name: _placed(one, device) for name, one in values.items()}
    return [_placed(one, device) for one in values]


def _as_float(images: Any) -> Any:
    return images.float() if isinstance(images, Tensor) else [one.float() for one in images]


def _told(loader: "DataLoader[Any]") -> Iterator[Any]:
    """What a loader gives; of an error in a reading process the message, without its traceback.

    Raises:
        DataError: of such a process.
        ReaderError: one has ended.
    """
    try:
        yield from loader
        return
    except DataError as error:
        told: MadnasError = DataError(str(error).rpartition("DataError: ")[2].strip(), error.hint)
        error.__traceback__ = None  # a frame in it holds the error: a ring, which would keep the loader too
    except (EOFError, ConnectionError):
        told = ReaderError(LOST, LOST_HINT)
    except RuntimeError as error:
        if GONE not in str(error):
            raise
        told = ReaderError(LOST, LOST_HINT)
    raise told  # out here, where nothing keeps the loader and its processes alive


def _let_the_parent_decide(worker: int) -> None:
    """Signals to a whole group of processes are the parent's matter, which needs its readers until its checkpoint.

    A SIGTERM that the parent itself sends is meant: Python sends one to every process that is left when it ends, and
    waits for them.
    """
    for number in (signal.SIGINT, signal.SIGUSR1, signal.SIGHUP):
        signal.signal(number, signal.SIG_IGN)
    if sys.platform != "darwin":  # which does not say who sent a signal: there a reader ends with its group
        parent = multiprocessing.parent_process()  # not os.getppid(), which may be a server that forks
        assert parent is not None
        signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGTERM})
        Thread(target=_end_when_told, args=(parent.pid,), daemon=True).start()
        Thread(target=_end_after, args=(parent,), daemon=True).start()


def _end_after(parent: Any) -> None:
    """End when the parent was killed: torch watches the process that forked this one, which may be a server."""
    parent.join()
    os._exit(0)


def _end_when_told(parent: int | None) -> None:
    """Take every SIGTERM, and end this process, which has nothing to save, at the parent's."""
    while signal.sigwaitinfo({signal.SIGTERM}).si_pid != parent:
        pass
    os._exit(0)


def _read(reader: Any, index: int) -> tuple[Image.Image, int]:
    """A sample as one of timm's readers gives it, decoded; timm's own datasets would take the next one in silence."""
    source, label = reader[index]
    if label is None or int(label) < 0:
        raise ValueError("no label")
    if isinstance(source, Image.Image):
        return in_colours(source), int(label)
    with source, Image.open(source) as image:
        return in_colours(image), int(label)


def _collate(items: list[Item]) -> tuple[Tensor, Tensor, Tensor, list[dict[str, Any]]]:
    """Images (arrays) and labels (numbers or arrays), stacked."""
    images = torch.from_numpy(np.stack([image for image, *_ in items]))
    labels = torch.from_numpy(np.stack([label for _, label, *_ in items])).long()
    return images, labels, *_places_of(items)


def _collate_lists(items: list[Item]) -> tuple[list[Any], list[Any], Tensor, list[dict[str, Any]]]:
    """Images (tensors) and labels (dictionaries of tensors) as they are."""
    return [image for image, *_ in items], [label for _, label, *_ in items], *_places_of(items)


def _places_of(items: list[Item]) -> tuple[Tensor, list[dict[str, Any]]]:
    """Indices, and what was broken and replaced by which."""
    indices = torch.tensor([index for _, _, index, _ in items])
    return indices, [{**one, "replaced_by": index} for _, _, index, found in items for one in found]


def _reason(error: Exception) -> str:
    return f"{type(error).__name__}: {error}".splitlines()[0][:200]
