"""Transformers between CRSs."""

from functools import lru_cache
from typing import Final

import pyproj
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

LONLAT: Final = CRS.from_epsg(4326)
"""Longitude first, as everywhere in this package: OGC:CRS84."""


class NoTransformError(Exception):
    """PROJ knows no way from one CRS to the other, such as from Earth to Mars."""


@lru_cache(maxsize=128)
def transformer(source: CRS, target: CRS) -> pyproj.Transformer:
    """Returns a transformer, x before y on both sides; raises `NoTransformError` if PROJ has none.

    Cached, as PROJ needs some 10 ms to find the best operation. Safe in threads: pyproj keeps one
    for each.
    """
    try:
        return pyproj.Transformer.from_crs(_proj_crs(source), _proj_crs(target), always_xy=True)
    except ProjError as e:
        raise NoTransformError(str(e)) from e


def _proj_crs(crs: CRS) -> pyproj.CRS:
    # By code where there is one: WKT loses the area of use, by which PROJ chooses datum shifts.
    code = crs.to_epsg()
    return pyproj.CRS.from_epsg(code) if code else pyproj.CRS.from_wkt(crs.to_wkt())
