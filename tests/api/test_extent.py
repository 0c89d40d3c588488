"""A fixed extent: what descriptions name as bounds, whatever scenes there are."""

import re
from typing import Any

import pytest

from api.served import AUTHORIZED, Server

EXTENT = [5.0, 44.0, 11.0, 48.0]


def patch(server: Server, status: int = 200, **settings: Any) -> Any:
    answer = server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)
    assert answer.status_code == status, answer.text
    return answer.json()


def bounds(server: Server) -> Any:
    return server.get("/mosaics/m/bounds").json()["bounds"]


@pytest.fixture
def fixed(server: Server) -> Server:
    server.publish("a", 7)
    patch(server, extent=EXTENT)
    return server


def test_descriptions_name_it(fixed: Server) -> None:
    assert bounds(fixed) == EXTENT
    found = fixed.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json").json()
    assert found["bounds"] == EXTENT
    assert fixed.get("/mosaics/m/info.geojson").json()["bbox"] == EXTENT
    wmts = fixed.get("/mosaics/m/WMTSCapabilities.xml").text
    assert re.findall(r"<ows:LowerCorner>5(?:\.0)? 44(?:\.0)?<", wmts)
    wms = fixed.get("/mosaics/m/wms", SERVICE="WMS", REQUEST="GetCapabilities").text
    assert "<westBoundLongitude>5" in wms
    stac = fixed.get("/collections/m").json()
    assert stac["extent"]["spatial"]["bbox"] == [EXTENT]
    image = fixed.get("/mosaics/m/map", width=60)
    assert image.headers["Content-Bbox"] == "5.0,44.0,11.0,48.0"
    service = fixed.get("/arcgis/rest/services/m/ImageServer", f="json").json()["extent"]
    assert service["xmin"] == pytest.approx(5 * 111319.4908)
    limits = fixed.get("/mosaics/m/tiles/WebMercatorQuad").json()["tileMatrixSetLimits"]
    at_8 = next(each for each in limits if each["tileMatrix"] == "8")
    assert (at_8["minTileCol"], at_8["maxTileCol"]) == (131, 135)


def test_it_stays_when_scenes_come_and_go(fixed: Server) -> None:
    scenes = fixed.get("/mosaics/m").json()["bounds"]
    assert scenes != EXTENT
    fixed.client.delete("/mosaics/m/items/a?collection=s2", headers=AUTHORIZED).raise_for_status()
    assert bounds(fixed) == EXTENT
    patch(fixed, extent=None)
    assert bounds(fixed) == pytest.approx(scenes)


def test_it_limits_no_image(fixed: Server) -> None:
    before = fixed.tile(".png")
    patch(fixed, extent=[100, 0, 101, 1])
    after = fixed.tile(".png")
    assert after.content == before.content
    assert after.headers["ETag"] == before.headers["ETag"]


def test_an_empty_mosaic_has_it_too(server: Server) -> None:
    patch(server, extent=EXTENT)
    assert bounds(server) == EXTENT


def test_it_may_cross_the_antimeridian(server: Server) -> None:
    patch(server, extent=[170, -20, -170, -10])
    assert bounds(server) == [170, -20, -170, -10]
    found = server.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json").json()
    assert found["bounds"] == [-180, -20, 180, -10]


def test_text_is_read_as_numbers(server: Server) -> None:
    assert patch(server, extent="5,44,11,48")["extent"] == EXTENT


@pytest.mark.parametrize(
    "extent",
    [
        "1,2,3",
        "a,b,c,d",
        [5, 48, 11, 44],
        [5, 44, 5, 48],
        [-181, 0, 0, 1],
        [180, 0, -180, 1],
        "nan,0,1,1",
        {},
        7,
    ],
    ids=str,
)
def test_others_are_refused(server: Server, extent: Any) -> None:
    assert "extent" in patch(server, 400, extent=extent)["detail"]


def test_a_derived_mosaic_has_its_own(fixed: Server) -> None:
    fixed.create("d", sources=[{"mosaic": "m"}])
    found = fixed.get("/mosaics/d/bounds").json()["bounds"]
    assert found == pytest.approx(fixed.get("/mosaics/m").json()["bounds"])
    fixed.create("e", sources=[{"mosaic": "m"}], extent="0,0,1,1")
    assert fixed.get("/mosaics/e/bounds").json()["bounds"] == [0, 0, 1, 1]


def test_one_beyond_the_tile_matrix_set_is_refused(fixed: Server) -> None:
    detail = patch(fixed, 400, extent=[0, 86, 1, 90])["detail"]
    assert detail == "extent 0.0,86.0,1.0,90.0 lies outside WebMercatorQuad"
    patch(fixed, extent=[0, 80, 1, 90])
