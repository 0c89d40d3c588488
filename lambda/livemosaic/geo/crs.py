"""Transformers between CRSs, and longitude and latitude on each body."""

from contextlib import suppress
from functools import lru_cache
from typing import Final, cast

import numpy as np
import pyproj
from numpy.typing import NDArray
from pyproj.crs import GeographicCRS
from pyproj.crs.coordinate_system import Ellipsoidal2DCS
from pyproj.crs.enums import Ellipsoidal2DCSAxis
from pyproj.exceptions import ProjError
from rasterio.crs import CRS
from rasterio.errors import CRSError

LONLAT: Final = CRS.from_epsg(4326)
"""Longitude first, as everywhere in this package: OGC:CRS84."""

EARTH_M: Final = 6_375_000.0
"""Radius by which PROJ knows the Earth's ellipsoids (`proj_get_celestial_body_name`)."""
_ALIKE: Final = 0.005
"""Part by which they differ from it at most."""
_IAU_KINDS: Final = range(10, 100, 5)
"""What the IAU adds to the code of a sphere's degrees for its projections: 90 for Mercator."""
_SOME: Final = ([0.0, 10.0, -100.0, 130.0], [0.0, 40.0, -50.0, 70.0])
"""Longitudes and latitudes that no two projections put at the same places."""
_SAME_M: Final = 1e-3


class NoTransformError(Exception):
    """PROJ knows no way from one CRS to the other, such as from Earth to Mars."""


@lru_cache(maxsize=128)
def transformer(source: CRS, target: CRS) -> pyproj.Transformer:
    """Returns a transformer, x before y on both sides; raises `NoTransformError` if PROJ has none.

    Cached, as PROJ needs some 10 ms to find the best operation. Safe in threads: pyproj keeps one
    for each.
    """
    try:
        return pyproj.Transformer.from_crs(proj_crs(source), proj_crs(target), always_xy=True)
    except ProjError as e:
        raise NoTransformError(str(e)) from e


@lru_cache(maxsize=256)
def proj_crs(crs: CRS) -> pyproj.CRS:
    """Returns a CRS as pyproj's; by code where it is one of the Earth that has one."""
    found = pyproj.CRS.from_wkt(crs.to_wkt())
    if not _is_of_earth(found):
        return found  # GDAL would take a fifth of a second to find no code
    # WKT loses the area of use, by which PROJ chooses datum shifts.
    code = crs.to_epsg()
    return pyproj.CRS.from_epsg(code) if code else found


def _is_of_earth(crs: pyproj.CRS) -> bool:
    if crs.ellipsoid is None:
        return True
    return abs(crs.ellipsoid.semi_major_metre - EARTH_M) < _ALIKE * EARTH_M


@lru_cache(maxsize=256)
def metres_per_unit(crs: CRS) -> float:
    """Returns the metres of a unit of a CRS; of a geographic one, along the equator of its body."""
    factor = float(crs.units_factor[1])
    if not crs.is_geographic:
        return factor
    ellipsoid = proj_crs(crs).ellipsoid
    return factor * (ellipsoid.semi_major_metre if ellipsoid else EARTH_M)


@lru_cache(maxsize=256)
def lonlat_of(crs: CRS) -> CRS:
    """Returns longitude and latitude, in degrees, on the body of a CRS.

    `LONLAT` on Earth, whatever the datum. On another body the geodetic base of the CRS, with
    longitudes that grow to the east: planetocentric latitudes on a sphere, as `IAU_2015:49900` has
    for `IAU_2015:49910`; planetographic ones on an ellipsoid.
    """
    base = proj_crs(crs).geodetic_crs
    if base is None or _is_of_earth(base):
        return LONLAT
    if (sphere := _sphere_of(base)) is not None:
        return CRS.from_authority(*sphere)
    axes = Ellipsoidal2DCS(axis=Ellipsoidal2DCSAxis.LONGITUDE_LATITUDE)
    eastwards = GeographicCRS(name=base.name, datum=base.datum, ellipsoidal_cs=axes)
    return CRS.from_wkt(eastwards.to_wkt())


def _sphere_of(base: pyproj.CRS) -> tuple[str, str] | None:
    """Returns the code of the IAU's degrees on the sphere of a geodetic CRS; None if it is none.

    By the name of its datum: to recognize a CRS by its numbers, PROJ takes most of a second.
    """
    with suppress(ProjError):
        named = pyproj.CRS.from_user_input(f"{base.datum.name if base.datum else ''} / Ocentric")
        if named.is_geographic and named.ellipsoid == base.ellipsoid:
            return cast("tuple[str, str] | None", named.to_authority())
    return None


@lru_cache(maxsize=128)
def authority_of(crs: CRS) -> tuple[str, str] | None:
    """Returns authority and code of a CRS, `("EPSG", "3857")`; None where it has none.

    A CRS on another body's sphere is recognized as one of the IAU's by where it puts places.
    """
    base, lonlat = proj_crs(crs).geodetic_crs, lonlat_of(crs)
    if base is None or lonlat == LONLAT:
        found: tuple[str, str] | None = crs.to_authority()
        return found
    if (sphere := _sphere_of(base)) is None:
        return None
    authority, code = sphere
    codes = [code, *(str(int(code) + kind) for kind in _IAU_KINDS)]
    places = _places(lonlat, crs)
    for one in codes:
        with suppress(ProjError, CRSError):
            known = pyproj.CRS.from_authority(authority, one)
            if np.allclose(_places(lonlat, known), places, rtol=0, atol=_SAME_M, equal_nan=True):
                return authority, one
    return None


def _places(lonlat: CRS, crs: CRS | pyproj.CRS) -> NDArray[np.float64]:
    target = crs if isinstance(crs, pyproj.CRS) else proj_crs(crs)
    way = pyproj.Transformer.from_crs(proj_crs(lonlat), target, always_xy=True)
    return np.array(way.transform(*_SOME))


def counts_to_the_west(crs: pyproj.CRS) -> bool:
    """Whether an axis grows to the west, as longitudes of the IAU's planetographic CRSs do."""
    return any(axis.direction == "west" for axis in crs.axis_info)


def is_north_first(crs: pyproj.CRS) -> bool:
    """Whether the axes of a CRS are north before east: where PROJ swaps them for x before y.

    Also of the grids around a pole whose axes both lead away from it, or to it, as EPSG:32661
    (`proj_normalize_for_visualization`).
    """
    if len(crs.axis_info) < 2:
        return False
    first, second = crs.axis_info[:2]
    if (first.direction, second.direction) == ("north", "east"):
        return True
    if first.direction != second.direction or first.direction not in ("north", "south"):
        return False
    names = first.name.lower(), second.name.lower()
    return names[0].startswith("northing") and names[1].startswith("easting")


@lru_cache(maxsize=256)
def body_of(crs: CRS) -> str:
    """Returns the name of the body of a CRS, as far as it has one: `Earth`, `Mars`.

    The IAU's datums are named `Mars (2015) - Sphere`, Esri's `D_Moon_2000`. Others may say nothing.
    """
    if lonlat_of(crs) == LONLAT:
        return "Earth"
    found = proj_crs(crs)
    name = found.datum.name if found.datum else found.name
    return name.removeprefix("D_").partition(" (")[0].partition("_")[0]
