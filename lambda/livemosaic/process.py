"""How a process is tuned: no garbage collection while it starts, and memory kept between tiles."""

import ctypes
import gc
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from importlib import import_module
from pathlib import Path
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
_ARENA_MAX: Final = -8
"""Parameters of `mallopt` (malloc.h)."""
_KEPT_BYTES: Final = 128 * 1024 * 1024
"""Free memory at the end of the heap beyond which it is returned to the kernel."""
_LARGEST_BYTES: Final = 32 * 1024 * 1024
"""The largest threshold that `mallopt` accepts on 64 bits; larger blocks bypass the heap."""
_ARENAS: Final = 2
"""Heaps that threads share: each keeps what was freed in it, and glibc would make eight a core."""

_MEMORY_LIMITS: Final = (
    Path("/sys/fs/cgroup/memory.max"),
    Path("/sys/fs/cgroup/memory/memory.limit_in_bytes"),
)
"""Of this process's control group (Linux, "Control Group v2", "Memory Interface Files"; and v1)."""


@contextmanager
def starting() -> Iterator[None]:
    """Starts without garbage collection, and exempts all that is allocated from later collections.

    Nothing that a start allocates is garbage, and searching it takes a tenth of the time.
    """
    gc.disable()
    try:
        _import_rasterio()
        yield
        _let_rasterio_be()
        gc.freeze()
    finally:
        gc.enable()


def working() -> None:
    """Tunes a process that works on: what it has imported is not searched for garbage again.

    It keeps freed memory, as `keep_freed` has it.
    """
    _let_rasterio_be()
    gc.freeze()
    keep_freed()


def _import_rasterio() -> None:
    """Imports rasterio without boto3, which it wants for such sessions alone: 0.1 s of a start."""
    if "rasterio.session" in sys.modules or "boto3" in sys.modules:
        return
    sys.modules["boto3"] = None  # type: ignore[assignment]  # what may not be imported
    try:
        import_module("rasterio.session")
    finally:
        del sys.modules["boto3"]


def _let_rasterio_be() -> None:
    """Lets rasterio make no session of AWS, which would read no object: we do.

    Given credentials in the environment, as on Lambda, it makes one for each array that GDAL
    rasterizes, traces or warps, also within `Env(DummySession())`: 9 ms, in a tile more than once.
    """
    session = sys.modules.get("rasterio.session")
    if session is not None:
        setattr(session, "boto3", None)  # noqa: B010  # which it tolerates to be absent


def keep_freed() -> bool:
    """Makes glibc keep freed memory for the next tile, in few heaps; False with another C library.

    Blocks and pixels are megabytes, which glibc otherwise takes from the kernel and returns each
    time: the page faults are a fifth of a tile's CPU (`python -m bench race`).
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    set_all = [
        mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES),
        mallopt(_TRIM_THRESHOLD, _KEPT_BYTES),
        mallopt(_ARENA_MAX, _ARENAS),
    ]
    return all(set_all)


def memory() -> int:
    """Returns the bytes of memory that this process may use: of the machine, or of its container.

    0 where neither is known.
    """
    known = []
    with suppress(AttributeError, OSError, ValueError):
        known.append(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES"))
    for limit in _MEMORY_LIMITS:
        with suppress(OSError, ValueError):  # "max" is none
            known.append(int(limit.read_text()))
    return min(known, default=0)
