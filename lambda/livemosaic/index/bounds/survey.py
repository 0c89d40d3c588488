"""The bounds of all scenes that a mosaic has, found by few of its rows.

Cells are looked into from the coarsest to the finest, the outermost first, and only where they
reach out of the bounds of the scenes found so far: the inside of a mosaic is never read. Where that
takes too many calls, cells that are left count as if scenes filled them.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import islice, product
from typing import Final

import numpy as np
import shapely

from livemosaic.geo.antimeridian import extent, holds, is_smaller, lonlat_boxes, union, united
from livemosaic.geo.cells import Cell, CellGrid, cell_grid
from livemosaic.geo.covering import coarse_rungs, decode, decode_beyond, floor_rung
from livemosaic.geo.crs import transformer
from livemosaic.index.partitions import reached
from livemosaic.index.schema import CellRow, Head, partition
from livemosaic.index.search import SceneReader
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.table import Page

_CALLS: Final = 4000
"""Of the table, at most: about as many read units, and half a minute."""
_HEADS: Final = 5
"""Heads for the price of a call, where all are read."""
_FIRST_PAGE: Final = 20
_NEXT_PAGE: Final = 200
_LOST: Final = 1e-3
"""Part of a cell by which a footprint may reach farther than what the cell's row has of it, which
is simplified: far more than that."""

_Node = tuple[str, str]
"""Kind and quadkey of a partition."""


def surveyed(reader: SceneReader, mosaic: Mosaic, *, calls: int = _CALLS) -> BBox | None:
    """Returns bounds of all scenes of a mosaic: of the scenes themselves, or a little larger.

    None where it has no scenes. West, south, east, north in degrees; west > east across ±180. A
    scene whose rows are written meanwhile may be missed, any other one is within. Hidden scenes of
    truncated collections count, until their rows are gone.
    """
    grid = cell_grid(mosaic.tms)
    if grid.edge is None:  # footprints reach out of such a grid, and its cells are bent in degrees
        return _of_every_head(reader, mosaic, calls * _HEADS)
    return _Survey(reader, mosaic, grid, calls).run()


@dataclass(slots=True)
class _Survey:
    reader: SceneReader
    mosaic: Mosaic
    grid: CellGrid
    calls: int
    found: BBox | None = None
    rough: list[BBox] = field(default_factory=list)
    is_outside: bool = False
    """Whether a scene was found outside of the mosaic's bounds."""
    known: set[str] = field(default_factory=set)
    """Keys of the scenes whose whole extent was read."""

    def run(self) -> BBox | None:
        mosaic = self.mosaic
        if mosaic.reach is None or not mosaic.levels:
            return mosaic.bounds
        floor, deepest = floor_rung(mosaic.quadkey_zoom, mosaic.minzoom), max(mosaic.levels)
        rungs = sorted(z for z in coarse_rungs(mosaic.quadkey_zoom) if floor <= z < deepest)
        places = self.grid.from_lonlat(mosaic.reach)
        if sum(self.grid.count(place, min(floor, deepest)) for place in places) > self.calls:
            return mosaic.bounds
        first = rungs[0] if rungs else deepest
        nodes = [
            ("cell", key)
            for level in mosaic.levels
            if level <= first
            for key in reached(mosaic, self.grid, level)
        ]
        if rungs:
            nodes += [("coarse", key) for key in reached(mosaic, self.grid, first)]
        for zoom in range(deepest + 1):
            here = [node for node in nodes if len(node[1]) == zoom]
            nodes = [node for node in nodes if len(node[1]) != zoom]
            for node in self._outermost_first(here):
                if not self._look(node):
                    nodes += self._below(node, rungs)
        whole, bounds = union([self.found, *self.rough]), mosaic.bounds
        if whole and bounds and not self.is_outside and not is_smaller(whole, bounds):
            return bounds  # boxes around the world are joined in one way or another
        return whole

    def _outermost_first(self, nodes: list[_Node]) -> list[_Node]:
        if not nodes:
            return nodes
        cells = [Cell.of(quadkey) for _, quadkey in nodes]
        places = np.array([(cell.x, cell.y) for cell in cells], dtype=np.float64)
        away = np.abs(places - (places.min(axis=0) + places.max(axis=0)) / 2)
        order = np.lexsort((away.min(axis=1), away.max(axis=1)))[::-1]
        return [nodes[place] for place in order]

    def _below(self, node: _Node, rungs: list[int]) -> Iterator[_Node]:
        """Yields the partitions that hold every scene of a coarse one."""
        zoom = len(node[1])
        following = min((rung for rung in rungs if rung > zoom), default=None)
        for level in self.mosaic.levels:
            if zoom < level <= (following or level):
                yield from (("cell", key) for key in _descendants(node[1], level - zoom))
        if following:
            yield from (("coarse", key) for key in _descendants(node[1], following - zoom))

    def _look(self, node: _Node) -> bool:
        """Looks into a partition; returns whether all of its scenes are within what was found."""
        kind, quadkey = node
        cell = self._extent(quadkey)
        if self._has(cell):
            return True
        after: str | None = None
        while self.calls > 0:
            page = self._page(node, after)
            for row in map(CellRow.from_row, page.rows):
                if row.moved is None:
                    self._add(row, cell)
            if page.next is None or self._has(cell):
                return True
            if kind == "coarse":
                return False
            after = page.next
        self._add_rough(cell)
        return True

    def _page(self, node: _Node, after: str | None) -> Page:
        self.calls -= 1
        pk = partition(self.mosaic, *node)
        limit = _NEXT_PAGE if after else _FIRST_PAGE
        consistent = self.reader.consistent
        return self.reader.table.query(pk, after=after, limit=limit, consistent=consistent)

    def _add(self, row: CellRow, cell: BBox) -> None:
        """Adds a scene, by its whole footprint where its part in a cell may reach out."""
        part = self._part(row, cell)
        if row.scene in self.known or self._has(part):
            return
        if self.calls <= 0:
            self._add_rough(part)
            return
        self.calls -= 1
        head = self.reader.head(self.mosaic, row.scene)
        if isinstance(head, Head):
            self.known.add(row.scene)
            box, bounds = extent(head.scene.footprint), self.mosaic.bounds
            self.found = united(self.found or box, box)
            self.is_outside |= bounds is None or not holds(bounds, box)

    def _part(self, row: CellRow, cell: BBox) -> BBox:
        """Returns the extent of a row's part of a footprint, or a little more."""
        quadkey = row.place.quadkey
        rings = decode(self.grid, quadkey, row.footprint)
        if not rings or decode_beyond(self.grid, quadkey, row.footprint):
            return cell
        left, bottom, right, top = shapely.total_bounds([shapely.linearrings(r) for r in rings])
        margin = _LOST * (self.grid.root[2] - self.grid.root[0]) / (1 << len(quadkey))
        _, lowest, _, highest = self.grid.root
        if bottom - margin <= lowest or top + margin >= highest:
            return cell  # rows of earlier releases do not have what lies beyond the edge
        return self._lonlat((left - margin, bottom - margin, right + margin, top + margin))

    def _has(self, box: BBox) -> bool:
        return self.found is not None and holds(self.found, box)

    def _add_rough(self, box: BBox) -> None:
        """Adds a box that scenes may fill, as far as it is within the mosaic's bounds."""
        bounds = self.mosaic.bounds or box
        whole, own = (shapely.union_all(lonlat_boxes(each)) for each in (bounds, box))
        within = whole.intersection(own)
        if within.area:
            self.rough.append(extent(within))

    def _extent(self, quadkey: str) -> BBox:
        """Returns the extent of all that a cell holds, or a little more."""
        cell = Cell.of(quadkey)
        west, south, east, north = self._lonlat(self.grid.bounds(cell))
        south = -90.0 if cell.y == (1 << cell.zoom) - 1 else south
        return west, south, east, 90.0 if cell.y == 0 else north

    def _lonlat(self, bounds: BBox) -> BBox:
        """Returns bounds on a Mercator map in degrees, cut at its edge."""
        low, high = self.grid.root[:2], self.grid.root[2:]
        x, y = np.clip([bounds[:2], bounds[2:]], low, high).T
        (west, east), (south, north) = transformer(self.grid.crs, self.grid.lonlat).transform(x, y)
        return float(west), float(south), float(east), float(north)


def _of_every_head(reader: SceneReader, mosaic: Mosaic, most: int) -> BBox | None:
    """Returns the bounds of all scenes; the mosaic's own where there are too many."""
    heads = islice(reader.every_head(mosaic), most + 1)
    found: BBox | None = None
    for count, head in enumerate(heads):
        if count == most:
            return mosaic.bounds
        if isinstance(head, Head) and head.cells:
            box = extent(head.scene.footprint)
            found = united(found or box, box)
    return found


def _descendants(quadkey: str, zooms: int) -> Iterator[str]:
    return (quadkey + "".join(digits) for digits in product("0123", repeat=zooms))
