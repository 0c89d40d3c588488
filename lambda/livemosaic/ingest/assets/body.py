"""Which body an Item is of: a scene of Mars has no place on a map of the Earth."""

from collections import ChainMap
from collections.abc import Iterable, Mapping
from typing import Any

from rasterio.crs import CRS

from livemosaic.errors import InvalidItemError
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.crs import NoTransformError, body_of, transformer
from livemosaic.geo.footprint import projection
from livemosaic.model.mosaic import Mosaic


def check_body(
    mosaic: Mosaic, properties: Mapping[str, Any], assets: Iterable[Mapping[str, Any]]
) -> None:
    """Raises `InvalidItemError` for an Item that states that it is of another body than a mosaic.

    By the CRS of the Item or of an asset (projection extension), and by its `ssys:targets` (solar
    system extension). An Item that states neither passes: its files say where its pixels lie.
    """
    lonlat = cell_grid(mosaic.tms).lonlat
    here = body_of(lonlat)
    for one in (properties, *(ChainMap(dict(asset), dict(properties)) for asset in assets)):
        crs = projection(one)
        if crs is not None and not _leads(crs, lonlat):
            raise _elsewhere(f"its CRS is of {body_of(crs)}", here, mosaic)
    targets = properties.get("ssys:targets")
    stated = [str(target).casefold() for target in targets] if isinstance(targets, list) else []
    if stated and here.isalpha() and here.casefold() not in stated:
        raise _elsewhere(f"its ssys:targets are {targets!s:.80}", here, mosaic)


def _leads(crs: CRS, lonlat: CRS) -> bool:
    try:
        transformer(crs, lonlat)
    except NoTransformError:
        return False
    return True


def _elsewhere(why: str, here: str, mosaic: Mosaic) -> InvalidItemError:
    return InvalidItemError(
        f"is of another body: {why}, and mosaic {mosaic.id!r} is of {here}, as its TileMatrixSet "
        f"{mosaic.tms} is"
    )
