"""Freed memory is used again instead of being asked for anew."""

import platform
import resource
import subprocess
import sys

import pytest

from livemosaic import process

FAULTS = """
import resource, sys
import numpy as np
from livemosaic import process

def faults():
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(50):
        [np.ones(size, np.uint8) for size in (4_000_000, 6_000_000, 3_000_000)]
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before

without = faults()
process.keep_freed()
faults()
print(without, faults())
"""

glibc = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="the C library is not glibc")


@glibc
def test_pixels_of_the_next_tile_take_no_page_faults() -> None:
    out = subprocess.run([sys.executable, "-c", FAULTS], capture_output=True, text=True, check=True)
    without, kept = map(int, out.stdout.split())
    pages = 13_000_000 // resource.getpagesize()
    assert without > 10 * pages
    assert kept < pages


def test_another_c_library_is_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(process.ctypes, "CDLL", lambda _: object())
    assert not process.keep_freed()
