"""Which scene shows at each pixel, for all assets together and for each alone. Pure."""

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from livemosaic.model.raster import Mask, Pixels
from livemosaic.overviews.together.combinations import Assets

Winners = NDArray[np.int32]
"""Shape (height, width): the number of the topmost layer that is valid there, -1 where none is."""


def winners(masks: Mapping[int, Mask], shape: tuple[int, ...]) -> Winners:
    """Returns which layer shows at each pixel, by the numbers of layers, top first."""
    shown: Winners = np.full(shape, -1, np.int32)
    for number, mask in masks.items():
        shown[mask & (shown < 0)] = number
    return shown


def apart_in(layers: Sequence[Pixels], assets: Assets) -> set[Assets]:
    """Returns the sets of assets that show another layer, without the rest, somewhere.

    Layers are all assets of each scene, top first. Where every asset of a layer is valid at the
    same pixels, no other layer can show.
    """
    if not any(layer.valid_of for layer in layers):
        return set()
    shape = layers[0].valid.shape
    together = winners(dict(enumerate(layer.valid for layer in layers)), shape)
    differ = np.zeros(shape, np.uint32)
    for bit in range(len(assets)):
        own = (layer.valid_of[bit] if layer.valid_of else layer.valid for layer in layers)
        differ |= (winners(dict(enumerate(own)), shape) != together).astype(np.uint32) << bit
    return {_of_bits(int(bits), assets) for bits in np.unique(differ) if bits}


def _of_bits(bits: int, assets: Assets) -> Assets:
    return tuple(asset for bit, asset in enumerate(assets) if bits >> bit & 1)
