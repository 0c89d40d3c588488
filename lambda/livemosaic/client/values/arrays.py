"""Images as xarray's DataArrays, by the conventions of rioxarray (and of CF for grid mappings)."""

import json
from typing import TYPE_CHECKING, Any, Final

import numpy as np
import pyproj
from affine import Affine
from rio_tiler.models import ImageData

from livemosaic.errors import InvalidRequestError, needs_extra

if TYPE_CHECKING:
    import xarray

_GRID: Final = "spatial_ref"
"""Coordinate that has the CRS and the transform."""
_EXACT: Final = np.float32
"""What holds every value of 16 bits; others with holes are float64, as rioxarray has them."""


def to_xarray(image: ImageData, *, masked: bool = True) -> "xarray.DataArray":
    """Returns an image as a DataArray (band, y, x) that rioxarray reads: `.rio.crs`, `.rio.nodata`.

    x and y are of the centers of pixels. Pixels that are not valid are NaN, so that integers become
    float32 or float64 (beyond 2^53 inexactly). With `masked=False` values keep their type, and
    pixels that are not valid have the image's nodata value, `_FillValue`. Raises
    `InvalidRequestError` where they have none that the data type has and no valid pixel is, or
    without xarray.
    """
    with needs_extra("xarray", "to_xarray"):
        import xarray

    if image.crs is None or image.bounds is None:
        raise InvalidRequestError("an image without CRS and bounds has no place on x and y")
    data, fill = _masked(image) if masked else _plain(image)
    grid = {_GRID: ((), 0, _grid(image, image.crs.to_wkt()))}
    made = xarray.DataArray(
        data,
        dims=("band", "y", "x"),
        coords={"band": np.arange(1, image.count + 1), **_axes(image), **grid},
        attrs={"long_name": tuple(image.band_descriptions), **_stated(image)},
    )
    if masked:
        made.encoding = {"dtype": str(image.array.dtype), "grid_mapping": _GRID}
    else:
        made.encoding = {"grid_mapping": _GRID}
    if fill is not None:
        (made.encoding if masked else made.attrs)["_FillValue"] = fill
    return made


def _masked(image: ImageData) -> tuple[np.ndarray[Any, Any], Any]:
    kind = image.array.dtype
    wide = np.result_type(kind, _EXACT) if kind.kind in "iub" else kind
    return np.ma.filled(image.array.astype(wide), np.nan), image.nodata


def _plain(image: ImageData) -> tuple[np.ndarray[Any, Any], Any]:
    if image.nodata is None:
        if image.array.mask.any():
            raise InvalidRequestError(
                "the image has pixels that are not valid, and no nodata value for them: "
                "leave masked=False out, or read with nodata="
            )
        return image.array.data, None
    fill = _as(image.array.dtype, float(image.nodata))
    is_lost = fill is None or bool((image.array == fill).any())
    if is_lost and image.array.mask.any():
        why = "a value of valid pixels, too" if fill is not None else "no value of its data type"
        raise InvalidRequestError(
            f"the image has pixels that are not valid, and its nodata value {image.nodata} is "
            f"{why}: leave masked=False out, or read with another nodata="
        )
    return (image.array.data, None) if is_lost else (image.array.filled(fill), fill)


def _as(dtype: np.dtype[Any], number: float) -> np.generic | None:
    """Returns a number in a data type; None where that does not have it."""
    with np.errstate(all="ignore"):
        try:
            found: np.generic = dtype.type(number)
        except (ValueError, OverflowError):
            return None
    kept = dtype.kind not in "iu" or float(found) == float(number)
    return found if kept else None


def _axes(image: ImageData) -> dict[str, Any]:
    """Returns x and y, to the last digit as rioxarray makes them."""
    centers = image.transform @ Affine.translation(0.5, 0.5)
    xs = centers.a * np.arange(image.width) + centers.c
    ys = centers.e * np.arange(image.height) + centers.f
    return {"y": ("y", ys), "x": ("x", xs)}


def _grid(image: ImageData, wkt: str) -> dict[str, Any]:
    corner = " ".join(map(str, image.transform.to_gdal()))
    cf = pyproj.CRS.from_wkt(wkt).to_cf()
    return {**cf, "crs_wkt": wkt, _GRID: wkt, "GeoTransform": corner}


def _stated(image: ImageData) -> dict[str, Any]:
    """Returns what an image of a mosaic says of itself, as files can hold it: objects as JSON."""
    found = {name: value for name, value in (image.metadata or {}).items() if value}
    return {k: json.dumps(v) if isinstance(v, dict) else v for k, v in found.items()}
