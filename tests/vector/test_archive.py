"""`livemosaic export --vector`: the vector tiles of the route, as PMTiles, and nothing else."""

import gzip
import json
import random
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest

from api.served import AUTHORIZED, SIZE, WHOLE, Server, serving
from cli.archives import Place, counts, delete, every_tile, export, opened, put
from items import box, item
from livemosaic.table.sqlite import SqliteTable
from livemosaic.vector import tiles, whole
from vector.decoding import read

WEB = morecantile.tms.get("WebMercatorQuad")
ALPS = (6.0, 44.0, 9.0, 47.0)
ZOOMS = range(9)


def scene(server: Server, n: int, **rest: Any) -> dict[str, Any]:
    x, y = 6.1 + n % 6 * 0.45, 44.1 + n // 6 * 0.45
    shape = box(x, y, x + 0.4, y + 0.4)
    return item(f"s{n}", shape, href=f"{server.href}/s{n}.tif", **rest)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    """30 scenes without files, in a mosaic that is drawn from zoom 8 on."""
    index = tmp_path / "index.db"
    with serving(SqliteTable(index), tmp_path, index=f"sqlite:///{index}") as made:
        made.create(minzoom=8, properties=["eo:cloud_cover"], attribution="© the makers")
        made.add(*(scene(made, n, properties={"eo:cloud_cover": n}) for n in range(30)))
        yield made


def expected(server: Server, zooms: range, **query: Any) -> dict[Place, bytes]:
    """Tiles of the route that have a layer."""
    found = {}
    for tile in WEB.tiles(*ALPS, zooms=[*zooms]):
        url = f"/mosaics/m/vector/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.mvt"
        if body := server.get(url, **query).content:
            found[tile.z, tile.x, tile.y] = body
    return found


def tiles_of(path: Path) -> dict[Place, bytes]:
    return {place: gzip.decompress(body) for place, body in every_tile(opened(path)).items()}


