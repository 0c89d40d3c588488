"""Overview cells: what GDAL reads of them, and that blocks changed one by one give equal bytes."""

from concurrent.futures import ThreadPoolExecutor
from itertools import product
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rasterio import MemoryFile
from rasterio.enums import ColorInterp, MaskFlags

from livemosaic.cog.write.cell import CellWriter, rewrite
from livemosaic.cog.write.codec import UnusableCellError
from livemosaic.cog.write.halving import POLICIES, halve
from livemosaic.cog.write.profile import CellProfile
from livemosaic.cog.write.stored import open_cell
from overview_cells import FLOATS, TYPES, blocks, level_of, profile, values, written


def _seed(*parts: Any) -> np.random.Generator:
    return np.random.default_rng(list(repr(parts).encode()))


@pytest.mark.parametrize("dtype", TYPES + FLOATS)
@pytest.mark.parametrize("count", [1, 2, 3, 4, 7])
def test_gdal_reads_every_level_of_every_type(dtype: str, count: int) -> None:
    of = profile(dtype, count)
    data, valid = values(_seed(dtype, count), of)
    body = written(of, data, valid)
    for level in range(of.levels):
        expected, mask = level_of(body, level)
        options = {"overview_level": level - 1} if level else {}
        with MemoryFile(body) as file, file.open(**options) as dataset:
            assert dataset.width == of.edge >> level
            np.testing.assert_array_equal(dataset.read(), expected)
            np.testing.assert_array_equal(dataset.read_masks(1) > 0, mask)
            assert dataset.mask_flag_enums == ([MaskFlags.per_dataset],) * count
    np.testing.assert_array_equal(level_of(body, 0)[0], data)
    np.testing.assert_array_equal(level_of(body, 0)[1], valid)


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint64", "float32"])
def test_each_level_is_the_one_below_halved(dtype: str, policy: str) -> None:
    """As if halved whole, not block by block; also of a cell whose blocks changed one by one."""
    of = profile(dtype, 2, edge=128, resampling=(policy,))
    rng = _seed(dtype, policy)
    data, valid = values(rng, of, smooth=True)
    parts = list(blocks(of, data, valid).items())
    body = None
    for n in rng.permutation(len(parts)):
        body = rewrite(of, body, dict([parts[n]]))
    assert body is not None
    for level in range(of.levels):
        found, mask = level_of(body, level)
        np.testing.assert_array_equal(found, data)
        np.testing.assert_array_equal(mask, valid)
        data, valid = halve(data, valid, (policy,) * 2)


def test_the_header_says_what_bands_mean() -> None:
    of = profile(
        "int16", 2, crs="EPSG:32633", scales=(0.1, 1.0), offsets=(-5.0, 0.0), units=("°C", ""),
        descriptions=("<temperature & more>", "Größe"),
    )  # fmt: skip
    with MemoryFile(rewrite(of, None, {})) as file, file.open() as dataset:
        assert dataset.scales == of.scales
        assert dataset.offsets == of.offsets
        assert dataset.units == ("°C", None)
        assert dataset.descriptions == of.descriptions
        assert dataset.transform == of.frame.transform
        assert dataset.crs == of.frame.crs
        assert dataset.nodata is None
        assert not dataset.read().any()
        assert not dataset.read_masks(1).any()


@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
def test_a_palette_stays(dtype: str) -> None:
    palette = np.random.default_rng(1).integers(0, 256, (200, 3), np.uint8)
    of = profile(dtype, 1, palette=palette, resampling=("mode",))
    with MemoryFile(rewrite(of, None, {})) as file, file.open() as dataset:
        assert dataset.colorinterp == (ColorInterp.palette,)
        colors = dataset.colormap(1)
        assert [colors[i][:3] for i in range(200)] == [tuple(c) for c in palette]


@pytest.mark.parametrize(
    ("dtype", "predictor"),
    [("uint8", "2"), ("int32", "2"), ("int64", None), ("uint64", None), ("float64", "3")],
)
def test_predictors_are_what_gdal_3_6_undoes(dtype: str, predictor: str | None) -> None:
    """Its libtiff lacks the one of 64-bit integers."""
    with MemoryFile(rewrite(profile(dtype, 2), None, {})) as file, file.open() as dataset:
        assert dataset.tags(ns="IMAGE_STRUCTURE").get("PREDICTOR") == predictor


@pytest.mark.parametrize(
    ("count", "colors"),
    [(3, ["red", "green", "blue"]), (1, ["gray"]), (4, ["gray"] + 3 * ["undefined"])],
)
def test_three_bands_of_bytes_are_colors(count: int, colors: list[str]) -> None:
    with MemoryFile(rewrite(profile("uint8", count), None, {})) as file, file.open() as dataset:
        assert [color.name for color in dataset.colorinterp] == colors


