"""Spatial references of ArcGIS's geometries, as CRSs.

Source: "Geometry objects" in the ArcGIS REST API. Numbers are codes of EPSG, of Esri or of the IAU;
`latestWkid` is the current one where Esri has renumbered a reference.
"""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final

import pyproj
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, counts_to_the_west, lonlat_of

_WEB_MERCATOR: Final = (102100, 102113, 900913)
"""Numbers of EPSG:3857 that Esri and others used before it had one."""
_FORMS: Final = '{"wkid": 4326}, {"wkt": "PROJCS[…]"}'


def crs_of_reference(reference: object) -> CRS | None:
    """Returns the CRS of a `spatialReference`: a number, or an object with `wkid` or `wkt`.

    None if there is none. Raises `InvalidRequestError` for what is not known, for what has no x and
    y, and for what counts longitudes of another body to the west.
    """
    if reference is None or reference == {}:
        return None
    if isinstance(reference, Mapping):
        for name in ("latestWkid", "wkid"):
            if (number := reference.get(name)) is not None:
                return _by_number(number)
        for name in ("wkt", "wkt2"):
            if (text := reference.get(name)) is not None:
                return _by_wkt(text)
    if isinstance(reference, int):
        return _by_number(reference)
    raise _unknown(reference)


def _by_number(number: object) -> CRS:
    if isinstance(number, bool) or not isinstance(number, int):
        raise _unknown(number)
    code = 3857 if number in _WEB_MERCATOR else number
    for authority in ("EPSG", "ESRI", "IAU_2015"):
        try:
            found = pyproj.CRS.from_authority(authority, code)
        except ProjError:
            continue
        return _planar(found, CRS.from_authority(authority, str(code)))
    raise _unknown(number)


@lru_cache(32)
def _by_wkt(text: Any) -> CRS:
    if not isinstance(text, str):
        raise _unknown(text)
    try:
        found = pyproj.CRS.from_wkt(text)
    except ProjError as error:
        raise _unknown(text) from error
    return _planar(found, CRS.from_wkt(found.to_wkt()))


def _planar(found: pyproj.CRS, crs: CRS) -> CRS:
    if not (found.is_geographic or found.is_projected):
        raise InvalidRequestError(
            f"spatialReference {found.name[:80]!r} has no x and y: it is a {found.type_name}"
        )
    if lonlat_of(crs) != LONLAT and counts_to_the_west(found):
        raise InvalidRequestError(
            f"spatialReference {found.name[:80]!r} counts longitudes to the west; here x grows to "
            "the east"
        )
    return crs


def _unknown(reference: object) -> InvalidRequestError:
    return InvalidRequestError(
        f"spatialReference {str(reference)[:80]!r} is not known; write it like {_FORMS}"
    )
