"""The C library's allocator, told to keep what one tile frees for the next one.

Blocks and pixels are megabytes, which glibc takes from the kernel anew each time and gives back at
once: each page of them is a page fault, a fifth of a tile's CPU (`python -m bench race`).
"""

import ctypes
from typing import Final

_TRIM_THRESHOLD: Final = -1
_MMAP_THRESHOLD: Final = -3
"""Of `mallopt` (malloc.h)."""
_KEPT_BYTES: Final = 128 * 1024 * 1024
"""Free memory at the end of the heap beyond which it is given back."""
_LARGEST_BYTES: Final = 32 * 1024 * 1024
"""The most that `mallopt` takes on 64 bits; what is larger comes from the kernel as before."""


def keep_freed() -> bool:
    """From now on, in this process; False where the C library is another."""
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError, TypeError):
        return False
    set_both = [mallopt(_MMAP_THRESHOLD, _LARGEST_BYTES), mallopt(_TRIM_THRESHOLD, _KEPT_BYTES)]
    return all(set_both)
