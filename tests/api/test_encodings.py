"""Nodata, scale and offset that stand only in the STAC Item count; the file's own outrank them."""

import io
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio

from api.served import LEFT, SIZE, WEB, WHOLE, Server, X, Y, Z, raster, scene, serving, tile_url
from items import NOW
from livemosaic.ingest.item import StacItem
from livemosaic.model.order import Order
from livemosaic.table.sqlite import SqliteTable

HALF = SIZE // 2


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path) -> Iterator[Server]:
    with serving(sqlite_table, folder) as made:
        made.create()
        yield made


def halves(left: Any, right: Any, dtype: str = "int16", bands: int = 1) -> Any:
    """Bands whose left half has one value, and whose right half has another."""
    data = np.empty((bands, SIZE, SIZE), dtype)
    data[:, :, :HALF] = np.asarray(left, dtype).reshape(-1, 1, 1)
    data[:, :, HALF:] = np.asarray(right, dtype).reshape(-1, 1, 1)
    return data


def publish(
    server: Server, values: Any, stated: dict[str, Any], name: str = "a", **file: Any
) -> None:
    path = raster(server.folder / f"{name}.tif", values, **file)
    add(server, path, stated, name)


def add(server: Server, path: Path, stated: dict[str, Any], name: str = "a") -> None:
    document = scene(name, server.url(path))
    document["assets"]["visual"] |= stated
    server.add(document)


PLACES = [
    pytest.param({"nodata": -99}, id="asset"),
    pytest.param({"bands": [{"nodata": -99}]}, id="bands"),
    pytest.param({"raster:bands": [{"nodata": -99}]}, id="raster:bands"),
]


@pytest.mark.parametrize("stated", PLACES)
def test_nodata_of_the_item_is_not_drawn(server: Server, stated: dict[str, Any]) -> None:
    publish(server, halves(-99, 5), stated)
    picture = server.picture()
    assert picture.at(0) is None
    assert picture.at(HALF) == [5]


def test_another_scene_shows_through_it(server: Server) -> None:
    publish(server, halves(7, 7), {}, "below")
    path = raster(server.folder / "above.tif", halves(-99, 5))
    document = scene("above", server.url(path), day=2)
    document["assets"]["visual"]["nodata"] = -99
    server.add(document)
    picture = server.picture()
    assert picture.at(0) == [7]
    assert picture.at(HALF) == [5]


@pytest.mark.parametrize(
    ("values", "nodata", "dtype"),
    [
        pytest.param(2**53 + 1, 2**53 + 1, "int64", id="int64"),
        pytest.param(-(2**63), -(2**63), "int64", id="least int64"),
        pytest.param(2**64 - 1, 2**64 - 1, "uint64", id="uint64"),
        pytest.param(np.inf, "inf", "float32", id="inf"),
        pytest.param(-np.inf, "-inf", "float64", id="-inf"),
        pytest.param(np.nan, "nan", "float32", id="nan"),
        pytest.param(-3.4028234663852886e38, -3.4028234663852886e38, "float32", id="float32"),
    ],
)
def test_every_kind_of_number_is_nodata(
    server: Server, values: Any, nodata: Any, dtype: str
) -> None:
    publish(server, halves(values, 5, dtype), {"nodata": nodata})
    picture = server.picture()
    assert picture.at(0) is None
    assert picture.at(HALF) == [5]


def test_a_64_bit_number_beside_nodata_is_data(server: Server) -> None:
    publish(server, halves(2**53, 2**53 + 1, "int64"), {"nodata": 2**53 + 1})
    picture = server.picture()
    assert picture.at(0) == [2**53]
    assert picture.at(HALF) is None


def test_bands_have_their_own_nodata(server: Server) -> None:
    """A pixel has no data where all of its bands have none, as in GDAL."""
    stated = {"bands": [{"nodata": 1}, {"nodata": 2}]}
    publish(server, halves([1, 2], [2, 1], bands=2), stated)
    picture = server.picture()
    assert picture.at(0) is None
    assert picture.at(HALF) == [2, 1]
    second = server.picture(bidx=2)
    assert second.at(0) is None
    assert second.at(HALF) == [1]


