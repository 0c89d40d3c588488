"""TiTiler serves a mosaic through `livemosaic.Reader`, with our pixels."""

import io
from collections.abc import Iterator
from typing import Any

import morecantile
import numpy as np
import pyproj
import pytest
from fastapi import FastAPI
from rio_tiler.errors import TileOutsideBounds
from starlette.testclient import TestClient
from titiler.core.dependencies import AssetsExprParams
from titiler.core.errors import DEFAULT_STATUS_CODES, add_exception_handlers
from titiler.core.factory import TilerFactory

import livemosaic
from api.served import WEB, X, Y, Z, raster, scene, tile_url
from livemosaic.client.reader import mosaic_at
from python.conftest import KINDS, Faces

STATUS = {livemosaic.InvalidRequestError: 400, livemosaic.NotFoundError: 404}
WEST, SOUTH, EAST, NORTH = WEB.bounds(X, Y, Z)


@pytest.fixture
def titiler() -> Iterator[TestClient]:
    app = FastAPI()
    app.include_router(TilerFactory(reader=livemosaic.Reader, add_ogc_maps=True).router)
    add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **STATUS})
    with TestClient(app) as client:
        yield client


def pixels(answer: Any) -> Any:
    assert answer.status_code == 200, answer.text
    return np.load(io.BytesIO(answer.content))


@pytest.mark.parametrize("mosaic", ["rgb", "dem", "deep", "signed"])
def test_titilers_tiles_are_ours(
    titiler: TestClient, place: str, faces: Faces, mosaic: str
) -> None:
    for query in ({}, {"bidx": 1}, {"expression": "b1*2"}, {"nodata": 5}):
        url = f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}.npy"
        given = {"url": place + mosaic, "tilesize": 256, **query}
        theirs = pixels(titiler.get(url, params=given))
        ours = faces.server.picture(tile_url(mosaic=mosaic), **query)
        real = np.broadcast_to(ours.valid, ours.data.shape)
        np.testing.assert_array_equal(theirs[:-1][real], ours.data[real])
        np.testing.assert_array_equal(theirs[-1] > 0, ours.valid)


@pytest.fixture(scope="module")
def several(faces: Faces) -> str:
    """A mosaic whose scene has an asset of two bands, and one of three."""
    server = faces.server
    server.create("several", assets=["red", "rgb"], default_assets=["red"])
    files = {
        name: server.url(raster(server.folder / f"{name}.tif", values))
        for name, values in (("red", [1, 2]), ("rgb", [10, 20, 30]))
    }
    server.add(scene("a", files), mosaic="several")
    return "several"


