"""Pages of memory that are handed out again and again, counted."""

import platform
import subprocess
import sys

import pytest

# Of steps that hold 128 MB at a time, in blocks of 16 MB: of the allocator that torch also takes.
SCRIPT = """
import resource
from node_experiments.training import device

def faults():
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt

def step():
    held = [bytearray(16 * 2**20) for _ in range(8)]

{before}
for _ in range(3):
    step()
start = faults()
for _ in range(5):
    step()
print(faults() - start)
{after}
start = faults()
step()
print(faults() - start)
"""

pytestmark = pytest.mark.skipif(
    platform.libc_ver()[0] != "glibc", reason="only glibc has what is set here"
)


def pages(before="", after=""):
    script = SCRIPT.format(before=before, after=after)
    run = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert run.returncode == 0, run.stderr
    return [int(line) for line in run.stdout.split()]


def test_a_step_does_not_ask_for_the_pages_that_the_last_one_freed():
    kept, _ = pages(before="device.keep_freed_memory()")
    given_back, _ = pages()
    assert kept < 100 < 1000 < given_back


def test_what_is_kept_can_be_given_back():
    _, again = pages("device.keep_freed_memory()", "device.give_back_memory()")
    assert again > 1000
