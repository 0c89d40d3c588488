"""Footprints as the rows of index cells keep them.

A row keeps the part of a footprint in its cell. Most scenes lie within one cell, so their row has
all of them. Others are cut at the edge of a cell, and where such an edge shows in a tile, the whole
footprint is needed: a map would draw the edge as if it were one of the scene.
"""

from collections.abc import Iterable, Sequence
from itertools import compress
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray

from livemosaic.geo.cells import Cell, CellGrid, Ring
from livemosaic.geo.covering import decode, decode_beyond
from livemosaic.model.raster import BBox
from livemosaic.model.scene import IndexedScene, Part
from livemosaic.vector.mvt import Shapes

_UNIT: Final = 2**32 - 1
"""The largest coordinate of a stored ring: the edge of its cell (`geo.covering`)."""


def outlines(scenes: Sequence[IndexedScene], cells: CellGrid, reach: BBox) -> Shapes:
    """Returns footprints in the CRS of `cells`; None for each that is cut within `reach`."""
    found = np.full(len(scenes), None, np.object_)
    alone = [scene.parts[0] if len(scene.parts) == 1 else None for scene in scenes]
    plain = [part is not None and _is_ring(part[1]) for part in alone]
    if any(plain):
        rings = _rings([part for part in compress(alone, plain) if part], cells, reach)
        found[np.flatnonzero(plain)] = rings
    for place, part in enumerate(alone):
        if part is not None and not plain[place]:
            found[place] = _outline(part, cells, reach)
    return found


def _is_ring(stored: bytes) -> bool:
    """Whether a stored part is a single ring, as nearly all are."""
    return len(stored) > 2 and 2 + 8 * int.from_bytes(stored[:2], "little") == len(stored)


def _rings(parts: Sequence[Part], cells: CellGrid, reach: BBox) -> Shapes:
    """Returns parts of a ring each, all at once."""
    counts = np.array([(len(stored) - 2) // 8 for _, stored in parts])
    units = np.frombuffer(b"".join(stored[2:] for _, stored in parts), "<u4").reshape(-1, 2)
    of_part = np.repeat(np.arange(len(parts)), counts)
    known = {key: cells.bounds(Cell.of(key)) for key in {key for key, _ in parts}}
    left, bottom, right, top = np.array([known[key] for key, _ in parts])[of_part].T
    size = np.column_stack([right - left, bottom - top])
    xy = np.column_stack([left, top]) + units * (size / _UNIT)
    shapes: Shapes = shapely.polygons(shapely.linearrings(xy, indices=of_part))
    shown = np.array([_shown(bounds, reach) for bounds in known.values()])
    cell_of = dict(zip(known, range(len(known)), strict=True))
    sides = shown[[cell_of[key] for key, _ in parts]][of_part]
    at_edge = np.column_stack([units == 0, units == _UNIT])[:, [0, 3, 2, 1]]
    cut = np.bincount(of_part, (at_edge & sides).any(axis=1)) > 0
    shapes[cut] = None
    return shapes


def _shown(cell: BBox, reach: BBox) -> tuple[bool, bool, bool, bool]:
    """Whether the left, bottom, right and top edge of a cell may show in a tile's bounds."""
    left, bottom, right, top = cell
    west, south, east, north = reach
    return left >= west, bottom >= south, right <= east, top <= north


def _outline(part: Part, cells: CellGrid, reach: BBox) -> shapely.Geometry | None:
    """Returns any part; None where it is cut within a tile's bounds."""
    quadkey, stored = part
    rings, bounds = decode(cells, quadkey, stored), cells.bounds(Cell.of(quadkey))
    if _cut(rings, bounds, reach) or decode_beyond(cells, quadkey, stored):
        return None
    return even_odd([shapely.Polygon(ring) for ring in rings])


def _cut(rings: Iterable[Ring], cell: BBox, reach: BBox) -> bool:
    xy = np.concatenate([*rings, np.zeros((0, 2))])
    edges: NDArray[np.bool_] = np.column_stack([xy == cell[:2], xy == cell[2:]])
    return bool((edges & _shown(cell, reach)).any())


def even_odd(polygons: Sequence[shapely.Geometry]) -> shapely.Geometry:
    """Returns what lies in an odd number of polygons, each of one ring."""
    found: shapely.Geometry = shapely.MultiPolygon()
    for polygon in polygons:
        found = shapely.symmetric_difference(found, shapely.make_valid(polygon))
    return found
