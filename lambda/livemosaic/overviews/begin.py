"""Where overviews begin: whether scenes can be shown in a tile as they are, or need a cell below.

Decided for each place, by footprints alone: so drone images of centimetres and satellite scenes of
ten metres have overviews in one mosaic, each from its own zoom on.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Final

import numpy as np

from livemosaic.geo.antimeridian import extent
from livemosaic.geo.cells import Cell, CellGrid, cell_grid
from livemosaic.geo.covering import decode
from livemosaic.index.scenes import Index
from livemosaic.index.schema import Head
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox, Mask
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.plan import Plan

CROWD: Final = 20
"""Scenes that a tile shows without being cut: `max_scenes` of a server by default."""
_SMALLEST: Final = 4
"""A scene is drawn by itself if a tile that is as wide is at most so many zooms deeper: at least 16
pixels of 256. A smaller one may lie between all pixels, and would be seen by chance."""
_LARGEST: Final = -2
"""A crowd of scenes that are all as wide as four tiles is as large at every deeper zoom."""
_LOOKED_AT: Final = 2000
"""Scenes of a tile among which a small one is looked for."""
_RUNG: Final = 2
"""Zooms between levels of index cells."""


@dataclass(frozen=True, slots=True)
class Beginning:
    """Judges a tile of a mosaic as of now."""

    index: Index
    mosaic: Mosaic
    tile: Cell

    def holds_small(self, scenes: Iterator[IndexedScene]) -> bool:
        """Returns whether a scene of the tile is too small to be drawn in it."""
        most = self.tile.zoom + _SMALLEST
        if _smallest(self.mosaic) <= most:
            return False
        bounds = cell_grid(self.mosaic.tms).bounds(self.tile)
        here = (s for s in islice(scenes, _LOOKED_AT) if any(self._parts(s, bounds)))
        return any(self._is_beyond(scene, most) for scene in here)

    def is_crowded(self, plan: Plan, wanted: Sequence[int]) -> bool:
        """Returns whether a tile one zoom deeper would be cut, by the places of the first round.

        It is where a quarter shows more than `CROWD` scenes, not all of which are large.
        """
        if len(wanted) <= CROWD or _most_in_a_quarter(plan, wanted) <= CROWD:
            return False
        most = self.tile.zoom + _LARGEST
        return any(self._is_beyond(plan.scene(place), most) for place in wanted)

    def _is_beyond(self, scene: IndexedScene, zoom: int) -> bool:
        """Returns whether a scene is smaller than a tile of a zoom."""
        cells = cell_grid(self.mosaic.tms)
        if min(map(cells.zoom_of, self._parts(scene)), default=math.inf) <= zoom:
            return False  # a part of it is as large
        head = self.index.head(self.mosaic, scene.key)
        if not isinstance(head, Head):
            return False
        boxes = cells.from_lonlat(extent(head.scene.footprint))
        return min(map(cells.zoom_of, boxes), default=0.0) > zoom

    def _parts(self, scene: IndexedScene, within: BBox | None = None) -> Iterator[BBox]:
        """Yields the boxes of a scene's parts, that overlap another if one is given."""
        cells = cell_grid(self.mosaic.tms)
        for quadkey, stored in scene.parts:
            found = _box(cells, quadkey, stored)
            if found is not None and (within is None or _overlap(found, within)):
                yield found


def _box(cells: CellGrid, quadkey: str, stored: bytes) -> BBox | None:
    rings = decode(cells, quadkey, stored)
    if not rings:
        return None
    x, y = np.concatenate(rings).T
    return float(x.min()), float(y.min()), float(x.max()), float(y.max())


def _overlap(one: BBox, other: BBox) -> bool:
    across = one[0] < other[2] and other[0] < one[2]
    return across and one[1] < other[3] and other[1] < one[3]


def _smallest(mosaic: Mosaic) -> float:
    """Returns the zoom of a tile as wide as the smallest scene that a mosaic may have.

    A scene has more than `max_cells` cells at the level below its own: so it is as wide as their
    root, less one. There is no level below the deepest, where scenes may be of any size.
    """
    level = max(mosaic.levels, default=0)
    across = math.sqrt(mosaic.max_cells) - 1
    if level > mosaic.quadkey_zoom - _RUNG or across <= 0:
        return math.inf
    return level + _RUNG - math.log2(across)


def _most_in_a_quarter(plan: Plan, wanted: Sequence[int]) -> int:
    """Returns how many scenes show in the fullest quarter of a tile, by their footprints."""
    holes = np.ones((plan.height, plan.width), np.bool_)
    counts = np.zeros(4, np.intp)
    for place in wanted:
        claim = plan.claim(place)
        counts += [quarter.any() for quarter in _quarters(claim & holes)]
        if not plan.needs_all:
            holes &= ~claim
    return int(counts.max())


def _quarters(mask: Mask) -> Iterator[Mask]:
    for half in np.array_split(mask, 2, axis=0):
        yield from np.array_split(half, 2, axis=1)
