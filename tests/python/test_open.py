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