def test_tiles_are_those_of_the_route_from_zoom_0_on(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "m.pmtiles"
    text = export(server, path, "--vector", "--zooms", "0-8")
    found = tiles_of(path)
    assert found == expected(server, ZOOMS)
    assert f"wrote {len(found)} tiles" in text
    archive = opened(path)
    assert (archive.header.kind, archive.header.is_gzipped) == ("mvt", True)
    assert (archive.header.minzoom, archive.header.maxzoom) == (0, 8)


def test_the_metadata_describe_the_layers(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "m.pmtiles"
    export(server, path, "--vector", "--zooms", "3-8")
    reader = pytest.importorskip("pmtiles.reader")
    body = path.read_bytes()
    metadata = reader.Reader(lambda offset, length: body[offset : offset + length]).metadata()
    assert metadata["attribution"] == "© the makers"
    layers = {layer["id"]: layer for layer in metadata["vector_layers"]}
    assert set(layers) == {"footprints", "density"}
    assert {"id", "datetime", "eo:cloud_cover"} <= set(layers["footprints"]["fields"])
    assert (layers["footprints"]["minzoom"], layers["footprints"]["maxzoom"]) == (3, 8)


@pytest.mark.parametrize("layers", [["density"], ["footprints", "coverage"], ["coverage"]])
def test_layers_are_chosen_as_at_the_route(
    server: Server, tmp_path: Path, layers: list[str]
) -> None:
    values = np.full((1, SIZE, SIZE), 9, np.uint8)
    server.publish("seen", values, WHOLE)
    path = tmp_path / "m.pmtiles"
    export(server, path, "--vector", "--zooms", "7-9", "--layers", ",".join(layers))
    found = tiles_of(path)
    first = 8 if layers == ["coverage"] else 7
    left, bottom, right, top = server.services.mosaics.get("m").bounds or ALPS
    wanted = {}
    for tile in WEB.tiles(left, bottom, right, top, zooms=[*range(first, 10)]):
        url = f"/mosaics/m/vector/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.mvt"
        if body := server.get(url, layers=layers).content:
            wanted[tile.z, tile.x, tile.y] = body
    assert found == wanted
    assert {name for body in found.values() for name in read(body)} == {*layers}


def test_the_next_export_makes_what_changed_and_equals_a_whole_one(
    server: Server, tmp_path: Path
) -> None:
    path, whole = tmp_path / "m.pmtiles", tmp_path / "whole.pmtiles"
    options = ["--vector", "--zooms", "0-10"]
    first, _ = counts(export(server, path, *options))
    assert counts(export(server, path, *options)) == (0, first)
    put(server, scene(server, 0, properties={"eo:cloud_cover": 99}, updated="2026-02-01T00:00:00Z"))
    put(server, scene(server, 30))
    delete(server, "s29")
    made, copied = counts(export(server, path, *options))
    assert 0 < made < copied
    export(server, whole, *options)
    assert path.read_bytes() == whole.read_bytes()
    assert tiles_of(path) == expected(server, range(11))


def test_other_settings_make_all_tiles_anew(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "m.pmtiles"
    made, _ = counts(export(server, path, "--vector", "--zooms", "0-8"))
    again = counts(export(server, path, "--vector", "--zooms", "0-8", "--layers", "density"))
    assert again == (made, 0)
    export(server, path, "--vector", "--zooms", "0-8")
    server.client.patch(
        "/mosaics/m",
        json={"rules": {"default": {"filter": '"eo:cloud_cover" < 9'}}},
        headers=AUTHORIZED,
    ).raise_for_status()
    assert counts(export(server, path, "--vector", "--zooms", "0-8"))[1] == 0
    assert tiles_of(path) == expected(server, ZOOMS)


def test_the_api_serves_what_was_published(server: Server) -> None:
    url = "/mosaics/m/vector.pmtiles"
    absent = server.get(url)
    assert absent.status_code == 404
    assert "`livemosaic export m --vector` makes one" in absent.json()["detail"]
    export(server, "", "--vector", "--zooms", "0-3")
    whole = server.get(url)
    assert whole.status_code == 200
    assert whole.headers["Content-Type"] == "application/vnd.pmtiles"
    part = server.client.get(url, headers={"Range": "bytes=0-126"})
    assert (part.status_code, part.content) == (206, whole.content[:127])
    again = server.client.get(url, headers={"If-None-Match": whole.headers["ETag"]})
    assert again.status_code == 304
    assert server.get("/mosaics/m/mosaic.pmtiles").status_code == 404


@pytest.mark.parametrize(
    ("options", "word"),
    [
        (["--vector", "--render", "gray"], "--render"),
        (["--vector", "--tiles", "png"], "--tiles"),
        (["--layers", "density"], "--vector"),
        (["--vector", "--layers", "outlines"], "outlines"),
        (["--vector", "--layers", "density,density"], "named twice"),
        (["--vector", "--zooms", "23-24"], "zooms"),
    ],
)
def test_options_that_make_no_sense_are_refused(
    server: Server, tmp_path: Path, options: list[str], word: str
) -> None:
    code = 2 if word.startswith("--") else 1
    assert word in export(server, tmp_path / "m.pmtiles", *options, code=code)
    assert not (tmp_path / "m.pmtiles").exists()


def test_gdal_reads_scenes_of_an_archive(server: Server, tmp_path: Path) -> None:
    """By the driver PMTiles, which Debian 12's GDAL 3.6 lacks and the wheel of pyogrio has."""
    pyogrio = pytest.importorskip("pyogrio")
    path = tmp_path / "m.pmtiles"
    export(server, path, "--vector", "--zooms", "0-8")
    about = pyogrio.read_info(path, layer="footprints")
    assert about["driver"] == "PMTiles"
    assert about["geometry_type"] in ("MultiPolygon", "Unknown", "Polygon")
    fields, table = pyogrio.read_arrow(path, layer="footprints")
    assert set(table.column("id").to_pylist()) == {f"s{n}" for n in range(30)}
    assert "eo:cloud_cover" in json.dumps([*fields["fields"]])


class TestMoreThanASearchLists:
    """160 scenes, of which a search lists 50, and a tile draws 25: density is whole."""

    FEW_ROWS = "5"
    ALL = range(15)

    @pytest.fixture
    def many(
        self, server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> Callable[..., dict[Place, bytes]]:
        monkeypatch.setenv("LIVEMOSAIC_MAX_ROWS", self.FEW_ROWS)
        monkeypatch.setattr(tiles, "MOST_FOOTPRINTS", 25)
        monkeypatch.setattr(whole, "MOST_FOOTPRINTS", 25)
        chance = random.Random(2)
        for n in range(100, 230):
            x, y, size = chance.gauss(7.5, 0.3), chance.gauss(45.5, 0.3), chance.uniform(0.01, 0.3)
            at = f"2026-01-{n % 28 + 1:02}T00:00:00Z"
            shape, href = box(x, y, x + size, y + size), f"{server.href}/s{n}.tif"
            put(server, item(f"s{n}", shape, href=href, datetime=at))

        def exported(*options: str, says: str = "", lacks: bool = False) -> dict[Place, bytes]:
            path = tmp_path / "m.pmtiles"
            text = export(server, path, "--vector", "--zooms", "0-10", *options)
            assert says in text
            assert ("tiles lack scenes" in text) == lacks
            return tiles_of(path)

        return exported

    @pytest.mark.parametrize("layers", ["footprints,density", "density"])
    def test_low_zooms_have_all_scenes(
        self, server: Server, many: Callable[..., dict[Place, bytes]], layers: str
    ) -> None:
        """As the route has them with the limit raised."""
        found = many("--layers", layers)
        wanted = expected(server, range(11), layers=layers.split(","))
        assert found.keys() == wanted.keys()
        assert [place for place in found if found[place] != wanted[place]] == []
        squares = read(found[0, 0, 0])["density"]["features"]
        assert sum(square["properties"]["count"] for square in squares) == 160

    def test_the_next_export_hears_of_any_of_them(
        self, server: Server, many: Callable[..., dict[Place, bytes]]
    ) -> None:
        first = many()
        assert many(says=": 0 drawn") == first
        delete(server, "s2")
        second = many()
        assert second[0, 0, 0] != first[0, 0, 0]

    def test_too_many_in_one_place_are_told(
        self, server: Server, many: Callable[..., dict[Place, bytes]]
    ) -> None:
        for n in range(300, 360):
            shape = box(7.5, 45.5, 7.5001, 45.5001)
            put(server, item(f"s{n}", shape, href=f"{server.href}/s{n}.tif"))
        assert many(lacks=True)
