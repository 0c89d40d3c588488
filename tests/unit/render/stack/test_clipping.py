"""What footprints keep of the pixels of scenes."""

import numpy as np

from livemosaic.model.raster import Pixels
from livemosaic.render.stack.compose import clip_to_mask, hide_below_holes


def layer(value: int, *valid: int) -> Pixels:
    """One row; the value where there is a 1."""
    mask = np.array([valid], np.bool_)
    return Pixels((value * mask)[np.newaxis].astype("uint8"), mask, ("b1",))


def mask(*inside: int) -> np.ndarray:
    return np.array([inside], np.bool_)


def test_pixels_outside_are_dropped() -> None:
    pixels = layer(7, 1, 1, 0)
    kept = clip_to_mask(pixels, mask(1, 0, 1))
    assert kept.data.tolist() == [[[7, 0, 0]]]
    assert kept.valid.tolist() == [[True, False, False]]
    assert pixels.data.tolist() == [[[7, 7, 0]]]


def test_what_lies_inside_as_a_whole_is_not_copied() -> None:
    pixels = layer(7, 1, 1, 0)
    assert clip_to_mask(pixels, mask(1, 1, 0)) is pixels


def test_holes_hide_what_is_below_them_and_only_that() -> None:
    layers = [layer(1, 1, 0, 0, 0), layer(2, 1, 1, 0, 1), layer(3, 1, 1, 1, 1)]
    footprints = [mask(1, 1, 0, 0), mask(1, 1, 1, 0), mask(1, 1, 1, 1)]
    shown = [each.valid[0].tolist() for each in hide_below_holes(layers, footprints)]
    assert shown == [
        [True, False, False, False],
        [True, False, False, True],  # the second pixel is a hole of the first layer
        [True, False, False, True],  # and the third one of the second
    ]
