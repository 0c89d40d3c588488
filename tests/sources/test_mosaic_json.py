"""MosaicJSON as a source: cogeo-mosaic's documents and tables, and the picture they become."""

import gzip
import json
import os
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from cogeo_mosaic.backends import MosaicBackend
from cogeo_mosaic.mosaic import MosaicJSON
from rio_tiler.errors import EmptyMosaicError, NoAssetFoundError
from typer.testing import CliRunner

from api.served import (
    SIZE,
    WEB,
    Part,
    Server,
    X,
    Y,
    Z,
    on_socket,
    quiet,
    raster,
    serving,
    tile_url,
)
from conftest import dummy_credentials
from items import NOW
from livemosaic.cli import app
from livemosaic.cli.gis.export import write_mosaic_json
from livemosaic.ingest.sources.mosaic_json import is_mosaic_json
from livemosaic.ingest.sources.mosaic_json.document import read_document
from livemosaic.ingest.sources.mosaic_json.order import Levels, contested, levels
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.stores import Bucket
from livemosaic.table.sqlite import SqliteTable

Ingest = Callable[..., str]


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    folder = tmp_path / "assets"
    folder.mkdir()
    with serving(sqlite_table, folder) as made:
        made.create()
        yield made


@pytest.fixture
def ingest(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Ingest:
    """The command, on the index of the server."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/table.db")
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words: str, code: int = 0) -> str:
        result = CliRunner().invoke(app, ["--allow", str(server.folder), "ingest", *words])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    return run


def scattered(server: Server, count: int, seed: int = 18) -> list[str]:
    """COGs with random places, values and holes, on the tile of all tests."""
    random = np.random.default_rng(seed)
    paths = []
    for n in range(count):
        column, row = random.integers(0, SIZE - 100, 2)
        width, height = random.integers(60, 100, 2)
        values = random.integers(1, 255, (1, height, width)).astype("uint8")
        values[random.random(values.shape) < 0.2] = 0
        part: Part = (column, row, column + width, row + height)
        paths.append(str(raster(server.folder / f"s{n:02}.tif", values, part, nodata=0)))
    return paths


def below(zoom: int) -> list[tuple[int, int, int]]:
    """The tiles of a zoom within the tile of all tests."""
    deep = zoom - Z
    side = range(1 << deep)
    return [(zoom, (X << deep) + x, (Y << deep) + y) for x in side for y in side]


def assert_same(server: Server, target: str, mosaic: str, tiles: Sequence[Any]) -> None:
    """Each tile of cogeo-mosaic has the values and the validity of ours."""
    shown = 0
    with MosaicBackend(target) as backend:
        for z, x, y in tiles:
            ours = server.picture(tile_url(mosaic=mosaic, tile=(z, x, y)))
            try:
                with quiet():
                    theirs, _ = backend.tile(x, y, z)
            except (EmptyMosaicError, NoAssetFoundError):
                assert not ours.valid.any(), (z, x, y)
                continue
            valid = ~np.ma.getmaskarray(theirs.array).any(axis=0)
            assert np.array_equal(valid, ours.valid), (z, x, y)
            assert np.array_equal(theirs.array.data[:, valid], ours.data[:, valid]), (z, x, y)
            shown += int(valid.any())
    assert shown > len(tiles) // 4


def written(document: MosaicJSON, path: Path) -> str:
    text = document.model_dump_json(exclude_none=True)
    path.write_bytes(gzip.compress(text.encode()) if path.suffix == ".gz" else text.encode())
    return str(path)


def listing(tmp_path: Path, lists: dict[str, list[str]], **rest: Any) -> str:
    path = tmp_path / f"{uuid4()}.json"
    zoom = len(next(iter(lists)))
    document = {"mosaicjson": "0.0.2", "minzoom": zoom, "maxzoom": 20, "tiles": lists, **rest}
    path.write_text(json.dumps(document))
    return str(path)


def quadkeys(zoom: int) -> list[str]:
    return [WEB.quadkey(x, y, z) for z, x, y in below(zoom)]


@pytest.mark.parametrize("name", ["m.json", "m.json.gz"])
@pytest.mark.parametrize("most", [None, 2], ids=["all", "two a cell"])
def test_a_document_of_cogeo_mosaic_is_the_same_picture(
    server: Server, ingest: Ingest, tmp_path: Path, name: str, most: int | None
) -> None:
    paths = scattered(server, 14)
    paths.sort(key=lambda path: hash_of(path))
    with quiet():
        document = MosaicJSON.from_urls(
            paths, minzoom=Z + 2, maxzoom=20, maximum_items_per_tile=most
        )
    target = written(document, tmp_path / name)
    assert f"{len(all_of(document))} applied" in ingest("--mosaic", "m", target)
    assert_same(server, target, "m", below(Z + 2) + below(Z + 3)[::7])


def hash_of(path: str) -> str:
    return path[::-1][4:]


def test_features_of_any_order_are_the_same_picture(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    with quiet():
        document = MosaicJSON.from_urls(scattered(server, 12), minzoom=Z + 1, maxzoom=20)
    random = np.random.default_rng(7)
    place = {path: n for n, path in enumerate(random.permutation(sorted(all_of(document))))}
    for assets in document.tiles.values():
        assets.sort(key=place.__getitem__)
    target = written(document, tmp_path / "m.json")
    ingest("--mosaic", "m", target)
    assert_same(server, target, "m", below(Z + 1) + below(Z + 2))


def all_of(document: MosaicJSON) -> set[str]:
    return {asset for assets in document.tiles.values() for asset in assets}


def test_an_export_comes_back(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    for n in range(10):
        server.publish(f"p{n}", n + 1, (n * 10, n * 5, n * 10 + 100, n * 5 + 90), day=9 - n % 5)
    exported = server.get("/mosaics/m/mosaic.json", quadkey_zoom=Z + 2)
    (tmp_path / "m.json").write_bytes(exported.content)
    server.create("again")
    ingest("--mosaic", "again", str(tmp_path / "m.json"))
    for tile in [(Z - 1, X // 2, Y // 2), *below(Z), *below(Z + 1), *below(Z + 2)]:
        one, other = (server.picture(tile_url(mosaic=m, tile=tile)) for m in ("m", "again"))
        assert np.array_equal(one.valid, other.valid)
        assert np.array_equal(one.data, other.data)


def test_importing_again_changes_nothing(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    with quiet():
        document = MosaicJSON.from_urls(scattered(server, 5), minzoom=Z, maxzoom=20)
    target = written(document, tmp_path / "m.json")
    ingest("--mosaic", "m", target)
    before = server.tile(".npy")
    assert "5 unchanged" in ingest("--mosaic", "m", target)
    assert server.tile(".npy").headers["ETag"] == before.headers["ETag"]


def test_what_is_added_on_top_changes_no_other_scene(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    first, second, third = scattered(server, 3)
    key = quadkeys(Z)[0]
    ingest("--mosaic", "m", listing(tmp_path, {key: [second, third]}))
    again = ingest("--mosaic", "m", listing(tmp_path, {key: [first, second, third]}))
    assert "2 unchanged" in again
    assert "1 applied" in again


def test_an_event_for_the_same_id_changes_it(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    path = raster(server.folder / "a.tif", 7)
    ingest("--mosaic", "m", listing(tmp_path, {quadkeys(Z)[0]: [str(path)]}))
    assert server.picture().at(10) == [7]
    item = server.get("/mosaics/m/items/a").json()
    new = raster(server.folder / "b.tif", 8)
    asset = {**item["assets"]["data"], "href": str(new)}
    properties = {**item["properties"], "datetime": NOW.isoformat()}
    server.add({**item, "properties": properties, "assets": {"data": asset}, "links": []})
    assert server.picture().at(10) == [8]
    assert len(server.get("/mosaics/m/items").json()["features"]) == 1


def test_scenes_with_a_time_come_on_top(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    low, high = (str(raster(server.folder / f"{n}.tif", n)) for n in (1, 2))
    lists = {quadkeys(Z)[0]: [high, low]}
    ingest("--mosaic", "m", listing(tmp_path, lists), "--asset", "visual")
    assert server.picture().at(0) == [2]
    server.publish("new", 3)
    assert server.picture().at(0) == [3]


def test_assets_have_a_prefix(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    raster(server.folder / "a.tif", 7)
    lists = {quadkeys(Z)[0]: ["a.tif"]}
    ingest("--mosaic", "m", listing(tmp_path, lists, asset_prefix=f"{server.folder}/"))
    assert server.picture().at(0) == [7]


def test_files_of_one_name_have_their_paths_as_ids(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    paths = []
    for n in (1, 2):
        (server.folder / str(n)).mkdir()
        paths.append(str(raster(server.folder / f"{n}/TCI.tif", n)))
    paths.append(str(raster(server.folder / "own.tif", 3)))
    ingest("--mosaic", "m", listing(tmp_path, {quadkeys(Z)[0]: paths}))
    found = {one["id"] for one in server.get("/mosaics/m/items").json()["features"]}
    here = str(server.folder).lstrip("/")
    assert found == {f"{here}/1/TCI", f"{here}/2/TCI", "own"}


def test_what_cannot_be_read_is_named_and_the_rest_is_there(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    good = str(raster(server.folder / "a.tif", 7))
    outside = str(raster(tmp_path / "out.tif", 8))
    broken = server.folder / "broken.tif"
    broken.write_bytes(b"no TIFF")
    gone = str(server.folder / "gone.tif")
    lists = {quadkeys(Z)[0]: [gone, outside, str(broken), good]}
    said = ingest("--mosaic", "m", listing(tmp_path, lists), code=1)
    assert "1 applied" in said
    assert "3 rejected" in said
    for name in ("gone.tif", "out.tif", "broken.tif"):
        assert name in said
    assert server.picture().at(0) == [7]


def test_cells_that_no_order_agrees_with_are_named(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    one, other = (str(raster(server.folder / f"{n}.tif", n)) for n in (1, 2))
    first, second, third, _ = quadkeys(Z + 1)
    lists = {first: [one, other], second: [one, other], third: [other, one]}
    said = ingest("--mosaic", "m", listing(tmp_path, lists))
    assert f"2.tif: cell {third} of the MosaicJSON" in said
    assert server.picture().at(0) == [1]


def test_lists_disagree_where_nothing_overlaps(
    server: Server, ingest: Ingest, tmp_path: Path
) -> None:
    """Scenes side by side have one order, however cells list them."""
    left = str(raster(server.folder / "left.tif", 1, (0, 0, 100, SIZE)))
    right = str(raster(server.folder / "right.tif", 2, (100, 0, SIZE, SIZE)))
    first, second, *_ = quadkeys(Z + 1)
    said = ingest("--mosaic", "m", listing(tmp_path, {first: [left, right], second: [right, left]}))
    assert "cell" not in said


class TestLevels:
    @staticmethod
    def found(lists: dict[str, list[str]]) -> Levels:
        return levels(lists, contested(lists), lambda *_: True)

    def test_of_lists_that_agree(self) -> None:
        assert self.found({"0": ["a", "b"], "1": ["b", "c"], "2": ["d"]}) == Levels(
            {"a": 2, "b": 1, "c": 0, "d": 0}, {}
        )

    def test_what_stands_above_a_cycle_is_not_broken(self) -> None:
        lists = {
            "0": ["top", "a", "b"], "1": ["b", "a", "low"], "2": ["a", "b"], "3": ["a", "low"],
        }  # fmt: skip
        found = self.found(lists)
        assert found.broken == {"b": ["1"]}
        assert found.of["top"] > found.of["a"] > found.of["b"]
        assert found.of["a"] > found.of["low"]

    @pytest.mark.parametrize("seed", range(30))
    def test_of_any_lists(self, seed: int) -> None:
        """Each pair of a cell lies as it is listed, or the cell is named with the upper one."""
        random = np.random.default_rng(seed)
        names = [f"s{n}" for n in range(12)]
        swaps = seed % 5
        lists = {}
        for key in range(20):
            some = sorted(random.choice(names, random.integers(1, 6), replace=False))
            if random.random() < swaps / 10:
                random.shuffle(some)
            lists[str(key)] = list(some)
        found = self.found(lists)
        for key, assets in lists.items():
            for n, above in enumerate(assets):
                for under in assets[n + 1 :]:
                    named = key in found.broken.get(above, ())
                    assert named or found.of[above] > found.of[under] or swaps
        assert swaps or not found.broken


def test_our_own_route_is_a_source(server: Server, ingest: Ingest) -> None:
    server.publish("a", 7)
    server.create("again")
    with on_socket(server) as url:
        ingest("--mosaic", "again", f"{url}/mosaics/m/mosaic.json")
    assert server.picture(tile_url(mosaic="again")).at(0) == [7]


@pytest.mark.emulator
def test_exports_in_s3_are_sources(server: Server, ingest: Ingest, bucket: str) -> None:
    """Each kind of file, written to a bucket and read from there."""
    server.publish("a", 7)
    command = CliRunner()
    for name in ("m.json", "m.json.gz", "m.parquet", "m.gti.gpkg"):
        place = f"s3://{bucket}/some/{name}"
        result = command.invoke(app, ["export", "m", place])
        assert result.exit_code == 0, result.output
        if name.endswith("gpkg"):
            assert Bucket(bucket).read(f"some/{name}").startswith(b"SQLite format 3")
            continue
        mosaic = name.replace(".", "-")
        server.create(mosaic)
        assert "1 applied" in ingest("--mosaic", mosaic, place)
        assert server.picture(tile_url(mosaic=mosaic)).at(0) == [7]
    assert "is missing" in ingest("--mosaic", "m", f"s3://{bucket}/none.json", code=1)
    assert command.invoke(app, ["export", "m", "s3://no-such-bucket-here/m.parquet"]).exit_code == 1


def test_a_table_of_sqlite_is_a_source(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    path = str(raster(server.folder / "a.tif", 7))
    document = MosaicJSON(
        mosaicjson="0.0.3", name="m", minzoom=Z, maxzoom=20, tiles={quadkeys(Z)[0]: [path]}
    )
    target = f"sqlite:///{tmp_path}/theirs.db:m"
    with MosaicBackend(target, mosaic_def=document) as backend:
        backend.write()
    ingest("--mosaic", "m", target)
    assert server.picture().at(0) == [7]


@pytest.mark.emulator
def test_a_table_of_dynamodb_is_a_source(
    server: Server,
    ingest: Ingest,
    dynamodb_endpoint: str | None,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """All of its pages: the last cell lists a scene of its own."""
    if dynamodb_endpoint is None:
        pytest.skip("makes a table, which is left to an emulator")
    dummy_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL_DYNAMODB", dynamodb_endpoint)
    first, last = (str(raster(server.folder / f"{n}.tif", n)) for n in (7, 8))
    *keys, end = sorted(quadkeys(Z + 3))
    many = [first] * (40_000 // len(first))  # so that pages of 1 MB do not hold all cells
    lists = dict.fromkeys(keys, many) | {end: [last, first]}
    document = MosaicJSON(mosaicjson="0.0.3", name="m", minzoom=Z + 3, maxzoom=20, tiles=lists)
    target = f"dynamodb://eu-central-1/theirs-{uuid4()}:m"
    with MosaicBackend(target, mosaic_def=document) as backend:
        backend.write()
    assert "2 applied" in ingest("--mosaic", "m", target)
    few = MosaicJSON(mosaicjson="0.0.3", name="m", minzoom=1, maxzoom=20, tiles={"0": [first]})
    write_mosaic_json(few.model_dump(), target)  # what is there is replaced, all of its pages
    assert list(read_document(target, AllowList()).tiles) == ["0"]
    for key, value in ((keys[0], 7), (keys[-1], 7), (end, 8)):
        x, y, z = WEB.quadkey_to_tile(key)
        assert server.picture(tile_url(tile=(z, x, y))).at(100) == [value]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ('{"mosaicjson": "0.0.2"}', "tiles"),
        ('{"mosaicjson": "0.0.2", "tiles"', "no MosaicJSON"),
        ('{"mosaicjson": "0.0.2", "minzoom": 3, "tiles": {"01": []}}', "'01'"),
        ('{"mosaicjson": "0.0.2", "minzoom": 2, "tiles": {"09": []}}', "'09'"),
        ('{"mosaicjson": "0.0.3", "asset_type": "STAC", "tiles": {}}', "STAC Items"),
        ('{"mosaicjson": "0.0.2", "tiles": {}, "tilematrixset": {"id": 1}}', "tilematrixset"),
        ('{"mosaicjson": "0.0.2", "tiles": {}}', "lists no assets"),
        ('{"mosaicjson": "0.0.2", "tiles": {"": []}}', "lists no assets"),
        ('{"mosaicjson": "9", "tiles": {"": ["/a.tif"]}}', "is MosaicJSON 9; 0.0.1 to 0.0.3 are"),
    ],
)
def test_what_is_no_document_is_named(
    server: Server, ingest: Ingest, tmp_path: Path, text: str, says: str
) -> None:
    path = tmp_path / "m.json"
    path.write_text(text)
    said = ingest("--mosaic", "m", str(path), code=1)
    assert says in said


def test_a_pipe_is_not_looked_into(tmp_path: Path) -> None:
    """Its bytes are there once, for the source of Items."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    assert not is_mosaic_json(str(pipe))


def test_other_places_are_named(server: Server, ingest: Ingest, tmp_path: Path) -> None:
    for name in (f"sqlite:///{tmp_path}/none.db:m", "dynamodb://nowhere", "http://127.0.0.1:9/m"):
        assert "cannot read" in ingest("--mosaic", "m", name, code=1)
    target = listing(tmp_path, {quadkeys(Z)[0]: ["/a.tif"]})
    said = ingest("--mosaic", "m", target, "--datetime", "2025-07-01T00:00:00Z", code=1)
    assert "--datetime" in said
