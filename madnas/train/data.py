"""From a recipe to its data."""

import hashlib
import os
from pathlib import Path
from typing import Any

import torch
from PIL import ImageOps
from timm.data.auto_augment import NAME_TO_OP, AutoAugment, RandAugment

from madnas.data.augment.batch import Augmentation
from madnas.data.augment.policy import BatchPolicy
from madnas.data.images import load_images
from madnas.data.names import SHARDS, is_resident
from madnas.data.resident import ResidentSource, statistics
from madnas.data.shards import ShardReader, open_shards
from madnas.data.source import IMAGENET_MEAN, IMAGENET_STD, Facts, Source
from madnas.errors import DataError, UsageError
from madnas.targets import Target
from madnas.train.model import own_size
from madnas.train.recipe import TrainRecipe


def open_data(
    recipe: TrainRecipe, folder: Path, seed: int, target: Target, workers: int, device: torch.device
) -> Source:
    """The recipe's data.

    Args:
        recipe: says which, and how it is augmented.
        folder: where it is; nothing is read from it for data that comes with a package.
        seed: of augmentation and synthetic samples.
        target: the network, whose own input counts where the recipe says none.
        workers: processes that read files.
        device: where small sets are kept.

    Raises:
        DataError: data that is missing or broken.
        UsageError: an unknown dataset, or settings that it has no use for.
    """
    if is_resident(recipe.dataset):
        return _resident(recipe, folder, seed, target, device)
    return _files(recipe, folder, seed, recipe.image_size or own_size(target) or 224, workers)


def _resident(recipe: TrainRecipe, folder: Path, seed: int, target: Target, device: torch.device) -> ResidentSource:
    train, test, classes = load_images(recipe.dataset, folder, seed, recipe.samples)
    if train.images.dtype != torch.uint8:
        return ResidentSource(train, test, classes, None, seed, device)
    if target.library == "torchvision":  # whose models take colours only; others adapt to the data
        train, test = train.coloured(), test.coloured()
    side = recipe.image_size or own_size(target) or train.images.shape[2]
    train, test = train.resized(side), test.resized(side, recipe.crop_pct)
    policy = None
    if recipe.aa is not None:
        mean, _ = statistics(train.images)
        policy = BatchPolicy(recipe.aa, torch.tensor(mean, device=device).mul(255).round())
    augmentation = Augmentation(
        side, recipe.crop, recipe.pad, recipe.scale, recipe.ratio, recipe.hflip, recipe.color_jitter, policy
    )
    return ResidentSource(train, test, classes, augmentation, seed, device)


def _files(recipe: TrainRecipe, folder: Path, seed: int, size: int, workers: int) -> Source:
    from timm.data import create_transform
    from torchvision import transforms

    from madnas.data.folder import FolderSource

    train, test = (_reader(recipe.dataset, folder, split) for split in (recipe.train_split, recipe.val_split))
    classes = _classes(recipe, folder, train, test)
    common: dict[str, Any] = {"input_size": size, "use_prefetcher": True, "mean": IMAGENET_MEAN, "std": IMAGENET_STD}
    augmented = create_transform(
        **common,
        is_training=True,
        scale=recipe.scale,
        ratio=recipe.ratio,
        hflip=recipe.hflip,
        color_jitter=recipe.color_jitter,
        auto_augment=recipe.aa,
        interpolation=recipe.interpolation,
    )
    if recipe.crop != "resized":  # timm always crops and resizes: that one step is replaced
        first = [transforms.Resize((size, size), transforms.InterpolationMode(recipe.interpolation))]
        if recipe.crop == "pad":
            first.append(transforms.RandomCrop(size, padding=recipe.pad))
        augmented.transforms[:1] = first
    for step in augmented.transforms:
        _mend(step)
    plain = "bilinear" if recipe.interpolation == "random" else recipe.interpolation
    tested = create_transform(**common, crop_pct=recipe.crop_pct, interpolation=plain)
    digest = hashlib.sha256("".join(map(_digest, (train, test))).encode()).hexdigest()[:32]
    facts = Facts(len(train), len(test), classes, (3, size, size), IMAGENET_MEAN, IMAGENET_STD, digest)
    return FolderSource((train, augmented), (test, tested), facts, seed, workers)


