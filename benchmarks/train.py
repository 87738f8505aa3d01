"""How fast training is, against a bare PyTorch loop and against timm's loader and loop; ratios of one run.

Run: make bench, or python -m benchmarks.train [--device cuda]

Every round measures all contestants one after the other, in another order each time, so that drift hits all alike.
Times are of whole steps, with the device waited for.
"""

import argparse
import copy
import platform
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import timm
import torch
import torch.nn.functional as F
from PIL import Image
from timm.data import ImageDataset, create_loader
from timm.utils import ModelEmaV3
from torch import Tensor, nn

from madnas.data.images import ImageSet
from madnas.data.order import Order
from madnas.data.source import Process, Source
from madnas.network.named import get
from madnas.targets import Target, find
from madnas.train.data import open_data
from madnas.train.engine import Engine
from madnas.train.job import Job
from madnas.train.memory import Progress
from madnas.train.model import build_model, fitted
from madnas.train.optimise import build_optimizer
from madnas.train.recipe import TrainRecipe, load_recipe
from madnas.train.run import train

Contestant = Callable[[], float]
"""Runs once and gives images per second."""

ROUNDS = 7
LOOP_ROUNDS = 40
UNTIMED, TIMED = 5, 8
"""Batches of a turn: those that lie ready, and those that count."""
PAUSE = 2.0
"""Seconds between two turns."""
FOREVER = 10**9
"""Updates."""


def duel(title: str, contestants: dict[str, Contestant], rounds: int = ROUNDS) -> None:
    """Measure all in turn and print the first one's speed, and the ratios to it."""
    speeds: dict[str, list[float]] = {name: [] for name in contestants}
    for contestant in contestants.values():
        contestant()  # warm
    for number in range(rounds):
        names = list(contestants)
        for name in names[number % len(names) :] + names[: number % len(names)]:
            speeds[name].append(contestants[name]())
    tell(title, speeds)


def tell(title: str, speeds: dict[str, list[float]]) -> None:
    """Print the first one's speed, and everyone's ratio to it, round by round: median, least and most."""
    first = next(iter(speeds))
    print(title)
    for name, values in speeds.items():
        ratios = sorted(one / other for one, other in zip(values, speeds[first], strict=True))
        print(
            f"  {name:52}{statistics.median(values):10,.0f} images/s {statistics.median(ratios):7.2f} "
            f"({ratios[0]:.2f} to {ratios[-1]:.2f}) times as fast"
        )


def wait(device: torch.device) -> None:
    """Until the device has done what it was told."""
    if device.type == "cuda":
        torch.cuda.synchronize()


# The loop's own cost


class Enough(Exception):
    """All has been measured."""


def loop_cost(device: torch.device, folder: Path) -> None:
    """``madnas train`` with log, checkpoints and progress, against a bare loop with the same mathematics.

    They take turns update by update: over whole runs the machine drifts by more than what is to be measured.
    """
    recipe = load_recipe("digits/quick", ["epochs=100000", "model_ema_decay=0.99", "batch_size=128"])
    target = find("resnet20")
    source = open_data(recipe, Path("data"), 0, target, 0, device)
    updates = bare_loop(build_model(fitted(target, source.facts), source.facts, recipe, 0).to(device), recipe, source)
    seconds: dict[str, list[float]] = {"bare PyTorch loop": [], "madnas train": []}
    mark = 0.0

    def turn(progress: Progress) -> None:
        """After one of our updates: the other's, and back."""
        nonlocal mark
        wait(device)
        now = time.perf_counter()
        next(updates)
        wait(device)
        if progress.step > UNTIMED:
            seconds["madnas train"].append(now - mark)
            seconds["bare PyTorch loop"].append(time.perf_counter() - now)
        if progress.step == UNTIMED + LOOP_ROUNDS * TIMED:
            raise Enough
        mark = time.perf_counter()

    job = Job(target, "digits/quick", recipe, 0, folder / "run", device=str(device), eval_interval=1_000_000)
    with suppress(Enough):
        train(job, turn, lambda text: None)
    speeds = {
        name: [recipe.batch_size * TIMED / sum(values[at : at + TIMED]) for at in range(0, len(values), TIMED)]
        for name, values in seconds.items()
    }
    tell("the loop: resnet20, digits at 32 px, batch 128, EMA", speeds)


