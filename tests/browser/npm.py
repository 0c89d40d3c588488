"""Pages of map clients from npm, beside the API."""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, Response
from rasterio.io import MemoryFile
from starlette.applications import Starlette
from starlette.responses import HTMLResponse
from starlette.routing import Mount, Route
from starlette.staticfiles import StaticFiles

from api.served import app_on_socket
from browser.conftest import TIMEOUT_S, Color, Site
from livemosaic.api.app import App

PACKAGES = Path(__file__).parents[2] / "node_modules"
RED, BLUE = (220, 30, 40), (30, 40, 220)
WEST, EAST = (7.0, 45.0, 8.0, 46.0), (8.0, 45.0, 9.0, 46.0)
WINDOW = {"width": 600, "height": 400}
HEADS = {
    "ol": """<link rel="stylesheet" href="/npm/ol/ol.css">
      <script src="/npm/ol/dist/ol.js"></script>""",
    "leaflet": """<link rel="stylesheet" href="/npm/leaflet/dist/leaflet.css">
      <script src="/npm/leaflet/dist/leaflet.js"></script>""",
    "esri-leaflet": """<link rel="stylesheet" href="/npm/leaflet/dist/leaflet.css">
      <script src="/npm/leaflet/dist/leaflet.js"></script>
      <script src="/npm/esri-leaflet/dist/esri-leaflet.js"></script>""",
    "cesium": """<link rel="stylesheet" href="/npm/cesium/Build/Cesium/Widgets/widgets.css">
      <script>window.CESIUM_BASE_URL = "/npm/cesium/Build/Cesium/";</script>
      <script src="/npm/cesium/Build/Cesium/Cesium.js"></script>""",
}
"""What brings a client into a page, by its package."""
OL = """new ol.Map({ target: "map", layers: [layer], view: new ol.View({
    center: ol.proj.fromLonLat([8, 45.5], PROJECTION), zoom: 8, projection: PROJECTION }) })
  .once("rendercomplete", () => { window.done = true; });"""
"""Draws `layer`, in `PROJECTION`."""
CESIUM = """const viewer = new Cesium.CesiumWidget("map", {
    baseLayer: new Cesium.ImageryLayer(provider), skyBox: false, skyAtmosphere: false });
  viewer.scene.globe.showGroundAtmosphere = false;
  viewer.camera.setView({ destination: Cesium.Rectangle.fromDegrees(7.2, 45.2, 8.8, 45.8) });
  viewer.scene.globe.tileLoadProgressEvent.addEventListener(left => {
    if (left === 0) setTimeout(() => { window.done = true; }, 500); });"""
"""Draws `provider`."""


def needed(package: str) -> None:
    """Skips where a package is missing; in CI that is a failure."""
    if not (PACKAGES / package).exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{package} is missing: make setup")


@contextmanager
def served(site: Site, html: str) -> Iterator[str]:
    """The URL of a page beside the API, with packages at `/npm`."""

    async def shown(_: object) -> HTMLResponse:
        return HTMLResponse(html)

    app = Starlette(
        routes=[
            Route("/map", shown),
            Mount("/npm", StaticFiles(directory=PACKAGES)),
            Mount("/", App(site.services)),
        ]
    )
    with app_on_socket(app) as url:
        yield f"{url}/map"


@dataclass(frozen=True)
class Drawn:
    """A map of a client, 8° E 45.5° N amid it, and what the client asked our routes."""

    page: Page
    responses: list[Response]

    def shows(self, x: int, y: int, color: Color) -> None:
        """Waits until a pixel of the window has a color, near enough: tiles may be JPEG."""
        shows(self.page, x, y, color)

    def urls(self) -> list[str]:
        return [each.url for each in self.responses]


@contextmanager
def drawn(browser: Browser, site: Site, package: str, script: str) -> Iterator[Drawn]:
    """Opens a page with a client, whose script sets `window.done`. No request of it may fail."""
    needed(package)
    html = f"""<!doctype html><html><head><meta charset="utf-8">{HEADS[package]}
      <style>html, body, #map {{ margin: 0; height: 100%; background: white }}</style></head>
      <body><div id="map"></div><script type="module">{script}</script></body></html>"""
    with served(site, html) as url:
        page = browser.new_context(viewport=WINDOW).new_page()
        found = Drawn(page, [])
        failed: list[str] = []
        page.on("pageerror", lambda error: failed.append(str(error)))
        page.on("requestfailed", lambda request: failed.append(request.url))
        page.on("response", lambda got: "/npm/" in got.url or found.responses.append(got))
        try:
            page.goto(url)
            page.wait_for_function("window.done", timeout=TIMEOUT_S * 1000)
            yield found
        finally:
            failed += [f"{each.status} {each.url}" for each in found.responses if _is_error(each)]
            page.context.close()
            assert not failed, failed


def _is_error(response: Response) -> bool:
    """ArcGIS's errors are documents with status 200."""
    kind = response.headers.get("content-type", "")
    return response.status != 200 or ("json" in kind and "error" in response.json())


def color_at(page: Page, x: int, y: int) -> Color:
    """The color of a pixel of the window."""
    clip = {"x": x, "y": y, "width": 1, "height": 1}
    with MemoryFile(page.screenshot(clip=clip)) as file, file.open() as image:
        red, green, blue = image.read((1, 2, 3))[:, 0, 0].tolist()
    return red, green, blue


def shows(page: Page, x: int, y: int, color: Color) -> None:
    """Waits until a pixel of the window has a color, near enough: tiles may be JPEG."""
    for _ in range(100):
        found = color_at(page, x, y)
        if max(abs(a - b) for a, b in zip(found, color, strict=True)) < 12:
            return
        page.wait_for_timeout(100)
    raise AssertionError(f"{found} at {x}, {y} is not {color}")


def red_and_blue(site: Site) -> str:
    """A mosaic that is red in the west and blue in the east."""
    mosaic = site.mosaic()
    site.publish(mosaic, "west", WEST, RED)
    site.publish(mosaic, "east", EAST, BLUE)
    return mosaic
