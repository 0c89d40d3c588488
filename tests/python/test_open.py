"""`livemosaic.open`: mosaics are made, filled and emptied, from threads, loops and Jupyter."""

import asyncio
import json
import os
import subprocess
import sys
import threading
import warnings
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import shapely

import livemosaic
from api.served import RIGHT, WHOLE, X, Y, Z, on_socket, raster, scene, serving
from items import box, item
from livemosaic.table.sqlite import SqliteTable

TOKEN = "secret"


@pytest.fixture(params=["index", "api"])
def mosaics(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[livemosaic.Connection]:
    if request.param == "index":
        with livemosaic.open(f"sqlite:///{tmp_path}/x.db", allow=[str(tmp_path)]) as opened:
            yield opened
        return
    table = SqliteTable(tmp_path / "x.db")
    with (
        serving(table, tmp_path, token=TOKEN) as server,
        on_socket(server) as url,
        livemosaic.open(url, token=TOKEN, allow=[str(tmp_path)]) as opened,
    ):
        yield opened


def made(folder: Path, name: str, value: int, day: int = 1, part: Any = WHOLE) -> dict[str, Any]:
    path = raster(folder / f"{name}.tif", value, part)
    return scene(name, str(path), part, day=day, collection="c")


def test_from_nothing_to_pixels_and_back(mosaics: livemosaic.Connection, tmp_path: Path) -> None:
    assert mosaics.list() == []
    alps = mosaics.create("alps", title="The Alps", minzoom=5)
    assert (alps.info().title, alps.info().minzoom) == ("The Alps", 5)
    outcomes = alps.add([made(tmp_path, "a", 1), made(tmp_path, "b", 2, day=2, part=RIGHT)])
    assert [one.changes for one in outcomes] == [["applied"], ["applied"]]
    image = alps.tile(X, Y, Z)
    assert image.array[0, 9, [9, 200]].tolist() == [1, 2]
    assert image.assets == image.metadata["scenes"] == ["b", "a"]
    assert [one["id"] for one in alps.scenes((7.8, 45.7, 7.81, 45.71))] == ["a"]
    assert alps.change(title="Alps").title == "Alps" and alps.info().minzoom == 5
    alps.delete("b", "c")
    assert (alps.tile(X, Y, Z).array == 1).all()
    mosaics.delete("alps")
    assert list(mosaics) == []
    with pytest.raises(livemosaic.NotFoundError, match="'alps'"):
        alps.info()


def test_items_are_taken_in_every_form(mosaics: livemosaic.Connection, tmp_path: Path) -> None:
    mosaic = mosaics.create("m")
    forms = [made(tmp_path, name, 1) for name in "abcdefg"]
    (tmp_path / "file.json").write_text(json.dumps(forms[4]))
    collection = {"type": "FeatureCollection", "features": [forms[3]]}
    several = [forms[2], pystac.Item.from_dict(forms[1], preserve_dict=True)]
    for given in (forms[0], several, collection, tmp_path / "file.json"):
        mosaic.add(given)
    mosaic.add(pystac.ItemCollection([pystac.Item.from_dict(forms[5])]))
    mosaic.add(str(raster(tmp_path / "plain.tif", 4)))
    mosaics.add(forms[6])
    assert sorted(one["id"] for one in mosaic.scenes()) == [*"abcdefg", "plain"]
    for wrong in (7, None):
        with pytest.raises(livemosaic.InvalidRequestError, match="no STAC Item"):
            mosaic.add(wrong)


def test_items_that_are_not_taken_are_an_error_with_their_outcomes(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    mosaic = mosaics.create("m")
    bad = item("bad", box(1, 1, 2, 2), assets={"a": {"href": "ftp://host/a.tif"}})
    with pytest.raises(livemosaic.ItemsNotAddedError, match=r"1 of 2 Items.*'bad'") as raised:
        mosaic.add([made(tmp_path, "good", 1), bad])
    assert [one.ok for one in raised.value.outcomes] == [True, False]
    assert [one["id"] for one in mosaic.scenes()] == ["good"]
    with pytest.warns(livemosaic.OutdatedItemWarning, match="'good'") as warned:
        mosaic.add(_old_file(tmp_path, made(tmp_path, "good", 2)))
    assert warned[0].filename == __file__
    mosaic.add(tmp_path / "old.json", force=True)


def _old_file(folder: Path, document: dict[str, Any]) -> Path:
    path = folder / "old.json"
    path.write_text(json.dumps(document))
    os.utime(path, (0, 1_500_000_000))
    return path


def ours(warned: Any) -> list[str]:
    """The files that are warned of: a warning is of the caller's line."""
    return [one.filename for one in warned if one.category is livemosaic.IncompleteWarning]


def test_scenes_that_are_left_out_are_never_silent(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    mosaic = mosaics.create("m")
    mosaic.add([made(tmp_path, "a", 1), made(tmp_path, "b", 2, day=2)])
    (tmp_path / "b.tif").unlink()
    with pytest.warns(livemosaic.IncompleteWarning, match="b=") as warned:
        image = mosaic.tile(X, Y, Z)
    assert ours(warned) == [__file__]
    assert (image.array == 1).all() and image.metadata["skipped"][0].startswith("b=")
    with pytest.warns(livemosaic.IncompleteWarning, match="b=") as warned:
        assert mosaic.point(7.8, 45.7).array.tolist() == [1]
    assert ours(warned) == [__file__]
    with pytest.warns(livemosaic.IncompleteWarning, match="b=") as warned:
        assert mosaic.statistics((7.8, 45.7, 7.81, 45.71))["b1"].max == 1
    assert ours(warned) == [__file__]
    raster(tmp_path / "b.tif", 2, RIGHT)
    mosaic.add(made(tmp_path, "c", 3, day=3, part=RIGHT))
    with pytest.warns(livemosaic.IncompleteWarning, match="limit"):
        image = mosaic.read((7.74, 45.6, 7.9, 45.8), max_scenes=1)
    assert image.metadata["truncated"]


def test_it_works_within_a_running_loop_and_from_many_threads(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    mosaic = mosaics.create("m")
    mosaic.add(made(tmp_path, "a", 5))

    async def cell() -> Any:
        return mosaic.tile(X, Y, Z)

    assert (asyncio.run(cell()).array == 5).all()
    with ThreadPoolExecutor(8) as pool:
        images = [*pool.map(lambda n: mosaic.tile(X, Y, Z, tilesize=16 + n), range(40))]
    assert [image.width for image in images] == list(range(16, 56))
    assert all((image.array == 5).all() for image in images)


def test_a_closed_index_says_so_and_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        mosaics = livemosaic.open(f"sqlite:///{tmp_path}/x.db", allow=[str(tmp_path)])
        mosaic = mosaics.create("m")
        mosaic.add(made(tmp_path, "a", 5))
        mosaic.tile(X, Y, Z)
        mosaics.close()
        mosaics.close()
    with pytest.raises(livemosaic.InvalidRequestError, match="is closed"):
        mosaic.info()
    assert {one.name for one in set(threading.enumerate()) - before} == set()


def test_private_mosaics_need_the_token(tmp_path: Path) -> None:
    with (
        serving(SqliteTable(tmp_path / "x.db"), tmp_path, token=TOKEN) as server,
        on_socket(server) as url,
        livemosaic.open(url, token=TOKEN) as mosaics,
        livemosaic.open(url) as strangers,
    ):
        mosaic = mosaics.create("secret", access="private")
        mosaic.add(made(tmp_path, "a", 5))
        assert (mosaic.tile(X, Y, Z).array == 5).all()
        assert mosaic.statistics((7.8, 45.7, 7.81, 45.71))["b1"].mean == 5
        assert list(mosaics) == ["secret"]
        assert list(strangers) == []
        with pytest.raises(livemosaic.NotFoundError, match="'secret'"):
            strangers["secret"].tile(X, Y, Z)


def test_places_that_are_none_are_refused(tmp_path: Path) -> None:
    with pytest.raises(livemosaic.InvalidRequestError, match=r"no table at 'x\.db'"):
        livemosaic.open("x.db")
    with pytest.raises(livemosaic.InvalidRequestError, match="in the clear"):
        livemosaic.open("http://example.com")
    with livemosaic.open(f"sqlite:///{tmp_path}/x.db") as mosaics:
        mosaics.create("m")
        with pytest.raises(livemosaic.LivemosaicError, match="already exists"):
            mosaics.create("m")
        with pytest.raises(livemosaic.InvalidRequestError, match=r"minzoom.*'deep'"):
            mosaics.create("n", minzoom="deep")


def test_opening_an_api_loads_no_server() -> None:
    script = """
import sys, livemosaic
livemosaic.open("http://127.0.0.1:9").close()
print(sorted({"fastapi", "typer", "uvicorn"} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.stderr == ""
    assert done.stdout.strip() == "[]"


def test_values_are_masked_not_changed(mosaics: livemosaic.Connection, tmp_path: Path) -> None:
    values = np.arange(256 * 256, dtype="float32").reshape(1, 256, 256)
    values[:, :5] = -9999
    path = raster(tmp_path / "dem.tif", values, nodata=-9999)
    mosaic = mosaics.create("dem")
    mosaic.add(scene("dem", str(path)))
    image = mosaic.tile(X, Y, Z)
    assert (image.array.dtype, image.nodata) == (np.float32, -9999)
    np.testing.assert_array_equal(image.array.data, values)
    assert image.array.mask[:, :5].all() and not image.array.mask[:, 5:].any()


@pytest.mark.parametrize("name", ["..", ".", "a/b", "../x", "x?y#z", "50%41", "é;&+"])
def test_an_id_is_that_of_a_scene_whatever_it_means_in_a_path(
    mosaics: livemosaic.Connection, tmp_path: Path, name: str
) -> None:
    other = mosaics.create("other")
    alps = mosaics.create("alps")
    href = made(tmp_path, "a", 1)["assets"]["visual"]["href"]
    for one in (name, "kept"):
        alps.add(scene(one, href, collection="c"))
    assert alps.scene(name, "c")["id"] == name
    alps.delete(name, "c")
    assert [one["id"] for one in alps.scenes()] == ["kept"]
    assert other.info().id == "other"


@pytest.mark.parametrize(
    "name", ["../../other", "..", ".", "kept/../kept", "kept/../../items/kept", "../items/kept"]
)
def test_what_is_no_scene_deletes_and_shows_nothing_else(
    mosaics: livemosaic.Connection, tmp_path: Path, name: str
) -> None:
    mosaics.create("other")
    alps = mosaics.create("alps")
    alps.add(made(tmp_path, "kept", 1))
    for collection in ("c", None):
        with pytest.raises(livemosaic.NotFoundError):
            alps.scene(name, collection)
        with pytest.raises(livemosaic.NotFoundError):
            alps.delete(name, collection)
    with pytest.raises(livemosaic.NotFoundError):
        mosaics["../mosaics/alps"].scenes()
    with pytest.raises(livemosaic.LivemosaicError):
        alps.tile("../..", 1, 1)  # type: ignore[arg-type]
    assert [mosaic.id for mosaic in mosaics.list()] == ["alps", "other"]
    assert [one["id"] for one in alps.scenes()] == ["kept"]


def test_numbers_may_be_of_numpy(mosaics: livemosaic.Connection, tmp_path: Path) -> None:
    alps = mosaics.create("alps")
    alps.add(made(tmp_path, "a", 7))
    west, south, east, north = alps.bounds()
    lon, lat = np.float64((west + east) / 2), np.float32((south + north) / 2)
    assert alps.point(lon, lat).array.tolist() == [7]
    size = np.int64(5)
    image = alps.read(np.array([west, south, east, north]), width=size, height=size)
    assert image.array.shape == (1, 5, 5)
    assert len(alps.scenes(limit=np.int64(1))) == 1


@pytest.mark.parametrize("name", ["ids", "lock"])
def test_no_ids_are_not_all_ids(mosaics: livemosaic.Connection, name: str) -> None:
    mosaics.create("alps")
    with pytest.raises(livemosaic.InvalidRequestError, match=f"{name} names no Item"):
        mosaics["alps"].scenes(**{name: []})


def test_statistics_of_pixels_that_none_has_are_none(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    alps = mosaics.create("alps")
    alps.add(made(tmp_path, "a", 7))
    assert alps.statistics(alps.bounds(), expression="b1*1.0", nodata=7) == {}


def test_statistics_without_an_area_are_of_the_whole_mosaic(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    alps = mosaics.create("alps")
    assert alps.statistics() == {}
    alps.add(made(tmp_path, "a", 7))
    band = alps.statistics(max_size=64, p=[50])["b1"]
    assert (band.min, band.mean, band.max) == (7, 7, 7)
    assert band.percentile_50 == 7


@pytest.mark.parametrize("resolution", [0, -1, float("nan"), "fine", (1, 0), (1, 2, 3)])
def test_a_pixel_has_a_size(mosaics: livemosaic.Connection, resolution: Any) -> None:
    mosaics.create("alps")
    with pytest.raises(livemosaic.InvalidRequestError, match="resolution"):
        mosaics["alps"].read((7, 45, 8, 46), resolution=resolution)


def test_a_size_is_given_in_one_way(mosaics: livemosaic.Connection) -> None:
    mosaics.create("alps")
    with pytest.raises(livemosaic.InvalidRequestError, match="either resolution or width"):
        mosaics["alps"].read((7, 45, 8, 46), resolution=0.1, width=5)


def test_a_shape_across_the_antimeridian_has_the_size_that_it_has(
    mosaics: livemosaic.Connection, tmp_path: Path
) -> None:
    mosaics.create("alps").add(made(tmp_path, "a", 7))
    cut = shapely.MultiPolygon([shapely.box(179.5, 0, 180, 1), shapely.box(-180, 0, -179.5, 1)])
    beyond = shapely.box(179.5, 0, 180.5, 1)
    for area in (cut, beyond, (179.5, 0, -179.5, 1)):
        assert mosaics["alps"].read(area, resolution=0.1).array.shape == (1, 10, 10)


@pytest.mark.parametrize(
    "area",
    [
        {"type": "Polygon", "coordinates": "x"},
        {"type": "Polygon"},
        {"type": "Point", "coordinates": [7, 45]},
        {"type": "Feature", "geometry": None},
        {"type": "Polygon", "coordinates": [[[7, 45], [8, 45], [8, object()]]]},
        {"type": "Polygon", "coordinates": [[[7, 45], [8, 45], [8, float("nan")], [7, 45]]]},
        (1, 2, 3),
        "7,45,8,46",
        None,
        7,
    ],
)
def test_what_is_no_area_is_refused(mosaics: livemosaic.Connection, area: Any) -> None:
    alps = mosaics.create("alps")
    for resolution in (None, 0.1):
        with pytest.raises(livemosaic.InvalidRequestError):
            alps.read(area, resolution=resolution)
    with pytest.raises(livemosaic.InvalidRequestError):
        alps.statistics(area)


@pytest.mark.parametrize(
    "parameters",
    [
        {"rescale": 100},
        {"rescale": object()},
        {"sortby": "\ud800"},
        {"ids": ["\ud800"]},
        {"filter": {"op": object()}},
        {"colormap": {(1, 2): "#fff"}},
        {"datetime": object()},
        {"bidx": "x"},
        {"max_scenes": "many"},
        {"expression": 7.5j},
    ],
)
def test_parameters_that_cannot_be_are_refused(
    mosaics: livemosaic.Connection, tmp_path: Path, parameters: Any
) -> None:
    alps = mosaics.create("alps")
    alps.add(made(tmp_path, "a", 7))
    with pytest.raises(livemosaic.InvalidRequestError):
        alps.read(alps.bounds(), width=4, height=4, **parameters)


def test_parameters_may_be_arrays(mosaics: livemosaic.Connection, tmp_path: Path) -> None:
    alps = mosaics.create("alps")
    alps.add(made(tmp_path, "a", 7))
    plain = alps.read(alps.bounds(), width=4, height=4, rescale=(0, 14)).array
    for ranges in (np.array([0, 14]), np.array([[0.0, 14.0]]), [(np.int8(0), np.float32(14))]):
        found = alps.read(alps.bounds(), width=4, height=4, rescale=ranges)
        np.testing.assert_array_equal(found.array, plain)
    both = alps.read(alps.bounds(), width=4, height=4, datetime=(None, None))
    assert both.array.max() == 7


@pytest.mark.parametrize("limit", ["1", 1.5, object()])
def test_a_limit_is_a_number(mosaics: livemosaic.Connection, limit: Any) -> None:
    mosaics.create("alps")
    with pytest.raises(livemosaic.InvalidRequestError, match="limit must be a whole number"):
        mosaics["alps"].scenes(limit=limit)


def test_items_that_are_no_json_are_named(mosaics: livemosaic.Connection) -> None:
    alps = mosaics.create("alps")
    wrong = {**item("x"), "extra": object()}
    with pytest.raises(livemosaic.ItemsNotAddedError, match="cannot be JSON"):
        alps.add([wrong])


def test_what_is_closed_stays_closed(mosaics: livemosaic.Connection) -> None:
    mosaics.create("alps")
    mosaics.close()
    with pytest.raises(livemosaic.InvalidRequestError, match="is closed"):
        mosaics.list()
