"""PNGs of one byte a pixel, with a palette of their colors."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.encode import Encoded, styled
from livemosaic.render.exports.palette import paletted
from livemosaic.render.png import encode_paletted
from livemosaic.render.style import Image, on_background

MEDIA_TYPE: Final = "image/png; mode=8bit"
"""As MapServer and GeoServer have it."""
_MOST: Final = 256
"""Colors of a palette, one of which is no data's where there is some."""


@dataclass(frozen=True, slots=True)
class Png8Encoder:
    """Encodes pixels as `render.encode.encode` does, in `png8`. Its `repr` is in ETags."""

    def __call__(self, pixels: Pixels, render: Render, grid: Grid, _: Mapping[str, str]) -> Encoded:
        """Encodes pixels; `InvalidRequestError` where they do not suit the render."""
        image, place = styled(pixels, render, grid)
        return encode_png8(image, render, place)


def encode_png8(image: Image, render: Render, grid: Grid) -> Encoded:
    """Encodes an image on the background of a render; transparent where it is, without one.

    Up to 256 colors are kept as they are, with transparency as one; of more, each becomes the
    nearest of a palette made for the image. Raises `InvalidRequestError` where the image has no
    bytes.
    """
    if image.data.dtype != np.uint8:
        raise InvalidRequestError(
            f"{image.data.dtype} pixels have no 8 bits: give a range, by rescale=min,max or "
            "Stretch in a renderingRule, or choose another PNG"
        )
    if render.background is not None:
        image = on_background(image, render.background)
    seen = image.alpha > 0
    hidden = np.zeros((0 if seen.all() else 1, 4), np.uint8)
    table, found = paletted(_colors(image)[seen], _MOST - len(hidden))
    places = np.zeros(seen.shape, np.uint8)
    places[seen] = found + len(hidden)
    body = encode_paletted(places, np.concatenate((hidden, table)))
    return Encoded(body, MEDIA_TYPE, "png", grid)


def _colors(image: Image) -> NDArray[np.uint32]:
    """Returns the color of each pixel as a number, 0xRRGGBBAA."""
    red, green, blue = np.broadcast_to(image.data, (3, *image.alpha.shape))
    colors = np.zeros(image.alpha.shape, np.uint32)
    for channel in (red, green, blue, image.alpha):
        colors = colors << np.uint32(8) | channel
    return colors
