"""Real files of Mars: a HiRISE image on a sphere of its own, and an Item of USGS's CTX models."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio
from cogeo_mosaic.mosaic import MosaicJSON
from morecantile import Tile, TileMatrixSet
from numpy.typing import NDArray

import livemosaic
from api.served import Server, quiet, serving
from livemosaic.table.sqlite import SqliteTable
from planets.mars import DEGREES, EQUIRECTANGULAR, write_matrix_sets

SETS = ["MarsMercatorSphere", "MarsEquidistantCylindricalSphere", "MarsGeographicSphere"]
USGS = "https://astrogeo-ard.s3-us-west-2.amazonaws.com/"
ASSETS = ("dtm", "orthoimage", "image")


@pytest.fixture(scope="module")
def sets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_matrix_sets(tmp_path_factory.mktemp("mars") / "tms")


@pytest.fixture(scope="module")
def hirise(data: Path, sets: Path) -> Iterator[Server]:
    """A mosaic of the HiRISE image, made of the file alone."""
    path = data.resolve() / "mars" / "cog_hirise_mars.tif"
    index, tiles = f"sqlite:///{sets.parent}/table.db", {"tile_matrix_sets": str(sets)}
    given = livemosaic.Settings(index=index, allowed_prefixes=(str(data.resolve()),), **tiles)
    with livemosaic.open(settings=given) as mosaics:
        mosaics.create("hirise", tms=SETS[0], minzoom=0, maxzoom=16, quadkey_zoom=9)
        mosaics["hirise"].add(path)
    with serving(SqliteTable(sets.parent / "table.db"), data.resolve(), **tiles) as server:
        yield server


def source(data: Path) -> tuple[NDArray[Any], Any, pyproj.CRS]:
    with quiet(), rasterio.open(data / "mars" / "cog_hirise_mars.tif") as file:
        return file.read(), file.transform, pyproj.CRS.from_wkt(file.crs.to_wkt())


def exact(data: Path, crs: str, x: NDArray[Any], y: NDArray[Any]) -> tuple[Any, NDArray[Any]]:
    """Bands and validity of places: of the pixel that each lies in, by PROJ, point by point."""
    values, transform, own = source(data)
    to_own = pyproj.Transformer.from_crs(crs, own, always_xy=True)
    cols, rows = ~transform @ to_own.transform(x, y)
    cols, rows = np.floor(cols).astype(int), np.floor(rows).astype(int)
    valid = (cols >= 0) & (rows >= 0) & (cols < values.shape[2]) & (rows < values.shape[1])
    return values[:, np.where(valid, rows, 0), np.where(valid, cols, 0)], valid


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Brightness, which JPEG stores at full resolution: GDAL repeats chroma, ours is smooth."""
    red, green, blue = rgb.astype("float64")
    return 0.299 * red + 0.587 * green + 0.114 * blue


@pytest.mark.parametrize("tms", SETS)
def test_tiles_have_the_pixels_that_lie_there(
    hirise: Server, data: Path, sets: Path, tms: str
) -> None:
    """At a zoom that is finer than the file, so that no overview is read."""
    zoom = 14
    grid = TileMatrixSet.model_validate_json((sets / f"{tms}.json").read_text())
    west, south, east, north = hirise.get("/mosaics/hirise/bounds").json()["bounds"]
    crs = grid.rasterio_crs.to_wkt()
    to_grid = pyproj.Transformer.from_crs(DEGREES, crs, always_xy=True)
    x, y = to_grid.transform((west + east) / 2, (south + north) / 2)
    first = grid.xy_bounds(Tile(0, 0, zoom))
    step = first.right - first.left
    tile = Tile(int((x - first.left) / step), int((first.top - y) / step), zoom)
    ours = hirise.picture(f"/mosaics/hirise/tiles/{tms}/{tile.z}/{tile.x}/{tile.y}")
    left, bottom, right, top = grid.xy_bounds(tile)
    centers = (np.arange(256) + 0.5) / 256
    xs, ys = np.meshgrid(left + centers * (right - left), top - centers * (top - bottom))
    found, valid = exact(data, crs, xs, ys)
    assert np.array_equal(ours.valid, valid) and valid.mean() > 0.5
    off = np.abs(luma(ours.data) - luma(found))[valid]
    assert (off < 1.5).mean() > 0.999


