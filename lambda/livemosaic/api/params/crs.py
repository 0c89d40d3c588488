"""CRS as clients name them, and as we do."""

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
"""`EPSG:32632`, `[EPSG:32632]`, `urn:ogc:def:crs:EPSG::32632` or the URI (OGC 09-048r5). Nothing
else: GDAL would take a file's name or an address too, and read it."""


@lru_cache(128)
def crs_of(name: str) -> CRS:
    """The CRS of a name; `InvalidRequestError` where there is none, or not of a flat map."""
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
    """The URI of a CRS of which coordinates are told x before y."""
    if crs in (LONLAT, _OGC_LONLAT):
        return _CRS84
    authority, code = crs.to_authority()
    return f"http://www.opengis.net/def/crs/{authority}/0/{code}"
