"""Random numbers that depend on what they are for, and not on what was drawn before or by whom."""

import hashlib

import torch


def generator(seed: int, *purpose: str | int) -> torch.Generator:
    """A generator (on the CPU) of its own for every purpose, such as ``generator(0, "links", depth, links, repeat)``.

    Networks drawn this way are the same in any order, in any group, in one process or in many.

    Args:
        seed: the user's.
        purpose: what the numbers are for.
    """
    digest = hashlib.blake2b(repr((seed, *purpose)).encode(), digest_size=8).digest()
    return torch.Generator().manual_seed(int.from_bytes(digest, "little") >> 1)