def test_points_have_the_values_of_the_file(hirise: Server, data: Path) -> None:
    west, south, east, north = hirise.get("/mosaics/hirise/bounds").json()["bounds"]
    random = np.random.default_rng(18)
    lon, lat = random.uniform(west, east, 9), random.uniform(south, north, 9)
    found, valid = exact(data, DEGREES, lon, lat)
    for n in np.flatnonzero(valid):
        asked = f"/mosaics/hirise/point/{lon[n]},{lat[n]}"
        assert hirise.get(asked).json()["values"] == found[:, n].tolist()
    assert valid.sum() > 3


def test_its_item_states_the_grid_of_its_own_sphere(hirise: Server, data: Path) -> None:
    [item] = hirise.get("/mosaics/hirise/items").json()["features"]
    [asset] = item["assets"].values()
    _, transform, own = source(data)
    assert asset["proj:code"] is None and asset["proj:epsg"] is None
    stated = pyproj.CRS.from_wkt(asset["proj:wkt2"])
    assert stated.ellipsoid.semi_major_metre == own.ellipsoid.semi_major_metre == 3395582.0270805
    assert asset["proj:transform"] == [*transform][:6]


@pytest.fixture(scope="module")
def ctx(data: Path, sets: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Mosaics of the tutorials' assets, with USGS's own Item; its files are not read."""
    folder = tmp_path_factory.mktemp("ctx")
    table = SqliteTable(folder / "table.db")
    item = json.loads((data / "mars/mars_ctx_stac_asset.json").read_text())
    with serving(table, folder, href=USGS, tile_matrix_sets=str(sets)) as server:
        for asset in ASSETS:
            given = {"tms": SETS[0], "minzoom": 0, "maxzoom": 25, "quadkey_zoom": 9}
            server.create(asset, assets=[asset], max_cells=48, **given)
            answer = server.post(item, asset)
            assert answer.status_code == 200, answer.text
        yield server


@pytest.mark.parametrize("asset", ASSETS)
@pytest.mark.filterwarnings("ignore:CRS is no longer part of the GeoJSON:UserWarning")
def test_its_mosaic_json_is_that_of_the_tutorial(
    ctx: Server, data: Path, sets: Path, asset: str
) -> None:
    item = json.loads((data / "mars/mars_ctx_stac_asset.json").read_text())
    path = item["assets"][asset]["href"]
    tms = TileMatrixSet.model_validate_json((sets / f"{SETS[0]}.json").read_text())
    feature = {"geometry": item["geometry"], "properties": {"path": path}}
    expected = MosaicJSON.from_features([feature], 9, 25, tilematrixset=tms, quiet=True)
    found = ctx.get(f"/mosaics/{asset}/mosaic.json", quadkey_zoom=9).json()
    assert found["tiles"] == expected.tiles
    assert found["bounds"] == pytest.approx(expected.bounds)


def test_bounds_are_those_of_the_item_in_any_crs_of_mars(ctx: Server, data: Path) -> None:
    box = json.loads((data / "mars/mars_ctx_stac_asset.json").read_text())["bbox"]
    to_crs = pyproj.Transformer.from_crs(DEGREES, EQUIRECTANGULAR, always_xy=True)
    answer = ctx.get("/mosaics/dtm/bounds", crs=EQUIRECTANGULAR).json()
    assert answer["crs"] == "http://www.opengis.net/def/crs/IAU/2015/49910"
    assert answer["bounds"] == pytest.approx(to_crs.transform_bounds(*box))


def test_assets_of_a_corner_are_its_file(ctx: Server, data: Path) -> None:
    """The tutorial's request, over this Item."""
    item = json.loads((data / "mars/mars_ctx_stac_asset.json").read_text())
    asked = "/mosaics/image/bbox/77,17,78,18/assets"
    [scene] = ctx.get(asked, coord_crs=DEGREES).json()["scenes"]
    assert scene["assets"]["image"][:190] == item["assets"]["image"]["href"][:190]
    assert ctx.get("/mosaics/image/bbox/70,10,71,11/assets").json()["scenes"] == []
