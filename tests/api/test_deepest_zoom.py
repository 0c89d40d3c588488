"""The deepest zoom of a mosaic, from the pixels of its scenes as Items state them."""

import re
from typing import Any

import pytest

from api.served import AUTHORIZED, LEFT, Server, raster, scene
from items import box, item
from livemosaic.index.registry.mosaic import from_item, to_item
from livemosaic.model.mosaic import Mosaic

TILEJSON = "/mosaics/{}/tiles/WebMercatorQuad/tilejson.json"
UTM = {"proj:code": "EPSG:32632", "proj:shape": [2, 2]}
GROUND_14 = 6.65
"""Metres of a pixel of zoom 14 at 45.9 degrees, about."""


def add(server: Server, name: str, mosaic: str = "m", **stated: Any) -> None:
    """Put a scene in whose Item states something in its properties."""
    path = server.url(raster(server.folder / f"{name}.tif", 7))
    server.add(scene(name, {"visual": path}, properties=stated), mosaic=mosaic)


def about(server: Server, mosaic: str = "m") -> dict[str, Any]:
    found: dict[str, Any] = server.get(f"/mosaics/{mosaic}").json()
    return found


def deepest(server: Server, mosaic: str = "m") -> int:
    found: int = server.get(TILEJSON.format(mosaic)).json()["maxzoom"]
    assert found == about(server, mosaic)["deepest_zoom"]
    return found


@pytest.mark.parametrize(
    ("stated", "zoom"),
    [
        ({"gsd": GROUND_14}, 14),
        ({"gsd": GROUND_14 * 1.2}, 14),
        ({"gsd": GROUND_14 * 2.2}, 13),
        ({"proj:transform": [GROUND_14, 0, 0, 0, -GROUND_14, 0], **UTM}, 14),
        ({"proj:transform": [0, GROUND_14, 0, GROUND_14, 0, 0], **UTM}, 14),
        ({"proj:transform": [GROUND_14, 0, 0, 0, -GROUND_14, 0, 0, 0, 1], **UTM, "gsd": 99}, 14),
        ({"proj:transform": [9.554628535647032, 0, 0, 0, -9.6, 0], "proj:epsg": 3857}, 14),
        ({"proj:transform": [8.583e-5, 0, 0, 0, -8.583e-5, 0], "proj:code": "EPSG:4326"}, 14),
        ({"proj:transform": [GROUND_14, 0, 0, 0, -GROUND_14, 0], "gsd": GROUND_14}, 14),
        ({"gsd": 1e-6}, 24),
        ({"gsd": 1e9}, 0),
        *(({"gsd": value}, 22) for value in (0, -1, "10", None, 10**400, [1])),
        *(
            ({"proj:transform": value, **UTM}, 22)
            for value in ([], [1], [0] * 6, ["1"] * 6, "x" * 6, [10**400, 0, 0, 0, 1, 0], {"a": 1})
        ),
        ({"proj:transform": [1, 0, 0, 0, -1, 0], "proj:code": "EPSG:1"}, 22),
        ({}, 22),
    ],
    ids=str,
)
def test_it_is_the_first_whose_pixels_are_as_fine(
    server: Server, stated: dict[str, Any], zoom: int
) -> None:
    add(server, "a", **stated)
    assert deepest(server) == zoom


def test_without_scenes_it_is_22(server: Server) -> None:
    assert deepest(server) == 22


def test_the_finest_asset_that_is_kept_decides(server: Server) -> None:
    url = server.url(raster(server.folder / "a.tif", 7))
    item = scene("a", {"fine": url, "coarse": url})
    item["assets"]["fine"]["raster:bands"] = [{"spatial_resolution": GROUND_14}]
    item["assets"]["coarse"]["gsd"] = 99
    server.create("all")
    server.create("coarse", assets=["coarse"])
    for mosaic in ("all", "coarse"):
        server.add(item, mosaic=mosaic)
    assert deepest(server, "all") == 14
    assert deepest(server, "coarse") == 11


def test_it_only_grows_and_an_equal_scene_writes_nothing(any_server: Server) -> None:
    add(any_server, "a", gsd=GROUND_14)
    before = about(any_server)["revision"]
    add(any_server, "b", gsd=GROUND_14)
    add(any_server, "c", gsd=99)
    assert about(any_server)["revision"] == before
    assert deepest(any_server) == 14
    add(any_server, "d", gsd=GROUND_14 / 4)
    assert about(any_server)["revision"] == before + 1
    assert deepest(any_server) == 16
    answer = any_server.client.delete("/mosaics/m/items/d?collection=s2", headers=AUTHORIZED)
    assert answer.status_code == 204
    assert deepest(any_server) == 16
    add(any_server, "e")
    assert deepest(any_server) == 22


