"""Values → colors, in TiTiler's order: algorithm, rescale, color formula, colormap. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels, trimmed
from livemosaic.model.render import Colors, Style

_RGB: Final = ("red", "green", "blue")
_OPAQUE: Final = 255


@dataclass(frozen=True, slots=True, eq=False)
class Image:
    """Pixels as they are encoded."""

    data: NDArray[Any]
    """Shape (bands, height, width); zero where `alpha` is."""
    alpha: NDArray[np.uint8]
    """Shape (height, width): 0, or 255 for opaque; in between only with a translucent colormap."""
    names: tuple[str, ...]


def draw_scene(pixels: Pixels, grid: Grid, style: Style) -> Pixels:
    """Applies a style to a scene, on the same grid, before scenes are composed.

    Translucent pixels are valid. `InvalidRequestError` if the pixels do not suit the style.
    """
    pixels = run_algorithm_in_place(pixels, grid, style, "of scenes that are drawn one by one,")
    image = apply_colors(pixels, style, len(pixels.data))
    return Pixels(image.data, image.alpha > 0, image.names)


def run_algorithm(pixels: Pixels, grid: Grid, style: Style) -> tuple[Pixels, Grid]:
    """Runs the style's algorithm, if any; returns its pixels and their grid, perhaps smaller."""
    if style.algorithm is None:
        return pixels, grid
    from livemosaic.render.algorithms import apply_algorithm

    return apply_algorithm(pixels, grid, style.algorithm)


def without_margin(pixels: Pixels, grid: Grid, style: Style) -> tuple[Pixels, Grid]:
    """Returns pixels less the margin that the style's algorithm drops, if any are left.

    As `run_algorithm` does where pixels suit the algorithm.
    """
    margin = style.margin
    if not margin or min(grid.width, grid.height) <= 2 * margin:
        return pixels, grid
    return trimmed(pixels, grid, margin, margin, margin, margin)


def run_algorithm_in_place(pixels: Pixels, grid: Grid, style: Style, where: str) -> Pixels:
    """Runs the algorithm on the same grid; `InvalidRequestError`, naming `where`, if it shrinks."""
    made, on = run_algorithm(pixels, grid, style)
    if on is not grid:
        raise InvalidRequestError(
            f'{where} an algorithm must keep every pixel: set algorithm_params={{"buffer": 0}}'
        )
    return made


def apply_colors(pixels: Pixels, style: Style, shown: int) -> Image:
    """Applies all of a style but its algorithm to the first `shown` bands.

    `InvalidRequestError` if the pixels do not suit the style.
    """
    data = pixels.data[:shown]
    if style.auto_rescale:
        raise InvalidRequestError(
            "rescale=auto has no statistics to follow here; give rescale=min,max"
        )
    if style.rescale:
        data = _rescaled(data, pixels, style.rescale)
    if style.color_formula:
        from livemosaic.render.colormaps import apply_formula

        data = apply_formula(data, style.color_formula) * pixels.valid
    if style.colormap is not None:
        return _mapped(data, pixels, style.colormap)
    return Image(data, to_alpha(pixels.valid), pixels.names[: len(data)])


def make_blank(pixels: Pixels, style: Style, shown: int) -> Image:
    """Returns the all-zero image of pixels of which none is valid; checks nothing."""
    alpha, names = to_alpha(pixels.valid), pixels.names[:shown]
    if style.colormap is not None:
        return Image(np.zeros((3, *alpha.shape), np.uint8), alpha, _RGB)
    is_scaled = style.rescale or style.auto_rescale or style.color_formula
    dtype = np.uint8 if is_scaled else pixels.data.dtype
    return Image(np.zeros((len(names), *alpha.shape), dtype), alpha, names)


def on_background(image: Image, color: tuple[int, int, int]) -> Image:
    """Returns an opaque image: of one band in gray, else of three, where 0–255 are a whole range.

    Deeper integers have the color scaled to their range.
    """
    data, full = image.data, np.iinfo(image.data.dtype).max // _OPAQUE
    below = np.array(color if len(data) == 3 or len(set(color)) > 1 else color[:1])
    if len(below) > len(data):
        data = data.repeat(len(below), axis=0)
    ground = (below * full).astype(data.dtype).reshape(-1, 1, 1)
    mixed = np.where(image.alpha == _OPAQUE, data, ground)
    partly = (image.alpha > 0) & (image.alpha < _OPAQUE)
    if partly.any():
        part = image.alpha[partly] / _OPAQUE
        mixed[:, partly] = np.rint(data[:, partly] * part + ground[:, :, 0] * (1 - part))
    names = image.names if len(image.names) == len(mixed) else _RGB
    return Image(mixed, np.full_like(image.alpha, _OPAQUE), names)


def to_alpha(valid: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """Returns validity as alpha."""
    return np.where(valid, np.uint8(_OPAQUE), np.uint8(0))


def _rescaled(
    data: NDArray[Any], pixels: Pixels, ranges: Sequence[tuple[float, float]]
) -> NDArray[np.uint8]:
    """Rescales as TiTiler: linear, clipped, truncated to uint8; zero where not valid."""
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
        with np.errstate(invalid="ignore"):  # NaN in a file that does not declare it as nodata
            scaled = linear_rescale(source, (low, high))
            np.copyto(band, scaled, where=pixels.valid, casting="unsafe")
    return out


def _mapped(data: NDArray[Any], pixels: Pixels, colors: str | Colors) -> Image:
    """Applies a colormap: red, green, blue, black where not valid; its alpha where valid."""
    from livemosaic.render.colormaps import apply_colormap

    name = colors if isinstance(colors, str) else "of the request"
    if len(pixels.data) != 1:
        raise InvalidRequestError(
            f"colormap {name} needs pixels of one band, these have {len(pixels.data)}"
        )
    if isinstance(colors, str) and data.dtype != np.uint8:
        # rio-tiler would take the value modulo 256.
        raise InvalidRequestError(f"{data.dtype} pixels need rescale=min,max for colormap {name}")
    rgb, opacity = apply_colormap(data, colors)
    alpha = np.where(pixels.valid, opacity, np.uint8(0))
    return Image(rgb * (alpha > 0), alpha, _RGB)
