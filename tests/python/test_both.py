"""An index and an API give the same results: arrays, masks, names, numbers, errors."""

import itertools
import os
from typing import Any

import numpy as np
import pyproj
import pytest
from rasterio.crs import CRS

import livemosaic
from api.served import EDGE, WEB, X, Y, Z, footprint, tile_url
from livemosaic.client.values.parameters import (
    ImageParameters,
    PixelParameters,
    StatisticsParameters,
)
from python.conftest import KINDS, Faces

FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
WEST, SOUTH, EAST, NORTH = WEB.bounds(X, Y, Z)
LAEA = pyproj.CRS.from_user_input("+proj=laea +lat_0=46 +lon_0=8 +datum=WGS84")
BOXES: dict[str, tuple[tuple[float, ...], Any]] = {
    "degrees": ((WEST, SOUTH, EAST, NORTH), None),
    "part": ((WEST, SOUTH, (WEST + EAST) / 2, NORTH), "EPSG:4326"),
    "metres": (tuple(EDGE), CRS.from_epsg(3857)),
    "own": (pyproj.Transformer.from_crs(4326, LAEA, always_xy=True).transform_bounds(
        WEST, SOUTH, EAST, NORTH), LAEA),
    "beyond": ((WEST - 1, SOUTH, WEST - 0.5, NORTH), None),
}  # fmt: skip
SIZES = [{"width": 64, "height": 48}, {"max_size": 100}, {}]
RULES: list[dict[str, Any]] = [
    {},
    {"sortby": "datetime"},
    {"datetime": ("2026-01-02T00:00:00Z", None)},
    {"filter": "id = 'day-1'"},
    {"filter": {"op": "=", "args": [{"property": "id"}, "day-2"]}, "filter_lang": "cql2-json"},
    {"ids": ["day-1", "day-3"]},
    {"operation": "mean"},
    {"operation": "max", "max_scenes": 2},
    {"method": "center", "clip": True},
    {"lock": "day-2"},
    {"mosaicRule": {"mosaicMethod": "esriMosaicNorthwest"}},
]
READS: list[dict[str, Any]] = [
    {},
    {"bidx": 1},
    {"assets": ["visual"], "resampling": "bilinear"},
    {"expression": "b1*2.0"},
    {"expression": "b1+1;b1>5"},
    {"nodata": 7, "unscale": True},
    {"rescale": (0, 100)},
    {"algorithm": "cast", "nodata": 3},
    {"bidx": [1], "colormap_name": "viridis", "rescale": "0,120"},
]
COLORS = {"rescale", "color_formula", "colormap_name", "colormap"}
CASES = [*itertools.product(KINDS, BOXES, range(len(SIZES)), range(len(RULES)), range(len(READS)))]


def outcome(mosaic: livemosaic.OpenMosaic, area: Any, given: dict[str, Any]) -> Any:
    """The image, or the error with its message."""
    try:
        return mosaic.read(area, **given)
    except livemosaic.LivemosaicError as error:
        return type(error), str(error)


def assert_alike(one: Any, other: Any) -> None:
    if isinstance(one, tuple) or isinstance(other, tuple):
        assert one == other
        return
    assert one.array.dtype == other.array.dtype
    np.testing.assert_array_equal(one.array.data, other.array.data)
    np.testing.assert_array_equal(one.array.mask, other.array.mask)
    assert one.band_names == other.band_names
    assert one.band_descriptions == other.band_descriptions
    np.testing.assert_equal(one.nodata, other.nodata)
    assert (one.crs, one.bounds, one.assets) == (other.crs, other.bounds, other.assets)
    assert one.metadata == other.metadata


@pytest.mark.parametrize("part", range(8))
@pytest.mark.filterwarnings("ignore::livemosaic.IncompleteWarning")
def test_boxes_are_the_same(faces: Faces, part: int) -> None:
    cases = CASES[part::8] if FULL else CASES[part * 97 :: 8 * 97]
    answered = 0
    for mosaic, box, size, rule, read in cases:
        area, crs = BOXES[box]
        given = {"crs": crs, **SIZES[size], **RULES[rule], **READS[read]}
        found = [outcome(face[mosaic], area, given) for face in faces.both]
        assert_alike(*found)
        answered += not isinstance(found[0], tuple)
    assert answered > len(cases) / 2


@pytest.mark.parametrize("mosaic", KINDS)
@pytest.mark.filterwarnings("ignore::livemosaic.IncompleteWarning")
def test_tiles_and_features_are_the_same(faces: Faces, mosaic: str) -> None:
    west, south, east, north = WEST, SOUTH, EAST, NORTH
    triangle = {
        "type": "Polygon",
        "coordinates": [[[west, south], [east, south], [west, north], [west, south]]],
    }
    for rule in RULES[:6]:
        tiles = [face[mosaic].tile(X, Y, Z, tilesize=128, **rule) for face in faces.both]
        assert_alike(*tiles)
        features = [face[mosaic].read(triangle, width=50, height=50, **rule) for face in faces.both]
        assert_alike(*features)
        assert features[0].array.mask.any()


@pytest.mark.parametrize("mosaic", KINDS)
def test_an_image_has_the_values_of_the_api_in_their_type(faces: Faces, mosaic: str) -> None:
    """Against `.npy`, which another encoder writes."""
    image = faces.index[mosaic].tile(X, Y, Z)
    expected = faces.server.picture(tile_url(mosaic=mosaic))
    assert image.array.dtype == np.dtype(KINDS[mosaic][1])
    real = np.broadcast_to(expected.valid, image.array.shape)
    np.testing.assert_array_equal(image.array.mask, ~real)
    np.testing.assert_array_equal(image.array.data[real], expected.data[real])
    np.testing.assert_equal(image.nodata, KINDS[mosaic][2])
    assert image.metadata["scenes"] == expected.scenes


