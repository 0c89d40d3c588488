"""What a pixel becomes of the layers that have it; rio-tiler's mosaic methods are the oracle."""

from typing import get_args

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rio_tiler.mosaic.methods import defaults as rio

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.model.rule import Operation
from livemosaic.render.stack import compose as module
from livemosaic.render.stack.compose import Weigh, compose
from livemosaic.render.stack.operations import OPERATIONS

X = None
"""No pixel."""


def layer(*values: int | float | None, bands: int = 1, dtype: str = "uint8") -> Pixels:
    """One row; band n holds value + n where there is one."""
    valid = np.array([[value is not None for value in values]])
    data = np.array([[[(v or 0) + n for v in values]] for n in range(bands)]) * valid
    return Pixels(data.astype(dtype), valid, tuple(f"b{n + 1}" for n in range(bands)))


def weighing(*weights: float) -> list[Weigh]:
    """The same everywhere, one for each layer."""
    return [lambda rows, w=w: np.full((rows.stop - rows.start, 1), w, "float32") for w in weights]


THREE = [layer(10, X, X, X), layer(20, 20, X, X), layer(60, 60, 60, X)]
WEIGHTS = weighing(1, 2, 5)


@pytest.mark.parametrize(
    ("operation", "expected", "dtype"),
    [
        ("first", [10, 20, 60], "uint8"),
        ("last", [10, 20, 60], "uint8"),  # of layers in reverse order
        ("min", [10, 20, 60], "uint8"),
        ("max", [60, 60, 60], "uint8"),
        ("sum", [90, 80, 60], "uint8"),
        ("mean", [30, 40, 60], "uint8"),
        ("median", [20, 40, 60], "uint8"),
        ("stdev", [(1400 / 3) ** 0.5, 20, 0], "float64"),
        ("count", [3, 2, 1], "uint8"),
        ("blend", [44, 49, 60], "uint8"),  # 350 / 8 and 340 / 7
    ],
)
def test_only_valid_pixels_count(operation: Operation, expected: list[float], dtype: str) -> None:
    result = compose(THREE, operation, WEIGHTS)
    assert result.data[0, 0].tolist() == pytest.approx([*expected, 0])
    assert result.valid.tolist() == [[True, True, True, False]]
    assert result.data.dtype == dtype


@pytest.mark.parametrize(
    ("operation", "expected"), [("lastbandlow", [4, 5, 6]), ("lastbandhigh", [7, 5, 6])]
)
def test_the_last_band_decides_and_does_not_show(operation: Operation, expected: list[int]) -> None:
    def pixels(*pairs: tuple[int, int] | None) -> Pixels:
        valid = np.array([[pair is not None for pair in pairs]])
        data = np.array([[(pair or (0, 0))[n] for pair in pairs] for n in (0, 1)], np.uint8)
        return Pixels(data[:, np.newaxis], valid, ("red", "quality"))

    layers = [pixels((4, 1), (5, 3), None, None), pixels((7, 2), (6, 3), (6, 255), None)]
    result = compose(layers, operation)
    assert result.data.tolist() == [[[*expected, 0]]]
    assert result.names == ("red",)


def test_a_last_band_that_is_the_only_one_is_refused() -> None:
    with pytest.raises(InvalidRequestError, match="there is only 'b1': request more with assets"):
        compose([layer(1), layer(2)], "lastbandlow")


@pytest.mark.parametrize("operation", get_args(Operation))
def test_one_layer_is_the_answer_without_a_copy_where_it_is_the_answer(operation) -> None:
    only = layer(5, X, bands=2)
    result = compose([only], operation)
    assert (result is only) == (operation not in ("stdev", "count", "lastbandlow", "lastbandhigh"))
    assert result.valid.tolist() == only.valid.tolist()


@pytest.mark.parametrize("operation", get_args(Operation))
def test_layers_are_left_alone(operation: Operation) -> None:
    layers = [layer(10, X, bands=2), layer(20, 30, bands=2)]
    compose(layers, operation, weighing(1, 1))
    assert [each.data.tolist() for each in layers] == [
        [[[10, 0]], [[11, 0]]],
        [[[20, 30]], [[21, 31]]],
    ]
    assert [each.valid.tolist() for each in layers] == [[[True, False]], [[True, True]]]


@pytest.mark.parametrize(
    ("operation", "expected"),
    [("min", [10, 10, 10]), ("mean", [15, 15, 16]), ("sum", [30, 31, 32]), ("blend", [15, 16, 16])],
)
def test_grey_stands_for_every_band_and_halves_are_cut_or_rounded(operation, expected) -> None:
    layers = [layer(10), layer(20, bands=3)]
    assert compose(layers, operation, weighing(1, 1)).data[:, 0, 0].tolist() == expected


