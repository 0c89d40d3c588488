"""MapLibre draws a mosaic's archive by `pmtiles` of npm, in a real browser."""

from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import date

import pytest
from playwright.sync_api import Browser, Page

from browser.conftest import TIMEOUT_S, Site
from browser.npm import BLUE, EAST, RED, WEST, needed, served, shows
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher, ArchiveRequest
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.export.vectors.publishing import VectorArchive
from livemosaic.model.render import TileFormat

WHITE = (255, 255, 255)
PAGE = """<!doctype html><html><head><meta charset="utf-8">
<script src="/npm/pmtiles/dist/pmtiles.js"></script>
<style>html, body, #map {{ margin: 0; height: 100%; background: white }}</style></head>
<body><div id="map"></div><script type="module">
import * as maplibregl from "/static/maplibre/maplibre-gl.mjs";
maplibregl.setWorkerUrl?.("/static/maplibre/maplibre-gl-worker.mjs");
maplibregl.addProtocol("pmtiles", new pmtiles.Protocol({{ metadata: true }}).tile);
const url = "pmtiles://" + location.origin + "/mosaics/{mosaic}/{kind}.pmtiles";
window.map = new maplibregl.Map({{
  container: "map", fadeDuration: 0, attributionControl: {{ compact: false }},
  center: [8, 45.5], zoom: 7,
  style: {{ version: 8, sources: {{ m: {source} }}, layers: [{layer}] }},
}});
window.map.on("error", event => {{ window.failed = String(event.error); }});
window.map.once("idle", () => {{ window.done = true; }});
</script></body></html>"""


IMAGES = {
    "kind": "mosaic",
    "source": '{ type: "raster", url, tileSize: 256 }',
    "layer": '{ id: "m", type: "raster", source: "m" }',
}
VECTORS = {
    "kind": "vector",
    "source": '{ type: "vector", url }',
    "layer": '{ id: "m", type: "line", source: "m", "source-layer": "footprints" }',
}


@contextmanager
def page_of(site: Site, mosaic: str, of: Mapping[str, str] = IMAGES) -> Iterator[str]:
    needed("pmtiles")
    with served(site, PAGE.format(mosaic=mosaic, **of)) as url:
        yield url


def publish(site: Site, mosaic: str, format_: TileFormat) -> None:
    """As `livemosaic export` does, in a thread: this one has an event loop, of Playwright."""
    services = site.services
    found = services.mosaics.get(mosaic)
    publisher = ArchivePublisher(
        services.tiler,
        services.stretches,
        services.pixel_version,
        services.settings.allowed_prefixes,
    )
    store = ArchiveStore(services.settings.archives)
    store.make_folder()
    place = ArchivePlace(store.place_of(found, ""))
    request = ArchiveRequest(place=place, format=format_, maxzoom=9)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(publisher.publish, found, request, date(2026, 11, 30)).result()


def drawn(page: Page, url: str) -> None:
    page.goto(url)
    page.wait_for_function("window.done || window.failed", timeout=TIMEOUT_S * 1000)
    assert page.evaluate("window.failed") is None


@pytest.mark.parametrize("format_", ["webp", "png"])
def test_a_map_of_an_archive(browser: Browser, site: Site, format_: TileFormat) -> None:
    """Pixels at their places, nothing around them, and what the mosaic states of its makers."""
    mosaic = site.mosaic(attribution="© the makers")
    site.publish(mosaic, "west", WEST, RED)
    site.publish(mosaic, "east", EAST, BLUE)
    publish(site, mosaic, format_)
    with page_of(site, mosaic) as url:
        page = browser.new_context(viewport={"width": 600, "height": 400}).new_page()
        asked: list[tuple[str, int]] = []
        page.on("response", lambda got: asked.append((got.url, got.status)))
        drawn(page, url)
        shows(page, 270, 200, RED)
        shows(page, 330, 200, BLUE)
        shows(page, 20, 200, WHITE)
        for zoom in (3, 4, 6, 9):
            page.evaluate(f"map.jumpTo({{ zoom: {zoom}, center: [7.5, 45.5] }})")
            shows(page, 300, 200, RED)
        assert "© the makers" in page.inner_text(".maplibregl-ctrl-attrib")
        page.context.close()
    archives = [status for url, status in asked if url.endswith(".pmtiles")]
    assert archives
    assert {*archives} == {206}
    assert not [url for url, _ in asked if "/tiles/" in url]


def test_a_map_goes_on_when_the_archive_is_replaced(browser: Browser, site: Site) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "west", WEST, RED)
    publish(site, mosaic, "png")
    with page_of(site, mosaic) as url:
        page = browser.new_context(viewport={"width": 600, "height": 400}).new_page()
        drawn(page, url)
        shows(page, 270, 200, RED)
        site.publish(mosaic, "new", WEST, BLUE, day=28)
        publish(site, mosaic, "png")
        page.evaluate("map.jumpTo({ zoom: 9, center: [7.5, 45.5] })")
        shows(page, 300, 200, BLUE)
        page.context.close()


def test_a_map_of_an_archive_of_scenes(browser: Browser, site: Site) -> None:
    """MapLibre reads vector tiles of the API's archive, which are compressed within it."""
    mosaic = site.mosaic(minzoom=8, attribution="© the makers")
    site.publish(mosaic, "west", WEST, RED)
    site.publish(mosaic, "east", EAST, BLUE)
    services = site.services
    store = ArchiveStore(services.settings.archives).of_vectors
    store.make_folder()
    found = services.mosaics.get(mosaic)
    asked = VectorArchive(place=ArchivePlace(store.place_of(found, "")), maxzoom=9)
    with ThreadPoolExecutor(1) as pool:
        pool.submit(services.publisher().publish, found, asked, date(2026, 11, 30)).result()
    with page_of(site, mosaic, VECTORS) as url:
        page = browser.new_context(viewport={"width": 600, "height": 400}).new_page()
        drawn(page, url)
        for zoom in (2, 7, 11):
            page.evaluate(f"map.jumpTo({{ zoom: {zoom}, center: [8, 45.5] }})")
            page.wait_for_function(
                """() => {
                  const found = map.queryRenderedFeatures({ layers: ["m"] });
                  const ids = new Set(found.map(({ properties }) => properties.id));
                  return [...ids].sort().join() === "east,west";
                }""",
                timeout=TIMEOUT_S * 1000,
            )
        assert "© the makers" in page.inner_text(".maplibregl-ctrl-attrib")
        page.context.close()
