"""CRSs as the parameters of an API take them."""

import re
from contextlib import suppress
from functools import lru_cache
from typing import Final, TypeAlias

import pyproj
from pyproj.exceptions import CRSError, ProjError
from rasterio.crs import CRS

from livemosaic.api.params.crs import crs_of
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import authority_of

_DEFINED: Final = re.compile(r"\s*(\+|[A-Z]+\d?\[|\{)")
"""How PROJ strings, WKT and PROJJSON begin; a name does not."""

AnyCrs: TypeAlias = str | int | CRS | pyproj.CRS
"""A name (`EPSG:32632`, `IAU_2015:49910`), its URN or URI, an EPSG code, WKT, PROJJSON, a PROJ
string, or an object of rasterio or pyproj. Coordinates are x before y, whatever its axes."""


def crs_text(crs: AnyCrs) -> str:
    """Returns the name of a CRS, or its WKT where it has none; raises `InvalidRequestError`."""
    if isinstance(crs, str) and not _DEFINED.match(crs):
        return crs
    if isinstance(crs, int):
        return f"EPSG:{crs}"
    try:
        found = pyproj.CRS.from_user_input(crs.to_wkt() if isinstance(crs, CRS) else crs)
    except (CRSError, ProjError) as error:
        raise InvalidRequestError(f"{str(crs)[:80]!r} is no CRS: {error}"[:500]) from error
    return _shortest(found.to_wkt("WKT2_2019"))


def crs_at(crs: AnyCrs) -> CRS:
    """Returns a CRS as an API understands it, by its text; raises `InvalidRequestError`."""
    return crs_of(crs_text(crs))


@lru_cache(128)  # PROJ takes up to a second to name a CRS of another body
def _shortest(wkt: str) -> str:
    return _name(pyproj.CRS.from_wkt(wkt)) or wkt


def _name(crs: pyproj.CRS) -> str | None:
    """Returns authority and code, if they mean the very same CRS; its axes do not matter."""
    with suppress(ProjError, InvalidRequestError):
        named = crs.to_authority(min_confidence=90) or authority_of(CRS.from_wkt(crs.to_wkt()))
        if named is not None:
            known = pyproj.CRS.from_authority(*named)
            if known.equals(crs, ignore_axis_order=True):
                crs_of(name := ":".join(named))
                return name
    return None
