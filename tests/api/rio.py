"""The oracle for boxes and features: rio-tiler's mosaics. Pixels of our scenes say which they are.

Bands of a scene are the column and row of each pixel, from 1, and the number of the scene.
"""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.warp import transform_bounds
from rio_tiler.io import Reader
from rio_tiler.models import ImageData
from rio_tiler.mosaic import mosaic_reader

from api.served import Picture, Server, quiet, scene
from cogs import positions, write_cog
from items import box

EDGE = 300
UTM = "EPSG:32631"
STEP = 100
LEFT, TOP = 440_000, 5_500_000
"""Of the first scene; the second is upon it, this many pixels further to the right and below."""
APART = 120


def publish_two(server: Server) -> list[Path]:
    """The files, top first."""
    return [place(server, n, LEFT + n * APART * STEP, TOP - n * APART * STEP) for n in (1, 0)]


def place(
    server: Server,
    number: int,
    left: float,
    top: float,
    crs: str = UTM,
    step: float = STEP,
    mosaic: str = "m",
) -> Path:
    """Put in a scene whose upper left corner is there; the larger its number, the newer."""
    bands = np.concatenate([positions(EDGE, EDGE, "uint16") + 1, np.full((1, EDGE, EDGE), number)])
    path = write_cog(
        server.folder / f"{mosaic}{number}.tif",
        bands.astype("uint16"),
        crs=crs,
        transform=Affine(step, 0, left, 0, -step, top),
    )
    edges = left, top - EDGE * step, left + EDGE * step, top
    with quiet():
        west, south, east, north = transform_bounds(crs, "EPSG:4326", *edges)
    document = scene(f"s{number}", server.url(path), day=number + 1)
    server.add(document | {"geometry": box(west, south, east, north)}, mosaic=mosaic)
    return path


def part(paths: Sequence[Path], bounds: Sequence[float], **how: Any) -> ImageData:
    """A picture of a box."""
    return _mosaic(paths, "part", bounds, how)


def feature(paths: Sequence[Path], shape: Mapping[str, Any], **how: Any) -> ImageData:
    """A picture of a GeoJSON feature."""
    return _mosaic(paths, "feature", shape, how)


def _mosaic(paths: Sequence[Path], method: str, where: Any, how: dict[str, Any]) -> ImageData:
    def read(path: str) -> ImageData:
        with Reader(path) as source:
            image: ImageData = getattr(source, method)(where, **how)
            return image

    with quiet():
        return mosaic_reader([str(path) for path in paths], read, threads=0)[0]


def far(picture: Picture, oracle: ImageData) -> NDArray[np.int64]:
    """How many source pixels apart each pixel is that both have of the same scene.

    Of others there are but few, along edges.
    """
    theirs = np.asarray(oracle.array.data).astype(int)
    ours = picture.data.astype(int)
    assert ours.shape == theirs.shape
    both = picture.valid & ~oracle.array.mask[0]
    same = both & (ours[2] == theirs[2])
    assert both.any()
    assert (picture.valid != ~oracle.array.mask[0]).mean() < 0.03
    assert (both & ~same).mean() < 0.03
    return np.asarray(np.abs(ours - theirs)[:2, same])
