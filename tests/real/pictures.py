"""What the tests of this folder share: items of files, oracles by rio-tiler, comparisons."""

import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import rasterio
import shapely
from numpy.typing import NDArray
from rasterio.features import shapes
from rasterio.warp import transform_bounds, transform_geom
from rio_tiler.errors import TileOutsideBounds
from rio_tiler.models import ImageData
from shapely.geometry import mapping, shape

from api.served import Picture, rio_tile
from items import box, item


def item_of(path: Path, geometry: Any = None, *, day: int = 1, name: str = "") -> dict[str, Any]:
    """An item of a file, over its bounds where no geometry is given."""
    return item(
        name or path.stem,
        geometry or bounds_of(path),
        href=str(path),
        datetime=f"2026-01-{day:02}T00:00:00Z",
        collection="real",
    )


def bounds_of(path: Path) -> dict[str, Any]:
    """The file's rectangle in longitude and latitude."""
    with _quiet(), rasterio.open(path) as source:
        return box(*transform_bounds(source.crs, "EPSG:4326", *source.bounds))


def valid_area_of(path: Path) -> dict[str, Any]:
    """A simplified outline of the file's valid pixels, grown by a pixel, as a producer makes it."""
    with _quiet(), rasterio.open(path) as source:
        mask = source.dataset_mask()
        parts = [
            shape(transform_geom(source.crs, "EPSG:4326", geometry))
            for geometry, value in shapes(mask, transform=source.transform)
            if value
        ]
    whole = shapely.unary_union([shapely.make_valid(part) for part in parts])
    grown: dict[str, Any] = mapping(whole.buffer(0.005).simplify(0.002))
    return grown


def _quiet() -> Any:
    return warnings.catch_warnings(action="ignore")


def oracle(
    paths: Sequence[Path], tile: tuple[int, int, int], tms: str = "WebMercatorQuad", **how: Any
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Files painted from the last to the first, each by rio-tiler; data and validity."""
    images = [image for path in reversed(paths) if (image := _one(path, tile, tms, how))]
    like = images[0].array
    data, valid = np.zeros(like.shape, like.dtype), np.zeros(like.shape[1:], np.bool_)
    for image in images:
        real = ~np.ma.getmaskarray(image.array)[0]
        data[:, real], valid[real] = image.array.data[:, real], True
    return data, valid


def _one(path: Path, tile: Sequence[int], tms: str, how: dict[str, Any]) -> ImageData | None:
    try:
        return rio_tile(path, tile, tms, **how)
    except TileOutsideBounds:
        return None


def closest_oracle(
    picture: Picture,
    paths: Sequence[Path],
    tile: tuple[int, int, int],
    tms: str = "WebMercatorQuad",
    *,
    overviews: int,
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """The oracle from full resolution or one of the first overviews, the most like the picture.

    GDAL chooses the overview by the width of a tile alone, and where a raster crosses the
    antimeridian none at all; which one is best is not the question here, but whether its pixels
    are in their place.
    """
    choices = (None, *range(overviews))
    candidates = [oracle(paths, tile, tms, overview=choice) for choice in choices]
    return min(candidates, key=lambda candidate: _distance(picture, *candidate))


def _distance(picture: Picture, data: NDArray[Any], valid: NDArray[np.bool_]) -> float:
    both = picture.valid & valid
    off = np.abs(picture.data.astype(float) - data.astype(float))[:, both]
    return float(off.mean()) if off.size else 0.0


def tile_of(lon: float, lat: float, z: int, tms: str = "WebMercatorQuad") -> tuple[int, int, int]:
    """z, x, y of the tile at a place."""
    tile = morecantile.tms.get(tms).tile(lon, lat, z)
    return z, tile.x, tile.y


def url_of(mosaic: str, tile: tuple[int, int, int], tms: str = "WebMercatorQuad") -> str:
    z, x, y = tile
    return f"/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"


def assert_alike(
    picture: Picture, data: NDArray[Any], valid: NDArray[np.bool_], *, edge: float, mean: float
) -> None:
    """Validity differs at no more than a share `edge` of the pixels, values by `mean` a pixel."""
    assert valid.any()
    assert (picture.valid != valid).mean() <= edge, (picture.valid != valid).mean()
    assert _distance(picture, data, valid) <= mean, _distance(picture, data, valid)
