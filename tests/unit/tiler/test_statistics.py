"""Statistics block by block are those of the whole, and those of rio-tiler."""

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from rio_tiler.utils import get_array_statistics

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Pixels
from livemosaic.tiler.statistics import MAX_CATEGORIES, Tally, Wanted

HEIGHT, WIDTH = 60, 50


def pixels(data: NDArray[Any], valid: NDArray[np.bool_] | None = None) -> Pixels:
    valid = np.ones(data.shape[1:], np.bool_) if valid is None else valid
    names = tuple(f"b{n + 1}" for n in range(len(data)))
    return Pixels(np.where(valid, data, data.dtype.type(0)), valid, names)


def tallied(
    whole: Pixels, coverage: NDArray[Any] | None = None, *, rows: int = HEIGHT, **how: Any
) -> Tally:
    """Statistics of a picture that is read so many rows at a time."""
    height, width = whole.valid.shape
    coverage = np.ones((height, width), np.float32) if coverage is None else coverage
    tally = Tally(pixels=height * width, **how)
    for top in range(0, height, rows):
        strip = slice(top, top + rows)
        block = Pixels(whole.data[:, strip], whole.valid[strip], whole.names)
        tally.add(coverage[strip], block)
    return tally


def told(tally: Tally, wanted: Wanted | None = None) -> dict[str, dict[str, Any]]:
    return dict(tally.statistics(wanted or Wanted()))


def of_rio_tiler(
    whole: Pixels, coverage: NDArray[Any], wanted: Wanted | None = None
) -> list[dict[str, Any]]:
    wanted = wanted or Wanted()
    hidden = np.broadcast_to(~(whole.valid & (coverage > 0)), whole.data.shape)
    return get_array_statistics(
        np.ma.MaskedArray(whole.data.copy(), hidden.copy()),
        categorical=wanted.categorical,
        categories=list(wanted.categories),
        percentiles=list(wanted.percentiles),
        # In float32, as it comes, it would add up weights with an error.
        coverage=coverage.astype(np.float64),
        bins=list(wanted.bins) if isinstance(wanted.bins, tuple) else wanted.bins,
        range=wanted.range,
    )


def assert_same(ours: dict[str, Any], theirs: dict[str, Any]) -> None:
    assert ours.keys() == theirs.keys()
    for name, value in theirs.items():
        if name == "histogram":
            assert ours[name][0] == value[0]
            assert ours[name][1] == pytest.approx(value[1])
        elif np.isnan(value):
            assert ours[name] is None, name
        else:
            assert ours[name] == pytest.approx(value, rel=1e-9), name


@pytest.fixture(scope="module")
def noise() -> NDArray[np.float64]:
    return np.random.default_rng(5).normal(100, 40, (3, HEIGHT, WIDTH))


@pytest.fixture(scope="module")
def some() -> NDArray[np.bool_]:
    return np.random.default_rng(6).random((HEIGHT, WIDTH)) > 0.2


@pytest.fixture(scope="module")
def coverage() -> NDArray[np.float32]:
    drawn = np.random.default_rng(7).integers(0, 101, (HEIGHT, WIDTH)) / 100
    drawn[:9] = 0
    return drawn.astype(np.float32)


@pytest.mark.parametrize("rows", [HEIGHT, 7, 1])
@pytest.mark.parametrize("dtype", ["uint8", "int8", "uint16", "int32", "float32", "float64"])
def test_blocks_give_what_rio_tiler_gives_for_the_whole(noise, some, coverage, dtype, rows):
    info = np.iinfo(dtype) if dtype[0] in "iu" else np.finfo(dtype)
    whole = pixels(noise.clip(info.min, min(info.max, 9e9)).astype(dtype), some)
    ours = told(tallied(whole, coverage, rows=rows))
    assert list(ours) == ["b1", "b2", "b3"]
    for band, theirs in zip(ours.values(), of_rio_tiler(whole, coverage), strict=True):
        assert_same(band, theirs)


@pytest.mark.parametrize(
    "wanted",
    [
        Wanted(percentiles=(0, 25, 50, 100)),
        Wanted(bins=4),
        Wanted(bins=(0, 50, 60.5, 300)),
        Wanted(range=(90, 110)),
        Wanted(range=(500, 600), bins=3),
        Wanted(categorical=True),
        Wanted(categorical=True, categories=(100, 3, 101, 999)),
    ],
    ids=str,
)
def test_what_is_asked_for_is_that_of_rio_tiler(noise, some, coverage, wanted):
    whole = pixels(noise.clip(0, 9999).astype("uint16"), some)
    ours = told(tallied(whole, coverage, rows=8), wanted)
    for band, theirs in zip(ours.values(), of_rio_tiler(whole, coverage, wanted), strict=True):
        assert_same(band, theirs)


def test_without_a_valid_pixel_there_is_nothing_to_say_but_how_many(coverage):
    whole = pixels(np.ones((2, HEIGHT, WIDTH), np.uint8), np.zeros((HEIGHT, WIDTH), np.bool_))
    ours = told(tallied(whole, coverage, rows=20))
    for band, theirs in zip(ours.values(), of_rio_tiler(whole, coverage), strict=True):
        assert_same(band, theirs)


def test_infinite_values_do_not_count_and_only_in_their_own_band(noise, some):
    data = noise.astype(np.float32)
    data[0, :4] = np.inf
    data[1, 5, 5] = -np.inf
    everywhere = np.ones((HEIGHT, WIDTH), np.float32)
    ours = told(tallied(pixels(data, some), rows=9))
    for band, theirs in zip(
        ours.values(), of_rio_tiler(pixels(data, some), everywhere), strict=True
    ):
        theirs["valid_percent"] = band["valid_percent"]  # theirs is that of another mask
        assert_same(band, theirs)


