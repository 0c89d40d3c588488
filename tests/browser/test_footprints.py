"""The map page outlines scenes by vector tiles: at every zoom, live, and by its address."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import Route, expect

from items import box, item

from .conftest import PREFIX, TIMEOUT_S, Site, View
from .test_feed import hours_ago, looks

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED, GREEN = (200, 30, 40), (30, 160, 70)
ALPS, EAST = (7.0, 45.0, 8.0, 46.0), (9.0, 45.0, 10.0, 46.0)
BELOW = "#4/45/8"
"""Where a mosaic that is drawn from zoom 8 on is not drawn."""

OUTLINED = """() => [...new Set(livemosaic.map.getLayer("footprints-1") && livemosaic.map
  .queryRenderedFeatures({ layers: ["footprints-1"] }).map(({ properties }) => properties.id))]"""
COUNTED = """() => livemosaic.map.getLayer("density") ? livemosaic.map
  .queryRenderedFeatures({ layers: ["density"] }).map(({ properties }) => properties.count) : []"""


def outlined(view: View, *scenes: str) -> None:
    """Wait until these scenes are outlined, and no others."""
    expected = f"{OUTLINED.removeprefix('() => ')}.sort().join() === {','.join(scenes)!r}"
    view.until(f"() => {expected}")


def alps(site: Site, **settings: object) -> str:
    mosaic = site.mosaic(minzoom=8, properties=["eo:cloud_cover"], **settings)
    site.publish(mosaic, "clear", ALPS, RED, properties={"eo:cloud_cover": 5})
    site.publish(mosaic, "cloudy", EAST, GREEN, day=9, properties={"eo:cloud_cover": 90})
    return mosaic


def test_scenes_that_come_and_go_below_the_zooms_are_outlined_at_once(
    site: Site, view: View
) -> None:
    mosaic = alps(site)
    view.open(mosaic, BELOW)
    outlined(view, "clear", "cloudy")
    site.publish(mosaic, "new", (7.0, 47.0, 8.0, 48.0), GREEN, day=12)
    outlined(view, "clear", "cloudy", "new")
    site.delete(mosaic, "clear")
    outlined(view, "cloudy", "new")


@pytest.mark.parametrize(
    ("query", "scenes"),
    [
        ("?datetime=2026-01-05/..", ["cloudy"]),
        ("?filter=%22eo:cloud_cover%22%20%3C%2010", ["clear"]),
        ("?ids=s2/cloudy&rescale=0,200&tile_scale=2", ["cloudy"]),
        ("?datetime=1999-01-01", []),
    ],
)
@pytest.mark.parametrize("place", [BELOW, "#8/45.5/8.5"])
def test_outlines_are_of_the_scenes_that_the_address_selects(
    site: Site, view: View, query: str, scenes: list[str], place: str
) -> None:
    view.open(alps(site), f"{query}{place}")
    if place != BELOW:
        view.page.get_by_role("button", name="Outlines of scenes").click()
    view.until("() => livemosaic.map.getSource('footprints')?.loaded()")
    outlined(view, *scenes)


def test_outlines_follow_another_choice_of_dates(site: Site, view: View) -> None:
    view.open(alps(site), "#8/45.5/8.5")
    view.page.get_by_role("button", name="Outlines of scenes").click()
    outlined(view, "clear", "cloudy")
    view.page.get_by_role("button", name="Time").click()
    slider = view.page.get_by_label("Day", exact=True)
    slider.focus()
    slider.press("Home")
    outlined(view, "clear")
    view.page.get_by_role("button", name="All days").click()
    outlined(view, "clear", "cloudy")


def test_many_scenes_are_counted_in_squares_and_outlined_closer(site: Site, view: View) -> None:
    mosaic = site.mosaic(minzoom=9)
    with hours_ago(site):
        scenes = []
        for n in range(2_010):
            x, y = 7 + n % 45 * 0.01, 45 + n // 45 * 0.01
            place = box(x, y, x + 0.01, y + 0.01)
            scenes.append(item(f"s{n}", place, href=f"{site.folder}/s.tif"))
        for n in range(0, len(scenes), 500):
            document = {"type": "FeatureCollection", "features": scenes[n : n + 500]}
            site.client.post(f"/mosaics/{mosaic}/items", json=document).raise_for_status()
    view.open(mosaic, "#4/45/8")
    view.until(f"() => {COUNTED.removeprefix('() => ')}.reduce((a, b) => a + b, 0) === 2010")
    assert view.page.evaluate(OUTLINED) == []
    view.look_at(7.05, 45.05, 12)
    view.page.get_by_role("button", name="Outlines of scenes").click()
    view.until(f"() => {OUTLINED.removeprefix('() => ')}.includes('s225')")
    assert view.page.evaluate(COUNTED) == []


def test_outlines_cost_nothing_while_nothing_happens_or_while_hidden(
    site: Site, view: View
) -> None:
    with hours_ago(site):
        mosaic = alps(site)
    view.open(mosaic, BELOW)
    outlined(view, "clear", "cloudy")
    looks(view, 1)
    view.requests.clear()
    looks(view, 2)
    assert {re.sub(r".*/|\?.*", "", url) for url in view.requests} == {"changes"}
    view.look_at(8.5, 45.5, 8)
    view.shows(7.5, 45.2, RED)
    view.requests.clear()
    site.publish(mosaic, "new", (8.2, 45.0, 8.8, 46.0), GREEN, day=12)
    view.shows(8.5, 45.5, GREEN)
    assert [url for url in view.requests if "/vector/" in url] == []


def test_tiles_that_lack_scenes_say_so(site: Site, view: View) -> None:
    def answer(route: Route) -> None:
        got = route.fetch()
        route.fulfill(response=got, headers={**got.headers, "X-Truncated": "max_rows=20000"})

    view.page.route(re.compile(r"/vector/"), answer)
    view.open(alps(site), "#8/45.5/8.5")
    view.page.get_by_role("button", name="Outlines of scenes").click()
    notice = view.page.locator("#notice")
    expect(notice).to_contain_text("Some scenes are not outlined at this zoom")
    expect(notice).to_contain_text("20000")
    view.page.get_by_role("button", name="Outlines of scenes").click()
    expect(notice).to_be_hidden()


def test_a_server_that_fails_for_a_while_is_asked_again(site: Site, troubled: View) -> None:
    failed: list[str] = []

    def answer(route: Route) -> None:
        if len(failed) >= 9:
            route.continue_()
            return
        failed.append(route.request.url)
        route.fulfill(status=500, json={"detail": "broken"})

    troubled.page.route(re.compile(r"/vector/"), answer)
    troubled.open(alps(site), BELOW)
    outlined(troubled, "clear", "cloudy")
    assert len(failed) == 9


def test_a_private_mosaic_is_outlined_behind_a_prefix(site: Site, view: View) -> None:
    mosaic = alps(site, access="private")
    made = site.client.post(f"/mosaics/{mosaic}/tokens", json={}).raise_for_status().json()
    view.open(mosaic, f"?access_token={made['access_token']}{BELOW}", base=PREFIX)
    outlined(view, "clear", "cloudy")
    asked = [url for url in view.requests if "/vector/" in url]
    assert asked
    assert all(url.startswith(f"{site.url}{PREFIX}/") for url in asked)


def test_outlines_have_the_color_of_the_scheme(site: Site, new_view: Callable[..., View]) -> None:
    view = new_view(color_scheme="dark")
    view.open(alps(site), BELOW)
    outlined(view, "clear", "cloudy")
    color = "() => livemosaic.map.getPaintProperty('footprints-1', 'line-color')"
    dark = view.page.evaluate(color)
    view.page.emulate_media(color_scheme="light")
    view.until(f"dark => ({color})() !== dark", dark)
    assert view.complaints == []