def test_a_band_that_states_none_has_none(server: Server) -> None:
    stated = {"raster:bands": [{"nodata": 1}, {}]}
    publish(server, halves([1, 1], [2, 2], bands=2), stated)
    assert server.picture().at(0) == [1, 1]
    assert server.picture(bidx=1).at(0) is None


class TestTheFileOutranksTheItem:
    def test_nodata(self, server: Server) -> None:
        publish(server, halves(-99, 5), {"nodata": 5}, nodata=-99)
        picture = server.picture()
        assert picture.at(0) is None
        assert picture.at(HALF) == [5]

    def test_mask(self, server: Server) -> None:
        mask = np.zeros((SIZE, SIZE), np.bool_)
        mask[:, HALF:] = True
        publish(server, halves(7, 5), {"nodata": 5}, mask=mask)
        picture = server.picture()
        assert picture.at(0) is None
        assert picture.at(HALF) == [5]

    def test_alpha(self, server: Server) -> None:
        publish(server, halves([5, 0], [5, 255], "uint8", 2), {"nodata": 5}, alpha=True)
        picture = server.picture()
        assert picture.at(0) is None
        assert picture.at(HALF) == [5]

    def test_scale_and_offset_together(self, server: Server) -> None:
        stated = {"raster:scale": 100, "raster:offset": 3}
        publish(server, halves(10, 20), stated, scales=[0.5])
        assert server.picture(unscale=True).at(0) == [5]

    def test_the_request_outranks_both(self, server: Server) -> None:
        publish(server, halves(-99, 5), {"nodata": -99})
        picture = server.picture(nodata=5)
        assert picture.at(0) == [-99]
        assert picture.at(HALF) is None


@pytest.mark.parametrize(
    "stated",
    [
        pytest.param({"raster:bands": [{"scale": 0.5, "offset": 3}]}, id="raster:bands"),
        pytest.param({"bands": [{"raster:scale": 0.5, "raster:offset": 3}]}, id="bands"),
        pytest.param({"raster:scale": 0.5, "raster:offset": 3}, id="asset"),
    ],
)
def test_scale_and_offset_of_the_item_are_applied(server: Server, stated: dict[str, Any]) -> None:
    publish(server, halves(10, 20), stated)
    picture = server.picture(unscale=True)
    assert picture.data.dtype == np.float32
    assert picture.at(0) == [8]
    assert picture.at(HALF) == [13]
    assert server.picture().at(0) == [10]


def test_each_asset_has_its_own(server: Server) -> None:
    left = raster(server.folder / "l.tif", halves(-99, 4))
    right = raster(server.folder / "r.tif", halves(4, -1))
    document = scene("a", {"left": server.url(left), "right": server.url(right)})
    document["assets"]["left"]["nodata"] = -99
    document["assets"]["right"] |= {"nodata": -1, "raster:scale": 0.5}
    server.add(document)
    assert server.picture(assets="left").at(0) is None
    assert server.picture(assets="left").at(HALF) == [4]
    assert server.picture(assets="right", unscale=True).at(0) == [2]
    assert server.picture(assets="right").at(HALF) is None


def test_an_asset_that_is_named_by_its_file_has_its_encoding(server: Server) -> None:
    publish(server, halves(-99, 4), {"nodata": -99})
    assert server.picture(assets="a.tif").at(0) is None


