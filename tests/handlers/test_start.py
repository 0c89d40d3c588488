"""What a function loads before it draws a tile, and what a snapshot of it holds (SnapStart)."""

import json
import os
import random
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.served import scene, serving
from cogs import write_cog
from handlers.gateway import HttpApi, event
from handlers.runtime import CODE, function
from livemosaic import snapstart
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic
from livemosaic.table.sqlite import SqliteTable

NOT_FOR_A_TILE = {
    "cogeo_mosaic": "the format that we are compared with",
    "fastapi": "all other routes",
    "httpx2": "rio-tiler's reader of STAC, which is not used",
    "livemosaic.api.routes.arcgis": "image services",
    "livemosaic.api.routes.statistics": "of areas",
    "livemosaic.api.routes.ogc.wmts": "maps of other clients",
    "livemosaic.api.wms": "maps of other clients",
    "jwt": "access tokens of private mosaics",
    "livemosaic.cli": "the shell",
    "livemosaic.client": "the Python face",
    "livemosaic.cli.demo.scenery": "the demo",
    "pystac": "rio-tiler's reader of STAC, which is not used",
    "rich": "the shell",
    "rio_tiler": "colormaps and rescaling, for tiles that ask for them",
    "titiler": "algorithms, for tiles that ask for them",
    "typer": "the shell",
    "uvicorn": "the shell",
}
"""Modules, and what they are for."""
SNAP_START = {"AWS_LAMBDA_INITIALIZATION_TYPE": "snap-start"}


@pytest.mark.parametrize("index", ["sqlite", "dynamodb"])
def test_a_tiler_that_is_ready_has_not_loaded_what_a_tile_does_not_need(
    tmp_path: Path, index: str
) -> None:
    url = {"sqlite": f"sqlite:///{tmp_path}/index.db", "dynamodb": "dynamodb://eu-central-1/table"}
    assert loaded("import tiler", LIVEMOSAIC_INDEX=url[index]).isdisjoint(NOT_FOR_A_TILE)


SESSIONS = """
import tiler
from rasterio.session import AWSSession
made = []
AWSSession.__init__ = lambda *_, **__: made.append(1)
for event in given:
    answer = tiler.handler(event, {})
    assert answer["statusCode"] == 200, answer
assert not made, len(made)
"""


def test_rasterio_makes_no_sessions_of_aws(sqlite_table: SqliteTable, tmp_path: Path) -> None:
    """It would make some for each tile, as Lambda has credentials in the environment."""
    with serving(sqlite_table, tmp_path) as server:
        server.create()
        values = np.full((1, 64, 64), 9, np.uint8)
        values[:, 20:30] = 0
        bounds = (398_000, 5_060_000, 402_000, 5_064_000)
        path = write_cog(tmp_path / "a.tif", values, crs="EPSG:32632", bounds=bounds, nodata=0)
        server.add(scene("a", str(path)))
    paths = ("boundary", "gdal/wms.xml", "tiles/WebMercatorQuad/10/534/365.tif?resampling=cubic")
    events = [event("GET", f"/mosaics/m/{path}") for path in paths]
    events.append(event("GET", "/mosaics/m/vector/WebMercatorQuad/10/534/365.mvt?layers=coverage"))
    loaded(
        SESSIONS,
        events,
        LIVEMOSAIC_INDEX=f"sqlite:///{tmp_path}/table.db",
        LIVEMOSAIC_ALLOWED_PREFIXES=str(tmp_path),
        AWS_ACCESS_KEY_ID="testing",
        AWS_SECRET_ACCESS_KEY="testing",
    )


def test_nor_has_it_after_the_first_tile(tmp_path: Path) -> None:
    """What is not loaded at start but by the first request would have gained nobody anything."""
    table = SqliteTable(tmp_path / "index.db")
    Mosaics(table).create(Mosaic(id="m"))
    table.close()
    script = "import tiler; assert tiler.handler(given, {})['statusCode'] == 200"
    tile = event("GET", "/mosaics/m/tiles/WebMercatorQuad/12/2133/1462.png")
    after = loaded(script, tile, LIVEMOSAIC_INDEX=f"sqlite:///{tmp_path}/index.db")
    assert after.isdisjoint(NOT_FOR_A_TILE)


