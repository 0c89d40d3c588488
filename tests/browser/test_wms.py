"""OpenLayers, Leaflet and Cesium draw a mosaic by its WMS, in a real browser."""

import pytest
from playwright.sync_api import Browser

from browser.conftest import Site
from browser.npm import BLUE, CESIUM, OL, RED, drawn, red_and_blue

SCRIPTS = {
    "ol image": f"""const source = new ol.source.ImageWMS({{
        url, params: {{ LAYERS: mosaic }}, ratio: 1 }});
      const layer = new ol.layer.Image({{ source }});
      {OL}""",
    "ol tiles": f"""const source = new ol.source.TileWMS({{
        url, params: {{ LAYERS: mosaic, VERSION }} }});
      const layer = new ol.layer.Tile({{ source }});
      {OL}""",
    "leaflet": """const crs = PROJECTION === "EPSG:4326" ? L.CRS.EPSG4326 : L.CRS.EPSG3857;
      const map = L.map("map", { crs, fadeAnimation: false }).setView([45.5, 8], 8);
      L.tileLayer.wms(url, { layers: mosaic, format: "image/png", transparent: true,
        version: VERSION }).on("load", () => { window.done = true; }).addTo(map);""",
    "cesium": f"""const provider = new Cesium.WebMapServiceImageryProvider({{
        url, layers: mosaic, parameters: {{ format: "image/png", transparent: true }} }});
      {CESIUM}""",
}


@pytest.fixture(scope="module")
def mosaic(site: Site) -> str:
    return red_and_blue(site)


@pytest.mark.parametrize(
    ("client", "projection", "version"),
    [
        ("ol image", "EPSG:3857", "1.3.0"),
        ("ol image", "EPSG:4326", "1.3.0"),
        ("ol tiles", "EPSG:3857", "1.1.1"),
        ("ol tiles", "EPSG:4326", "1.3.0"),
        ("leaflet", "EPSG:3857", "1.1.1"),
        ("leaflet", "EPSG:3857", "1.3.0"),
        ("leaflet", "EPSG:4326", "1.3.0"),
        ("cesium", "", "1.1.1"),
    ],
)
def test_a_client_draws_the_mosaic_and_no_request_fails(
    browser: Browser, site: Site, mosaic: str, client: str, projection: str, version: str
) -> None:
    script = f"""
      const mosaic = "{mosaic}", url = location.origin + "/mosaics/{mosaic}/wms";
      const PROJECTION = "{projection}", VERSION = "{version}";
      {SCRIPTS[client]}"""
    with drawn(browser, site, client.split()[0], script) as found:
        found.shows(240, 200, RED)
        found.shows(360, 200, BLUE)
    maps = [each for each in found.responses if "/wms?" in each.url]
    assert maps
    assert {each.headers["content-type"].split("/")[0] for each in maps} == {"image"}
