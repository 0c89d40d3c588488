"""A mosaic as MosaicJSON, read by cogeo-mosaic itself."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from cogeo_mosaic.backends import MosaicBackend
from cogeo_mosaic.mosaic import MosaicJSON
from typer.testing import CliRunner

from api.served import LEFT, RIGHT, SIZE, Server, X, Y, Z, quiet, raster, scene, tile_url
from livemosaic.cli import app
from livemosaic.export import mosaic_json as exported

TILES = [(Z, X, Y), (Z + 1, 2 * X, 2 * Y), (Z + 1, 2 * X + 1, 2 * Y), (Z + 2, 4 * X + 1, 4 * Y + 2)]


def fill(server: Server) -> None:
    """Three scenes that overlap, the newest with nodata in its upper half."""
    top = np.full((1, SIZE, 160), 30, "uint8")
    top[:, :100] = 0
    server.publish("old", 10, (40, 0, 256, 256), day=1)
    server.publish("mid", 20, LEFT, day=2)
    server.publish("new", top, (0, 0, 160, 256), day=3, nodata=0)


def assert_same(server: Server, target: str) -> None:
    """Each tile of cogeo-mosaic has the values and the validity of ours."""
    with MosaicBackend(target) as backend:
        for z, x, y in TILES:
            ours = server.picture(tile_url(tile=(z, x, y)))
            with quiet():
                theirs, _ = backend.tile(x, y, z)
            valid = ~np.ma.getmaskarray(theirs.array).any(axis=0)
            assert np.array_equal(valid, ours.valid), (z, x, y)
            assert np.array_equal(theirs.array.data[:, valid], ours.data[:, valid]), (z, x, y)


def test_cogeo_mosaic_shows_the_same(server: Server, tmp_path: Path) -> None:
    fill(server)
    document = server.get("/mosaics/m/mosaic.json", quadkey_zoom=Z).json()
    assert document["mosaicjson"] == "0.0.3"
    assert MosaicJSON(**document).quadkey_zoom == Z
    path = tmp_path / "m.json"
    path.write_text(json.dumps(document))
    assert_same(server, str(path))


@pytest.mark.parametrize("target", ["m.json", "m.json.gz", "sqlite:///{folder}/made.db:m"])
def test_the_command_writes_to_backends(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str
) -> None:
    fill(server)
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/table.db")
    to = target.format(folder=tmp_path) if ":" in target else str(tmp_path / target)
    for _ in range(2):  # what is there is replaced
        result = CliRunner().invoke(app, ["export", "m", to, "--quadkey-zoom", str(Z)])
        assert result.exit_code == 0, result.output
    assert "1 cells" in result.output
    assert_same(server, to)


@pytest.mark.parametrize(
    ("words", "named"),
    [
        (["none", "m.json"], "'none'"),
        (["m", "/nowhere/m.json"], "/nowhere/m.json"),
        (["m", "ftp://host/m.json"], "ftp"),
    ],
    ids=str,
)
def test_the_command_names_what_is_wrong(
    server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], named: str
) -> None:
    server.publish("a", 1)
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/table.db")
    result = CliRunner().invoke(app, ["export", *words])
    assert result.exit_code == 1
    assert named in result.output
    assert "Traceback" not in result.output


def test_a_scene_is_listed_where_its_footprint_has_area(server: Server) -> None:
    server.publish("left", 1, LEFT)
    server.publish("right", 2, RIGHT, day=2)
    tiles = server.get("/mosaics/m/mosaic.json", quadkey_zoom=Z + 1).json()["tiles"]
    names = {key: [Path(href).name[:4] for href in hrefs] for key, hrefs in tiles.items()}
    assert sorted(names.values()) == [["left"], ["left"], ["righ"], ["righ"]]


def test_long_hrefs_are_whole(server: Server) -> None:
    name = "a" * 230
    server.add(scene("a", f"{server.href}/{name}.tif"))
    document = server.get("/mosaics/m/mosaic.json").json()
    (item,) = server.get("/mosaics/m/items").json()["features"]
    exported = [href for hrefs in document["tiles"].values() for href in hrefs]
    for href in (*exported, item["assets"]["visual"]["href"]):
        assert href.endswith(f"/{name}.tif")


def test_another_tile_matrix_set_is_named(server: Server) -> None:
    server.create("geo", tms="WorldMercatorWGS84Quad")
    server.publish("a", 1, mosaic="geo")
    found = MosaicJSON(**server.get("/mosaics/geo/mosaic.json").json())
    assert found.tilematrixset is not None
    assert found.tilematrixset.id == "WorldMercatorWGS84Quad"


@pytest.mark.parametrize(
    ("query", "named"),
    [({"assets": "none"}, "'none'"), ({"quadkey_zoom": 24}, "takes"), ({"quadkey_zoom": 25}, "25")],
    ids=str,
)
def test_what_cannot_be_is_refused(server: Server, query: dict[str, Any], named: str) -> None:
    server.publish("a", 1)
    answer = server.get("/mosaics/m/mosaic.json", **query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_an_asset_has_to_be_named_where_several_are_shown(server: Server) -> None:
    path = raster(server.folder / "a.tif", 1)
    hrefs = {"red": server.url(path), "green": server.url(path)}
    server.create("two", default_assets=["red", "green"])
    server.add(scene("a", hrefs), mosaic="two")
    assert server.get("/mosaics/two/mosaic.json").status_code == 400
    assert server.get("/mosaics/two/mosaic.json?assets=green").status_code == 200


def test_the_route_has_a_limit(server: Server) -> None:
    for name in "ab":
        server.publish(name, 1)
    index = server.services.index
    mosaic = server.services.mosaics.get("m")
    found = exported.at_most(index.every_scene(mosaic), 1)
    with pytest.raises(Exception, match="more than 1 scenes"):
        list(found)
