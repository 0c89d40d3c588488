"""What footprints keep of the pixels of scenes. Pure."""

from collections.abc import Iterable, Iterator

import numpy as np
from numpy.typing import NDArray

from livemosaic.model import Pixels

Mask = NDArray[np.bool_]


def clipped(pixels: Pixels, keep: Mask) -> Pixels:
    """Less the pixels outside of a mask (height, width); as it is where there are none."""
    valid = pixels.valid & keep
    if (valid == pixels.valid).all():
        return pixels
    return Pixels(np.where(valid, pixels.data, pixels.data.dtype.type(0)), valid, pixels.names)


def below_holes(layers: Iterable[Pixels], footprints: Iterable[Mask]) -> Iterator[Pixels]:
    """Layers, top first, less what lies below a hole: a pixel inside a footprint without data."""
    hidden: Mask | None = None
    for layer, footprint in zip(layers, footprints, strict=True):
        yield layer if hidden is None else clipped(layer, ~hidden)
        holes = footprint & ~layer.valid
        hidden = holes if hidden is None else hidden | holes
