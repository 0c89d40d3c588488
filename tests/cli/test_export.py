"""`livemosaic export` to stac-geoparquet: what a mosaic keeps, and back into a mosaic."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pystac
import pytest
import rustac
from pyarrow.parquet import read_schema
from typer.testing import CliRunner

from api.served import AUTHORIZED, Server, on_socket, serving
from items import box, item
from livemosaic.cli import app
from livemosaic.model.raster import encodings_from_text
from livemosaic.model.scene import Scene
from livemosaic.model.time import parse_time
from livemosaic.table.sqlite import SqliteTable

Run = Callable[..., str]


@pytest.fixture
def server(
    sqlite_table: SqliteTable, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Server]:
    """A server whose token the command can send, as it holds no space."""
    monkeypatch.setitem(AUTHORIZED, "Authorization", "Bearer secret")
    with serving(sqlite_table, tmp_path, href="https://example.com/", token="secret") as made:
        yield made


@pytest.fixture
def run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("COLUMNS", "300")

    def command(*words: str, api: str = "", code: int = 0) -> str:
        index = ["--index", f"sqlite:///{tmp_path}/table.db", "--allow", "https://example.com/"]
        given = ["--api", api, "--token", "secret"] if api else index
        result = CliRunner().invoke(app, [*given, *words])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result.output

    return command


def documents() -> list[dict[str, Any]]:
    """Items that differ in all that a mosaic keeps."""
    found = []
    for n in range(40):
        assets: dict[str, Any] = {"visual": {"href": f"https://example.com/{n}.tif"}}
        if n % 3:
            assets["nir"] = {"href": f"https://example.com/{n}-nir.tif?secret=1", "nodata": n}
        if n % 5 == 1:
            assets["dem"] = {
                "href": f"https://example.com/{n}-dem.tif",
                "raster:bands": [{"nodata": "nan", "scale": 0.5, "offset": n}],
            }
        if n % 7 == 1:
            bands = [{"nodata": 0}, {"nodata": 1, "raster:scale": 2}]
            assets["two"] = {"href": f"https://example.com/{n}-two.tif", "bands": bands}
        for asset in assets.values():
            asset["type"] = "image/tiff; application=geotiff"
        more = {"cloud": n / 4 if n % 2 else n, "tags": ["a", str(n)], "free": {"deep": n}}
        properties = {k: v for k, v in more.items() if (n + len(k)) % 4}
        if n % 4 == 0:
            properties["created"] = f"2026-02-0{n % 9 + 1}T00:00:00.25Z"
        shape = box(179, n - 20, -179, n - 19) if n % 10 == 3 else box(n, n - 20, n + 1, n - 19)
        time = f"2026-01-{n % 28 + 1:02}T10:00:00.{n:03}Z"
        collection = {"collection": f"c{n % 2}"}
        made = item(f"s{n:02}", shape, datetime=time, assets=assets, properties=properties)
        found.append({**made, **collection})
    return found


SETTINGS = {"properties": ["cloud", "tags", "free"], "sortby": "-datetime"}


def scenes(server: Server, mosaic: str) -> dict[str, Any]:
    """All rows of a mosaic's scenes, but for their versions; times as times."""
    index = server.services.index
    found, token = [], ""
    kept = server.services.mosaics.get(mosaic)
    while token is not None:
        page, following = index.list_scenes(kept, limit=100, token=token)
        found += page
        token = following  # type: ignore[assignment]
    return {scene.key: _values(scene) for scene in found}


def _values(scene: Scene) -> Any:
    return (
        scene.footprint.wkt,
        scene.rank,
        parse_time(scene.datetime) if scene.datetime else None,
        {name: href.partition("?")[0] for name, href in scene.assets.items()},
        scene.properties,
        dict(encodings_from_text(scene.encodings)),
        scene.other_kinds,
    )


def fill(server: Server) -> None:
    server.create("m", **SETTINGS)
    for start in range(0, 40, 10):
        server.add(*documents()[start : start + 10])


@pytest.mark.parametrize("through_api", [False, True], ids=["index", "api"])
def test_rows_come_back(server: Server, run: Run, tmp_path: Path, through_api: bool) -> None:
    fill(server)
    path = tmp_path / "m.parquet"
    if through_api:
        with on_socket(server) as url:
            assert "wrote 40 scenes" in run("export", "m", str(path), api=url)
    else:
        assert "wrote 40 scenes" in run("export", "m", str(path))
    server.create("again", **SETTINGS)
    assert "40 applied" in run("ingest", "--mosaic", "again", str(path))
    assert scenes(server, "again") == scenes(server, "m")
    assert len(scenes(server, "m")) == 40


@pytest.mark.parametrize("through_api", [False, True], ids=["index", "api"])
def test_exports_have_allowed_fields_alone(
    server: Server, run: Run, tmp_path: Path, through_api: bool
) -> None:
    fill(server)
    patch = {"rules": {"fields": ["cloud"]}}
    server.client.patch("/mosaics/m", json=patch, headers=AUTHORIZED).raise_for_status()
    with on_socket(server) as url:
        for name in ("m.parquet", "m.gti.gpkg"):
            run("export", "m", str(tmp_path / name), api=url if through_api else "")
    names = read_schema(tmp_path / "m.parquet").names
    assert "cloud" in names
    assert not {"tags", "free"} & {*names}
    index = (tmp_path / "m.gti.gpkg").read_bytes()
    assert b'{"cloud": ' in index
    assert b'"tags"' not in index