def patch(server: Server, **settings: Any) -> None:
    answer = server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)
    assert answer.status_code == 200, answer.text


def test_a_setting_goes_before(server: Server) -> None:
    add(server, "a", gsd=GROUND_14)
    patch(server, maxzoom=9)
    assert (about(server)["maxzoom"], deepest(server)) == (9, 9)
    patch(server, maxzoom=None)
    assert (about(server)["maxzoom"], deepest(server)) == (None, 14)


def test_it_is_never_above_minzoom(server: Server) -> None:
    server.create("deep", minzoom=12)
    add(server, "a", mosaic="deep", gsd=1e5)
    assert deepest(server, "deep") == 12


def test_tiles_beyond_it_are_drawn(server: Server) -> None:
    add(server, "a", gsd=500)
    assert deepest(server) == 8
    assert server.picture().at(9) == [7]


def test_services_of_maps_go_on_beyond_it(server: Server) -> None:
    """Clients of WMTS enlarge the last tiles; those of WMS and of ArcGIS would show nothing."""
    add(server, "a", gsd=GROUND_14)
    wmts = server.get("/mosaics/m/WMTSCapabilities.xml", tms="WebMercatorQuad").text
    assert max(map(int, re.findall(r"<ows:Identifier>(\d+)</ows:Identifier>", wmts))) == 14
    wms = server.get("/mosaics/m/wms", SERVICE="WMS", REQUEST="GetCapabilities").text
    (scale,) = re.findall("<MinScaleDenominator>([^<]+)<", wms)
    assert float(scale) == pytest.approx(559082264.0287178 / 2**22)
    service = server.get("/arcgis/rest/services/m/ImageServer", f="json").json()
    assert service["tileInfo"]["lods"][-1]["level"] == 22


def test_services_of_maps_reach_the_pixels_of_finer_scenes(server: Server) -> None:
    add(server, "a", gsd=0.006)
    assert deepest(server) == 24
    wms = server.get("/mosaics/m/wms", SERVICE="WMS", REQUEST="GetCapabilities").text
    (scale,) = re.findall("<MinScaleDenominator>([^<]+)<", wms)
    assert float(scale) == pytest.approx(559082264.0287178 / 2**24)
    service = server.get("/arcgis/rest/services/m/ImageServer", f="json").json()
    assert service["tileInfo"]["lods"][-1]["level"] == 24


def test_it_is_no_zoom_that_a_matrix_set_lacks(server: Server) -> None:
    server.create("nz", tms="NZTM2000Quad")
    for name, stated in (("a", {}), ("b", {"gsd": 0.006})):
        fine = item(name, box(174, -41, 175, -40), href=f"{server.href}/a.tif", properties=stated)
        server.add(fine, mosaic="nz")
        tiles = server.get("/mosaics/nz/tiles/NZTM2000Quad/tilejson.json").json()
        assert about(server, "nz")["deepest_zoom"] == tiles["maxzoom"] == 21


def test_a_derived_mosaic_has_that_of_its_sources(server: Server) -> None:
    server.create("fine")
    add(server, "a", gsd=GROUND_14)
    add(server, "b", mosaic="fine", gsd=GROUND_14 / 16)
    server.create("both", sources=[{"mosaic": "m"}, {"mosaic": "fine"}])
    assert deepest(server, "both") == 18
    cut = [{"mosaic": "m"}, {"mosaic": "fine", "maxzoom": 15, "z_order": 1}]
    server.create("cut", sources=cut)
    assert deepest(server, "cut") == 15
    server.create("set", sources=cut, maxzoom=9)
    assert deepest(server, "set") == 9
    add(server, "c", gsd=GROUND_14 / 64)
    assert deepest(server, "both") == 20


def test_a_mosaic_of_an_earlier_release_stays_as_it_is(server: Server) -> None:
    """It has a maxzoom, and nobody knows how fine its scenes are."""
    server.publish("a", 7, LEFT)
    row = to_item(server.services.mosaics.get("m")) | {"maxzoom": 22}
    del row["native_zoom"]
    assert from_item(row).deepest_zoom == 22
    del row["maxzoom"]
    assert from_item(row).deepest_zoom == 22
    assert from_item(to_item(Mosaic(id="m"))) == Mosaic(id="m")
