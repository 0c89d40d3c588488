"""Bounding boxes of mosaics by the names of CRSs, x before y."""

import math
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.box import Box
from livemosaic.geo.crs import LONLAT, authority_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.tiler.tilesets import WORLD, Reach, every_reach, reach
from livemosaic.tiler.views import lonlat_on

_WIDE: Final = 12.0
"""Degrees of longitude from which on no zone of UTM is named for a mosaic."""
_FARTHEST_UTM: Final = 84.0


def lonlat_bounds_of(mosaic: Mosaic) -> BBox:
    """Returns west, south, east, north in degrees; all longitudes of a mosaic across ±180°."""
    west, south, east, north = mosaic.described or WORLD
    return (-180.0, south, 180.0, north) if west > east else (west, south, east, north)


def every_box(mosaic: Mosaic) -> dict[str, BBox]:
    """Returns the boxes in the CRSs of all TileMatrixSets that cover a mosaic, its own first, in
    degrees, and in its zone of UTM."""
    return _boxes(mosaic, every_reach(mosaic)) | _in_utm(mosaic)


def few_boxes(mosaic: Mosaic) -> dict[str, BBox]:
    """Returns the boxes in the mosaic's own CRS, in degrees, and in Web Mercator on Earth."""
    names = [mosaic.tms, *(["WebMercatorQuad"] if lonlat_on(mosaic) == LONLAT else [])]
    found = [reach(mosaic, name) for name in dict.fromkeys(names)]
    return _boxes(mosaic, [one for one in found if one is not None])


def _boxes(mosaic: Mosaic, reached: Iterable[Reach]) -> dict[str, BBox]:
    found: dict[str, BBox] = {}
    for one in reached:
        name, extent = name_of(one.tms.rasterio_crs), one.extent
        if name and name not in _DEGREES:
            found[name] = _joined(found.get(name, extent), extent)
    lonlat, bounds = lonlat_on(mosaic), lonlat_bounds_of(mosaic)
    degrees = _DEGREES if lonlat == LONLAT else [name for name in [name_of(lonlat)] if name]
    return found | dict.fromkeys(degrees, bounds)


_DEGREES: Final = ("CRS:84", "EPSG:4326")


def name_of(crs: CRS) -> str | None:
    """Returns the name of a CRS in WMS: `EPSG:3857`, `CRS:84`; None where no authority has it."""
    authority, code = authority_of(crs) or ("", "")
    if authority == "OGC":
        return "CRS:84" if code == "CRS84" else None
    return f"{authority}:{code}" if authority else None


def _joined(one: BBox, other: BBox) -> BBox:
    return (
        min(one[0], other[0]),
        min(one[1], other[1]),
        max(one[2], other[2]),
        max(one[3], other[3]),
    )


def _in_utm(mosaic: Mosaic) -> dict[str, BBox]:
    """Returns the box in the zone of UTM amid a small mosaic on Earth."""
    if mosaic.described is None or lonlat_on(mosaic) != LONLAT:
        return {}
    west, south, east, north = lonlat_bounds_of(mosaic)
    if east - west > _WIDE or max(-south, north) > _FARTHEST_UTM:
        return {}
    zone = min(60, math.floor(((west + east) / 2 + 180) / 6) + 1)
    code = (32600 if south + north >= 0 else 32700) + zone
    with suppress(InvalidRequestError):
        box = Box(LONLAT, (west, south, east, north)).to(CRS.from_epsg(code))
        return {f"EPSG:{code}": box.bounds}
    return {}
