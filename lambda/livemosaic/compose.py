"""Layers of pixels → one: the first valid pixel wins. Pure."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from livemosaic.model import Grid, Pixels


def compose(layers: Sequence[Pixels]) -> Pixels:
    """Layers on the same grid, top first → at each pixel the first layer that is valid there.

    Scenes of one mosaic may differ in kind, so band counts and dtypes never clash: a single-band
    layer is grey and stands for every band; of the others the first n bands are taken, n being the
    fewest that any of them has. The dtype is `np.result_type` of all layers.

    A top layer that already is the answer comes back as it is, not as a copy.
    """
    if len({layer.valid.shape for layer in layers}) != 1:
        raise ValueError(f"layers of shapes {[layer.valid.shape for layer in layers]}")
    like = _common(layers)
    top = layers[0]
    if _already(top, like) and (len(layers) == 1 or top.valid.all()):
        return top
    return _stack(layers, like)


def empty(grid: Grid) -> Pixels:
    """One uint8 band, no pixel of it valid."""
    shape = (grid.height, grid.width)
    return Pixels(np.zeros((1, *shape), np.uint8), np.zeros(shape, np.bool_), ("b1",))


def _common(layers: Sequence[Pixels]) -> tuple[tuple[str, ...], np.dtype[Any]]:
    """Band names, so also their number, and dtype of the result."""
    coloured = [layer.names for layer in layers if len(layer.names) > 1]
    # min() keeps the first of equals: the names come from the topmost layer of that count.
    names = min(coloured, key=len) if coloured else layers[0].names
    return names, np.result_type(*(layer.data.dtype for layer in layers))


def _already(layer: Pixels, like: tuple[tuple[str, ...], np.dtype[Any]]) -> bool:
    names, dtype = like
    return len(layer.names) == len(names) and layer.data.dtype == dtype


def _stack(layers: Sequence[Pixels], like: tuple[tuple[str, ...], np.dtype[Any]]) -> Pixels:
    names, dtype = like
    filled = np.zeros_like(layers[0].valid)
    data = np.zeros((len(names), *filled.shape), dtype)
    for layer in layers:
        np.copyto(data, _bands(layer, len(names)), where=layer.valid & ~filled)
        filled |= layer.valid
        if filled.all():
            break
    return Pixels(data, filled, names)


def _bands(layer: Pixels, count: int) -> NDArray[Any]:
    """Shape (count or 1, height, width): numpy broadcasts the one band of a grey layer."""
    return layer.data[:count]
