"""The names of the datasets: all that a recipe needs to know of them, and nothing that needs torch."""

import re

HUB = "hfds/"
"""Before the name of a data set of Hugging Face, as timm has it."""

SHARDS = "wds/"
"""Before the folder of a webdataset's shards, below that of ``--data``; alone where they are in that."""

SYNTHETIC = re.compile(r"(seg|circle)([2-9]|[1-9][0-9]{1,2})")
REAL = ("mnist", "digits")
CIFAR = {"cifar10": 10, "cifar100": 100}
"""Classes of each."""

GREY = REAL
"""Sets whose images have one channel."""

RESIDENT = ("digits", "mnist", *CIFAR)
"""Sets of images that are kept on the device when networks are trained; so are the synthetic ones."""


def is_resident(name: str) -> bool:
    """Whether a dataset of this name is kept on the device."""
    return name in RESIDENT or is_dataset(name)


def is_dataset(name: str) -> bool:
    """Whether a dataset has this name.

    >>> is_dataset("seg20"), is_dataset("seg1"), is_dataset("digits")
    (True, False, True)
    """
    return name in REAL or SYNTHETIC.fullmatch(name) is not None