def test_other_readers_read_it(server: Server, run: Run, tmp_path: Path) -> None:
    fill(server)
    path = tmp_path / "m.parquet"
    run("export", "m", str(path))

    async def found_by_rustac() -> Any:
        return await rustac.read(str(path))

    read = asyncio.run(found_by_rustac())
    by_id = {one["id"]: one for one in read["features"]}
    assert len(by_id) == 40
    for one in server.get("/mosaics/m/items", limit=100).json()["features"]:
        found = by_id[one["id"]]
        pystac.Item.from_dict(found)
        assert found["assets"].keys() == one["assets"].keys()
        assert found["collection"] == one["collection"]
        for name, asset in one["assets"].items():
            assert found["assets"][name]["href"] == asset["href"]
    geo = json.loads(read_schema(path).metadata[b"geo"])
    assert geo["columns"]["geometry"]["bbox"] == [-180, -20, 180, 20]


def test_a_property_of_several_types_is_named(server: Server, run: Run, tmp_path: Path) -> None:
    server.create("m", properties=["odd"])
    for n, value in enumerate((1, "one")):
        assets = {"visual": {"href": f"https://example.com/{n}.tif", "type": "image/tiff"}}
        server.add(item(f"s{n}", assets=assets, properties={"odd": value}))
    path = tmp_path / "m.parquet"
    assert "'odd'" in run("export", "m", str(path), code=1)
    assert not path.exists()


def test_an_order_that_items_do_not_tell_is_named(server: Server, run: Run, tmp_path: Path) -> None:
    server.create("m", sortby="cloud")
    with on_socket(server) as url:
        said = run("export", "m", str(tmp_path / "m.json"), api=url, code=1)
    assert "'cloud'" in said


def test_mosaic_json_through_the_api_is_the_same(server: Server, run: Run, tmp_path: Path) -> None:
    server.create("m", access="private")
    for start in range(0, 40, 10):
        server.add(*documents()[start : start + 10])
    here, there = tmp_path / "here.json", tmp_path / "there.json"
    run("export", "m", str(here), "--asset", "visual")
    with on_socket(server) as url:
        run("export", "m", str(there), "--asset", "visual", api=url)
    assert json.loads(here.read_text()) == json.loads(there.read_text())
    assert len(json.loads(here.read_text())["tiles"]) > 10


@pytest.mark.parametrize("through_api", [False, True], ids=["index", "api"])
@pytest.mark.parametrize("name", ["m.json", "m.gti.gpkg"])
def test_an_asset_of_another_kind_is_left_out(
    server: Server, run: Run, tmp_path: Path, name: str, through_api: bool
) -> None:
    server.create("m")
    for n, kind in enumerate(("red", "nir", "red")):
        href = f"https://example.com/{kind}-{n}.tif"
        asset = {"href": href, "type": "image/tiff", "eo:common_name": kind}
        server.add(item(f"s{n}", assets={"data": asset}))
    path = tmp_path / name
    if through_api:
        with on_socket(server) as url:
            run("export", "m", str(path), "--asset", "data", api=url)
    else:
        run("export", "m", str(path), "--asset", "data")
    found = path.read_bytes()
    assert b"/red-0.tif" in found
    assert b"/red-2.tif" in found
    assert b"/nir-1.tif" not in found


@pytest.mark.parametrize("name", ["m.parquet", "m.gti.gpkg"])
def test_many_scenes_take_no_more_memory(tmp_path: Path, name: str) -> None:
    """A process that writes several times the scenes grows by far less than these have."""
    used = []
    full = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
    for count in (4_000, 100_000 if full else 12_000):
        code = _WRITING.format(path=tmp_path / f"{count}-{name}", count=count)
        done = subprocess.run(
            [sys.executable, "-c", code], capture_output=True, text=True, check=True
        )
        used.append(int(done.stdout))
    assert used[1] < used[0] * 1.2


_WRITING = """
import resource
from pathlib import Path
from shapely.geometry import MultiPolygon, box
from livemosaic.export.whole.geoparquet import write_geoparquet
from livemosaic.export.whole.tile_index import write_tile_index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.stac.items import item_document

def scenes():
    for n in range({count}):
        lon, lat = n % 300 - 150, n // 300 % 100 - 50
        assets = {{f"band{{b}}": f"https://example.com/{{n}}/{{b}}.tif" for b in range(8)}}
        shape = MultiPolygon([box(lon, lat, lon + 1, lat + 1)])
        time = "2026-01-01T00:00:00Z"
        yield Scene(collection="c", id=str(n), version="v", footprint=shape, rank="~",
                    datetime=time, assets=assets, properties={{"cloud": n / 7}})

mosaic, path = Mosaic(id="m"), Path("{path}")
if path.suffix == ".parquet":
    write_geoparquet(mosaic, (item_document(mosaic, scene) for scene in scenes()), path)
else:
    write_tile_index(mosaic, scenes(), "band1", None, path)
print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss)
"""
