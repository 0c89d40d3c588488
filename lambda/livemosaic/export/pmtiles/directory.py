"""Directories of an archive: which tiles have which bytes. Pure."""

import gzip
import zlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

MOST_OF_ROOT: Final = 16_384 - 127
"""Bytes of the root directory, compressed: with the header it lies in the first 16 KiB."""
_LEAF: Final = 4096
"""Entries of a leaf directory, as long as the root can name all of them."""
_GROWTH: Final = 5, 4
_MAX_VARINT: Final = 10


@dataclass(frozen=True, slots=True, eq=False)
class TileDirectory:
    """Entries by the numbers of their tiles, as columns of equal length."""

    numbers: NDArray[np.uint64]
    """Of the first tile of each entry, ascending."""
    runs: NDArray[np.uint64]
    """How many tiles from there on have these bytes; 0 stands for a leaf directory."""
    lengths: NDArray[np.uint64]
    offsets: NDArray[np.uint64]
    """Of the bytes, in the section of tiles or of leaf directories."""

    def __len__(self) -> int:
        return len(self.numbers)

    def last_until(self, number: int) -> int:
        """Returns the place of the last entry that begins at a number or before; -1 without one."""
        return int(np.searchsorted(self.numbers, np.uint64(number), side="right")) - 1

    def part(self, start: int, stop: int) -> "TileDirectory":
        """Returns some of the entries."""
        at = slice(start, stop)
        return TileDirectory(self.numbers[at], self.runs[at], self.lengths[at], self.offsets[at])

    def to_bytes(self) -> bytes:
        """Returns the directory as the archive has it."""
        steps = np.diff(self.numbers, prepend=np.uint64(0))
        follows = np.zeros(len(self), np.bool_)
        follows[1:] = self.offsets[1:] == self.offsets[:-1] + self.lengths[:-1]
        offsets = np.where(follows, np.uint64(0), self.offsets + np.uint64(1))
        count = np.array([len(self)], np.uint64)
        columns = (count, steps, self.runs, self.lengths, offsets)
        return gzip.compress(b"".join(map(to_varints, columns)), mtime=0)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Reads what `to_bytes` returns; raises `ValueError` where it is something else."""
        try:
            values = from_varints(gzip.decompress(stored))
        except (OSError, EOFError, zlib.error) as error:
            raise ValueError(f"a directory cannot be unpacked: {error}") from error
        count = int(values[0]) if len(values) else 0
        if len(values) != 1 + 4 * count:
            raise ValueError(f"a directory of {count} entries has {len(values)} numbers")
        steps, runs, lengths, offsets = values[1:].reshape(4, count)
        for n in np.flatnonzero(offsets == 0):
            if n == 0:
                raise ValueError("the first entry of a directory follows no other")
            offsets[n] = offsets[n - 1] + lengths[n - 1]
        return cls(np.cumsum(steps, dtype=np.uint64), runs, lengths, offsets - np.uint64(1))


def laid_out(entries: TileDirectory) -> tuple[bytes, bytes]:
    """Returns a root directory, and the leaf directories that it names, if all do not fit in it."""
    if len(entries) <= MOST_OF_ROOT:
        root = entries.to_bytes()
        if len(root) <= MOST_OF_ROOT:
            return root, b""
    size = _LEAF
    while True:
        root, leaves = _with_leaves(entries, size)
        if len(root) <= MOST_OF_ROOT:
            return root, leaves
        size = size * _GROWTH[0] // _GROWTH[1]


def _with_leaves(entries: TileDirectory, size: int) -> tuple[bytes, bytes]:
    starts = range(0, len(entries), size)
    leaves = [entries.part(start, start + size).to_bytes() for start in starts]
    lengths = np.array([len(leaf) for leaf in leaves], np.uint64)
    root = TileDirectory(
        entries.numbers[::size],
        np.zeros(len(leaves), np.uint64),
        lengths,
        np.cumsum(lengths, dtype=np.uint64) - lengths,
    )
    return root.to_bytes(), b"".join(leaves)


def flattened(root: TileDirectory, leaf: Callable[[int, int], bytes]) -> TileDirectory:
    """Returns the entries of a directory and of the leaf directories below it.

    `leaf` returns the bytes at an offset, of a length, in the section of leaf directories.
    """
    if root.runs.all():
        return root
    parts = []
    for n in range(len(root)):
        if root.runs[n]:
            parts.append(root.part(n, n + 1))
        else:
            below = TileDirectory.from_bytes(leaf(int(root.offsets[n]), int(root.lengths[n])))
            parts.append(flattened(below, leaf))

    def joined(column: str) -> Any:
        return np.concatenate([getattr(part, column) for part in parts])

    return TileDirectory(joined("numbers"), joined("runs"), joined("lengths"), joined("offsets"))


def to_varints(values: NDArray[np.uint64]) -> bytes:
    """Returns numbers as variable-width integers: 7 bits a byte, the lowest first."""
    sizes = np.ones(len(values), np.int64)
    for more in range(1, _MAX_VARINT):
        sizes += values >= np.uint64(1 << 7 * more)
    starts = np.cumsum(sizes) - sizes
    out = np.zeros(int(sizes.sum()), np.uint8)
    for n in range(int(sizes.max(initial=0))):
        has = sizes > n
        bits = values[has] >> np.uint64(7 * n) & np.uint64(0x7F)
        goes_on = np.where(sizes[has] > n + 1, np.uint64(0x80), np.uint64(0))
        out[starts[has] + n] = bits | goes_on
    return out.tobytes()


def from_varints(stored: bytes) -> NDArray[np.uint64]:
    """Returns the numbers that `to_varints` was given."""
    found = np.frombuffer(stored, np.uint8)
    ends = np.flatnonzero(found < 0x80)
    if len(ends) == 0 or ends[-1] != len(found) - 1:
        raise ValueError("a directory ends within a number")
    starts = np.concatenate(([0], ends[:-1] + 1))
    places = np.arange(len(found)) - np.repeat(starts, ends - starts + 1)
    if places.max() >= _MAX_VARINT:
        raise ValueError("a number of a directory has more than 64 bits")
    bits = (found & 0x7F).astype(np.uint64) << (7 * places).astype(np.uint64)
    return np.add.reduceat(bits, starts)
