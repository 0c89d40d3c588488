"""What the map page says of scenes that a low zoom does not show."""

import pytest
from playwright.sync_api import expect

from .conftest import TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED = (200, 30, 40)
ACROSS = 6
SIZE = 0.3
"""Degrees of a scene's edge."""


def place(column: int, row: int) -> tuple[float, float, float, float]:
    west, south = 7 + column * SIZE, 45 + row * SIZE
    return west, south, west + SIZE, south + SIZE


def publish_many(site: Site, mosaic: str) -> None:
    for n in range(ACROSS**2):
        site.publish(mosaic, f"s{n}", place(n % ACROSS, n // ACROSS), RED)


def test_a_map_that_lacks_scenes_says_so_and_offers_to_zoom_in(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    publish_many(site, mosaic)
    view.open(mosaic, "#5/45.9/7.9")
    notice = view.page.locator("#notice")
    expect(notice).to_contain_text("Some scenes are not drawn at this zoom")
    expect(notice).to_contain_text("A tile shows at most 20 scenes.")
    zoom = view.page.evaluate("() => livemosaic.map.getZoom()")
    for _ in range(3):
        if not notice.is_visible():
            break
        view.page.locator("#notice-action").click()
        view.until("zoom => livemosaic.map.getZoom() > zoom + 1.9", zoom)
        view.until("() => livemosaic.map.loaded()")
        zoom = view.page.evaluate("() => livemosaic.map.getZoom()")
    expect(notice).to_be_hidden()
    view.shows(*view.page.evaluate("() => livemosaic.map.getCenter().toArray()"), RED)