def test_nor_does_the_first_tile_load_anything(tmp_path: Path) -> None:
    """It was made warm at a start that nobody waited for: a snapshot keeps that."""
    table = SqliteTable(tmp_path / "index.db")
    Mosaics(table).create(Mosaic(id="m"))
    table.close()
    script = """
import tiler
before = set(sys.modules)
assert tiler.handler(given, {})["statusCode"] == 200
for name in before:
    del sys.modules[name]
"""
    tile = event("GET", "/mosaics/m/tiles/WebMercatorQuad/12/2133/1462.png")
    assert loaded(script, tile, LIVEMOSAIC_INDEX=f"sqlite:///{tmp_path}/index.db") == set()


def test_a_start_that_somebody_waits_for_makes_no_tile(tmp_path: Path) -> None:
    index = f"sqlite:///{tmp_path}/index.db"
    given = {"LIVEMOSAIC_INDEX": index, "AWS_LAMBDA_INITIALIZATION_TYPE": "on-demand"}
    first = "anyio._backends._asyncio"  # of what a tile loads
    assert first in loaded("import tiler", LIVEMOSAIC_INDEX=index)
    assert first not in loaded("import tiler", **given)


def loaded(script: str, given: Any = None, **environment: str) -> set[str]:
    """All modules of a process that ran a script in the folder of the functions."""
    ended = subprocess.run(
        [sys.executable, "-c", f"{READ}\n{script}\n{TELL}"],
        cwd=CODE,
        env={"PATH": os.environ["PATH"], "AWS_EC2_METADATA_DISABLED": "true"} | environment,
        input=json.dumps(given),
        capture_output=True,
        text=True,
        check=True,
    )
    return set(json.loads(ended.stdout))


READ = "import json, sys; given = json.load(sys.stdin)"
TELL = "print(json.dumps(list(sys.modules)))"


def test_a_restored_function_answers(tmp_path: Path) -> None:
    index = {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db"}
    with function("tiler.handler", tmp_path, **index, **SNAP_START) as tiler:
        tiler.restore()
        assert HttpApi(tiler.invoke).get("/health").status == 200


def test_no_connection_is_in_a_snapshot(tmp_path: Path) -> None:
    """The table's client is, but it has connected to nothing before it is restored."""
    with socket.create_server(("127.0.0.1", 0)) as dynamodb:
        environment = {
            "LIVEMOSAIC_INDEX": "dynamodb://eu-central-1/table",
            "AWS_ENDPOINT_URL_DYNAMODB": f"http://127.0.0.1:{dynamodb.getsockname()[1]}",
            "AWS_ACCESS_KEY_ID": "nobody",
            "AWS_SECRET_ACCESS_KEY": "nobody",
        }
        dynamodb.settimeout(10)
        with function("tiler.handler", tmp_path, **environment, **SNAP_START) as tiler:
            tiler.wait_for_snapshot()
            assert waiting(dynamodb) == 0
            tiler.restore()
            tiler.events.put(event("GET", "/health"))
            dynamodb.accept()[0].close()


def waiting(server: socket.socket) -> int:
    """Connections that nobody has accepted yet."""
    server.setblocking(False)
    try:
        server.accept()[0].close()
    except BlockingIOError:
        return 0
    else:
        return 1
    finally:
        server.settimeout(10)


def test_functions_of_one_snapshot_do_not_pause_alike(monkeypatch: pytest.MonkeyPatch) -> None:
    hooks = pytest.importorskip("awslambdaric.lambda_runtime_hooks_runner")
    monkeypatch.setenv(*next(iter(SNAP_START.items())))
    snapstart.prepare()
    random.seed(7)
    frozen = random.getstate()
    hooks.run_after_restore()
    assert random.getstate() != frozen
