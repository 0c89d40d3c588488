"""OpenLayers, Leaflet and Cesium draw a mosaic by its WMS, in a real browser.

Their packages are in `node_modules` where `npm install --no-save ol leaflet cesium` put them, or in
the folder that `LIVEMOSAIC_TEST_NPM` names.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
from playwright.sync_api import Browser, Page
from rasterio.io import MemoryFile

from browser.conftest import TIMEOUT_S, Color, Site
from browser.npm import packages, served

RED, BLUE = (220, 30, 40), (30, 40, 220)
WEST, EAST = (7.0, 45.0, 8.0, 46.0), (8.0, 45.0, 9.0, 46.0)

_OL = """<link rel="stylesheet" href="/npm/ol/ol.css">
        <script src="/npm/ol/dist/ol.js"></script>"""
PAGES = {
    "ol image": (
        "ol",
        _OL,
        """const source = new ol.source.ImageWMS({ url, params: { LAYERS: mosaic }, ratio: 1 });
        const layers = [new ol.layer.Image({ source })];
        new ol.Map({ target: "map", layers, view: new ol.View({ center: CENTER, zoom: 8,
          projection: PROJECTION }) }).once("rendercomplete", () => { window.done = true; });""",
    ),
    "ol tiles": (
        "ol",
        _OL,
        """const source = new ol.source.TileWMS({ url, params: { LAYERS: mosaic, VERSION } });
        const layers = [new ol.layer.Tile({ source })];
        new ol.Map({ target: "map", layers, view: new ol.View({ center: CENTER, zoom: 8,
          projection: PROJECTION }) }).once("rendercomplete", () => { window.done = true; });""",
    ),
    "leaflet": (
        "leaflet",
        """<link rel="stylesheet" href="/npm/leaflet/dist/leaflet.css">
        <script src="/npm/leaflet/dist/leaflet.js"></script>""",
        """const crs = PROJECTION === "EPSG:4326" ? L.CRS.EPSG4326 : L.CRS.EPSG3857;
        const map = L.map("map", { crs, fadeAnimation: false }).setView([45.5, 8], 8);
        L.tileLayer.wms(url, { layers: mosaic, format: "image/png", transparent: true,
          version: VERSION }).on("load", () => { window.done = true; }).addTo(map);""",
    ),
    "cesium": (
        "cesium",
        """<link rel="stylesheet" href="/npm/cesium/Build/Cesium/Widgets/widgets.css">
        <script src="/npm/cesium/Build/Cesium/Cesium.js"></script>""",
        """window.CESIUM_BASE_URL = "/npm/cesium/Build/Cesium/";
        const provider = new Cesium.WebMapServiceImageryProvider({ url, layers: mosaic,
          parameters: { format: "image/png", transparent: true } });
        const viewer = new Cesium.CesiumWidget("map", {
          baseLayer: new Cesium.ImageryLayer(provider), skyBox: false, skyAtmosphere: false });
        viewer.scene.globe.showGroundAtmosphere = false;
        viewer.camera.setView({
          destination: Cesium.Rectangle.fromDegrees(7.2, 45.2, 8.8, 45.8) });
        viewer.scene.globe.tileLoadProgressEvent.addEventListener(left => {
          if (left === 0) setTimeout(() => { window.done = true; }, 500); });""",
    ),
}
"""Package, head and script by client."""


@contextmanager
def page_of(site: Site, client: str, mosaic: str, projection: str, version: str) -> Iterator[str]:
    """The URL of a page with a map of a client, beside the API and the client's package."""
    package, head, script = PAGES[client]
    if not (packages() / package).exists():
        pytest.skip(f"{package} is not installed (npm install --no-save {package})")
    centre = "ol.proj.fromLonLat([8, 45.5], PROJECTION)"
    html = f"""<!doctype html><html><head><meta charset="utf-8">{head}
      <style>html, body, #map {{ margin: 0; height: 100%; background: white }}</style></head>
      <body><div id="map"></div><script>
      const mosaic = "{mosaic}", url = location.origin + "/mosaics/{mosaic}/wms";
      const PROJECTION = "{projection}", VERSION = "{version}";
      {script.replace("CENTER", centre)}
      </script></body></html>"""
    with served(site, html) as url:
        yield url


def color_at(page: Page, x: int, y: int) -> Color:
    """The colour of a pixel of the window."""
    clip = {"x": x, "y": y, "width": 1, "height": 1}
    with MemoryFile(page.screenshot(clip=clip)) as file, file.open() as image:
        red, green, blue = image.read((1, 2, 3))[:, 0, 0].tolist()
    return red, green, blue


def shows(page: Page, x: int, y: int, color: Color) -> None:
    for _ in range(100):
        found = color_at(page, x, y)
        if max(abs(a - b) for a, b in zip(found, color, strict=True)) < 12:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{found} at {x}, {y} is not {color}")


@pytest.fixture
def colored(site: Site) -> str:
    """A mosaic that is red in the west and blue in the east."""
    mosaic = site.mosaic()
    site.publish(mosaic, "west", WEST, RED)
    site.publish(mosaic, "east", EAST, BLUE)
    return mosaic


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
    browser: Browser, site: Site, colored: str, client: str, projection: str, version: str
) -> None:
    with page_of(site, client, colored, projection, version) as url:
        page = browser.new_context(viewport={"width": 600, "height": 400}).new_page()
        asked: list[tuple[str, int, str]] = []
        page.on(
            "response",
            lambda got: asked.append((got.url, got.status, got.headers.get("content-type", ""))),
        )
        page.goto(url)
        page.wait_for_function("window.done", timeout=TIMEOUT_S * 1000)
        shows(page, 240, 200, RED)
        shows(page, 360, 200, BLUE)
        page.context.close()
    maps = [one for one in asked if "/wms?" in one[0]]
    assert maps
    assert [one for one in maps if one[1] != 200 or not one[2].startswith("image/")] == []
