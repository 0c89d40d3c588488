"""What a file holds: GDAL's own pixels, validity and place, by rasterio as it comes."""

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.enums import ColorInterp, MaskFlags

from .tags import entries, layout

PLAIN: Final = (0, 1, 2, 3)
"""Photometric interpretations whose values are shown as they are: two grays, RGB, palette."""
_PHOTOMETRIC: Final = 262


@dataclass(frozen=True)
class Truth:
    crs: CRS | None
    transform: Affine
    scales: tuple[float, ...]
    offsets: tuple[float, ...]
    levels: list["LevelTruth"]


@dataclass(frozen=True)
class LevelTruth:
    data: NDArray[Any]
    """All bands but alpha; a palette's colors. Zero where invalid."""
    valid: NDArray[np.bool_]
    transform: Affine


def photometric(body: bytes) -> int:
    kind_count_value = entries(body)[2].get(_PHOTOMETRIC)
    if kind_count_value is None:
        return 1  # as GDAL has it
    order = "little" if layout(body).order == "<" else "big"
    return int.from_bytes(kind_count_value[2][:2], order)


def truth(path: Path) -> Truth | str:
    """What GDAL has, or why it has nothing that could be drawn."""
    try:
        with quiet():
            return _truth(path)
    except (rasterio.errors.RasterioError, IndexError, ValueError) as e:
        return f"GDAL: {e}"


def _truth(path: Path) -> Truth | str:
    with rasterio.open(path, driver="GTiff") as dataset:
        if photometric(path.read_bytes()) not in PLAIN and not _became_rgb(dataset):
            return "colors"
        if dataset.dtypes[0].startswith("complex"):
            return "complex"
        if dataset.transform.is_identity and dataset.gcps[0]:
            return "ground control points"
        if dataset.crs is None or dataset.transform.is_identity:
            return "no place"
        palette = dataset.colorinterp[0] == ColorInterp.palette
        table = dataset.colormap(1) if palette else None
        levels = [_level(dataset, table)]
        count = len(dataset.overviews(1))
        about = dataset.crs, dataset.transform, dataset.scales, dataset.offsets
        masked, dtypes = _masked(dataset), dataset.dtypes
    for i in range(count):
        with rasterio.open(path, driver="GTiff", overview_level=i) as overview:
            if overview.dtypes == dtypes and (not masked or _masked(overview)):
                levels.append(_level(overview, table))
    return Truth(*about, levels)


def _masked(dataset: Any) -> bool:
    flags = dataset.mask_flag_enums[0]
    return MaskFlags.per_dataset in flags and MaskFlags.alpha not in flags


def _became_rgb(dataset: Any) -> bool:
    """Whether GDAL's driver converted the colors: by the codec, or by libtiff's RGBA interface."""
    return dataset.count >= 3 and dataset.colorinterp[:3] == (
        ColorInterp.red, ColorInterp.green, ColorInterp.blue,
    )  # fmt: skip


def _level(dataset: Any, table: dict[int, tuple[int, ...]] | None) -> LevelTruth:
    raw = dataset.read()
    alphas = [i for i, c in enumerate(dataset.colorinterp) if c == ColorInterp.alpha]
    valid = np.ones(raw.shape[1:], np.bool_)
    bands = [i for i in range(len(raw)) if i not in alphas[:1]]
    if alphas:
        valid &= raw[alphas[0]] != 0
    if _masked(dataset):
        valid &= dataset.read_masks(1) > 0
    elif dataset.nodatavals[0] is not None or MaskFlags.nodata in dataset.mask_flag_enums[0]:
        masks = [_nodata_mask(dataset, raw[i], i + 1) for i in bands]
        valid &= np.logical_or.reduce(masks)
    data = raw[bands]
    if data.dtype.kind == "f":
        valid &= ~np.isnan(data).any(axis=0)
    if table is not None:
        data, valid = _colors(table, data[0], valid)
    return LevelTruth(np.where(valid, data, data.dtype.type(0)), valid, dataset.transform)


def _nodata_mask(dataset: Any, band: NDArray[Any], number: int) -> NDArray[np.bool_]:
    if MaskFlags.nodata in dataset.mask_flag_enums[number - 1]:
        return dataset.read_masks(number) > 0
    return np.ones(band.shape, np.bool_)


def _colors(
    table: dict[int, tuple[int, ...]], index: NDArray[Any], valid: NDArray[np.bool_]
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    colors = np.array([table[i][:3] for i in range(max(table) + 1)], np.uint8)
    known = (index >= 0) & (index < len(colors))
    at = np.where(known, index, 0).astype(np.intp)
    return np.moveaxis(colors[at], -1, 0), valid & known


@contextmanager
def quiet() -> Iterator[None]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        yield
