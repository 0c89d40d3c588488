"""PNGs of one byte a pixel, with a palette of their colors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import rasterio
from numpy.typing import NDArray
from rasterio.io import MemoryFile
from rasterio.session import DummySession

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.encode import Encoded, styled
from livemosaic.render.style import Image, on_background

MEDIA_TYPE: Final = "image/png; mode=8bit"
"""As MapServer and GeoServer have it."""
_COLORS: Final = 255
"""Of a palette with one for no data."""
_OPAQUE: Final = 255
_LEVELS: Final = (6, 6, 6, 2)
_TRANSLUCENT: Final = (4, 4, 4, 4)
"""Levels of red, green, blue and alpha in a palette where an image has too many colors of its own:
216, and 192 where some of them are translucent."""


@dataclass(frozen=True, slots=True)
class Png8Encoder:
    """Encodes pixels as `render.encode.encode` does, in `png8`. Its `repr` is in ETags."""

    def __call__(self, pixels: Pixels, render: Render, grid: Grid, _: Mapping[str, str]) -> Encoded:
        """Encodes pixels; `InvalidRequestError` where they do not suit the render."""
        image, place = styled(pixels, render, grid)
        return encode_png8(image, render, place)


def encode_png8(image: Image, render: Render, grid: Grid) -> Encoded:
    """Encodes an image on the background of a render; transparent where it is, without one.

    Up to 255 colors are kept as they are; of more, each becomes the nearest of a regular palette.
    Raises `InvalidRequestError` where the image has no bytes.
    """
    if image.data.dtype != np.uint8:
        raise InvalidRequestError(
            f"{image.data.dtype} pixels have no 8 bits: give a range, by rescale=min,max or "
            "Stretch in a renderingRule, or choose another PNG"
        )
    if render.background is not None:
        image = on_background(image, render.background)
    colors, places = _palette(image)
    profile = {"driver": "PNG", "width": grid.width, "height": grid.height, "count": 1}
    with rasterio.Env(DummySession(), GDAL_PAM_ENABLED=False), MemoryFile() as file:
        with file.open(**profile, dtype="uint8", transform=grid.transform) as target:
            target.write(places, 1)
            target.write_colormap(1, colors)
        return Encoded(file.read(), MEDIA_TYPE, "png", grid)


def _palette(image: Image) -> tuple[dict[int, tuple[int, ...]], NDArray[np.uint8]]:
    """Returns colors with alpha, the last one transparent, and the place of each pixel's color."""
    rgb = np.broadcast_to(image.data, (3, *image.alpha.shape))
    seen = image.alpha > 0
    flat = np.vstack((rgb[:, seen], image.alpha[seen])).T
    colors, places = np.unique(flat, axis=0, return_inverse=True)
    if len(colors) > _COLORS:
        colors, places = np.unique(_fewer(flat), axis=0, return_inverse=True)
    found = np.full(seen.shape, _COLORS, np.uint8)
    found[seen] = places.ravel()
    table = {number: tuple(map(int, color)) for number, color in enumerate(colors)}
    return table | {_COLORS: (0, 0, 0, 0)}, found


def _fewer(colors: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Returns the nearest colors of a regular palette, shape (n, 4), of which none is invisible."""
    levels = _LEVELS if (colors[:, 3] == _OPAQUE).all() else _TRANSLUCENT
    most = np.array(levels) - 1
    steps = np.rint(colors / _OPAQUE * most)
    steps[:, 3] = np.maximum(steps[:, 3], 1)
    near: NDArray[np.uint8] = np.rint(steps * (_OPAQUE / most)).astype(np.uint8)
    return near