def bare_loop(model: nn.Module, recipe: TrainRecipe, source: Source) -> Iterator[None]:
    """Updates, as one writes them in a script of twenty lines."""
    device = next(model.parameters()).device
    optimizer = build_optimizer(model, recipe)
    average = ModelEmaV3(model, decay=0.99)
    order = Order(source.facts.train, recipe.batch_size, 0)
    assert source.facts.mean is not None and source.facts.std is not None
    mean = torch.tensor(source.facts.mean, device=device).view(1, -1, 1, 1) * 255
    std = torch.tensor(source.facts.std, device=device).view(1, -1, 1, 1) * 255
    model.train()
    for batch in source.train(order, 0, FOREVER, Process(device=device)):
        loss = F.cross_entropy(model((batch.images - mean) / std), batch.labels, label_smoothing=recipe.smoothing)
        loss.backward()
        optimizer.step()
        optimizer.zero_grad()
        average.update(model)
        yield


# CIFAR-shaped data


class InMemory(torch.utils.data.Dataset[Any]):
    """Images in memory, as torchvision's CIFAR has them."""

    def __init__(self, images: np.ndarray, labels: np.ndarray) -> None:
        self.images, self.labels, self.transform = images, labels, None

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Any, int]:
        image = Image.fromarray(self.images[index])
        return (image if self.transform is None else self.transform(image)), int(self.labels[index])


def small_images(device: torch.device, images: int, batch: int, workers: int) -> None:
    """Sets on the device against timm's loader with the same augmentation: crops, flips, AutoAugment, erasing."""
    random_pixels = np.random.default_rng(0)
    pixels = random_pixels.integers(0, 256, (images, 32, 32, 3), dtype=np.uint8)
    labels = random_pixels.integers(0, 10, images)
    recipe = load_recipe(
        "cifar/deepmad", [f"batch_size={batch}", "mixup=0", "crop=resized", "lighting=0", "dataset=cifar10"]
    )
    whole = ImageSet(torch.from_numpy(pixels).permute(0, 3, 1, 2).contiguous(), torch.from_numpy(labels))
    source = resident(whole, recipe, device)
    data: Any = InMemory(pixels, labels)  # has all that timm asks of a dataset
    loader = create_loader(
        data, (3, 32, 32), batch, is_training=True, re_prob=recipe.reprob, hflip=recipe.hflip,
        color_jitter=0.0, auto_augment=recipe.aa, interpolation="bilinear", num_workers=workers, device=device,
        persistent_workers=workers > 0,
    )  # fmt: skip
    compare(
        "CIFAR-shaped data: resnet20, 32 px, resized crops, AutoAugment, erasing", source, loader, recipe, device, batch
    )


def resident(whole: ImageSet, recipe: TrainRecipe, device: torch.device) -> Source:
    """A source on the device, made as training makes it, of images that are there already."""
    from madnas.data.augment.batch import Augmentation
    from madnas.data.augment.policy import BatchPolicy
    from madnas.data.resident import ResidentSource

    policy = None if recipe.aa is None else BatchPolicy(recipe.aa, torch.full((3,), 128.0, device=device))
    augmentation = Augmentation(32, recipe.crop, recipe.pad, recipe.scale, recipe.ratio, recipe.hflip, 0.0, policy)
    return ResidentSource(whole, whole, 10, augmentation, 0, device)


def compare(
    title: str,
    source: Source,
    loader: Any,
    recipe: TrainRecipe,
    device: torch.device,
    batch: int,
    name: str = "resnet20",
) -> None:
    """Ours and timm's way to feed the same network, with the same update; and the data alone.

    timm's memory layout is torch's own, unless one asks for channels_last; the recipe's is channels_last.
    """
    target = Target(name, get(name))
    model = build_model(fitted(target, source.facts), source.facts, recipe, 0).to(device)
    order = Order(source.facts.train, batch, 0)
    engine = Engine(copy.deepcopy(model), recipe, source.facts, Process(device=device), 0, order.steps_per_epoch)

    def timms(layout: torch.memory_format) -> Iterator[Any]:
        network = copy.deepcopy(model).to(memory_format=layout).train()
        optimizer = build_optimizer(network, recipe)
        for images, labels in endless(loader):
            yield one_step(network, optimizer, images.contiguous(memory_format=layout), labels, recipe)

    def ours() -> Iterator[Any]:
        for step, one in enumerate(source.train(order, 0, FOREVER, Process(device=device))):
            yield engine.update(one, step)

    duel(title, {
        "timm's loader and a plain loop": timed(device, batch, timms(torch.contiguous_format)),
        "the same, channels_last": timed(device, batch, timms(torch.channels_last)),
        "madnas": timed(device, batch, ours()),
    })  # fmt: skip
    duel(f"{title}: data alone", {
        "timm's loader": timed(device, batch, endless(loader)),
        "madnas": timed(device, batch, source.train(order, 0, FOREVER, Process(device=device))),
    })  # fmt: skip


