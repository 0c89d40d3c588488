"""Pixels → bytes. Pure: every encoder writes to memory."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from io import BytesIO
from typing import Any, Final, Literal

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio._err import CPLE_BaseError  # what encoders raise; it has no public name
from rasterio.enums import ColorInterp
from rasterio.errors import RasterioError
from rasterio.io import DatasetWriter, MemoryFile
from rasterio.session import DummySession

from livemosaic.errors import InvalidRequestError
from livemosaic.model import Format, Grid, Pixels, Render
from livemosaic.png import encode_png

EncodedFormat = Literal["png", "jpeg", "webp", "tif", "npy"]

MEDIA_TYPES: Final[dict[EncodedFormat, str]] = {
    "png": "image/png",
    "jpeg": "image/jpeg",
    "webp": "image/webp",
    "tif": "image/tiff; application=geotiff",
    "npy": "application/x-binary",
}

# Lossless formats are written fast rather than small. Predictors of TIFF gain 25 % on 8 bits and
# lose twice that on band ratios.
_DRIVERS: Final[dict[EncodedFormat, str]] = {
    "jpeg": "JPEG",
    "webp": "WEBP",
    "tif": "GTiff",
}
_ENV: Final = {
    # In one file: what GDAL would write beside it is lost.
    "GDAL_TIFF_INTERNAL_MASK": True,
    "GDAL_PAM_ENABLED": False,
}
_OPTIONS: Final[dict[EncodedFormat, dict[str, Any]]] = {
    "jpeg": {"quality": 85},
    "webp": {"quality": 85},
    "tif": {"compress": "deflate", "zlevel": 1},
}
_NOT_GEOTIFF: Final = ("bool", "float16")
_RAW: Final = ("tif", "npy")
_RGB: Final = ("red", "green", "blue")
_OPAQUE: Final = 255


@dataclass(frozen=True, slots=True)
class Encoded:
    """An image, ready to be sent."""

    body: bytes
    media_type: str
    format: EncodedFormat
    """What was chosen for `auto`, else what was asked for."""


@dataclass(frozen=True, slots=True, eq=False)
class _Image:
    """Pixels as they will be written."""

    data: NDArray[Any]
    """Shape (bands, height, width)."""
    alpha: NDArray[np.uint8]
    """Shape (height, width), 255 is opaque; between only where a colormap is translucent."""
    names: tuple[str, ...]


def encode(pixels: Pixels, render: Render, grid: Grid) -> Encoded:
    """Rescale, colour and encode; InvalidRequestError where the pixels do not fit the render.

    png, jpeg and webp show the first three bands, or the first one of fewer than three. tif and npy
    carry every band, in the dtype they have. `auto` is JPEG where every pixel is opaque and 8 bits
    deep, PNG elsewhere; `return_mask` does not change that. JPEG has no alpha: what is not valid is
    black, as in TiTiler. Pixels of which none is valid never raise: they make a transparent image.
    """
    image = _styled(pixels, render) if pixels.valid.any() else _blank(pixels, render)
    chosen = _format(image, render.format)
    mask = image.alpha if render.return_mask else None
    if chosen == "png":
        body = _png(image, mask)
    else:
        body = _numpy(image, mask) if chosen == "npy" else _raster(image, mask, chosen, grid)
    return Encoded(body, MEDIA_TYPES[chosen], chosen)


def _styled(pixels: Pixels, render: Render) -> _Image:
    data = _shown(pixels.data, render.format)
    if render.rescale:
        data = _rescaled(data, pixels, render.rescale)
    if render.colormap is not None:
        return _coloured(data, pixels, render.colormap)
    _check_dtype(data.dtype, render.format)
    return _Image(data, _alpha(pixels.valid), pixels.names[: len(data)])


def _blank(pixels: Pixels, render: Render) -> _Image:
    """Bands and dtype as far as they are known; nothing in the request is checked."""
    shown, alpha = _shown(pixels.data, render.format), _alpha(pixels.valid)
    if render.colormap is not None:
        return _Image(np.zeros((3, *alpha.shape), np.uint8), alpha, _RGB)
    kept = render.format in _RAW and shown.dtype.name not in _NOT_GEOTIFF
    dtype = shown.dtype if kept and not render.rescale else np.uint8
    return _Image(np.zeros(shown.shape, dtype), alpha, pixels.names[: len(shown)])


def _shown(data: NDArray[Any], requested: Format) -> NDArray[Any]:
    if requested in _RAW:
        return data
    return data[:3] if len(data) >= 3 else data[:1]


def _alpha(valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    return np.where(valid, np.uint8(_OPAQUE), np.uint8(0))


def _rescaled(
    data: NDArray[Any], pixels: Pixels, ranges: Sequence[tuple[float, float]]
) -> NDArray[np.uint8]:
    """Like TiTiler: linear, clipped, truncated to uint8, zero where not valid."""
    # Imported late: rio-tiler brings its readers with it, which take a sixth of a cold start.
    from rio_tiler.utils import linear_rescale

    if len(ranges) == 1:
        ranges = list(ranges) * len(data)
    elif len(ranges) not in (len(data), len(pixels.data)):
        raise InvalidRequestError(
            f"rescale has {len(ranges)} ranges for {len(pixels.data)} bands; give 1 or one per band"
        )
    if np.iscomplexobj(data):
        raise InvalidRequestError(f"{data.dtype} pixels cannot be rescaled; tif and npy carry them")
    out = np.zeros(data.shape, np.uint8)
    for band, source, (low, high) in zip(out, data, ranges, strict=False):
        if not 0 < high - low < np.inf:
            raise InvalidRequestError(
                f"rescale={low:g},{high:g}: the first must be below the other"
            )
        with np.errstate(invalid="ignore"):  # NaN that a file does not declare as its nodata
            scaled = linear_rescale(source, (low, high))
            np.copyto(band, scaled, where=pixels.valid, casting="unsafe")
    return out


def _coloured(data: NDArray[Any], pixels: Pixels, name: str) -> _Image:
    """Red, green, blue; black where not valid. The colormap's alpha counts where valid."""
    # Imported late: rio-tiler brings its readers with it, which take a sixth of a cold start.
    from rio_tiler.colormap import apply_cmap, cmap
    from rio_tiler.errors import InvalidColorMapName

    if len(pixels.data) != 1:
        raise InvalidRequestError(
            f"colormap {name} needs pixels of one band, these have {len(pixels.data)}"
        )
    if data.dtype != np.uint8:
        # rio-tiler would take the value modulo 256.
        raise InvalidRequestError(f"{data.dtype} pixels need rescale=min,max for colormap {name}")
    try:
        rgb, opacity = apply_cmap(data, cmap.get(name))
    except InvalidColorMapName as error:
        raise InvalidRequestError(f"colormap {name[:80]!r} is not known") from error
    alpha = np.where(pixels.valid, opacity, np.uint8(0))
    return _Image(rgb * (alpha > 0), alpha, _RGB)


