"""The parts of footprints in which a MosaicJSON lists an asset."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, box, mapping
from shapely.geometry.base import BaseGeometry

from livemosaic.geo.cells import Cell, CellGrid
from livemosaic.geo.crs import transformer
from livemosaic.geo.footprint import footprint, held_pole

_LEAST: Final = 1e-6
"""Part of a cell that a footprint may have where it is not listed: a sliver of rounding."""


def footprint_of(item: Mapping[str, Any]) -> MultiPolygon:
    """Returns the footprint of a STAC Item in degrees; raises `InvalidItemError` for none."""
    return footprint(item["geometry"], item.get("bbox"), partial(held_pole, item))


def cut_to_cells(
    item: Mapping[str, Any], grid: CellGrid, quadkeys: Sequence[str]
) -> Mapping[str, Any]:
    """Returns a STAC Item whose geometry ends where no cell lists it; as it is where all do.

    A cell of cogeo-mosaic shows none of what it does not list, as where lists were cut to so many
    assets each.
    """
    shape = grid.project(footprint_of(item))
    listed = shapely.union_all([box(*grid.bounds(Cell.of(key))) for key in quadkeys])
    left, bottom, right, top = grid.bounds(Cell.of(quadkeys[0]))
    beside = shape.difference(listed)
    if beside.area <= _LEAST * (right - left) * (top - bottom):
        return item
    kept = shape.intersection(listed)
    polygons = [part for part in shapely.get_parts(kept) if part.geom_type == "Polygon"]
    if not polygons:
        return item
    return {**item, "geometry": mapping(shapely.transform(MultiPolygon(polygons), _degrees(grid)))}


def _degrees(grid: CellGrid) -> Any:
    to_lonlat = transformer(grid.crs, grid.lonlat)

    def moved(xy: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.column_stack(to_lonlat.transform(*xy.T))

    return moved


@dataclass(slots=True)
class Overlaps:
    """Which assets share area within cells, by their footprints in the CRS of the cells."""

    grid: CellGrid
    shapes: Mapping[str, BaseGeometry]
    """By asset; without the ones that cannot be read, which show nowhere."""
    _shared: dict[tuple[str, str], BaseGeometry] = field(default_factory=dict)

    def __call__(self, one: str, other: str, quadkey: str) -> bool:
        """Whether two assets share area within a cell."""
        if one not in self.shapes or other not in self.shapes:
            return False
        pair = (one, other) if one < other else (other, one)
        if pair not in self._shared:
            self._shared[pair] = self.shapes[one].intersection(self.shapes[other])
        cell = box(*self.grid.bounds(Cell.of(quadkey)))
        return bool(self._shared[pair].intersection(cell).area > _LEAST * cell.area)
