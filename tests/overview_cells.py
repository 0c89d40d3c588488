"""Overview cells of known values. Plain functions, for any test to call."""

from typing import Any

import numpy as np
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS

from livemosaic.cog.write.cell import rewrite
from livemosaic.cog.write.profile import CellProfile, Place
from livemosaic.cog.write.stored import Block, open_cell
from livemosaic.geo.frame import Frame

TYPES = ("uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
FLOATS = ("float32", "float64")


def profile(
    dtype: str = "uint8", count: int = 1, *, edge: int = 64, crs: Any = 3857, **more: Any
) -> CellProfile:
    """A cell with blocks of 16 px, unless `block` says otherwise."""
    where = CRS.from_epsg(crs) if isinstance(crs, int) else CRS.from_user_input(crs)
    step = 0.001 if where.is_geographic else 10.0
    frame = Frame(where, Affine(step, 0, 3 * step, 0, -step, 40 * step), edge, edge)
    return CellProfile(
        frame=frame, dtype=np.dtype(dtype), count=count, **({"block": 16} | more)
    )  # fmt: skip


def values(
    rng: np.random.Generator, of: CellProfile, *, smooth: bool = False
) -> tuple[NDArray[Any], NDArray[np.bool_]]:
    """Values over the whole range of the type, and a mask with an empty quarter of the cell."""
    shape = (of.count, of.edge, of.edge)
    if of.dtype.kind == "f":
        data = (rng.normal(0, 1e6, shape) * rng.choice([0, 1e-9, 1], shape)).astype(of.dtype)
    elif smooth:
        data = rng.integers(0, 6, shape).astype(of.dtype)
    else:
        info = np.iinfo(of.dtype)
        data = rng.integers(info.min, info.max, shape, of.dtype, endpoint=True)
    valid = rng.random(shape[1:]) < rng.choice([0.3, 0.9, 1])
    valid[: of.edge // 2, : of.edge // 2] = False
    return np.where(valid, data, of.dtype.type(0)), valid


def blocks(of: CellProfile, data: NDArray[Any], valid: NDArray[np.bool_]) -> dict[Place, Block]:
    """The blocks of a whole image, by place."""
    size = of.block
    return {
        (x, y): (
            data[:, y * size : (y + 1) * size, x * size : (x + 1) * size],
            valid[y * size : (y + 1) * size, x * size : (x + 1) * size],
        )
        for y in range(of.across)
        for x in range(of.across)
    }


def written(of: CellProfile, data: NDArray[Any], valid: NDArray[np.bool_]) -> bytes:
    """A cell of a whole image, written at once."""
    return rewrite(of, None, blocks(of, data, valid))


def level_of(body: bytes, level: int) -> Block:
    """The pixels of a level, put together from its blocks."""
    cell = open_cell(body)
    across, size = cell.across(level), cell.block
    data = np.zeros((cell.count, across * size, across * size), cell.dtype)
    valid = np.zeros(data.shape[1:], np.bool_)
    for x, y in cell.places(level):
        part = np.s_[y * size : (y + 1) * size, x * size : (x + 1) * size]
        data[:, part[0], part[1]], valid[part] = cell.read(level, (x, y))
    return data, valid
