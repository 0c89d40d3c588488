"""What the map page says of scenes that a low zoom does not show."""

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest
from playwright.sync_api import expect

from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.overviews.base import Bases
from livemosaic.services import building

from .conftest import TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED, GREEN = (200, 30, 40), (30, 160, 70)
ACROSS = 6
SIZE = 0.3
"""Degrees of a scene's edge."""


def place(column: int, row: int) -> tuple[float, float, float, float]:
    west, south = 7 + column * SIZE, 45 + row * SIZE
    return west, south, west + SIZE, south + SIZE


def publish_many(site: Site, mosaic: str) -> None:
    for n in range(ACROSS**2):
        site.publish(mosaic, f"s{n}", place(n % ACROSS, n // ACROSS), RED)


def build(site: Site, mosaic: str, most: int = 1000) -> None:
    """Make overviews, in another thread: Playwright has an event loop in this one.

    `most`: scenes that a finest block reads.
    """

    def run() -> None:
        with building(site.services) as builder:
            bases = builder.bases
            assert isinstance(bases, Bases)
            limits = replace(bases._tiler.limits, max_scenes=most)
            bases._tiler = replace(bases._tiler, limits=limits)
            builder.run(mosaic)

    with ThreadPoolExecutor(1) as pool:
        pool.submit(run).result()


def with_overviews(site: Site) -> str:
    mosaic = f"o{next(site.numbers)}"
    site.services.mosaics.create(Mosaic(id=mosaic, overviews=OverviewPolicy()))
    return mosaic


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


def test_overviews_show_all_of_them_and_nothing_is_said(site: Site, view: View) -> None:
    mosaic = with_overviews(site)
    publish_many(site, mosaic)
    build(site, mosaic)
    view.open(mosaic, "#5/45.9/7.9")
    for column in range(ACROSS):
        west, south, east, north = place(column, column)
        view.shows((west + east) / 2, (south + north) / 2, RED)
    expect(view.page.locator("#notice")).to_be_hidden()


def test_overviews_that_a_limit_cut_say_so(site: Site, view: View) -> None:
    mosaic = f"o{next(site.numbers)}"
    policy = OverviewPolicy(maxzoom=3)
    site.services.mosaics.create(Mosaic(id=mosaic, overviews=policy))
    publish_many(site, mosaic)
    build(site, mosaic, most=30)
    view.open(mosaic, "#4/45.9/7.9")
    notice = view.page.locator("#notice")
    expect(notice).to_contain_text("Some scenes are not drawn at this zoom")
    expect(notice).to_contain_text("A tile shows at most 30 scenes.")


def test_another_order_is_cut_and_says_what_shows_all(site: Site, view: View) -> None:
    mosaic = with_overviews(site)
    publish_many(site, mosaic)
    build(site, mosaic)
    view.open(mosaic, "?ascending=false#5/45.9/7.9")
    expect(view.page.locator("#notice")).to_contain_text("Some scenes are not drawn at this zoom")
    view.page.locator("#order").select_option("")
    expect(view.page.locator("#notice")).to_be_hidden()


def test_a_new_scene_is_behind_until_overviews_follow(site: Site, view: View) -> None:
    mosaic = with_overviews(site)
    publish_many(site, mosaic)
    build(site, mosaic)
    view.open(mosaic, "#5/45.9/7.9")
    west, south, east, north = place(2, 2)
    middle = (west + east) / 2, (south + north) / 2
    view.shows(*middle, RED)
    site.publish(mosaic, "newest", (west, south, east, north), GREEN, day=20)
    notice = view.page.locator("#notice")
    expect(notice).to_contain_text("Overviews are 1 scene behind")
    expect(view.page.locator("#notice-action")).to_be_hidden()
    view.shows(*middle, RED)
    build(site, mosaic)
    view.shows(*middle, GREEN)
    expect(notice).to_be_hidden()
