"""Allowed fields: which kept properties of scenes clients are given, wherever scenes are listed."""

import json

import pytest

from api.served import AUTHORIZED, Server, raster, scene

SECRET = "hidden-value"
KEPT = {"eo:cloud_cover": 7, "secret": SECRET, "MinPS": 1}
BOX = "7.8,45.6,7.9,45.7"
AT = '{"x":7.85,"y":45.65,"spatialReference":{"wkid":4326}}'
SERVICE = "/arcgis/rest/services/m/ImageServer"


@pytest.fixture
def cloudy(server: Server) -> Server:
    server.client.delete("/mosaics/m", headers=AUTHORIZED)
    server.create("m", properties=[*KEPT])
    path = server.url(raster(server.folder / "a.tif", 7))
    server.add(scene("a", {"visual": path}, properties=KEPT))
    return server


def allow(server: Server, *fields: str, **rules: object) -> None:
    patch = {"rules": {"fields": fields, **rules}, "overviews": None}
    answer = server.client.patch("/mosaics/m", json=patch, headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text


PLACES = [
    *("/mosaics/m/items", f"/mosaics/m/items?bbox={BOX}", "/mosaics/m/items/a?collection=s2"),
    *("/search?collections=m", "/collections/m/items", "/collections/m/items/a"),
    *(f"{SERVICE}/query?outFields=*&f={f}" for f in ("json", "geojson")),
    f"{SERVICE}/identify?geometry={AT}&geometryType=esriGeometryPoint&f=json",
]


@pytest.mark.parametrize("url", PLACES)
def test_lists_of_scenes_have_allowed_fields_alone(cloudy: Server, url: str) -> None:
    before = cloudy.get(url)
    assert before.status_code == 200
    assert SECRET in before.text
    assert "MinPS" in before.text
    allow(cloudy, "eo:cloud_cover")
    text = cloudy.get(url).text
    assert SECRET not in text
    assert "MinPS" not in text
    assert "cloud_cover" in text


def test_what_the_service_needs_itself_goes_on_to_count(cloudy: Server) -> None:
    """A scene shows at its scales, though clients are not given them."""
    allow(cloudy, "eo:cloud_cover", scale={"min": "MinPS"})
    assert cloudy.picture().at(9) == [7]
    allow(cloudy, "eo:cloud_cover", scale={"max": "MinPS"})
    assert cloudy.picture().at(9) is None


def test_the_order_of_a_mosaic_is_always_told(server: Server) -> None:
    server.create("o", properties=["eo:cloud_cover", "secret"], sortby="eo:cloud_cover")
    path = server.url(raster(server.folder / "a.tif", 7))
    server.add(scene("a", {"visual": path}, properties=KEPT), mosaic="o")
    patch = {"rules": {"fields": ["datetime"]}}
    server.client.patch("/mosaics/o", json=patch, headers=AUTHORIZED).raise_for_status()
    (found,) = server.get("/mosaics/o/items").json()["features"]
    assert found["properties"]["eo:cloud_cover"] == 7
    assert found["properties"]["datetime"] == "2026-01-01T00:00:00Z"
    assert "secret" not in found["properties"]


def test_a_derived_mosaic_has_its_own(cloudy: Server) -> None:
    cloudy.create("d", sources=[{"mosaic": "m"}], rules={"fields": ["MinPS"]})
    (found,) = cloudy.get("/mosaics/d/items").json()["features"]
    assert found["properties"]["MinPS"] == 1
    assert SECRET not in json.dumps(found)
