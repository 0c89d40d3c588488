"""Tiles at the edge of a deep stack of scenes, over HTTP: the same, from fewer rows."""

import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from api.counted import CountedTable
from api.overviews import SIDE, Tile, document, make_scenes, with_overviews
from api.served import WEB, Server
from cogs import write_cog
from livemosaic.services import building
from livemosaic.table.sqlite import SqliteTable

DEEP = 60
LATER_S = 7200.0


@pytest.fixture
def counted(tmp_path: Path) -> CountedTable:
    return CountedTable(SqliteTable(tmp_path / "index.db"))


@pytest.fixture
def server(tmp_path: Path, counted: CountedTable) -> Iterator[Server]:
    with with_overviews(tmp_path, table=counted) as server:
        yield server


def publish(server: Server, scene: Tile, *, updated: str) -> None:
    """The same COG under many names."""
    copies = [replace(scene, name=f"s{number:03}") for number in range(DEEP)]
    server.add(*(document(copy, updated=updated) for copy in copies))


def build(server: Server, later_s: float = 0.0) -> None:
    with building(server.services) as builder:
        replace(builder, clock=lambda: time.time() + later_s).run("m")


def test_a_tile_at_an_edge_reads_a_page_until_a_scene_comes(
    server: Server, counted: CountedTable
) -> None:
    scene, beside = make_scenes(server.folder, 2)[:2]
    left, bottom, right, top = scene.bounds
    at = WEB.tile(*WEB.lnglat(left, (bottom + top) / 2), 14)
    url = f"/mosaics/m/tiles/WebMercatorQuad/14/{at.x}/{at.y}.png?overviews=false"
    publish(server, scene, updated="2026-02-01T00:00:00Z")
    build(server)
    counted.forget()
    whole = server.client.get(url)
    assert (whole.status_code, counted.rows) == (200, DEEP)

    publish(server, scene, updated="2026-03-01T00:00:00Z")
    build(server, LATER_S)
    counted.forget()
    tile = server.client.get(url)
    assert (tile.content, counted.rows) == (whole.content, 10)
    assert tile.headers["X-Scenes"] == whole.headers["X-Scenes"]
    counted.forget()
    again = server.client.get(url, headers={"If-None-Match": tile.headers["ETag"]})
    assert (again.status_code, counted.rows) == (304, 10)

    west = replace(beside, name="west", bounds=(left - (right - left), bottom, left, top), day=1)
    server.add(document(replace(west, path=shifted(server, west)), updated="2026-04-01T00:00:00Z"))
    for _ in range(2):
        now = server.client.get(url, headers={"If-None-Match": tile.headers["ETag"]})
        assert now.status_code == 200
        assert set(now.headers["X-Scenes"].split(",")) > {"west"}
        build(server, LATER_S)


def shifted(server: Server, tile: Tile) -> Path:
    """A COG at the place of a scene."""
    values = np.full((3, SIDE, SIDE), 90, np.uint8)
    return write_cog(server.folder / "west.tif", values, crs="EPSG:3857", bounds=tile.bounds)