class TestEveryRoute:
    @pytest.fixture(autouse=True)
    def halved(self, server: Server) -> None:
        stated = {"nodata": -99, "raster:scale": 0.5, "raster:offset": 3}
        publish(server, halves(-99, 10), stated)

    def edges(self) -> tuple[float, float, float, float]:
        return tuple(WEB.bounds(morecantile.Tile(X, Y, Z)))  # type: ignore[return-value]

    def test_point(self, server: Server) -> None:
        west, south, east, north = self.edges()
        lat = (south + north) / 2
        right = server.get(f"/mosaics/m/point/{west + 0.7 * (east - west)},{lat}", unscale=True)
        assert right.json()["values"] == [8]
        left = server.get(f"/mosaics/m/point/{west + 0.25 * (east - west)},{lat}")
        assert left.json()["values"] == [None]

    def test_statistics(self, server: Server) -> None:
        west, south, east, north = self.edges()
        ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
        feature = {
            "type": "Feature",
            "properties": {},
            "geometry": {"type": "Polygon", "coordinates": [ring]},
        }
        answer = server.client.post("/mosaics/m/statistics?unscale=true", json=feature)
        assert answer.status_code == 200, answer.text
        [band] = answer.json()["properties"]["statistics"].values()
        assert (band["min"], band["max"]) == (8, 8)
        assert band["valid_percent"] == pytest.approx(50, abs=1)

    def test_crop(self, server: Server) -> None:
        bounds = ",".join(map(str, self.edges()))
        answer = server.get(f"/mosaics/m/bbox/{bounds}/64x64.tif")
        assert answer.status_code == 200, answer.text
        with rasterio.open(io.BytesIO(answer.content)) as made:
            assert made.read(1, masked=True).compressed().min() == 10
            assert made.dataset_mask().mean() == pytest.approx(127.5, abs=5)


def test_two_items_that_share_a_file_are_not_mixed(server: Server) -> None:
    path = raster(server.folder / "shared.tif", halves(1, 2))
    server.create("other")
    for mosaic, nodata in (("m", 1), ("other", 2)):
        document = scene("a", server.url(path))
        document["assets"]["visual"]["nodata"] = nodata
        document["properties"]["updated"] = "2026-01-01T00:00:00Z"
        server.add(document, mosaic=mosaic)
    for _ in range(2):
        assert server.picture().at(0) is None
        assert server.picture().at(HALF) == [2]
        assert server.picture(tile_url(mosaic="other")).at(0) == [1]
        assert server.picture(tile_url(mosaic="other")).at(HALF) is None


def test_a_corrected_nodata_is_another_image(server: Server) -> None:
    path = raster(server.folder / "a.tif", halves(1, 2))
    add(server, path, {"nodata": 1})
    before = server.tile(".tif")
    add(server, path, {"nodata": 2})
    after = server.get(f"{tile_url()}.tif")
    assert after.headers["ETag"] != before.headers["ETag"]
    again = server.client.get(
        f"{tile_url()}.tif", headers={"If-None-Match": before.headers["ETag"]}
    )
    assert again.status_code == 200
    assert server.picture().at(HALF) is None


def test_a_scene_of_an_earlier_release_is_completed_when_its_item_comes_again(
    server: Server,
) -> None:
    """Its rows state nothing, under the content that the Item has."""
    mosaic = server.services.mosaics.get("m")
    index = server.services.index
    path = raster(server.folder / "a.tif", halves(1, 2))
    document = scene("a", server.url(path), updated="2026-01-01T00:00:00Z")
    document["assets"]["visual"]["nodata"] = 1
    item = StacItem.parse(document, order=Order(NOW))
    made = item.scene(mosaic, server.services.ingest.allow)
    assert index.apply(mosaic, replace(made, encodings="")).change == "applied"
    before = server.tile(".tif")
    assert server.picture().at(0) == [1]

    server.add(document)
    stored = index.scene(mosaic, made.key)
    assert stored == replace(made, version=stored.version)
    after = server.client.get(
        f"{tile_url()}.tif", headers={"If-None-Match": before.headers["ETag"]}
    )
    assert after.status_code == 200
    assert server.picture().at(0) is None


def test_a_value_that_cannot_be_used_is_reported(server: Server, folder: Path) -> None:
    path = raster(folder / "a.tif", 1, LEFT)
    document = scene("a", server.url(path), WHOLE)
    document["assets"]["visual"]["nodata"] = "none"
    answer = server.post(document)
    assert answer.status_code == 200
    assert "nodata 'none' of asset 'visual'" in answer.text
