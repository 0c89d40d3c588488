"""Composing layers: the first valid pixel wins, whatever kinds of scenes meet."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio.crs import CRS

from livemosaic.model.raster import Grid, Pixels
from livemosaic.render.stack.compose import compose, empty


def layer(
    value: int, valid: list[bool], bands: int = 1, dtype: str = "uint8", prefix: str = "b"
) -> Pixels:
    """One row; band n holds value + n where valid."""
    mask = np.array([valid])
    data = np.stack([np.where(mask, value + n, 0) for n in range(bands)]).astype(dtype)
    return Pixels(data, mask, tuple(f"{prefix}{n + 1}" for n in range(bands)))


def test_the_first_valid_pixel_wins():
    result = compose(
        [
            layer(10, [True, False, False, False]),
            layer(20, [True, True, False, False]),
            layer(30, [True, True, True, False]),
        ]
    )
    assert result.data.tolist() == [[[10, 20, 30, 0]]]
    assert result.valid.tolist() == [[True, True, True, False]]


@pytest.mark.parametrize("valid", [[True, True], [True, False], [False, False]])
def test_one_layer_is_the_answer_without_a_copy(valid):
    only = layer(1, valid, bands=3)
    assert compose([only]) is only


def test_a_full_layer_on_top_is_the_answer_without_a_copy():
    top = layer(1, [True, True])
    assert compose([top, layer(2, [True, True])]) is top


def test_layers_are_left_alone():
    top, below = layer(10, [True, False]), layer(20, [True, True])
    compose([top, below])
    assert top.data.tolist() == [[[10, 0]]]
    assert top.valid.tolist() == [[True, False]]
    assert below.data.tolist() == [[[20, 20]]]


def test_layers_below_a_full_stack_are_not_looked_at():
    class Untouchable(np.ndarray):
        def __getitem__(self, key):
            raise AssertionError

    hidden = layer(30, [True, True])
    object.__setattr__(hidden, "data", hidden.data.view(Untouchable))
    result = compose([layer(10, [True, False]), layer(20, [True, True]), hidden])
    assert result.data.tolist() == [[[10, 20]]]


def test_a_grey_layer_stands_for_every_band():
    grey, colour = layer(10, [True, False]), layer(20, [True, True], bands=3)
    assert compose([grey, colour]).data[:, 0].tolist() == [[10, 20], [10, 21], [10, 22]]
    colour = layer(20, [False, True], bands=3)
    grey = layer(10, [True, True])
    assert compose([colour, grey]).data[:, 0].tolist() == [[10, 20], [10, 21], [10, 22]]


def test_a_full_grey_layer_on_top_still_gets_the_bands_of_the_others():
    result = compose([layer(10, [True]), layer(20, [True], bands=3)])
    assert result.data.tolist() == [[[10]], [[10]], [[10]]]


@pytest.mark.parametrize("order", [1, -1], ids=["fewer on top", "more on top"])
def test_layers_of_different_colours_keep_the_bands_they_share(order):
    layers = [layer(10, [True, False], bands=3), layer(20, [False, True], bands=4)][::order]
    result = compose(layers)
    assert result.data[:, 0].tolist() == [[10, 20], [11, 21], [12, 22]]
    assert result.names == ("b1", "b2", "b3")


def test_names_are_those_of_the_first_layer_with_that_many_bands():
    layers = [
        layer(1, [True], bands=4, prefix="four_b"),
        layer(1, [True], prefix="grey_b"),
        layer(1, [True], bands=3, prefix="rgb_b"),
        layer(1, [True], bands=3, prefix="other_b"),
    ]
    assert compose(layers).names == ("rgb_b1", "rgb_b2", "rgb_b3")


@pytest.mark.parametrize(
    ("dtypes", "expected"),
    [
        (("uint8", "uint8"), "uint8"),
        (("uint8", "uint16"), "uint16"),
        (("uint8", "int16"), "int16"),
        (("uint16", "int16"), "int32"),
        (("uint8", "float32"), "float32"),
        (("int32", "float32"), "float64"),
        (("uint64", "int64"), "float64"),
    ],
)
def test_the_dtype_holds_the_values_of_every_layer(dtypes, expected):
    layers = [layer(7, [n == 0, n == 1], dtype=dtype) for n, dtype in enumerate(dtypes)]
    for ordered in (layers, layers[::-1]):
        result = compose(ordered)
        assert result.data.dtype == expected
        assert result.data.tolist() == [[[7, 7]]]


@pytest.mark.parametrize(
    "layers", [[], [layer(1, [True]), layer(1, [True, True])]], ids=["none", "two shapes"]
)
def test_layers_must_be_there_and_share_a_grid(layers):
    with pytest.raises(ValueError, match="layers of shapes"):
        compose(layers)


def test_empty_has_no_valid_pixel():
    nothing = empty(Grid(CRS.from_epsg(3857), (0, 0, 3, 2), 3, 2))
    assert nothing.data.shape == (1, 2, 3)
    assert nothing.data.dtype == np.uint8
    assert not nothing.data.any()
    assert not nothing.valid.any()


def test_empty_below_a_layer_changes_nothing():
    top = layer(5, [True, False, True], bands=3)
    result = compose([top, empty(Grid(CRS.from_epsg(3857), (0, 0, 3, 1), 3, 1))])
    assert result.data.tolist() == top.data.tolist()
    assert result.valid.tolist() == top.valid.tolist()


@st.composite
def stacks(draw):
    height, width = draw(st.integers(1, 3)), draw(st.integers(1, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))

    def one(bands, dtype, share):
        valid = rng.random((height, width)) < share
        data = (rng.integers(1, 100, (bands, height, width)) * valid).astype(dtype)
        return Pixels(data, valid, tuple(f"b{n + 1}" for n in range(bands)))

    kinds = st.tuples(
        st.sampled_from([1, 1, 2, 3, 4]),
        st.sampled_from(["uint8", "uint16", "int16", "float32", "float64"]),
        st.sampled_from([0.0, 0.4, 0.8, 1.0]),
    )
    return [one(*kind) for kind in draw(st.lists(kinds, min_size=1, max_size=6))]


def pixel_by_pixel(layers: list[Pixels]) -> tuple[np.ndarray, np.ndarray]:
    """The rule as slow as it reads."""
    counts = [len(one.names) for one in layers]
    bands = min((count for count in counts if count > 1), default=1)
    height, width = layers[0].valid.shape
    data, valid = np.zeros((bands, height, width)), np.zeros((height, width), bool)
    for row, column in np.ndindex(height, width):
        for one in layers:
            if one.valid[row, column]:
                valid[row, column] = True
                for band in range(bands):
                    source = band if len(one.names) > 1 else 0
                    data[band, row, column] = one.data[source, row, column]
                break
    return data, valid


@settings(max_examples=300, deadline=None)
@given(stacks())
def test_any_stack_is_what_looking_at_each_pixel_gives(layers):
    result = compose(layers)
    data, valid = pixel_by_pixel(layers)
    np.testing.assert_array_equal(result.data, data)
    np.testing.assert_array_equal(result.valid, valid)
    assert result.data.dtype == np.result_type(*(one.data.dtype for one in layers))


@settings(max_examples=100, deadline=None)
@given(stacks())
def test_composing_the_top_first_changes_nothing_where_kinds_agree(layers):
    """Rounds of reading may compose what they have, so long as the scenes are alike."""
    alike = [Pixels(one.data[:1].astype("float64"), one.valid, one.names[:1]) for one in layers]
    at_once, in_rounds = compose(alike), compose([compose(alike[:2]), *alike[2:]])
    np.testing.assert_array_equal(at_once.data, in_rounds.data)
    np.testing.assert_array_equal(at_once.valid, in_rounds.valid)


def stacked(valid: list[bool], **bands: list[int]) -> Pixels:
    """One row of stacked assets; each band has one value where valid."""
    names = tuple(f"{asset}_b{n}" for asset, some in bands.items() for n in range(1, len(some) + 1))
    values = [value for some in bands.values() for value in some]
    mask = np.array([valid])
    return Pixels(np.array([np.where(mask, value, 0) for value in values], "uint8"), mask, names)


class TestStackedAssets:
    """Assets may have another number of bands in each scene: no band stands for another asset's."""

    @pytest.mark.parametrize("operation", ["first", "max", "mean"])
    def test_bands_of_each_asset_are_the_fewest(self, operation):
        four = stacked([True, False], visual=[1, 2, 3, 4], dem=[90])
        three = stacked([False, True], visual=[5, 6, 7], dem=[80])
        result = compose([four, three], operation)
        assert result.names == ("visual_b1", "visual_b2", "visual_b3", "dem_b1")
        assert result.data[:, 0].T.tolist() == [[1, 2, 3, 90], [5, 6, 7, 80]]

    def test_as_many_bands_in_all_are_not_the_same_bands(self):
        top = stacked([True, False], a=[1, 2, 3], b=[4, 5])
        below = stacked([False, True], a=[6, 7], b=[8, 9, 10])
        result = compose([top, below])
        assert result.names == ("a_b1", "a_b2", "b_b1", "b_b2")
        assert result.data[:, 0].T.tolist() == [[1, 2, 4, 5], [6, 7, 8, 9]]

    def test_a_single_band_is_gray_within_its_asset(self):
        color = stacked([True, False], visual=[1, 2, 3], dem=[90])
        gray = stacked([False, True], visual=[9], dem=[80])
        for layers in ([color, gray], [gray, color]):
            result = compose(layers)
            assert result.names == ("visual_b1", "visual_b2", "visual_b3", "dem_b1")
            assert result.data[:, 0].T.tolist() == [[1, 2, 3, 90], [9, 9, 9, 80]]

    def test_names_are_of_each_asset_by_itself(self):
        top = stacked([True, False], a=[1], b=[2, 3])
        below = stacked([False, True], a=[4, 5, 6], b=[7])
        for layers in ([top, below], [below, top]):
            assert compose(layers).names == ("a_b1", "a_b2", "a_b3", "b_b1", "b_b2")

    def test_one_scene_is_as_it_is(self):
        only = stacked([True], visual=[1, 2, 3, 4], dem=[90])
        assert compose([only]) is only