def test_a_blend_is_rounded_where_a_mean_is_cut_as_by_rio_tiler() -> None:
    layers = [layer(10, -10, dtype="int16"), layer(13, -13, dtype="int16")]
    assert compose(layers, "mean").data.tolist() == [[[11, -11]]]
    blend = compose([layer(10, 10), layer(11, 12)], "blend", weighing(2, 1))
    assert blend.data.tolist() == [[[10, 11]]]


def test_a_sum_that_does_not_fit_stays_at_the_end_of_its_dtype() -> None:
    assert compose([layer(200), layer(100)], "sum").data.tolist() == [[[255]]]
    low = [layer(-30_000, dtype="int16"), layer(-30_000, dtype="int16")]
    assert compose(low, "sum").data.tolist() == [[[-32768]]]
    wide = [layer(200), layer(100, dtype="float32")]
    assert compose(wide, "sum").data.tolist() == [[[300]]]


def test_values_at_the_ends_of_a_dtype_are_values_like_others() -> None:
    assert compose([layer(255, X), layer(X, 255)], "min").data.tolist() == [[[255, 255]]]
    assert compose([layer(0, X), layer(X, 0)], "max").data.tolist() == [[[0, 0]]]
    assert compose([layer(255, 255), layer(X, 255)], "median").data.tolist() == [[[255, 255]]]


def test_the_spread_of_large_values_close_together_is_not_lost() -> None:
    layers = [layer(1e9 + n, dtype="float64") for n in (0, 1, 2)]
    assert compose(layers, "stdev").data.item() == pytest.approx((2 / 3) ** 0.5)


@pytest.mark.parametrize("operation", ["sum", "mean", "median", "stdev", "blend"])
def test_what_infinities_make_is_infinite_or_no_pixel(operation: Operation) -> None:
    layers = [layer(np.inf, 1, dtype="float32"), layer(-np.inf, 1, dtype="float32")]
    result = compose(layers, operation, weighing(1, 1))
    assert result.valid.tolist() == [[False, True]]
    assert result.data[0, 0, 0] == 0
    half = compose([layer(np.inf, dtype="float32"), layer(1, dtype="float32")], "sum")
    assert half.data.item() == np.inf


@pytest.mark.parametrize("operation", OPERATIONS)
def test_a_picture_is_the_same_in_strips(operation: Operation, monkeypatch) -> None:
    rng = np.random.default_rng(1)
    layers = []
    for _ in range(5):
        valid = rng.random((7, 6)) < 0.7
        layers.append(Pixels((rng.random((3, 7, 6)) * valid), valid, ("a", "b", "c")))
    weights = [(rng.random((7, 6), np.float32) + 0.1).__getitem__ for _ in layers]
    whole = compose(layers, operation, weights)
    monkeypatch.setattr(module, "_STRIP", 2 * 5 * 3 * 6)
    strips = compose(layers, operation, weights)
    np.testing.assert_array_equal(strips.data, whole.data)
    np.testing.assert_array_equal(strips.valid, whole.valid)


METHODS = {
    "first": rio.FirstMethod,
    "max": rio.HighestMethod,
    "min": rio.LowestMethod,
    "sum": rio.SumMethod,
    "mean": rio.MeanMethod,
    "median": rio.MedianMethod,
    "stdev": rio.StdevMethod,
    "lastbandlow": rio.LastBandLowMethod,
    "lastbandhigh": rio.LastBandHighMethod,
    "count": rio.CountMethod,
}


@st.composite
def alike(draw: st.DrawFn) -> list[Pixels]:
    """Layers of one kind, as rio-tiler needs them; no sum of them is too large for a uint8."""
    height, width, bands = draw(st.integers(1, 3)), draw(st.integers(1, 4)), draw(st.integers(2, 4))
    dtype = draw(st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    layers = []
    for _ in range(draw(st.integers(1, 6))):
        valid = rng.random((height, width)) < draw(st.sampled_from([0.3, 0.8, 1.0]))
        data = (rng.integers(1, 40, (bands, height, width)) * valid).astype(dtype)
        layers.append(Pixels(data, valid, tuple(f"b{n + 1}" for n in range(bands))))
    return layers


@settings(max_examples=150, deadline=None)
@given(alike(), st.sampled_from(sorted(METHODS)))
def test_values_and_dtypes_are_those_of_rio_tiler(layers: list[Pixels], operation) -> None:
    method = METHODS[operation]()
    for each in layers:
        mask = np.broadcast_to(~each.valid, each.data.shape).copy()
        method.feed(np.ma.MaskedArray(each.data, mask))
    result = compose(layers, operation)
    theirs = method.data[np.newaxis] if operation == "count" else method.data
    exact = result.data.dtype.kind != "f"
    np.testing.assert_allclose(result.data, theirs.filled(0), rtol=0 if exact else 2e-6, atol=0)
    assert result.data.dtype == theirs.dtype
    if operation != "count":  # rio-tiler's 0 of no scene is a pixel like others
        np.testing.assert_array_equal(result.valid, ~np.ma.getmaskarray(theirs)[0])