def _digest(reader: Any) -> str:
    """What a reader reads, without opening its images."""
    if isinstance(reader, ShardReader):
        return reader.digest()
    if hasattr(reader, "samples"):  # of a folder: files and labels
        start = len(str(reader.root)) + 1
        lines = (f"{path[start:]} {label}\n" for path, label in reader.samples)
        return hashlib.sha256(os.fsencode("".join(lines))).hexdigest()  # names need not be UTF-8
    return f"{len(reader)} {sorted(reader.class_to_idx.items())}"


def _classes(recipe: TrainRecipe, folder: Path, train: Any, test: Any) -> int:
    """How many classes there are, the same ones in both splits."""
    if isinstance(train, ShardReader):
        if test.classes > train.classes:
            raise DataError(
                f"{folder}: labels of {recipe.val_split} go up to {test.classes - 1}, those of {recipe.train_split} "
                f"to {train.classes - 1}"
            )
        return int(train.classes)
    names, tested_names = (tuple(getattr(part, "class_to_idx", None) or ()) for part in (train, test))
    if len(names) < 2:
        raise DataError(
            f"{folder}: {'a single class' if names else 'no classes'} in {recipe.train_split}",
            "the layout is train/CLASS/IMAGE and val/CLASS/IMAGE",
        )
    if tested_names != names:  # each is numbered on its own, so that labels would not mean the same
        different = sorted(set(names) ^ set(tested_names))
        raise DataError(
            f"{folder}: {recipe.train_split} and {recipe.val_split} have different classes: {', '.join(different[:5])}",
            "both need a folder with images for every class",
        )
    return len(names)


EXTENSIONS = (".webp", ".bmp", ".tif", ".tiff", ".ppm", ".pgm", ".gif")
"""Ends of image files besides timm's."""

SPLITS = {
    "train": ("train", "training"),
    "validation": ("val", "validation", "valid", "eval", "evaluation", "test"),
}
"""Names that a split's folder may have."""


def _split_folder(folder: Path, split: str) -> Path:
    """The folder of a split; timm would take the whole folder, its splits as classes, where there is none."""
    if not folder.is_dir():
        raise DataError(f"{folder}: no such folder", "--data names the folder that has train/ and val/")
    names = SPLITS.get(split, (split,))
    for name in names:
        if (folder / name).is_dir():
            return folder / name
    raise DataError(f"{folder}: no folder {' or '.join(names)}", "the layout is train/CLASS/IMAGE and val/CLASS/IMAGE")


def _mend(step: Any) -> None:
    """Posterizing to 0 bits is black, as AutoAugment means it; newer versions of Pillow refuse it."""
    choices = step.policy if isinstance(step, AutoAugment) else [step.ops] if isinstance(step, RandAugment) else []
    for op in (op for choice in choices for op in choice):
        if op.aug_fn is NAME_TO_OP["Posterize"]:
            op.aug_fn = _posterize


def _posterize(image: Any, bits: int, **kwargs: Any) -> Any:
    return ImageOps.posterize(image, min(bits, 8)) if bits > 0 else image.point(lambda level: 0)


def _reader(name: str, folder: Path, split: str) -> Any:
    """What reads a split: timm's reader of folders or of Hugging Face's data sets, or that of shards."""
    from timm.data.readers import add_img_extensions, create_reader

    if name.startswith(SHARDS):
        return open_shards(folder / name.removeprefix(SHARDS), split)
    if name == "folder":
        name, folder = "", _split_folder(folder, split)
        add_img_extensions(EXTENSIONS)  # timm's own are .png, .jpg and .jpeg; others it would leave out in silence
    try:
        found = create_reader(name, root=str(folder), split=split)
    except Exception as error:  # timm's readers raise RuntimeError, AssertionError, ImportError ...
        if isinstance(error, ImportError):
            raise UsageError(f"{name}: {error}", "pip install 'madnas[hub]'") from error
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise DataError(f"{name or folder}: {split} cannot be read: {reason}") from error
    if not len(found):
        raise DataError(f"{folder}: no images for {split}")
    if not name:
        _check_filled(folder, found)
    return found


def _check_filled(folder: Path, reader: Any) -> None:
    """Refuse a class without images: timm would leave it out, and number the others anew, in silence."""
    start = len(str(folder)) + 1
    filled = {path[start:].partition(os.sep)[0] for path, _ in reader.samples}
    empty = sorted(one.name for one in folder.iterdir() if one.is_dir() and not one.name.startswith("."))
    empty = [name for name in empty if name not in filled]
    if empty:
        raise DataError(
            f"{folder}: no images in {', '.join(empty[:5])}",
            f"take folders out that are no classes; image files end with .jpg, .jpeg, .png or {', '.join(EXTENSIONS)}",
        )
