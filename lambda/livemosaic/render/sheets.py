"""Images of several mosaics on one grid, laid on each other. Pure."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Render
from livemosaic.render.encode import Encoded, styled
from livemosaic.render.style import Image

_OPAQUE: Final = 255


@dataclass(slots=True)
class Sheet:
    """An encoder that keeps the image of one layer, and encodes nothing."""

    image: Image | None = field(default=None, repr=False)

    def __call__(self, pixels: Pixels, render: Render, grid: Grid, _: Mapping[str, str]) -> Encoded:
        """Keeps the image; raises `InvalidRequestError` where it has no bytes."""
        image, place = styled(pixels, render, grid)
        if image.data.dtype != np.uint8:
            raise InvalidRequestError(
                f"{image.data.dtype} pixels need rescale=min,max to be laid on other layers"
            )
        self.image = image
        return Encoded(b"", "", "png", place)


def laid(images: Sequence[Image]) -> Image:
    """Returns images of bytes in red, green and blue on each other, the first one at the bottom.

    Translucent pixels let the ones below shine through (Porter and Duff 1984, "over").
    """
    first = images[0]
    data: NDArray[Any] = np.zeros((3, *first.alpha.shape), np.float32)
    alpha: NDArray[Any] = np.zeros(first.alpha.shape, np.float32)
    for image in images:
        top = image.alpha.astype(np.float32) / _OPAQUE
        below = alpha * (1 - top)
        data = image.data * top + data * below
        alpha = top + below
        data = np.divide(data, alpha, out=np.zeros_like(data), where=alpha > 0)
    return Image(
        np.rint(data).astype(np.uint8),
        np.rint(alpha * _OPAQUE).astype(np.uint8),
        ("red", "green", "blue"),
    )