def endless(loader: Any) -> Iterator[Any]:
    """Batches of one epoch after the other."""
    while True:
        yield from loader


def one_step(
    model: nn.Module, optimizer: torch.optim.Optimizer, images: Tensor, labels: Tensor, recipe: TrainRecipe
) -> Tensor:
    """A plain update."""
    loss = F.cross_entropy(model(images), labels, label_smoothing=recipe.smoothing)
    loss.backward()
    optimizer.step()
    optimizer.zero_grad()
    return loss


def timed(device: torch.device, batch: int, work: Iterator[Any]) -> Contestant:
    """Images per second of work that goes on where it was: its readers stay, and what they have read is used first."""

    def contestant() -> float:
        for _ in range(UNTIMED):
            next(work)
        wait(device)
        begin = time.perf_counter()
        for _ in range(TIMED):
            next(work)
        wait(device)
        speed = TIMED * batch / (time.perf_counter() - begin)
        time.sleep(PAUSE)  # readers fill their queues, and do not take the next one's time
        return speed

    return contestant


# ImageNet-shaped data


def large_images(device: torch.device, folder: Path, images: int, batch: int, workers: int) -> None:
    """JPEG files of ImageNet's size, with RandAugment and erasing."""
    random_pixels = np.random.default_rng(1)
    for split in ("train", "val"):
        for label in ("a", "b"):
            (folder / split / label).mkdir(parents=True)
            for number in range(images // 2 if split == "train" else 1):
                pixels = random_pixels.integers(0, 256, (25, 32, 3), dtype=np.uint8)
                image = Image.fromarray(pixels).resize((500, 375), Image.Resampling.BICUBIC)
                image.save(folder / split / label / f"{number}.jpg", quality=90)
    changes = [f"batch_size={batch}", "mixup=0", "cutmix=0", "amp_dtype=null"]
    recipe = load_recipe("imagenet/deepmad", changes)
    source = open_data(recipe, folder, 0, find("resnet18"), workers, device)
    loader = create_loader(
        ImageDataset(str(folder / "train")), (3, 224, 224), batch, is_training=True, re_prob=recipe.reprob,
        re_mode=recipe.remode, hflip=recipe.hflip, color_jitter=0.0, auto_augment=recipe.aa, interpolation="random",
        num_workers=workers, device=device, persistent_workers=workers > 0,
    )  # fmt: skip
    compare(
        "ImageNet-shaped data: resnet18, 224 px, RandAugment, erasing",
        source,
        loader,
        recipe,
        device,
        batch,
        "resnet18",
    )


def main() -> None:
    """Run all."""
    arguments = argparse.ArgumentParser()
    arguments.add_argument("--device", default="cpu")
    arguments.add_argument("--workers", type=int, default=2)
    given = arguments.parse_args()
    device = torch.device(given.device)
    gpu = device.type == "cuda"
    name = torch.cuda.get_device_name() if gpu else f"{torch.get_num_threads()} threads, {platform.machine()}"
    versions = f"Python {platform.python_version()}, torch {torch.__version__}, timm {timm.__version__}"
    print(f"{versions}; {name}; {ROUNDS} rounds")
    random.seed(0)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        loop_cost(device, folder)
        small_images(device, 20_000 if gpu else 1_280, 512 if gpu else 128, given.workers)
        large_images(device, folder / "images", 1_024 if gpu else 64, 128 if gpu else 16, given.workers)


if __name__ == "__main__":
    main()
