"""What a job draws: bytes of tiles in the order of their numbers, and an index of them."""

import json
from collections.abc import Callable, Collection, Sequence
from contextlib import aclosing
from dataclasses import asdict, dataclass, fields
from typing import Any, Final, Self

import numpy as np
from numpy.typing import NDArray

from livemosaic.export.pmtiles.writer import DIGEST
from livemosaic.export.tiles.archive import ArchiveExport, ExportTally
from livemosaic.export.tiles.drawing import ExportedTile
from livemosaic.export.tiles.ledger import EMPTY, LedgerWriter
from livemosaic.geo.cells import Cell

_TILE: Final = np.dtype([("number", "<u8"), ("digest", "u1", DIGEST), ("length", "<u4")])


@dataclass(frozen=True, slots=True, eq=False)
class DrawnPart:
    """The index of the tiles that a job drew."""

    tiles: NDArray[Any]
    """Numbers, digests and lengths of the tiles with pixels, by number."""
    records: bytes
    """Of the ledger."""
    tally: ExportTally
    looked: Sequence[int] = ()
    """Numbers of all tiles that were looked at, where time ran out before others; else none."""
    bodies: str = ""
    """Name of the object with the bytes of the tiles, which follows from them: a job that ran twice
    at once leaves an index and bytes that belong together."""
    earlier: Sequence[str] = ()
    """Names of the indexes of the region's other tiles, of jobs that ran out of time."""

    def offsets(self) -> NDArray[np.uint64]:
        """Returns where the bytes of each tile are; equal ones are there once."""
        firsts, content = distinct(self.tiles["digest"])
        order = np.argsort(firsts)
        lengths = self.tiles["length"].astype(np.uint64)[firsts]
        starts = np.zeros(len(firsts), np.uint64)
        starts[order] = np.cumsum(lengths[order], dtype=np.uint64) - lengths[order]
        return starts[content]

    def to_bytes(self) -> bytes:
        """Returns the index as an object has it."""
        about = {
            "tiles": len(self.tiles),
            "tally": asdict(self.tally),
            "looked": self.looked,
            "bodies": self.bodies,
            "earlier": self.earlier,
        }
        return b"%b\n%b%b" % (json.dumps(about).encode(), self.tiles.tobytes(), self.records)

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Reads what `to_bytes` returns."""
        line, _, rest = stored.partition(b"\n")
        head: dict[str, Any] = json.loads(line)
        size = head.pop("tiles") * _TILE.itemsize
        tally = ExportTally(**head.pop("tally"))
        return cls(np.frombuffer(rest[:size], _TILE), rest[size:], tally, **head)


async def drawn(
    export: ArchiveExport, top: Cell, done: Collection[int], late: Callable[[], bool]
) -> tuple[DrawnPart, bytes]:
    """Draws tiles within one; returns their index, and their bytes.

    All but the ones that are `done`, by their numbers; one at least, and no more when it is `late`.
    """
    tally, ledger = ExportTally(), LedgerWriter(export.settings)
    looked: list[int] = []
    shown: dict[int, ExportedTile] = {}
    async with aclosing(export.tiles(top, done)) as tiles:
        async for tile in tiles:
            tally.count(tile)
            looked.append(tile.number)
            ledger.add(tile.number, tile.recorded)
            if tile.digest != EMPTY:
                shown[tile.number] = tile
            if late():
                break
        else:
            looked.clear()
    in_order = sorted(shown.items())
    index = np.zeros(len(in_order), _TILE)
    bodies: dict[bytes, bytes] = {}
    for n, (number, tile) in enumerate(in_order):
        index[n] = number, np.frombuffer(tile.digest, np.uint8), len(tile.body)
        bodies.setdefault(tile.digest, tile.body)
    part = DrawnPart(index, ledger.records, tally, looked)
    return part, b"".join(bodies.values())


def distinct(digests: NDArray[np.uint8]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the first row of each kind of rows of `DIGEST` bytes, and the kind of each row."""
    halves = np.ascontiguousarray(digests).view(np.uint64).reshape(-1, 2)
    order = np.lexsort((halves[:, 1], halves[:, 0]))
    begins = np.ones(len(order), np.bool_)
    begins[1:] = (halves[order][1:] != halves[order][:-1]).any(axis=1)
    kinds = np.empty(len(order), np.int64)
    kinds[order] = np.cumsum(begins) - 1
    return order[begins], kinds


def total(tallies: list[ExportTally]) -> ExportTally:
    """Returns what several jobs have done together."""
    whole = ExportTally()
    for tally in tallies:
        for name in (field.name for field in fields(tally) if field.name != "reasons"):
            setattr(whole, name, getattr(whole, name) + getattr(tally, name))
        whole.add_reasons(tally.reasons.items())
    return whole