@given(st.data())
@settings(max_examples=60, deadline=None)
def test_changes_in_any_order_give_the_bytes_of_one_writing(data: st.DataObject) -> None:
    """Random changes of random blocks: after each, the cell equals one written from its pixels."""
    dtype = data.draw(st.sampled_from(TYPES + FLOATS))
    policy = data.draw(st.sampled_from(["mean", "mode", "sample", "min", "max"]))
    count = data.draw(st.integers(1, 3))
    more: dict[str, Any] = {"edge": data.draw(st.sampled_from([16, 32, 64]))}
    if count == 1 and dtype in ("uint8", "uint16") and data.draw(st.booleans()):
        more["palette"] = np.zeros((256, 3), np.uint8)
    of = profile(dtype, count, resampling=(policy,), **more)
    rng = np.random.default_rng(data.draw(st.integers(0, 1 << 32)))
    pixels, valid = np.zeros((count, of.edge, of.edge), dtype), np.zeros((of.edge,) * 2, bool)
    body = None
    for _ in range(data.draw(st.integers(1, 4))):
        new, new_valid = values(rng, of)
        places = data.draw(st.lists(st.sampled_from(sorted(blocks(of, new, new_valid)))))
        empty = data.draw(st.booleans())
        changed = {}
        for x, y in places:
            part = np.s_[..., y * 16 : y * 16 + 16, x * 16 : x * 16 + 16]
            pixels[part], valid[part] = (0, False) if empty else (new[part], new_valid[part])
            changed[x, y] = None if empty else (new[part], new_valid[part])
        body = rewrite(of, body, changed)
        assert body == written(of, pixels, valid)


@pytest.mark.parametrize("threads", [1, 4])
def test_threads_give_the_same_bytes(threads: int) -> None:
    of = profile("uint16", 3, edge=128)
    rng = _seed("threads")
    first, second = (blocks(of, *values(rng, of)) for _ in range(2))
    changed = {place: second[place] for place in [(0, 0), (1, 0), (7, 7), (3, 4)]}
    with ThreadPoolExecutor(threads) as pool:
        body = rewrite(of, rewrite(of, None, first, pool), changed, pool)
    assert body == rewrite(of, None, first | changed)


def test_a_writer_goes_on_after_it_has_finished() -> None:
    of = profile("int16", 2, edge=64)
    rng = _seed("on")
    first, second = (blocks(of, *values(rng, of)) for _ in range(2))
    writer = CellWriter(of)
    for place, block in first.items():
        writer.put(place, block)
    assert writer.finish() == writer.finish() == rewrite(of, None, first)
    writer.put((3, 1), second[3, 1])
    assert writer.finish() == rewrite(of, None, first | {(3, 1): second[3, 1]})


@pytest.mark.parametrize("dtype", FLOATS)
@pytest.mark.parametrize("policy", POLICIES)
def test_odd_floats_give_the_bytes_of_one_writing(dtype: str, policy: str) -> None:
    """Infinities, NaN and the smallest negative number, whose mean with zeros is negative zero."""
    of = profile(dtype, 1, edge=32, resampling=(policy,))
    tiny = -np.finfo(dtype).smallest_subnormal
    for odd in ([tiny, 0], [np.inf, -np.inf], [np.nan, 1], [tiny, np.inf, np.nan, -np.inf, 0]):
        rng = _seed(dtype, policy, odd)
        data = rng.choice(np.array(odd, dtype), (1, 32, 32))
        later = blocks(of, data, np.ones((32, 32), bool))
        data[:, 16:, 16:] = np.where(rng.random((16, 16)) < 0.9, 0, tiny)
        first = blocks(of, data, np.ones((32, 32), bool))
        whole = rewrite(of, None, later)
        assert rewrite(of, rewrite(of, None, first), later) == whole
        one_by_one = None
        for place, block in later.items():
            one_by_one = rewrite(of, one_by_one, {place: block})
        assert one_by_one == whole
        for level in range(of.levels):
            stored, _ = level_of(whole, level)
            assert not np.signbit(stored[stored == 0]).any()
            assert not np.signbit(stored[np.isnan(stored)]).any()


def test_values_that_do_not_matter_do_not_change_bytes() -> None:
    """Invalid pixels, the sign of zero and the bits of NaN."""
    of = profile("float32", 1, edge=16)
    zeros, valid = np.zeros((1, 16, 16), "float32"), np.ones((16, 16), bool)
    nan = np.full_like(zeros, np.nan)
    other = nan.view("u4") | np.uint32(0x80000001)
    assert written(of, -zeros, valid) == written(of, zeros, valid)
    assert written(of, other.view("f4"), valid) == written(of, nan, valid)
    assert written(of, nan, ~valid) == written(of, zeros, ~valid) == rewrite(of, None, {})


def test_blocks_without_a_valid_pixel_take_no_bytes() -> None:
    of = profile("uint8", 3, edge=64)
    empty = rewrite(of, None, {})
    full = written(of, np.full((3, 64, 64), 7, "uint8"), np.ones((64, 64), bool))
    assert list(open_cell(empty).places()) == []
    assert len(list(open_cell(full).places())) == 16
    assert rewrite(of, full, dict.fromkeys(open_cell(full).places())) == empty
    assert open_cell(empty).has(of)


