"""Pages of memory that are handed out again and again, counted."""

import platform
import subprocess
import sys

import pytest

# Of steps that hold 128 MB at a time, in blocks of 16 MB: of the allocator that torch also takes.
SCRIPT = """
import resource
from node_experiments.training import device

def step():
    held = [bytearray(16 * 2**20) for _ in range(8)]

def faults(steps):
    start = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(steps):
        step()
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - start

faults(3)
given_back = faults(5)
device.keep_freed_memory()
faults(3)
kept = faults(5)
device.give_back_memory()
print(given_back, kept, faults(1))
"""


@pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="only glibc has what is set here")
def test_a_step_does_not_ask_for_the_pages_that_the_last_one_freed_until_they_are_given_back():
    run = subprocess.run([sys.executable, "-c", SCRIPT], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    given_back, kept, again = map(int, run.stdout.split())
    assert kept < 100 < 1000 < given_back
    assert again > 1000
