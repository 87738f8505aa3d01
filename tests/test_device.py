"""Memory that tensors on the CPU free stays with the process, where the C library is glibc."""

import platform
import subprocess
import sys

import pytest

FAULTS = """
import resource, sys, torch
from madnas.device import keep_freed_memory
if sys.argv[1] == "keep":
    keep_freed_memory()
def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt
for step in range(40):
    if step == 30:  # the heap has grown to what a step needs, which takes a varying number of steps
        before = faults()
    one, other = torch.ones(8, 1024, 1024), torch.ones(8, 1024, 1024)
    del one, other
print(faults() - before)
"""


def faults(mode: str) -> int:
    done = subprocess.run([sys.executable, "-c", FAULTS, mode], capture_output=True, text=True, check=True, timeout=120)
    return int(done.stdout)


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc is told to keep what is freed")
def test_freed_memory_is_not_cleared_anew():
    kept, given_back = faults("keep"), faults("give back")
    assert kept < given_back / 10
