"""A file of the corpus, how it is written, and what is allowed to come of it."""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray


class NotWritableError(Exception):
    """The writer at hand lacks what the file needs, such as a codec."""


@dataclass(frozen=True)
class Case:
    name: str
    write: Callable[[], bytes]
    refused: str = ""
    """A pattern of the reason for which the file may be refused; empty if it has to be read."""
    tolerance: float = 0
    """By how much values may differ where a lossy codec is decoded by another library."""


def rng(name: str) -> np.random.Generator:
    return np.random.default_rng(int.from_bytes(hashlib.blake2b(name.encode()).digest()[:8], "big"))


def pixels(
    name: str, dtype: str, bands: int = 1, size: tuple[int, int] = (136, 200), bits: int = 0
) -> NDArray[Any]:
    """Bands (bands, height, width) that differ, with slopes, noise and the ends of the type."""
    draw = rng(name)
    height, width = size
    kind = np.dtype(dtype)
    rows, cols = np.mgrid[:height, :width]
    if kind.kind == "c":
        part = pixels(name, f"f{kind.itemsize // 2}", bands, size)
        return (part + 1j * part[::-1]).astype(kind)
    if kind.kind == "f":
        slope = np.stack([(cols * 0.37 - rows * 1.3 + 50 * b) * 7.1 for b in range(bands)])
        data = (slope + draw.normal(0, 1, slope.shape)).astype(kind)
        data[:, 3, :4] = [0, -0.0, np.finfo(kind).max, np.finfo(kind).min]
        return data
    info = np.iinfo(kind)
    low, high = (0, (1 << bits) - 1) if bits else (int(info.min), int(info.max))
    slope = np.stack([(cols * 3 + rows * 7 + 40 * b) % 251 for b in range(bands)]).astype(kind)
    data = (slope % high).astype(kind) if bits else slope
    noisy = data[:, 8:20, 8:60]
    noisy[:] = draw.integers(low, high, noisy.shape, kind, endpoint=True)
    data[:, 3, :2] = [low, high]
    return data
