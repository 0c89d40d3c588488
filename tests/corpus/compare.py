"""Reads a file of the corpus as a map does, at every level, and compares it with GDAL's."""

import asyncio
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final, Literal

import numpy as np
from affine import Affine
from rasterio._err import CPLE_BaseError
from rasterio.errors import RasterioError
from rasterio.transform import array_bounds

from livemosaic.cog.pixels import plan_read
from livemosaic.cog.raster import AssetLimits, Profile, decoding
from livemosaic.cog.reader import CogReader, open_raster
from livemosaic.errors import LivemosaicError
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Stores

from .case import Case, NotWritableError
from .oracle import LevelTruth, Truth, truth

Kind = Literal["equal", "refused", "wrong", "crashed", "not written"]
_DRAWABLE_BY_NOBODY: Final = {
    "colors": r"colors",
    "complex": r"complex",
    "no place": r"no georeferencing|CRS",
}
"""What GDAL reads, but nobody can draw: the reason that we give must match."""


@dataclass(frozen=True)
class Outcome:
    case: str
    kind: Kind
    why: str = ""
    reader: str = ""


def outcome(case: Case, folder: Path) -> Outcome:
    """Writes, reads and compares one file."""
    path = folder / "a.tif"
    try:
        path.write_bytes(case.write())
    except (NotWritableError, RasterioError, CPLE_BaseError) as e:
        return Outcome(case.name, "not written", str(e))
    expected = truth(path)
    try:
        return asyncio.run(_compared(case, path, expected))
    except (LivemosaicError, ObjectError) as e:
        return _refused(case, expected, str(e).replace(str(path), "a.tif"))
    except BaseException as e:
        if isinstance(e, KeyboardInterrupt):
            raise
        return Outcome(case.name, "crashed", f"{type(e).__name__}: {e}")


def _refused(case: Case, expected: Truth | str, why: str) -> Outcome:
    if case.refused:
        fair = re.search(case.refused, why)
    elif isinstance(expected, str):
        fair = re.search(_DRAWABLE_BY_NOBODY.get(expected, "."), why)
    else:
        return Outcome(case.name, "wrong", f"refused, though GDAL reads it: {why}")
    return Outcome(case.name, "refused" if fair else "wrong", why)


async def _compared(case: Case, path: Path, expected: Truth | str) -> Outcome:
    allow, limits = AllowList([str(path.parent)]), AssetLimits()
    raster = await open_raster(Stores(allow).open(str(path)), limits, Recent(0))
    name, frame = type(raster).__name__, raster.profile.frame
    reader = CogReader(allow)
    await reader.frame(str(path), version="1")
    if isinstance(expected, str):
        for number, level in enumerate(raster.profile.levels):
            with decoding():
                await raster.read(number, (0, 0, level.frame.width, level.frame.height))
        if expected == "ground control points":  # no affine: `warp` has its own tests
            return Outcome(case.name, "equal", reader=name)
        return Outcome(case.name, "wrong", f"read, but {expected}", name)
    if frame.crs != expected.crs:
        return Outcome(case.name, "wrong", f"CRS {frame.crs}, not {expected.crs}", name)
    if not _near(frame.transform, expected.transform):
        return Outcome(case.name, "wrong", f"{frame.transform}, not {expected.transform}", name)
    if raster.profile.scales != expected.scales or raster.profile.offsets != expected.offsets:
        return Outcome(case.name, "wrong", f"scales {raster.profile.scales}", name)
    sizes = [(level.frame.width, level.frame.height) for level in raster.profile.levels]
    shapes = [level.valid.shape[::-1] for level in expected.levels]
    if sizes != shapes:
        return Outcome(case.name, "wrong", f"levels {sizes}, not {shapes}", name)
    for number, level in enumerate(expected.levels):
        off = await _differs(case, path, reader, raster.profile, expected, level)
        if off:
            return Outcome(case.name, "wrong", f"level {number}: {off}", name)
    return Outcome(case.name, "equal", reader=name)


def _near(one: Affine, other: Affine) -> bool:
    return np.allclose(tuple(one), tuple(other), rtol=1e-12, atol=1e-9)


async def _differs(
    case: Case, path: Path, reader: CogReader, profile: Profile, expected: Truth, level: LevelTruth
) -> str:
    """How the pixels of a level differ on its own grid; empty if they do not."""
    height, width = level.valid.shape
    t = level.transform
    if t.b or t.d:
        return await _differs_as_stored(case, path, expected, level)
    left, bottom, right, top = array_bounds(height, width, t)
    grid = Grid(
        expected.crs,
        (min(left, right), min(bottom, top), max(left, right), max(bottom, top)),
        width,
        height,
    )
    chosen = plan_read(profile, grid, Read()).level
    if expected.levels[chosen] is not level:
        return await _differs_as_stored(case, path, expected, level)
    pixels = await reader.read({"a": str(path)}, grid, Read(), version="1")
    turned = np.s_[..., :: -1 if t.e > 0 else 1, :: -1 if t.a < 0 else 1]
    return _difference(case, pixels.data[turned], pixels.valid[turned], level)


async def _differs_as_stored(case: Case, path: Path, expected: Truth, level: LevelTruth) -> str:
    """The raster's own window, where a grid would be turned, or lead to another level."""
    raster = await open_raster(
        Stores(AllowList([str(path.parent)])).open(str(path)), AssetLimits(), Recent(0)
    )
    height, width = level.valid.shape
    number = next(i for i, one in enumerate(expected.levels) if one is level)
    data, mask = await raster.read(number, (0, 0, width, height))
    valid = level.valid if mask is None else mask
    bands = [i for i in range(len(data)) if i != raster.profile.alpha]
    return _difference(case, np.where(valid, data[bands], 0), valid, level)


def _difference(case: Case, data: np.ndarray, valid: np.ndarray, level: LevelTruth) -> str:
    if data.shape != level.data.shape:
        return f"shape {data.shape}, not {level.data.shape}"
    if (valid != level.valid).any():
        return f"{(valid != level.valid).sum()} pixels' validity, of {valid.size}"
    if data.dtype != level.data.dtype:
        return f"dtype {data.dtype}, not {level.data.dtype}"
    if not case.tolerance:
        off = data != level.data
        return f"{off.sum()} values, of {off.size}" if off.any() else ""
    most = np.abs(data.astype("f8") - level.data.astype("f8")).max()
    return f"values by up to {most}" if most > case.tolerance else ""
