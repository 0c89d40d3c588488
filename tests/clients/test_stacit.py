"""GDAL's STACIT driver opens the Items of a mosaic, of the STAC API or below `/mosaics`.

By the GDAL of rasterio's wheel, and by Debian's 3.6 where it is installed.
"""

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pystac
import pytest
import rasterio
from pystac.extensions.projection import ProjectionExtension
from rasterio.transform import from_gcps

from api.served import EDGE, SIZE, WHOLE, Server, on_socket, raster, scene, serving
from cogs import write_cog
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore

BOX = "7.7,45.5,8.1,45.9"
BOTTOM_UP = f"/mosaics/m/items?bbox={BOX}&ascending=false"
LISTS = [
    BOTTOM_UP,
    "/mosaics/m/items?limit=5",
    "/collections/m/items?limit=5",
    f"/search?collections=m&bbox={BOX}",
]


@pytest.fixture
def server(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Server]:
    """A mosaic `m` whose assets are served over HTTP: GDAL 3.6 opens no `file:` in Items."""
    folder = tmp_path / "assets"
    folder.mkdir()
    with (
        ObjectStore(folder) as store,
        serving(sqlite_table, folder, href=store.url) as made,
    ):
        made.create()
        yield made


def fill(server: Server, count: int = 12, holes: float = 0.2) -> None:
    """Scenes at random places, one a day in a random order."""
    random = np.random.default_rng(18)
    for day in random.permutation(count):
        column, row = (int(place) for place in random.integers(0, SIZE - 100, 2))
        values = random.integers(1, 255, (1, 90, 100)).astype("uint8")
        values[random.random(values.shape) < holes] = 0
        part = (column, row, column + 100, row + 90)
        server.publish(f"s{day:02}", values, part, day=int(day) + 1, nodata=0)


def assert_same(server: Server, path: str) -> None:
    """The raster has the values and the validity of our tile, pixel by pixel."""
    expected = server.picture()
    with rasterio.open(path) as found:
        assert found.crs.to_epsg() == 3857
        window = found.window(*EDGE).round_offsets().round_lengths()
        read = found.read(window=window, boundless=True, masked=True)
    valid = ~np.ma.getmaskarray(read).any(axis=0)
    assert valid.any() and np.array_equal(valid, expected.valid)
    assert np.array_equal(read.data[:, valid], expected.data[:, valid])


@pytest.mark.parametrize("path", LISTS)
def test_rasterio_shows_the_same(server: Server, path: str) -> None:
    fill(server)
    with on_socket(server) as url:
        assert_same(server, f'STACIT:"{url}{path}"')


def test_debians_gdal_shows_the_same_from_the_bottom_up(server: Server, tmp_path: Path) -> None:
    """GDAL 3.6 stacks what it is listed, the last on top, and knows no holes in the files."""
    command = shutil.which("gdal_translate")
    if command is None:
        pytest.skip("gdal_translate is not installed (apt-get install gdal-bin)")
    fill(server, holes=0)
    target = tmp_path / "read.tif"
    with on_socket(server) as url:
        words = [command, "-q", f'STACIT:"{url}{BOTTOM_UP}"', str(target)]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert_same(server, str(target))


def fields(server: Server, path: str = "/mosaics/m/items/a?collection=s2") -> dict[str, Any]:
    [asset] = server.get(path).json()["assets"].values()
    return {name: value for name, value in asset.items() if name.startswith("proj:")}


@pytest.mark.parametrize(
    ("crs", "epsg"), [("EPSG:32632", 32632), ("EPSG:3035", 3035), ("EPSG:4326", 4326)]
)
def test_the_grid_is_the_files(server: Server, crs: str, epsg: int) -> None:
    path = server.folder / "a.tif"
    metres = (400000.0, 5000000.0, 401000.0, 5002000.0)
    bounds = (8.0, 45.6, 8.01, 45.62) if epsg == 4326 else metres
    write_cog(path, np.ones((1, 200, 100), "uint8"), crs=crs, bounds=bounds)
    server.add(scene("a", server.url(path)))
    document = server.get("/mosaics/m/items/a", collection="s2").json()
    item = pystac.Item.from_dict(document)
    found = ProjectionExtension.ext(item.assets["visual"])
    with rasterio.open(path) as file:
        assert found.epsg == file.crs.to_epsg() == epsg
        assert found.shape == [*file.shape]
        assert found.transform == pytest.approx([*file.transform][:6], rel=1e-15)
    assert fields(server, "/collections/m/items/a") == fields(server)
    assert "proj:wkt2" not in fields(server)


def test_a_crs_without_a_code_is_there_as_wkt(server: Server) -> None:
    path = server.folder / "a.tif"
    crs = "+proj=laea +lat_0=46 +lon_0=8 +ellps=GRS80 +units=m"
    write_cog(path, np.ones((1, 64, 64), "uint8"), crs=crs, bounds=(0, 0, 6400, 6400))
    server.add(scene("a", server.url(path)))
    found = fields(server)
    assert found["proj:code"] is found["proj:epsg"] is None
    with rasterio.open(path) as file:
        assert rasterio.crs.CRS.from_wkt(found["proj:wkt2"]) == file.crs
    with on_socket(server) as url, rasterio.open(f'STACIT:"{url}{BOTTOM_UP}"') as stacked:
        assert stacked.bounds == (0, 0, 6400, 6400)


class TestNothingIsInvented:
    def test_where_no_header_is_kept(self, server: Server) -> None:
        server.add(scene("a", server.url("not-there.tif")))
        document = server.get("/mosaics/m/items/a", collection="s2").json()
        assert fields(server) == {} and document["stac_extensions"] == []

    def test_for_assets_that_no_image_shows_by_default(self, server: Server) -> None:
        red, nir = (raster(server.folder / f"{name}.tif", 1) for name in ("red", "nir"))
        server.create("one", assets=["red", "nir"])
        item = scene("a", {"red": server.url(red), "nir": server.url(nir)})
        server.add(item, mosaic="one")
        server.add(item)
        kept = server.get("/mosaics/one/items/a", collection="s2").json()["assets"]
        assert all("proj:shape" in asset for asset in kept.values())
        shown = server.get("/mosaics/m").json()["shown_assets"]
        some = server.get("/mosaics/m/items/a", collection="s2").json()["assets"]
        assert {name for name, asset in some.items() if "proj:shape" in asset} <= {*shown}

    def test_of_control_points(self, server: Server) -> None:
        plain = raster(server.folder / "plain.tif", 7)
        with rasterio.open(plain) as file:
            data, corners = file.read(), [(0, 0), (0, SIZE), (SIZE, 0), (SIZE, SIZE)]
            gcps = [
                rasterio.control.GroundControlPoint(row, col, *(file.transform @ (col, row)))
                for row, col in corners
            ]
        assert from_gcps(gcps).a == pytest.approx(file.transform.a)
        path = server.folder / "a.tif"
        write_cog(path, data, gcps=gcps, crs="EPSG:3857")
        server.add(scene("a", server.url(path), WHOLE))
        assert server.picture().valid.any()
        assert fields(server) == {}


def test_items_of_a_page_are_described_up_to_a_limit(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livemosaic.stac.projection.MAX_KNOWN", 4)
    fill(server, 6)
    found = server.get("/mosaics/m/items", bbox=BOX).json()["features"]
    has = ["proj:shape" in item["assets"]["visual"] for item in found]
    assert has == [True] * 4 + [False] * 2