@pytest.mark.parametrize(
    ("query", "values"),
    [
        ({"assets": ["red", "rgb"]}, [1, 2, 10, 20, 30]),
        ({"assets": ["rgb", "red"]}, [10, 20, 30, 1, 2]),
        ({"assets": ["rgb|bidx=3,1"]}, [30, 10]),
        ({"assets": ["red|bidx=2", "rgb|bidx=3,1"]}, [2, 30, 10]),
        ({"assets": ["red", "rgb"], "expression": "red_b1+rgb_b2"}, [21]),
    ],
    ids=str,
)
def test_titiler_chooses_bands_of_several_assets(
    place: str, several: str, query: dict[str, Any], values: list[int]
) -> None:
    app = FastAPI()
    router = TilerFactory(reader=livemosaic.Reader, layer_dependency=AssetsExprParams).router
    app.include_router(router)
    add_exception_handlers(app, {**DEFAULT_STATUS_CODES, **STATUS})
    with TestClient(app) as client:
        asked = {"url": place + several, **query}
        *bands, valid = pixels(client.get(f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}.npy", params=asked))
        assert [np.unique(band).tolist() for band in bands] == [[value] for value in values]
        assert (valid > 0).all()
        wrong = {"url": place + several, "assets": "red|expression=b1*2"}
        answer = client.get(f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}.npy", params=wrong)
        assert answer.status_code == 400 and "name and indexes" in answer.text


@pytest.mark.parametrize(
    ("indexes", "values"), [(1, [1, 10]), ([1, 2], [1, 2, 10, 20]), ([2, 1], [2, 1, 20, 10])]
)
def test_indexes_are_of_each_of_several_assets(
    place: str, several: str, indexes: Any, values: list[int]
) -> None:
    reader = livemosaic.Reader(place + several)
    image = reader.tile(X, Y, Z, tilesize=8, assets=["red", "rgb"], indexes=indexes)
    assert image.array[:, 0, 0].tolist() == values
    with pytest.raises(livemosaic.InvalidRequestError, match="band 3 does not exist: asset 'red'"):
        reader.tile(X, Y, Z, assets=["red", "rgb"], indexes=[3])


def test_titiler_describes_and_measures_it(titiler: TestClient, place: str, faces: Faces) -> None:
    url = {"url": place + "dem"}
    info = titiler.get("/info", params=url).json()
    assert (info["dtype"], info["nodata_type"]) == ("float32", "Nodata")
    assert info["bounds"] == list(faces.index["dem"].bounds())
    told = titiler.get("/WebMercatorQuad/tilejson.json", params=url).json()
    assert (told["minzoom"], told["maxzoom"]) == (0, 22)
    assert told["bounds"] == pytest.approx(info["bounds"])
    lon, lat = (WEST + EAST) / 2, (SOUTH + NORTH) / 2
    point = titiler.get(f"/point/{lon},{lat}", params=url).json()
    assert point["values"] == faces.index["dem"].point(lon, lat).array.tolist()
    box = f"{WEST},{SOUTH},{EAST},{NORTH}"
    part = pixels(titiler.get(f"/bbox/{box}/64x32.npy", params=url))
    image = faces.index["dem"].read((WEST, SOUTH, EAST, NORTH), width=64, height=32)
    np.testing.assert_array_equal(part[0][~image.array.mask[0]], image.array.compressed())
    ring = [[WEST, SOUTH], [EAST, SOUTH], [WEST, NORTH], [WEST, SOUTH]]
    geometry = {"type": "Polygon", "coordinates": [ring]}
    feature = {"type": "Feature", "properties": {}, "geometry": geometry}
    cut = pixels(titiler.post("/feature/64x32.npy", params=url, json=feature))
    assert 0 < (cut[-1] > 0).sum() < (part[-1] > 0).sum()
    assert pixels(titiler.get("/preview.npy", params=url)).shape[1] <= 1024
    found = titiler.get("/statistics", params=url).json()
    assert found["b1"]["min"] == faces.index["dem"].statistics(info["bounds"])["b1"].min
    assert titiler.get("/map", params={**url, "f": "tif"}).status_code == 200


def test_errors_have_the_status_that_they_deserve(titiler: TestClient, place: str) -> None:
    tile = f"/tiles/WebMercatorQuad/{Z}/{X}/{Y}.npy"
    for url, path, status, detail in [
        (place + "rgb", f"/tiles/WebMercatorQuad/{Z}/0/0", 404, "outside"),
        (place + "none", tile, 404, "'none'"),
        (place + "rgb", tile, 400, "band 9"),
        ("nonsense", tile, 400, "'nonsense' is no mosaic"),
        ("sqlite:////no/such/file.db#m", tile, 404, "no index"),
    ]:
        answer = titiler.get(path, params={"url": url, "bidx": 9})
        assert answer.status_code == status and detail in answer.text, (url, path, answer.text)


def test_any_matrix_set_may_be_read_with_a_rule(place: str, faces: Faces) -> None:
    own = pyproj.CRS(3035)
    tms = morecantile.TileMatrixSet.custom([2e6, 1e6, 6e6, 5e6], own, id="Own")
    to_own = pyproj.Transformer.from_crs(4326, own, always_xy=True)
    x, y = to_own.transform((WEST + EAST) / 2, (SOUTH + NORTH) / 2)
    with livemosaic.Reader(place + "dem", tms=tms, parameters={"sortby": "datetime"}) as reader:
        step = 4e6 / 2**6
        tile = morecantile.Tile(int((x - 2e6) / step), int((5e6 - y) / step), 6)
        image = reader.tile(tile.x, tile.y, tile.z, tilesize=512)
        assert (image.height, image.width) == (512, 512) and image.array.count()
        newest = reader.tile(tile.x, tile.y, tile.z, tilesize=512, sortby="-datetime")
        assert image.assets == newest.assets[::-1]
        with pytest.raises(TileOutsideBounds):
            reader.tile(0, 0, 8)


def test_a_tile_with_a_buffer_is_that_of_the_api(place: str, faces: Faces) -> None:
    expected = faces.index["rgb"].tile(X, Y, Z, buffer=4)
    image = livemosaic.Reader(place + "rgb").tile(X, Y, Z, buffer=4, padding=8)
    np.testing.assert_array_equal(image.array.data, expected.array.data)
    assert image.array.shape == (KINDS["rgb"][0], 264, 264)


def test_readers_share_a_connection(place: str) -> None:
    assert mosaic_at(place + "rgb")._target is mosaic_at(place + "dem")._target
