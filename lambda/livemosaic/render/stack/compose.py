"""Composes layers of pixels into one. Pure."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Mask, Pixels, rows_of
from livemosaic.model.rule import Operation
from livemosaic.render.stack.bands import bands_by_asset, common_bands
from livemosaic.render.stack.operations import OPERATIONS, Stack

Weigh = Callable[[slice], NDArray[np.float32]]
"""Returns a layer's weights in some rows, shape (rows, width), above zero."""

_STRIP: Final = 1 << 20
"""Samples of all layers per step of an operation, which bounds its arrays for any image."""
_OTHER_OF_ONE: Final = ("stdev", "count", "lastbandlow", "lastbandhigh")
"""Operations that change even a single layer."""

_Like = tuple[tuple[str, ...], np.dtype[Any]]
"""Band names, so also their number, and dtype."""


def compose(
    layers: Sequence[Pixels],
    operation: Operation = "first",
    weights: Sequence[Weigh] = (),
) -> Pixels:
    """Composes layers on one grid, top first; a pixel is valid where any layer is.

    `first` takes each pixel from the first layer that is valid there; so does `last`, whose layers
    come in reverse order. The others are in `operations`, and use valid pixels only. `blend` needs
    the weights of each layer, a strip at a time.

    Layers may differ in kind, each asset by itself: a single band is gray and stands for every
    band; of the others the first n bands are taken, n being the fewest that any of them has. The
    dtype is `np.result_type` of all layers; `count` gives uint8 and `stdev` float64.

    A layer that already is the result is returned without a copy.
    """
    if len({layer.valid.shape for layer in layers}) != 1:
        raise ValueError(f"layers of shapes {[layer.valid.shape for layer in layers]}")
    layers = _aligned(layers)
    like = _common(layers)
    if operation not in ("first", "last"):
        return _resolved(layers, operation, weights, like)
    top = layers[0]
    if _already(top, like) and (len(layers) == 1 or top.valid.all()):
        return top
    return _stack(layers, like)


def empty(grid: Grid) -> Pixels:
    """Returns one uint8 band without a valid pixel."""
    shape = (grid.height, grid.width)
    return Pixels(np.zeros((1, *shape), np.uint8), np.zeros(shape, np.bool_), ("b1",))


def _aligned(layers: Sequence[Pixels]) -> Sequence[Pixels]:
    """Gives layers of the same assets the same bands at the same place, where numbers differ."""
    stacks = list(dict.fromkeys(layer.names for layer in layers))
    if len(stacks) == 1:
        return layers
    assets = {tuple(bands_by_asset(names)) for names in stacks}
    if len(assets) > 1 or len(assets.pop()) == 1:
        return layers
    names, places = common_bands(stacks)
    chosen = dict(zip(stacks, places, strict=True))
    return [_with_bands(layer, names, chosen[layer.names]) for layer in layers]


def _with_bands(layer: Pixels, names: tuple[str, ...], places: Sequence[int]) -> Pixels:
    if layer.names == names:
        return layer
    return Pixels(layer.data[list(places)], layer.valid, names, layer.valid_of)


def _common(layers: Sequence[Pixels]) -> _Like:
    multiband = [layer.names for layer in layers if len(layer.names) > 1]
    # min() keeps the first of equals: names are from the topmost layer of that count.
    names = min(multiband, key=len) if multiband else layers[0].names
    return names, np.result_type(*(layer.data.dtype for layer in layers))


def _already(layer: Pixels, like: _Like) -> bool:
    names, dtype = like
    return len(layer.names) == len(names) and layer.data.dtype == dtype


def _stack(layers: Sequence[Pixels], like: _Like) -> Pixels:
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
    """Returns shape (count or 1, height, width): numpy broadcasts a gray layer's one band."""
    return layer.data[:count]


def _resolved(
    layers: Sequence[Pixels], operation: Operation, weights: Sequence[Weigh], like: _Like
) -> Pixels:
    if len(layers) == 1 and operation not in _OTHER_OF_ONE:
        return layers[0]
    names = _named(like[0], operation)
    operate = OPERATIONS[operation]
    with np.errstate(over="ignore", invalid="ignore"):  # infinities among the values
        strips = (operate(strip) for strip in _strips(layers, weights, like))
        data = _joined(strips, len(layers[0].valid))
    valid = np.logical_or.reduce([layer.valid for layer in layers])
    unknown = np.isnan(data).any(axis=0) if data.dtype.kind == "f" else False
    if np.any(unknown):  # made of infinities, and no more drawable than a NaN that was read
        valid &= ~unknown
        data = np.where(valid, data, data.dtype.type(0))
    return Pixels(data, valid, names)


def _joined(strips: Iterator[NDArray[Any]], height: int) -> NDArray[Any]:
    """Joins strips (bands, rows, width) of one dtype, none of which is kept beside the whole."""
    top = next(strips)
    count, rows, width = top.shape
    data = np.empty((count, height, width), top.dtype)
    data[:, :rows] = top
    for strip in strips:
        data[:, rows : rows + strip.shape[1]] = strip
        rows += strip.shape[1]
    return data


def _named(names: tuple[str, ...], operation: Operation) -> tuple[str, ...]:
    if operation == "count":
        return ("count",)
    if operation not in ("lastbandlow", "lastbandhigh"):
        return names
    if len(names) == 1:
        raise InvalidRequestError(
            f"operation {operation!r} decides by the last band and shows the others, and there is "
            f"only {names[0]!r}: request more with assets, bidx or expression"
        )
    return names[:-1]


def _strips(layers: Sequence[Pixels], weights: Sequence[Weigh], like: _Like) -> Iterator[Stack]:
    names, dtype = like
    height, width = layers[0].valid.shape
    rows = max(1, _STRIP // (len(layers) * len(names) * width))
    for first in range(0, height, rows):
        strip = slice(first, min(first + rows, height))
        yield Stack(
            bands=[_bands(layer, len(names))[:, strip] for layer in layers],
            valid=[layer.valid[strip] for layer in layers],
            weights=[weigh(strip) for weigh in weights],
            shape=(len(names), strip.stop - first, width),
            dtype=dtype,
        )


def clip_to_mask(pixels: Pixels, keep: Mask) -> Pixels:
    """Invalidates pixels outside a mask (height, width); returns the same object if none are."""
    valid = pixels.valid & keep
    if not pixels.valid_of and (valid == pixels.valid).all():
        return pixels
    data, rows = np.zeros(pixels.data.shape, pixels.data.dtype), rows_of(valid)
    np.copyto(data[:, rows], pixels.data[:, rows], where=valid[rows])
    return Pixels(data, valid, pixels.names, tuple(own & keep for own in pixels.valid_of))


def hide_below_holes(layers: Iterable[Pixels], footprints: Iterable[Mask]) -> Iterator[Pixels]:
    """Yields layers, top first, invalid below holes: invalid pixels inside a higher footprint."""
    hidden: Mask | None = None
    for layer, footprint in zip(layers, footprints, strict=True):
        yield layer if hidden is None else clip_to_mask(layer, ~hidden)
        holes = footprint & ~layer.valid
        hidden = holes if hidden is None else hidden | holes
