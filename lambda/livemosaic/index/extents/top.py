"""Rows on top: the rows of a partition that show by footprints, and hide all others. Pure.

Where footprints wander, the outermost pixels of a stack belong to a few scenes deep in it. With
these known, a tile need not read all rows to find them: of 1,500 there are some 10 to 150.
"""

import math
import struct
import zlib
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from functools import reduce
from typing import Final

import shapely
from shapely.geometry import Polygon
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.cells import Cell, CellGrid
from livemosaic.geo.covering import decode
from livemosaic.model.raster import BBox

_UNIT: Final = 2**16 - 1
_ROW: Final = struct.Struct("<HI4H")
"""Bytes of a sort key, and of a footprint; the place where it shows."""
CellBox = tuple[int, int, int, int]
"""West, south, east and north in a cell, in 65,535ths from its lower left corner."""
_MOST: Final = 200
"""Scenes that lie side by side, not above each other, are not worth keeping."""
_MOST_BYTES: Final = 64 * 1024
"""Of all rows on top: a sixth of a row of DynamoDB, and 16 read units of each tile that asks."""
_WHOLE: Final[CellBox] = (0, 0, _UNIT, _UNIT)


@dataclass(frozen=True, slots=True, order=True)
class TopRow:
    """A cell or coarse row that shows by footprints. Sorts as tables do."""

    sk: str
    """Its sort key."""
    footprint: bytes
    """As stored."""
    place: CellBox = field(default=_WHOLE, compare=False)
    """Where it shows in its cell: what rows above it leave of it is inside."""

    def shows_in(self, cell: BBox, boxes: Iterable[BBox]) -> bool:
        """Whether it may show in one of some boxes, by the bounds of its cell in the same CRS."""
        left, bottom, right, top = cell
        wide, high = (right - left) / _UNIT, (top - bottom) / _UNIT
        west, south, east, north = self.place
        return any(
            left + west * wide <= box[2]
            and left + east * wide >= box[0]
            and bottom + south * high <= box[3]
            and bottom + north * high >= box[1]
            for box in boxes
        )


def on_top(
    grid: CellGrid, quadkey: str, rows: Iterable[TopRow], *, every: bool = False
) -> tuple[TopRow, ...] | None:
    """Returns the rows of a cell that the ones above them do not hide entirely, top first.

    So each row that is not among them lies inside of what the ones above it cover together. None
    where they are too many to be kept, unless `every` one is asked for: rows, which come in order,
    are then not taken any further.
    """
    bounds = grid.bounds(Cell.of(quadkey))
    found: list[TopRow] = []
    size = 0
    footprints: set[bytes] = set()
    above: BaseGeometry = Polygon()
    for row in rows:
        if row.footprint in footprints:
            continue
        shape, place = _shape(grid, quadkey, row.footprint), _WHOLE
        if shape is not None:
            if above.covers(shape):
                continue
            place = _place(shape.difference(above), bounds)
            above = above.union(shape)
            shapely.prepare(above)
            footprints.add(row.footprint)
        found.append(replace(row, place=place))
        size += _ROW.size + len(row.sk.encode()) + len(row.footprint)
        if not every and (len(found) > _MOST or size > _MOST_BYTES):
            return None
    return tuple(found)


def _place(shape: BaseGeometry, cell: BBox) -> CellBox:
    """Where a shape lies in a cell, rounded outwards by a unit or two."""
    if shape.is_empty:
        return _WHOLE
    left, bottom, right, top = cell
    west, south, east, north = shape.bounds
    return (
        _clamped(math.floor((west - left) / (right - left) * _UNIT) - 1),
        _clamped(math.floor((south - bottom) / (top - bottom) * _UNIT) - 1),
        _clamped(math.ceil((east - left) / (right - left) * _UNIT) + 1),
        _clamped(math.ceil((north - bottom) / (top - bottom) * _UNIT) + 1),
    )


def _clamped(units: int) -> int:
    return min(max(units, 0), _UNIT)


def _shape(grid: CellGrid, quadkey: str, stored: bytes) -> BaseGeometry | None:
    """What a stored footprint covers; None where its rings do not say so plainly."""
    rings = [Polygon(ring) for ring in decode(grid, quadkey, stored) if len(ring) > 2]
    if not all(ring.is_valid for ring in rings):
        return None
    return reduce(BaseGeometry.symmetric_difference, rings, Polygon())


def to_bytes(rows: Sequence[TopRow]) -> bytes:
    """Returns rows as an attribute: keys begin alike, so that a third is left of them."""
    parts = [
        part
        for row in rows
        for sk in [row.sk.encode()]
        for part in (_ROW.pack(len(sk), len(row.footprint), *row.place), sk, row.footprint)
    ]
    return zlib.compress(b"".join(parts))


def from_bytes(stored: bytes) -> tuple[TopRow, ...]:
    """Reads what `to_bytes` returns."""
    body, at, rows = zlib.decompress(stored), 0, []
    while at < len(body):
        of_key, of_footprint, *place = _ROW.unpack_from(body, at)
        begin = at + _ROW.size
        at = begin + of_key + of_footprint
        sk, footprint = body[begin : begin + of_key].decode(), body[begin + of_key : at]
        rows.append(TopRow(sk, footprint, (place[0], place[1], place[2], place[3])))
    return tuple(rows)
