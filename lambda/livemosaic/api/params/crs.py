"""CRS names in requests and responses."""

import re
from functools import lru_cache
from typing import Final

import pyproj
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import LONLAT

_OGC_LONLAT: Final = CRS.from_string("OGC:CRS84")
_CRS84: Final = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
_NAMED: Final = re.compile(
    r"(?:urn:ogc:def:crs:|https?://www\.opengis\.net/def/crs/|\[?)"
    r"(?P<authority>[A-Za-z]{3,8})(?:[:/][\w.]*)?[:/](?P<code>\w{1,16})\]?"
)
"""`EPSG:32632`, `[EPSG:32632]`, `urn:ogc:def:crs:EPSG::32632` or the URI (OGC 09-048r5). Other
forms are refused: GDAL would also accept a file name or a URL, and read it."""


@lru_cache(128)
def crs_of(name: str) -> CRS:
    """Parses the name of a CRS; `InvalidRequestError` if it is unknown, or has no x and y."""
    found = _NAMED.fullmatch(name)
    try:
        if name.upper() == "CRS84" or (found and found["code"].upper() == "CRS84"):
            return LONLAT
        if found:
            named = found["authority"].upper(), found["code"]
            known = pyproj.CRS.from_authority(*named)  # GDAL would print an error too
            if known.is_geographic or known.is_projected:
                return CRS.from_authority(*named)
            raise InvalidRequestError(f"CRS {name[:80]!r} has no x and y: {known.type_name}")
    except (CRSError, ProjError) as error:
        raise InvalidRequestError(f"there is no CRS {name[:80]!r}") from error
    raise InvalidRequestError(f"CRS {name[:80]!r} must be like EPSG:32632, or its URN or URI")


@lru_cache(128)  # PROJ takes 0.3 ms to name Web Mercator
def uri_of(crs: CRS) -> str:
    """Returns the URI of a CRS whose coordinates are given x before y."""
    if crs in (LONLAT, _OGC_LONLAT):
        return _CRS84
    authority, code = crs.to_authority()
    return f"http://www.opengis.net/def/crs/{authority}/0/{code}"
