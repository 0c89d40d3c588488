"""TileMatrixSets as WMTS 1.0.0 describes them (OGC 07-057r7): CRS names, corners, scales."""

import math
from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

import pyproj
from morecantile import Tile, TileMatrixSet
from morecantile.models import crs_axis_inverted
from pyproj.crs import GeographicCRS
from pyproj.crs.coordinate_system import Ellipsoidal2DCS
from pyproj.crs.enums import Ellipsoidal2DCSAxis
from rasterio.crs import CRS

from livemosaic.geo.crs import authority_of, body_of, proj_crs
from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import MatrixLimits, Reach

_PIXEL_M: Final = 0.28e-3
_RADIUS_M: Final = 6_378_137
"""Equatorial radius of WGS 84. Clients (GDAL, QGIS) take a degree of any body for one of it, so
scales of TileMatrixSets in degrees are stated by it on all bodies."""

EARTH: Final = "Earth"
"""See `body_of`."""

Corner = tuple[float, float]
"""Coordinates in the order of the axes of a CRS."""


@dataclass(frozen=True, slots=True)
class WmtsMatrix:
    """A tile matrix."""

    id: str
    scale: float
    """Scale denominator for pixels of 0.28 mm."""
    corner: Corner
    """The upper left corner."""
    tile_width: int
    tile_height: int
    width: int
    """Columns of tiles."""
    height: int


@dataclass(frozen=True, slots=True)
class WmtsLimits:
    """The tiles of a matrix that may show something, first and last included."""

    matrix: str
    rows: tuple[int, int]
    columns: tuple[int, int]


@dataclass(frozen=True, slots=True)
class WmtsMatrixSet:
    """The zooms of a TileMatrixSet that a mosaic has."""

    id: str
    crs: str
    """Name of the CRS, whose axis order its coordinates have."""
    extent: tuple[Corner, Corner]
    """The lower and the upper corner of the mosaic, within the TileMatrixSet."""
    matrices: tuple[WmtsMatrix, ...]
    limits: tuple[WmtsLimits, ...]

    @classmethod
    def of(cls, reach: Reach, *, use_epsg: bool = False) -> "WmtsMatrixSet":
        """Describes what a mosaic covers of a TileMatrixSet; `use_epsg` names no CRS by URN."""
        tms, name = reach.tms, _crs_name(reach.tms.rasterio_crs)
        left, bottom, right, top = reach.extent
        corners = (left, bottom), (right, top)
        low, high = (corner[::-1] if _is_inverted(name) else corner for corner in corners)
        matrices = (_matrix(tms, limits.zoom, name) for limits in reach.limits())
        limits = (_limits(tms, limits) for limits in reach.limits())
        shown = _plain(name) if use_epsg else name
        return cls(str(tms.id), shown, (low, high), tuple(matrices), tuple(limits))


def extents(matrix_sets: Iterable[WmtsMatrixSet]) -> dict[str, BBox]:
    """Returns the lower and the upper corner of a mosaic by the name of the CRS, once for each."""
    found: dict[str, BBox] = {}
    for one in matrix_sets:
        (x0, y0), (x1, y1) = one.extent
        a0, b0, a1, b1 = found.get(one.crs, (x0, y0, x1, y1))
        found[one.crs] = min(x0, a0), min(y0, b0), max(x1, a1), max(y1, b1)
    return found


def _matrix(tms: TileMatrixSet, zoom: int, crs_name: str) -> WmtsMatrix:
    matrix, origin = tms.matrix(zoom), tms.xy_bounds(Tile(0, 0, zoom))
    corner = origin.left, origin.top
    return WmtsMatrix(
        id=matrix.id,
        scale=_scale(tms, matrix.cellSize),
        corner=corner[::-1] if _is_inverted(crs_name) else corner,
        tile_width=matrix.tileWidth,
        tile_height=matrix.tileHeight,
        width=matrix.matrixWidth,
        height=matrix.matrixHeight,
    )


def _scale(tms: TileMatrixSet, cell: float) -> float:
    """Returns the scale denominator from which clients derive the size of a pixel.

    CanadianNAD83_LCC's own scales assume smaller pixels than WMTS.
    """
    degree_m = 2 * math.pi * _RADIUS_M / 360
    return cell * (degree_m if tms.rasterio_crs.is_geographic else 1) / _PIXEL_M


def _limits(tms: TileMatrixSet, at: MatrixLimits) -> WmtsLimits:
    return WmtsLimits(tms.matrix(at.zoom).id, at.rows, at.columns)


@lru_cache(64)
def _crs_name(crs: CRS) -> str:
    """Returns the URN of a CRS (OGC 09-048r5); its WKT where no authority has it.

    WKT with x before y on other bodies: PROJ 9.1 lacks some codes of the IAU, and GDAL swaps the
    axes of none.
    """
    if body_of(crs) != EARTH:
        return _eastwards(proj_crs(crs)).to_wkt()
    authority, code = authority_of(crs) or ("", "")
    if authority == "OGC":
        return f"urn:ogc:def:crs:OGC:1.3:{code}"
    return f"urn:ogc:def:crs:{authority}::{code}" if authority else crs.to_wkt()


def _eastwards(crs: pyproj.CRS) -> pyproj.CRS:
    """Returns a CRS with longitude before latitude, if it is one of degrees."""
    if not crs.is_geographic:
        return crs
    axes = Ellipsoidal2DCS(axis=Ellipsoidal2DCSAxis.LONGITUDE_LATITUDE)
    return GeographicCRS(name=crs.name, datum=crs.datum, ellipsoidal_cs=axes)


def _plain(urn: str) -> str:
    """Returns `EPSG:3857` of a URN; other names as they are."""
    *_, authority, _, code = ("", "", *urn.split(":"))
    return f"{authority}:{code}" if urn.startswith("urn:") else urn


@lru_cache(64)
def _is_inverted(crs_name: str) -> bool:
    """Whether the CRS by that name has y before x."""
    return crs_axis_inverted(pyproj.CRS.from_user_input(crs_name))
