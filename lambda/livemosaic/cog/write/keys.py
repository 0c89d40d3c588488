"""The GeoKeys of any CRS (OGC 19-008r4), chosen so that GDAL reads the same CRS back."""

import struct
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final

import pyproj
from rasterio import Env, MemoryFile
from rasterio.crs import CRS
from rasterio.session import DummySession
from rasterio.transform import from_origin

from livemosaic.cog.tiff.directories import iterate_directories
from livemosaic.cog.tiff.geokeys import DOUBLES, KEYS, TEXTS, crs_of, value_of
from livemosaic.cog.tiff.written import Value, shorts

Tags = Mapping[int, Value]
"""Values of a TIFF's tags by their numbers."""

_MODEL, _RASTER, _GEOGRAPHIC, _PROJECTED = 1024, 1025, 2048, 3072
_IS_PROJECTED, _IS_GEOGRAPHIC, _AREA = 1, 2, 1
_MOST: Final = 1 << 15
"""Codes of EPSG end below, in GeoTIFF's keys."""


# Entries never go stale: the keys follow from the CRS alone, and from GDAL's version.
@lru_cache(maxsize=64)
def geo_tags(crs: CRS) -> Tags:
    """Returns the tags of GeoKeys; ValueError for a CRS that GDAL would read back otherwise.

    Just its code for a CRS that EPSG has, and what GDAL itself writes for others, e.g. of planets.
    What is read back may have another name or order of axes, as EPSG:4326 has for OGC:CRS84.
    """
    for make in _WAYS:
        tags = make(crs)
        read = crs_of(tuple(tags.get(tag, (0, 0, b"")) for tag in _TAGS)) if tags else None
        if read is not None and _is_same(read, crs):
            return tags
    raise ValueError(f"GeoTIFF has no keys for this CRS: {crs.to_wkt()}")


_TAGS: Final = (KEYS, DOUBLES, TEXTS)


def _is_same(one: CRS, other: CRS) -> bool:
    if one == other:
        return True
    first, second = (pyproj.CRS.from_wkt(each.to_wkt()) for each in (one, other))
    return bool(first.equals(second, ignore_axis_order=True))


def _by_code(crs: CRS) -> Tags:
    code = crs.to_epsg(confidence_threshold=100)
    if code is None or not 0 < code < _MOST or not (crs.is_projected or crs.is_geographic):
        return {}
    model = _IS_PROJECTED if crs.is_projected else _IS_GEOGRAPHIC
    kind = _PROJECTED if crs.is_projected else _GEOGRAPHIC
    rows = ((_MODEL, model), (_RASTER, _AREA), (kind, code))
    numbers = [1, 1, 0, len(rows)]
    for key, value in rows:
        numbers += [key, 0, 1, value]
    return {KEYS: shorts(*numbers)}


def _by_gdal(crs: CRS) -> Tags:
    form = {"driver": "GTiff", "width": 1, "height": 1, "count": 1, "dtype": "uint8"}
    with Env(DummySession()), MemoryFile() as file:
        with file.open(crs=crs, transform=from_origin(0, 1, 1, 1), **form):
            pass
        body = file.read()
    directory = next(iterate_directories(lambda start, stop: body[start:stop]))
    return {tag: value_of(directory, tag) for tag in _TAGS if tag in directory.fields}


_WAYS: Final[tuple[Callable[[CRS], Tags], ...]] = (_by_code, _by_gdal)


def doubles(*values: float) -> Value:
    """Returns a tag's value of 64-bit floats."""
    return 12, len(values), struct.pack(f"<{len(values)}d", *values)
