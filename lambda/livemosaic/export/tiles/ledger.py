"""What the tiles of an archive were drawn from, kept beside it for the next one.

A line of JSON, then a record for each tile that scenes were looked at for, by number: its basis,
its flaws, and the digest of its bytes, all zero where it is empty. Bytes of the archive are taken
over where they have this digest, so a ledger beside another archive does no harm.
"""

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from livemosaic.export.pmtiles.reader import ReadRange
from livemosaic.export.pmtiles.writer import DIGEST
from livemosaic.export.tiles.basis import SIZE, TileBasis

FORMAT: Final = 1
"""To be raised where tiles are drawn in another way by equal settings: then all are drawn anew."""
EMPTY: Final = bytes(DIGEST)
"""Stands for the bytes of a tile without a valid pixel, which archives leave out."""
_RECORD: Final = np.dtype(
    [("number", "<u8"), ("basis", "u1", SIZE), ("flaws", "u1"), ("body", "u1", DIGEST)]
)


@dataclass(frozen=True, slots=True)
class Flaws:
    """What a tile does not show."""

    is_cut: bool = False
    """Whether a limit left scenes out."""
    is_lacking: bool = False
    """Whether a scene could not be read, or lacks an asset."""


NO_FLAWS: Final = Flaws()


@dataclass(frozen=True, slots=True)
class Recorded:
    """What the last export knew of a tile."""

    basis: TileBasis
    flaws: Flaws
    body: bytes
    """Digest of its bytes, or `EMPTY`."""


@dataclass(frozen=True, slots=True, eq=False)
class TileLedger:
    """The records of the last export."""

    records: NDArray[Any] = field(default_factory=lambda: np.zeros(0, _RECORD))

    @classmethod
    def from_bytes(cls, stored: bytes, settings: str) -> Self:
        """Reads a ledger; one of tiles that were drawn by other settings, or damaged, is empty."""
        line, _, records = stored.partition(b"\n")
        if line != _head(settings) or len(records) % _RECORD.itemsize:
            return cls()
        return cls(np.frombuffer(records, _RECORD))

    @classmethod
    def of_spans(cls, read: ReadRange, spans: Sequence[tuple[int, int]], settings: str) -> Self:
        """Reads some of the records; `spans` are half-open, of their numbers in the ledger."""
        head = _head(settings) + b"\n"
        if not spans or read(0, len(head)) != head:
            return cls()
        size = _RECORD.itemsize
        parts = (read(len(head) + size * start, len(head) + size * stop) for start, stop in spans)
        stored = b"".join(parts)
        return cls(np.frombuffer(stored, _RECORD)) if len(stored) % size == 0 else cls()

    def spans(self, runs: Iterable[tuple[int, int]]) -> list[tuple[int, int]]:
        """Returns where the records of half-open runs of tile numbers are; empty ones left out."""
        numbers = self.records["number"]
        found = (np.searchsorted(numbers, np.array(run, np.uint64)).tolist() for run in runs)
        return [(start, stop) for start, stop in found if start < stop]

    def find(self, number: int) -> Recorded | None:
        """Returns what is known of a tile, by its number."""
        numbers = self.records["number"]
        at = int(np.searchsorted(numbers, np.uint64(number)))
        if at == len(numbers) or int(numbers[at]) != number:
            return None
        found = self.records[at]
        flaws = Flaws(is_cut=bool(found["flaws"] & 1), is_lacking=bool(found["flaws"] & 2))
        basis = TileBasis.from_bytes(found["basis"].tobytes())
        return Recorded(basis, flaws, found["body"].tobytes())


class LedgerWriter:
    """Collects records in any order."""

    def __init__(self, settings: str) -> None:
        """Collects for tiles drawn by settings, of which this is a digest."""
        self._settings = settings
        self._records = bytearray()

    def add(self, number: int, tile: Recorded | None) -> None:
        """Adds the record of a tile; None has none."""
        if tile is None:
            return
        flaws = bytes([tile.flaws.is_cut | tile.flaws.is_lacking << 1])
        self._records += number.to_bytes(8, "little") + tile.basis.to_bytes() + flaws + tile.body

    def to_bytes(self) -> bytes:
        """Returns the ledger, the same in whatever order records came."""
        return ledger_of(self._settings, [self.records])

    @property
    def records(self) -> bytes:
        """The records in the order in which they were added."""
        return bytes(self._records)


def ledger_of(settings: str, parts: Iterable[bytes]) -> bytes:
    """Returns a ledger of the records of several writers by the same settings."""
    records = np.frombuffer(b"".join(parts), _RECORD)
    return _head(settings) + b"\n" + records[np.argsort(records["number"])].tobytes()


def _head(settings: str) -> bytes:
    return json.dumps({"format": FORMAT, "settings": settings}).encode()