def _check_dtype(dtype: np.dtype[Any], requested: Format) -> None:
    if requested in _RAW or dtype == np.uint8:
        return
    if dtype == np.uint16 and requested in ("png", "auto"):
        return
    raise InvalidRequestError(
        f"{dtype} pixels need rescale=min,max for {requested}; tif and npy carry them as they are"
    )


def _format(image: _Image, requested: Format) -> EncodedFormat:
    if requested != "auto":
        return requested
    eight_bits = image.data.dtype == np.uint8
    return "jpeg" if eight_bits and (image.alpha == _OPAQUE).all() else "png"


def _numpy(image: _Image, mask: NDArray[np.uint8] | None) -> bytes:
    data = image.data if mask is None else np.concatenate((image.data, mask[np.newaxis]))
    with BytesIO() as file:
        np.save(file, data)
        return file.getvalue()


def _png(image: _Image, mask: NDArray[np.uint8] | None) -> bytes:
    if mask is None:
        return encode_png(image.data)
    return encode_png(np.concatenate((image.data, _scaled_alpha(mask, image.data.dtype)[None])))


def _raster(
    image: _Image, mask: NDArray[np.uint8] | None, chosen: EncodedFormat, grid: Grid
) -> bytes:
    """By GDAL in memory. `rio_tiler.utils.render` swaps the process's warning filters meanwhile, so
    that of two threads one may fail where warnings are errors; nor has it band descriptions.
    """
    if chosen == "webp" and len(image.data) == 1:
        image = replace(image, data=image.data.repeat(3, axis=0), names=_RGB)
    if chosen == "tif" and image.data.dtype.name in _NOT_GEOTIFF:
        raise _unfit(image.data, chosen)
    mask = None if chosen == "jpeg" else mask
    try:
        # No AWS session: in a Lambda, rasterio would look for credentials at each tile.
        with rasterio.Env(DummySession(), **_ENV), MemoryFile() as file:
            with file.open(**_profile(image, mask, chosen, grid)) as target:
                _write(target, image, mask)
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
    image: _Image, mask: NDArray[np.uint8] | None, chosen: EncodedFormat, grid: Grid
) -> dict[str, Any]:
    bands, height, width = image.data.shape
    return {
        "driver": _DRIVERS[chosen],
        "count": bands + (mask is not None),
        "dtype": image.data.dtype,
        "height": height,
        "width": width,
        "crs": grid.crs,
        # Images do not carry it, but without it rasterio warns.
        "transform": grid.transform,
        **_OPTIONS[chosen],
    }


def _write(target: DatasetWriter, image: _Image, mask: NDArray[np.uint8] | None) -> None:
    bands = len(image.data)
    target.colorinterp = _interpretation(image.data, mask)
    target.write(image.data, list(range(1, bands + 1)))
    if target.driver == "GTiff":
        target.descriptions = image.names + (() if mask is None else ("alpha",))
    if mask is not None:
        target.write(_scaled_alpha(mask, image.data.dtype), bands + 1)
        if target.driver == "GTiff":
            # GDAL takes alpha for validity only in 8 or 16 bits next to one or three bands; of
            # others `rasterio.open(…).read(masked=True)` would find every pixel valid.
            target.write_mask(mask > 0)


def _interpretation(data: NDArray[Any], mask: NDArray[np.uint8] | None) -> list[ColorInterp]:
    """Said for every band: GDAL would call the fourth of four uint8 bands alpha."""
    rgb = [ColorInterp.red, ColorInterp.green, ColorInterp.blue]
    grey = [ColorInterp.gray]
    known = rgb if len(data) >= 3 and data.dtype == np.uint8 else grey
    rest = [ColorInterp.undefined] * (len(data) - len(known))
    return known + rest + ([] if mask is None else [ColorInterp.alpha])


def _scaled_alpha(mask: NDArray[np.uint8], dtype: np.dtype[Any]) -> NDArray[Any]:
    """What GDAL takes for opaque in that dtype (its SRC_ALPHA_MAX), 255 where it has no rule."""
    opaque = {"uint16": 65535, "int16": 32767, "int8": 127}.get(dtype.name, _OPAQUE)
    if opaque == _OPAQUE:
        return mask.astype(dtype, copy=False)
    return (mask.astype(np.float64) * opaque / _OPAQUE).astype(dtype)
