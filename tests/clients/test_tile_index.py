"""GDAL opens a tile index (GTI) that `livemosaic export` writes, and reads the pixels of tiles.

By the GDAL of rasterio's wheel; Debian's 3.6 has no such driver.
"""

import shutil
import sqlite3
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from pyproj import Transformer
from typer.testing import CliRunner

from api.served import EDGE, SIZE, STEP, Server, on_socket, raster, scene
from cogs import write_cog
from livemosaic.cli import app
from livemosaic.export.whole.tile_index import gdal_path

Export = Callable[..., Path]


@pytest.fixture
def export(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Export:
    """The command, on the index of the server or on its API."""
    monkeypatch.setenv("COLUMNS", "300")

    def run(*words: str, api: str = "", to: str = "m.gti.gpkg") -> Path:
        index = ["--index", f"sqlite:///{tmp_path}/table.db", "--allow", str(server.folder)]
        before = ["--api", api] if api else index
        result = CliRunner().invoke(app, [*before, "export", "m", str(tmp_path / to), *words])
        assert result.exit_code == 0, result.output
        return tmp_path / to

    return run


def fill(server: Server, **creation: Any) -> None:
    """Scenes at random places in a random order, with holes."""
    random = np.random.default_rng(18)
    for n in range(12):
        column, row = (int(place) for place in random.integers(0, SIZE - 100, 2))
        values = random.integers(1, 255, (1, 90, 100)).astype("uint8")
        values[random.random(values.shape) < 0.2] = 0
        part = (column, row, column + 100, row + 90)
        server.publish(f"s{n:02}", values, part, day=int(random.integers(1, 6)), **creation)


def assert_same(server: Server, path: Path) -> None:
    """The raster has the values and the validity of our tile, pixel by pixel."""
    expected = server.picture()
    with rasterio.open(path) as found:
        assert found.crs.to_epsg() == 3857
        assert found.res == pytest.approx((STEP, STEP))
        window = found.window(*EDGE).round_offsets().round_lengths()
        read = found.read(window=window, boundless=True, masked=True)
    valid = ~np.ma.getmaskarray(read).any(axis=0)
    assert np.array_equal(valid, expected.valid)
    assert np.array_equal(read.data[:, valid], expected.data[:, valid])
    assert valid.any()


@pytest.mark.parametrize("through_api", [False, True], ids=["index", "api"])
def test_gdal_shows_the_same(server: Server, export: Export, through_api: bool) -> None:
    fill(server, nodata=0)
    if not through_api:
        assert_same(server, export())
        return
    with on_socket(server) as url:
        assert_same(server, export(api=url))


def test_masks_are_masks(server: Server, export: Export) -> None:
    random = np.random.default_rng(3)
    for n in range(3):
        mask = random.random((SIZE, SIZE)) < 0.3
        server.publish(f"s{n}", n + 1, day=n + 1, mask=mask)
    assert_same(server, export())


def test_colors_with_alpha(server: Server, export: Export) -> None:
    random = np.random.default_rng(4)
    values = random.integers(1, 255, (4, SIZE, SIZE)).astype("uint8")
    values[3] = np.where(random.random((SIZE, SIZE)) < 0.5, 255, 0)
    server.publish("a", values, alpha=True, photometric="rgb")
    expected = server.picture()
    with rasterio.open(export()) as found:
        assert [one.name for one in found.colorinterp] == ["red", "green", "blue", "alpha"]
        read = found.read()
    assert np.array_equal(read[3] > 0, expected.valid)
    assert np.array_equal(read[:3, expected.valid], expected.data[:3, expected.valid])


def test_scenes_of_another_projection_lie_where_ours_do(server: Server, export: Export) -> None:
    """GDAL's warper may take a neighbor, as its positions are approximate."""
    x, y = (EDGE.left + EDGE.right) / 2, (EDGE.top + EDGE.bottom) / 2
    to_utm = Transformer.from_crs(3857, 32632, always_xy=True)
    left, top = to_utm.transform(x - 60 * STEP, y + 60 * STEP)
    values = np.random.default_rng(5).integers(1, 255, (1, 100, 100)).astype("uint8")
    path = server.folder / "utm.tif"
    bounds = (left, top - 100 * 100, left + 100 * 100, top)
    write_cog(path, values, crs="EPSG:32632", bounds=bounds, nodata=0)
    server.add(scene("utm", server.url(path)))
    expected = server.picture()
    with rasterio.open(export()) as found:
        pixel = STEP / found.res[0]
        assert np.log2(pixel) == pytest.approx(round(np.log2(pixel)))
        window = found.window(*EDGE).round_offsets().round_lengths()
        shape = (1, SIZE, SIZE)
        read = found.read(window=window, boundless=True, out_shape=shape, fill_value=0)
    both = (read[0] > 0) & expected.valid
    assert both.sum() > 0.9 * expected.valid.sum()


def test_metadata_and_rows(server: Server, export: Export) -> None:
    fill(server, nodata=0)
    path = export()
    with sqlite3.connect(path) as db:
        rows = db.execute("SELECT id, collection, datetime, location FROM scenes").fetchall()
    assert len(rows) == 12
    items = server.get("/mosaics/m/items", limit=20).json()["features"]
    item = next(item for item in items if item["id"] == "s03")
    row = next(row for row in rows if row[0] == "s03")
    assert row[1] == item["collection"]
    assert row[2] == item["properties"]["datetime"]
    assert row[3] == item["assets"]["visual"]["href"].removeprefix("file://")
    command = shutil.which("ogrinfo")
    if command is None:
        pytest.skip("ogrinfo is not installed (apt-get install gdal-bin)")
    done = subprocess.run(
        [command, "-so", "-al", str(path)], capture_output=True, text=True, check=True
    )
    assert "Warning" not in done.stderr
    assert "Feature Count: 12" in done.stdout
    for line in ("SORT_FIELD=position", "BAND_COUNT=1", "DATA_TYPE=Byte", "NODATA=0"):
        assert line in done.stdout


def test_what_was_there_stays_where_an_export_fails(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "m.gti.gpkg"
    path.write_text("before")
    server.add(scene("a", server.url(raster(server.folder / "a.tif", 1))))
    words = ["--index", f"sqlite:///{tmp_path}/table.db", "export", "m", str(path)]
    result = CliRunner().invoke(app, [*words, "--asset", "none"])
    assert result.exit_code == 1
    assert "'none'" in result.output
    assert path.read_text() == "before"
    assert [one.name for one in tmp_path.iterdir() if "gti" in one.name] == ["m.gti.gpkg"]


@pytest.mark.parametrize(
    ("href", "path"),
    [
        ("s3://b/a/c.tif", "/vsis3/b/a/c.tif"),
        ("https://h/c.tif", "/vsicurl/https://h/c.tif"),
        ("/d/c.tif", "/d/c.tif"),
        ("file:///d/c.tif", "/d/c.tif"),
    ],
)
def test_paths_are_gdals(href: str, path: str) -> None:
    assert gdal_path(href) == path
