"""CRS names in requests and responses."""

import re
from functools import lru_cache
from typing import Final

import pyproj
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT, authority_of, counts_to_the_west, is_north_first

_OGC_LONLAT: Final = CRS.from_string("OGC:CRS84")
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_NAMED: Final = re.compile(
    r"(?:urn:ogc:def:crs:|https?://www\.opengis\.net/def/crs/|\[?)"
    r"(?P<authority>[A-Za-z]{3,8}(?:_\d{4})?)(?:[:/](?P<version>[\w.]*)|)[:/](?P<code>\w{1,16})\]?"
)
"""`EPSG:32632`, `[EPSG:32632]`, `urn:ogc:def:crs:EPSG::32632` or the URI (OGC 09-048r5). Other
forms are refused: GDAL would also accept a file name or a URL, and read it."""
_WKT: Final = re.compile(r"\s*(?:GEOG|PROJ|GEODETIC|GEODCRS|GEOGRAPHIC)[A-Z]*\s*\[", re.IGNORECASE)
_NAMES_FILES: Final = re.compile(r"PARAMETERFILE|EXTENSION|BOUNDCRS|DERIVING|grids", re.IGNORECASE)
"""What a definition has that makes PROJ open a file: shifts by grids, and PROJ's own strings."""
MAX_CRS: Final = 4000
"""Characters of a CRS in a query: a name, or WKT."""
_IAU: Final = re.compile(r"IAU(?:_(?P<year>\d{4}))?")
_IAU_YEAR: Final = "2015"
"""The version of the IAU's codes that PROJ has (doi:10.1007/s10569-017-9805-5)."""


@lru_cache(128)
def crs_of(name: str) -> CRS:
    """Parses the name of a CRS, or its WKT; `InvalidRequestError` if it is unknown, or has no x
    and y.

    One whose x grows to the west, as the IAU's planetographic ones have it, is refused, too.
    """
    found = _NAMED.fullmatch(name)
    try:
        if name.upper() == "CRS84" or (found and found["code"].upper() == "CRS84"):
            return LONLAT
        if found:
            named = _authority(found), found["code"]
            known = pyproj.CRS.from_authority(*named)  # GDAL would print an error too
            _check_axes(name, known, any_way=not named[0].startswith("IAU"))
            return CRS.from_authority(*named)
        if _WKT.match(name) and not _NAMES_FILES.search(name):
            _check_axes(name, pyproj.CRS.from_wkt(name), any_way=False)
            return CRS.from_wkt(name)
    except (CRSError, ProjError) as error:
        raise InvalidRequestError(f"there is no CRS {name[:80]!r}") from error
    raise InvalidRequestError(
        f"CRS {name[:80]!r} must be like EPSG:32632 or IAU_2015:49910, or its URN or URI, or WKT "
        "that names no grids"
    )


@lru_cache(128)
def has_north_first(name: str) -> bool:
    """Whether coordinates of the CRS by that name are north before east, as its authority has them.

    `crs_of` must have parsed the name; `CRS84` is longitude before latitude.
    """
    found = _NAMED.fullmatch(name)
    if found is None:
        return bool(_WKT.match(name)) and is_north_first(pyproj.CRS.from_wkt(name))
    if found["code"].upper() == "CRS84":
        return False
    return is_north_first(pyproj.CRS.from_authority(_authority(found), found["code"]))


def _authority(found: re.Match[str]) -> str:
    """Returns the authority as PROJ names it: the IAU's has its year."""
    authority = found["authority"].upper()
    planetary = _IAU.fullmatch(authority)
    if planetary is None:
        return authority
    version = (found["version"] or "").strip("0.")
    return f"IAU_{planetary['year'] or version or _IAU_YEAR}"


def _check_axes(name: str, crs: pyproj.CRS, *, any_way: bool) -> None:
    if not (crs.is_geographic or crs.is_projected):
        raise InvalidRequestError(f"CRS {name[:80]!r} has no x and y: {crs.type_name}")
    if not any_way and counts_to_the_west(crs):
        raise InvalidRequestError(
            f"CRS {name[:80]!r} ({crs.name}) counts longitudes to the west; here x grows to the "
            "east, as in GeoTIFFs: name the planetocentric one"
        )


@lru_cache(128)  # PROJ takes 0.3 ms to name Web Mercator
def uri_of(crs: CRS) -> str | None:
    """Returns the URI of a CRS whose coordinates are given x before y; None if it has none."""
    if crs in (LONLAT, _OGC_LONLAT):
        return _CRS84
    named = authority_of(crs)
    if named is None:
        return None
    authority, _, year = named[0].partition("_")
    return f"http://www.opengis.net/def/crs/{authority}/{year or 0}/{named[1]}"


def name_of(crs: CRS) -> str:
    """Returns the URI of a CRS, else its WKT."""
    return uri_of(crs) or str(crs.to_wkt())