def test_numbers_at_the_end_of_their_type_are_no_failure():
    largest = float(np.finfo(np.float64).max)
    whole = pixels(np.array([[[-largest, largest, 0, largest]]]))
    band = told(tallied(whole))["b1"]
    assert (band["min"], band["max"], band["median"]) == (-largest, largest, 0)
    assert band["std"] is None
    assert band["histogram"] == [[], []]


class TestManyValues:
    """Continuous data in more values than are kept."""

    MOST = 200

    @pytest.fixture(params=["float32", "float64", "int32"])
    def whole(self, request: Any) -> Pixels:
        draws = np.random.default_rng(8).normal(0, 1e6, (1, HEIGHT, WIDTH))
        draws[:, 3:9] = 0  # more than of any other value, rounded or not
        return pixels(draws.astype(request.param))

    def test_sums_and_ends_stay_exact(self, whole, coverage):
        ours = told(tallied(whole, coverage, rows=7, max_values=self.MOST))["b1"]
        (theirs,) = of_rio_tiler(whole, coverage)
        for name in ("min", "max", "mean", "count", "sum", "std", "valid_pixels", "valid_percent"):
            assert ours[name] == pytest.approx(theirs[name], rel=1e-9), name

    def test_quantiles_are_within_the_error_that_is_said(self, whole, coverage):
        wanted = Wanted(percentiles=(0, 2, 10, 40, 60, 98, 100))
        ours = told(tallied(whole, coverage, rows=7, max_values=self.MOST), wanted)["b1"]
        (theirs,) = of_rio_tiler(whole, coverage, wanted)
        assert 0 < ours["approximate"] < 0.2
        for name in ("median", *(f"percentile_{p}" for p in wanted.percentiles)):
            assert ours[name] == pytest.approx(theirs[name], rel=ours["approximate"]), name

    def test_all_pixels_are_in_the_histogram(self, whole):
        ours = told(tallied(whole, rows=7, max_values=self.MOST))["b1"]
        assert sum(ours["histogram"][0]) == HEIGHT * WIDTH
        edges = ours["histogram"][1]
        assert (edges[0], edges[-1]) == (pytest.approx(ours["min"]), pytest.approx(ours["max"]))

    def test_zero_stays_zero(self, whole):
        assert told(tallied(whole, max_values=self.MOST))["b1"]["majority"] == 0

    def test_it_does_not_matter_in_which_blocks_they_came(self, whole):
        cuts = [
            told(tallied(whole, rows=rows, max_values=self.MOST))["b1"] for rows in (HEIGHT, 30, 1)
        ]
        bits = {each["approximate"] for each in cuts}
        assert max(bits) <= 4 * min(bits)
        for name in ("unique", "median"):
            assert cuts[1][name] == pytest.approx(cuts[0][name], rel=0.9)

    def test_as_many_as_are_kept_are_exact(self):
        values = np.arange(self.MOST, dtype=np.float32).reshape(1, 20, 10)
        band = told(tallied(pixels(values), rows=3, max_values=self.MOST))["b1"]
        assert "approximate" not in band
        assert (band["unique"], band["median"]) == (self.MOST, self.MOST / 2 - 1)

    def test_they_are_no_categories(self, whole):
        tally = tallied(whole, max_values=self.MOST)
        with pytest.raises(InvalidRequestError, match="categor"):
            tally.statistics(Wanted(categorical=True))

    def test_nor_are_more_than_an_answer_should_hold(self):
        values = np.arange(MAX_CATEGORIES + 1, dtype=np.uint16).reshape(1, 1, -1)
        with pytest.raises(InvalidRequestError, match=f"{MAX_CATEGORIES:,}"):
            tallied(pixels(values)).statistics(Wanted(categorical=True))
        named = Wanted(categorical=True, categories=(7.0,))
        assert told(tallied(pixels(values)), named)["b1"]["histogram"] == [[1], [7]]


class TestBlocksOfSeveralKinds:
    """As scenes of several kinds in one picture."""

    @staticmethod
    def of(*blocks: NDArray[Any]) -> dict[str, Any]:
        tally = Tally()
        for block in blocks:
            tally.add(np.ones(block.shape[1:], np.float32), pixels(block))
        return {name: band["sum"] for name, band in told(tally).items()}

    RGB = np.array([[[1]], [[2]], [[3]]], np.uint8)
    GREY = np.array([[[10]]], np.int16)

    def test_one_band_is_grey(self):
        expected = {"b1": 11, "b2": 12, "b3": 13}
        assert self.of(self.RGB, self.GREY) == self.of(self.GREY, self.RGB) == expected

    def test_of_more_bands_those_count_that_all_have(self):
        assert (
            self.of(self.RGB, self.RGB[:2])
            == self.of(self.RGB[:2], self.RGB)
            == {
                "b1": 2,
                "b2": 4,
            }
        )


@settings(deadline=None)
@given(
    st.lists(st.tuples(st.integers(-9, 9), st.integers(1, 100)), min_size=1, max_size=40), st.data()
)
def test_any_cut_into_blocks_is_the_whole(drawn, data):
    values = np.array([[[value for value, _ in drawn]]], np.int8)
    weights = np.array([[weight / 100 for _, weight in drawn]], np.float32)
    cuts = data.draw(st.lists(st.integers(0, len(drawn)), max_size=5).map(sorted))
    whole, parts = Tally(), Tally()
    whole.add(weights, pixels(values))
    for start, stop in zip([0, *cuts], [*cuts, len(drawn)], strict=True):
        part = slice(start, stop)
        parts.add(weights[:, part], pixels(values[:, :, part]))
    assert_same(told(parts)["b1"], told(whole)["b1"])
