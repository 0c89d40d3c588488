"""Pixels → bytes. Pure: every encoder writes to memory."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from types import MappingProxyType
from typing import Any, Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what encoders raise; it has no public name
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.session import DummySession

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import EncodedFormat, Format, Render
from livemosaic.render.png import encode_png
from livemosaic.render.style import (
    Image,
    apply_colors,
    make_blank,
    on_background,
    run_algorithm,
    without_margin,
)

MEDIA_TYPES: Final[dict[EncodedFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "jp2": "image/jp2",
    "tif": "image/tiff; application=geotiff",
    "npy": "application/x-binary",
}

QUALITY: Final = 80
"""Of JPEG and WebP by default, as ArcGIS advises for imagery."""
LOSSY: Final[tuple[EncodedFormat, ...]] = ("jpeg", "webp")
"""Formats that have a quality."""

# Lossless formats are written fast rather than small. TIFF predictors gain 25 % on 8 bits and lose
# twice that on band ratios.
_DRIVERS: Final[dict[EncodedFormat, str]] = {
    "jpeg": "JPEG",
    "webp": "WEBP",
    "jp2": "JP2OpenJPEG",
    "tif": "GTiff",
}
_ENV: Final = {
    # One file: sidecars that GDAL would write are lost.
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_PAM_ENABLED": False,
}
_OPTIONS: Final[dict[EncodedFormat, dict[str, Any]]] = {
    "jpeg": {"quality": QUALITY},
    "webp": {"quality": QUALITY},
    "jp2": {"codec": "JP2"},  # GDAL decides by extension, and a file in memory has none
    "tif": {"compress": "deflate", "zlevel": 1},
}
_NOT_GEOTIFF: Final = ("bool", "float16")
_RAW: Final = ("tif", "npy")
_DEEPER: Final[dict[Format, tuple[str, ...]]] = {
    "auto": ("uint16",),
    "png": ("uint16",),
    "jp2": ("uint16", "int16"),
}
"""Dtypes beside uint8 that a format can show."""
_OPAQUE: Final = 255


@dataclass(frozen=True, slots=True)
class Encoded:
    """An encoded image."""

    body: bytes
    media_type: str
    format: EncodedFormat
    """The format chosen for `auto`, else the one requested."""
    grid: Grid
    """Place of the image: a part of the input if an algorithm dropped a buffer."""


def encode(
    pixels: Pixels, render: Render, grid: Grid, tags: Mapping[str, str] = MappingProxyType({})
) -> Encoded:
    """Rescales, colors and encodes pixels; InvalidRequestError if they do not suit the render.

    png, jpeg, webp and jp2 show the first three bands, or the first of fewer than three; tif and
    npy carry every band, in its dtype, with `nodata` where pixels are invalid. `auto` is JPEG if
    every pixel is opaque and has 8 bits, else PNG; `return_mask` does not matter. JPEG has no
    alpha: invalid pixels are black, as in TiTiler, or of the `background`. Pixels without a valid
    one never raise: they give a transparent image. An algorithm that drops its `buffer` of pixels
    makes the image smaller. `tags` are metadata of a tif.
    """
    image, grid = styled(pixels, render, grid)
    return encode_image(image, render, grid, tags)


def styled(pixels: Pixels, render: Render, grid: Grid) -> tuple[Image, Grid]:
    """Returns the image that `encode` encodes, before its background, and its grid."""
    make = _styled if pixels.valid.any() else _blank
    return make(pixels, grid, render)


def encode_image(
    image: Image, render: Render, grid: Grid, tags: Mapping[str, str] = MappingProxyType({})
) -> Encoded:
    """Encodes an image in the format of a render, on its background, as `encode` does."""
    if render.background is not None and render.format not in _RAW:
        image = on_background(image, render.background)
    chosen = _format(image, render.format)
    nodata = _stored(render.nodata, image.data.dtype) if chosen in _RAW else None
    if nodata is not None:
        image = replace(image, data=np.where(image.alpha > 0, image.data, nodata))
    mask = image.alpha if _wants_mask(image, render, chosen, nodata) else None
    if chosen == "png":
        body = _png(image, mask)
    elif chosen == "npy":
        body = _numpy(image, mask)
    else:
        body = _raster(image, mask, chosen, grid, nodata, tags, render.quality)
    return Encoded(body, MEDIA_TYPES[chosen], chosen, grid)


def _styled(pixels: Pixels, grid: Grid, render: Render) -> tuple[Image, Grid]:
    pixels, grid = run_algorithm(pixels, grid, render)
    image = apply_colors(pixels, render, _shown(pixels, render.format))
    if render.colormap is None:
        _check_dtype(image.data.dtype, render.format)
    return image, grid


def _blank(pixels: Pixels, grid: Grid, render: Render) -> tuple[Image, Grid]:
    """Returns an empty image of the bands, dtype and size as far as known; checks nothing."""
    try:
        pixels, grid = run_algorithm(pixels, grid, render)
    except InvalidRequestError:
        pixels, grid = without_margin(pixels, grid, render)
    image = make_blank(pixels, render, _shown(pixels, render.format))
    kept = render.format in _RAW and image.data.dtype.name not in _NOT_GEOTIFF
    data = image.data if kept else np.zeros_like(image.data, np.uint8)
    return replace(image, data=data), grid


def _shown(pixels: Pixels, requested: Format) -> int:
    bands = len(pixels.data)
    return bands if requested in _RAW else 3 if bands >= 3 else 1


def _check_dtype(dtype: np.dtype[Any], requested: Format) -> None:
    if requested in _RAW or dtype == np.uint8:
        return
    if dtype.name in _DEEPER.get(requested, ()):
        return
    raise InvalidRequestError(
        f"{dtype} pixels need rescale=min,max for {requested}; tif and npy carry them as they are"
    )


def _format(image: Image, requested: Format) -> EncodedFormat:
    if requested != "auto":
        return requested
    eight_bits = image.data.dtype == np.uint8
    return "jpeg" if eight_bits and (image.alpha == _OPAQUE).all() else "png"


def _stored(nodata: float | None, dtype: np.dtype[Any]) -> Any:
    """Returns a nodata value in a data type; None where there is none, or the type has it not."""
    if nodata is None or dtype.name in _NOT_GEOTIFF or dtype.kind == "c":
        return None
    if dtype.kind == "f":
        with np.errstate(over="ignore"):
            return dtype.type(nodata)
    limits = np.iinfo(dtype)
    whole = nodata == nodata and float(nodata).is_integer() and limits.min <= nodata <= limits.max
    return dtype.type(int(nodata)) if whole else None


def _wants_mask(image: Image, render: Render, chosen: EncodedFormat, nodata: Any) -> bool:
    """Whether validity is added: to a TIFF with a nodata value only if it is asked for, or if valid
    pixels have that value, too."""
    if render.return_mask is not None or chosen != "tif" or nodata is None:
        return render.return_mask is not False
    same = (image.data == nodata).all(axis=0)
    return bool((same & (image.alpha > 0)).any())


def _numpy(image: Image, mask: NDArray[np.uint8] | None) -> bytes:
    data = image.data if mask is None else np.concatenate((image.data, mask[np.newaxis]))
    with BytesIO() as file:
        np.save(file, data)
        return file.getvalue()


def _png(image: Image, mask: NDArray[np.uint8] | None) -> bytes:
    if mask is None:
        return encode_png(image.data)
    return encode_png(np.concatenate((image.data, _scaled_alpha(mask, image.data.dtype)[None])))


def _raster(
    image: Image,
    mask: NDArray[np.uint8] | None,
    chosen: EncodedFormat,
    grid: Grid,
    nodata: Any,
    tags: Mapping[str, str],
    quality: int | None,
) -> bytes:
    """Encodes by GDAL in memory.

    `rio_tiler.utils.render` is not used: it swaps the process's warning filters, which is not
    thread-safe, and writes no band descriptions.
    """
    if chosen == "webp" and len(image.data) == 1:
        image = replace(image, data=image.data.repeat(3, axis=0))
    if chosen == "tif" and image.data.dtype.name in _NOT_GEOTIFF:
        raise _unfit(image.data, chosen)
    mask = None if chosen == "jpeg" else mask
    try:
        # No AWS session: on Lambda, rasterio would look for credentials for each tile.
        with rasterio.Env(DummySession(), **_ENV), MemoryFile() as file:
            profile = _profile(image, mask, chosen, grid)
            if quality is not None and chosen in LOSSY:
                profile["quality"] = quality
            if nodata is not None and chosen == "tif":
                profile["nodata"] = nodata.item()
            with file.open(**profile) as target:
                _write(target, image, mask)
                if tags and chosen == "tif":
                    target.update_tags(**tags)
            body: bytes = file.read()
    except (RasterioError, CPLE_BaseError) as error:
        raise _unfit(image.data, chosen) from error
    return body


def _unfit(data: NDArray[Any], chosen: EncodedFormat) -> InvalidRequestError:
    bands, height, width = data.shape
    return InvalidRequestError(
        f"{chosen} cannot hold {bands} bands of {data.dtype}, {width} × {height} pixels"
    )


def _profile(
    image: Image, mask: NDArray[np.uint8] | None, chosen: EncodedFormat, grid: Grid
) -> dict[str, Any]:
    bands, height, width = image.data.shape
    return {
        "driver": _DRIVERS[chosen],
        "count": bands + (mask is not None),
        "dtype": image.data.dtype,
        "height": height,
        "width": width,
        "crs": grid.crs,
        # Most formats do not store it, but rasterio warns without it.
        "transform": grid.transform,
        **_OPTIONS[chosen],
    }


def _write(target: DatasetWriter, image: Image, mask: NDArray[np.uint8] | None) -> None:
    bands = len(image.data)
    target.colorinterp = _interpretation(image.data, mask)
    target.write(image.data, list(range(1, bands + 1)))
    if target.driver == "GTiff":
        target.descriptions = image.names + (() if mask is None else ("alpha",))
    if mask is not None:
        target.write(_scaled_alpha(mask, image.data.dtype), bands + 1)
        if target.driver == "GTiff":
            # GDAL takes alpha for validity only in 8 or 16 bits next to one or three bands; with
            # others, `rasterio.open(…).read(masked=True)` would find every pixel valid.
            target.write_mask(mask > 0)


def _interpretation(data: NDArray[Any], mask: NDArray[np.uint8] | None) -> list[ColorInterp]:
    """Returns one for every band: GDAL would take the fourth of four uint8 bands for alpha."""
    rgb = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    gray = [ColorInterp.gray]
    known = rgb if len(data) >= 3 and data.dtype == np.uint8 else gray
    rest = [ColorInterp.undefined] * (len(data) - len(known))
    return known + rest + ([] if mask is None else [ColorInterp.alpha])


def _scaled_alpha(mask: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """Scales 255 to GDAL's opaque value of a dtype (SRC_ALPHA_MAX), if it has one."""
    opaque = {"uint16": 65535, "int16": 32767, "int8": 127}.get(dtype.name, _OPAQUE)
    if opaque == _OPAQUE:
        return mask.astype(dtype, copy=False)
    return (mask.astype(np.float64) * opaque / _OPAQUE).astype(dtype)