def test_the_smallest_overview_is_one_block_of_the_parent() -> None:
    of = profile("uint16", 2, edge=128)
    body = written(of, *values(_seed(1), of))
    data, valid = open_cell(body).smallest()
    assert data.shape == (2, 16, 16)
    parent = rewrite(of, None, {(3, 4): (data, valid)})
    np.testing.assert_array_equal(open_cell(parent).read(0, (3, 4))[0], data)
    np.testing.assert_array_equal(open_cell(parent).read(0, (3, 4))[1], valid)


@pytest.mark.parametrize(
    "other",
    [
        profile("uint8", 2), profile("uint16", 1), profile("uint8", 1, edge=128),
        profile("uint8", 1, resampling=("mode",)), profile("uint8", 1, crs=32633),
        profile("uint8", 1, scales=(2.0,)), profile("uint8", 1, edge=128, block=32),
    ],
)  # fmt: skip
def test_a_cell_of_another_profile_is_not_rewritten(other: CellProfile) -> None:
    body = rewrite(profile(), None, {})
    with pytest.raises(UnusableCellError, match="another profile"):
        rewrite(other, body, {})


def test_a_block_of_another_shape_or_type_is_refused() -> None:
    writer = CellWriter(profile("uint8", 1))
    valid = np.ones((16, 16), bool)
    good = np.ones((1, 16, 16), "uint8")
    for place, block in product([(4, 0), (0, -1)], [None, (good, valid)]):
        with pytest.raises(ValueError, match="no block"):
            writer.put(place, block)
    for data, mask in [(good[0], valid), (good, good[0]), (good.astype(int), valid)]:
        with pytest.raises(ValueError, match="a block of"):
            writer.put((0, 0), (data, mask))


@pytest.mark.parametrize(
    ("wrong", "message"),
    [
        ({"dtype": "float16"}, "float16"), ({"dtype": "complex64"}, "complex64"),
        ({"count": 0}, "0 bands"), ({"edge": 48}, "48 × 48"), ({"block": 24, "edge": 48}, "24 px"),
        ({"resampling": ("median",)}, "median"), ({"resampling": ("mean", "mode")}, "2 ways"),
        ({"scales": (1.0, 2.0)}, "2 scales"), ({"count": 200, "edge": 2048}, "bytes"),
        ({"palette": np.zeros((4, 3), "uint8"), "dtype": "float32"}, "palette"),
    ],
)  # fmt: skip
def test_a_profile_that_cannot_be_written_is_refused(wrong: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        profile(**wrong)


def test_leading_bytes_are_enough_for_the_smallest_overview() -> None:
    of = profile("uint8", 3, edge=256)
    body = written(of, *values(_seed("leading"), of))
    end = open_cell(body[:8192]).end(of.levels - 1)
    assert end < len(body) / 20
    leading = open_cell(body[:end])
    whole = open_cell(body)
    for part, expected in zip(leading.smallest(), whole.smallest(), strict=True):
        np.testing.assert_array_equal(part, expected)
    with pytest.raises(UnusableCellError, match="cut short"):
        open_cell(body[: end - 1]).smallest()
    with pytest.raises(UnusableCellError, match="cut short"):
        leading.read(0, (15, 15))
    with pytest.raises(UnusableCellError, match="another profile"):
        rewrite(of, body[:-1], {})
    assert open_cell(rewrite(of, None, {})).end(0) == 0


def _damaged(body: bytes, rng: np.random.Generator, header: int) -> bytes:
    """A cell with a few bytes changed, most of them the header's; some cut short, some longer."""
    out = bytearray(body)
    for _ in range(rng.integers(1, 4)):
        out[rng.integers(0, header if rng.random() < 0.8 else len(out))] = rng.integers(0, 256)
    match rng.integers(0, 8):
        case 0:
            return bytes(out[: rng.integers(0, len(out))])
        case 1:
            return bytes(out) + rng.bytes(5)
    return bytes(out)


@pytest.mark.parametrize("dtype", ["uint8", "int16", "float32"])
def test_a_damaged_cell_is_read_or_refused(dtype: str) -> None:
    """Nothing else is raised; what is read has the shape that the header states."""
    rng = _seed("damage", dtype)
    of = profile(dtype, 2, edge=32)
    body = written(of, np.ones((2, 32, 32), dtype), np.ones((32, 32), bool))
    header = len(rewrite(of, None, {}))
    refused = 0
    for _ in range(1500):
        damaged = _damaged(body, rng, header)
        try:
            cell = open_cell(damaged)
            for level in range(cell.levels):
                for y, x in np.ndindex(cell.across(level), cell.across(level)):
                    data, valid = cell.read(level, (x, y))
                    assert data.shape == (cell.count, cell.block, cell.block)
                    assert valid.shape == data.shape[1:]
            rewrite(of, damaged, {(0, 0): None})
        except UnusableCellError:
            refused += 1
    assert refused > 1000


def test_other_files_are_no_cells() -> None:
    good = rewrite(profile("uint8", 1), None, {})
    for other in (b"", b"II*\0", b"PNG" * 100, bytes(10_000), good[:100], good[8:]):
        with pytest.raises(UnusableCellError):
            open_cell(other)
