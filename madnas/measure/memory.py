"""Memory that is used again and again."""

import ctypes
import sys
from functools import cache

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD = -1, -3
LARGEST = 2**30


@cache
def keep_freed_memory() -> bool:
    """Have the C library keep freed blocks up to 1 GiB instead of giving them back to the system at once.

    A forward pass allocates and frees a map of some hundred megabytes for every layer. As the library is set, every one
    comes fresh from the system, which has to clear it page by page. ``benchmarks/zen.py`` measures what that costs a
    Zen-Score. For glibc only; elsewhere nothing happens.

    Returns:
        Whether it could be set.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):  # another C library
        return False
    return bool(mallopt(M_MMAP_THRESHOLD, LARGEST)) and bool(mallopt(M_TRIM_THRESHOLD, LARGEST))
