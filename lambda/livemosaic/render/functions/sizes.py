"""How large the values of an image may become on their way through raster functions. Pure."""

from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError

MAX_BYTES: Final = 128 * 1024 * 1024
"""Of the values of all bands: 4 million pixels of 16 bands of 16 bits, or of 4 of float64."""


def check_size(data: NDArray[Any], bands: int, dtype: np.dtype[Any]) -> None:
    """Raises `InvalidRequestError` where bands of a type, in place of `data`, would be too large.

    `data` has the shape (bands, height, width). Nothing is refused that is no larger than `data`.
    """
    _, height, width = data.shape
    size = bands * height * width * dtype.itemsize
    if size > max(MAX_BYTES, data.nbytes):
        raise InvalidRequestError(
            f"{bands} bands of {dtype.name}, {width:,} × {height:,} pixels, are {size:,} bytes of "
            f"values; an image has {MAX_BYTES:,} at most: ask for fewer bands, a smaller image or "
            "a smaller pixelType"
        )