@pytest.mark.parametrize("mosaic", KINDS)
def test_points_and_statistics_are_the_same(faces: Faces, mosaic: str) -> None:
    lon, lat = (WEST + EAST) / 2, (SOUTH + NORTH) / 2
    for rule in ({}, {"sortby": "datetime"}, {"operation": "mean"}):
        one, other = (face[mosaic].point(lon, lat, **rule) for face in faces.both)
        np.testing.assert_array_equal(one.array.data, other.array.data)
        np.testing.assert_array_equal(one.array.mask, other.array.mask)
        assert one.metadata == other.metadata and one.crs == other.crs
        areas = footprint((30, 30, 100, 100)), BOXES["part"][0]
        for area in areas:
            one, other = (face[mosaic].statistics(area, p=[50], **rule) for face in faces.both)
            assert one == other and set(one) == {f"b{n + 1}" for n in range(KINDS[mosaic][0])}


def test_lists_are_the_same(faces: Faces) -> None:
    index, api = faces.both
    assert index.list() == api.list()
    assert list(index) == list(api) == sorted(KINDS)
    for mosaic in KINDS:
        assert index[mosaic].info() == api[mosaic].info()
        for crs in (None, "EPSG:3857", LAEA):
            assert index[mosaic].bounds(crs) == api[mosaic].bounds(crs)
        for asked in ({}, {"limit": 2}, {"bbox": (WEST, SOUTH, EAST, NORTH)}):
            assert index[mosaic].scenes(**asked) == api[mosaic].scenes(**asked)
    item = index["rgb"].scenes(limit=1)[0]
    for face in faces.both:
        assert face["rgb"].scene(item["id"], item.get("collection")) == item


BAD = {
    "not a bbox": (lambda m: m.read((1, 2, 3)), "four numbers"),
    "inverted": (lambda m: m.read((1, 5, 2, 3)), "empty or inverted"),
    "misspelled": (lambda m: m.read(BOXES["part"][0], sortbi="x"), "'sortbi'.*'sortby'"),
    "operation": (lambda m: m.read(BOXES["part"][0], operation="best"), "best"),
    "datetime": (lambda m: m.tile(X, Y, Z, datetime="yesterday"), "yesterday"),
    "filter": (lambda m: m.tile(X, Y, Z, filter="id ="), "filter"),
    "asset": (lambda m: m.tile(X, Y, Z, bidx=99), "99"),
    "rescale": (lambda m: m.tile(X, Y, Z, rescale="5"), "'5'"),
    "tms": (lambda m: m.tile(X, Y, Z, tms="Nonsense"), "Nonsense"),
    "crs": (lambda m: m.bounds("EPSG:1"), "EPSG:1"),
    "definition of a crs": (lambda m: m.bounds("+proj=nonsense"), r"\+proj=nonsense"),
    "crs of another body": (lambda m: m.bounds("IAU_2015:49910"), "does not lie"),
    "crs of a file": (
        lambda m: m.bounds(pyproj.CRS("+proj=longlat +nadgrids=/etc/passwd")),
        "names no grids",
    ),
    "too large": (lambda m: m.read(BOXES["part"][0], width=9000, height=9000), "9,000 × 9,000"),
    "nowhere": (lambda m: m.point(0, 0), "no scene at 0, 0"),
    "no scene": (lambda m: m.scene("x"), "has no item 'x'"),
}


@pytest.mark.parametrize("case", BAD)
def test_errors_are_the_same_and_name_the_value(faces: Faces, case: str) -> None:
    ask, expected = BAD[case]
    kinds = []
    for face in faces.both:
        with pytest.raises(livemosaic.LivemosaicError, match=expected) as raised:
            ask(face["rgb"])
        kinds.append((raised.type, str(raised.value)))
    assert kinds[0] == kinds[1]
    assert kinds[0][0] in (livemosaic.InvalidRequestError, livemosaic.NotFoundError)
    for face in faces.both:
        with pytest.raises(livemosaic.NotFoundError, match="'none'"):
            ask_for_nothing = face["none"]
            ask_for_nothing.info()


def test_parameters_are_those_of_the_api(faces: Faces) -> None:
    """Each typed parameter is one that the API takes, and none of its own is left out."""
    paths = faces.server.client.get("/openapi.json").json()["paths"]
    sizes = {"max_size", "height", "width", "coord_crs", "dst_crs", "access_token"}
    for path, method, typed in [
        ("/mosaics/{mosaic}/bbox/{minx},{miny},{maxx},{maxy}.{format}", "get", ImageParameters),
        ("/mosaics/{mosaic}/point/{lon},{lat}", "get", PixelParameters),
        ("/mosaics/{mosaic}/statistics", "post", StatisticsParameters),
    ]:
        listed = paths[path][method]["parameters"]
        known = {one["name"] for one in listed if one["in"] == "query"} - sizes
        ours = {"filter-lang" if n == "filter_lang" else n for n in typed.__annotations__}
        without_effect = {"return_mask", "quality"} | (
            COLORS if typed is StatisticsParameters else set()
        )
        assert known - without_effect == ours - without_effect, path
