"""The names of the datasets: all that a recipe needs to know of them, and nothing that needs torch."""

import re

SYNTHETIC = re.compile(r"(seg|circle)([2-9]|[1-9][0-9]{1,2})")
REAL = ("mnist", "digits")


def is_dataset(name: str) -> bool:
    """Whether a dataset has this name.

    >>> is_dataset("seg20"), is_dataset("seg1"), is_dataset("digits")
    (True, False, True)
    """
    return name in REAL or SYNTHETIC.fullmatch(name) is not None
