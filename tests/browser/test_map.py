"""The map page, as seen in a browser."""

import re
import time
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import Route, expect

from .conftest import PREFIX, TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED, GREEN, BLUE = (200, 30, 40), (30, 160, 70), (40, 70, 200)
GROUND, DARK_GROUND = (236, 239, 241), (20, 24, 28)
WEST, EAST = (7.0, 45.0, 8.0, 46.0), (8.0, 45.0, 9.0, 46.0)
BOTH = (7.0, 45.0, 9.0, 46.0)
# In the west below the list, which lies over the map.
IN_WEST, IN_EAST, OUTSIDE = (7.5, 45.3), (8.5, 45.5), (9.15, 45.1)


def test_it_fits_to_the_mosaic_and_draws_each_scene_in_its_place(site: Site, view: View) -> None:
    mosaic = site.mosaic(title="Alps, live")
    site.publish(mosaic, "red", WEST, RED)
    site.publish(mosaic, "blue", EAST, BLUE)
    view.open(mosaic)
    view.shows(*IN_WEST, RED)
    view.shows(*IN_EAST, BLUE)
    view.shows(*OUTSIDE, GROUND)
    expect(view.page).to_have_title(re.compile("Alps, live"))
    expect(view.page.locator("#status")).to_have_text("live")
    expect(view.page.locator("#count")).to_have_text("2 scenes in view")


def test_a_scene_that_arrives_appears_without_a_reload(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "older", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    view.page.evaluate("window.mark = 'still here'")
    site.publish(mosaic, "newest", EAST, GREEN, day=12)
    view.shows(*IN_EAST, GREEN)
    view.shows(*IN_WEST, RED)
    expect(view.page.locator("#feed li")).to_have_text(re.compile(r"\+.*newest.*12 Jan 2026"))
    assert view.page.evaluate("window.mark") == "still here"


def test_a_scene_that_arrives_appears_although_a_cache_has_the_old_tiles(
    site: Site, view: View
) -> None:
    """A cache between the page and the server, as the mosaic allows it for 15 s."""
    mosaic = site.mosaic(max_age_s=15)
    site.publish(mosaic, "older", BOTH, RED)
    copies: dict[str, tuple[float, Any]] = {}
    old = []

    def answer(route: Route) -> None:
        url = route.request.url
        since, copy = copies.get(url, (float("-inf"), None))
        if time.monotonic() - since >= 15:
            copies[url] = since, copy = time.monotonic(), route.fetch()
        else:
            old.append(url)
        route.fulfill(response=copy)

    view.page.route(re.compile(r"/tiles/WebMercatorQuad/\d+/"), answer)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    site.publish(mosaic, "newest", EAST, GREEN, day=12)
    view.shows(*IN_EAST, GREEN)
    assert old


def test_an_arriving_scene_is_outlined_for_a_moment(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "older", BOTH, RED)
    view.open(mosaic)
    site.publish(mosaic, "newest", EAST, GREEN, day=12)
    outlines = "() => livemosaic.map.queryRenderedFeatures({ layers: ['flash-2.5'] }).length"
    view.until(outlines)
    view.until(f"() => !({outlines})()")


def test_a_scene_that_is_deleted_uncovers_what_was_below(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "older", BOTH, RED)
    site.publish(mosaic, "newest", EAST, GREEN, day=12)
    view.open(mosaic)
    view.shows(*IN_EAST, GREEN)
    site.delete(mosaic, "newest")
    view.shows(*IN_EAST, RED)
    expect(view.page.locator("#feed li")).to_have_text(re.compile("−.*newest.*removed"))


def test_a_new_version_of_a_scene_replaces_its_pixels(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    site.publish(mosaic, "scene", BOTH, BLUE)
    view.shows(*IN_EAST, BLUE)
    expect(view.page.locator("#feed li")).to_have_text(re.compile("scene.*updated"))


def test_a_change_out_of_view_is_there_when_one_comes_back(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", WEST, RED)
    view.open(mosaic)
    view.shows(*IN_WEST, RED)
    view.look_at(20.0, 45.5)
    site.publish(mosaic, "newest", WEST, GREEN, day=12)
    view.look_at(*IN_WEST)
    view.shows(*IN_WEST, GREEN)


def test_a_scene_that_comes_into_view_is_no_news(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "west", WEST, RED)
    site.publish(mosaic, "far", (12.0, 45.0, 13.0, 46.0), BLUE)
    view.open(mosaic, "#9/45.5/7.5")
    view.shows(*IN_WEST, RED)
    view.look_at(12.5, 45.5)
    view.shows(12.5, 45.5, BLUE)
    assert view.page.locator("#feed li").count() == 0


def test_an_empty_mosaic_says_so_and_goes_to_its_first_scene(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    view.open(mosaic)
    expect(view.page.locator("#message")).to_contain_text("This mosaic is empty")
    lines = "() => livemosaic.map.queryRenderedFeatures({ layers: ['graticule-1'] }).length"
    view.until(lines)
    site.publish(mosaic, "first", WEST, RED)
    view.until("() => livemosaic.map.getZoom() > 7 && !livemosaic.map.isMoving()")
    view.shows(*IN_WEST, RED)
    expect(view.page.locator("#message")).to_be_hidden()
    expect(view.page.locator("#feed li")).to_contain_text("first")


def test_whoever_has_moved_the_map_is_not_moved(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    view.open(mosaic)
    view.page.get_by_role("button", name="Zoom in").click()
    view.until("() => !livemosaic.map.isMoving()")
    zoom = view.page.evaluate("livemosaic.map.getZoom()")
    site.publish(mosaic, "first", WEST, RED)
    expect(view.page.locator("#feed li")).to_contain_text("first")
    view.until("() => livemosaic.info.bounds && !livemosaic.map.isMoving()")
    assert view.page.evaluate("livemosaic.map.getZoom()") == zoom


def test_tiles_beyond_the_old_bounds_are_drawn_once_the_mosaic_grows(
    site: Site, view: View
) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "west", WEST, RED)
    view.open(mosaic, "#6/45.5/9")
    view.shows(*IN_WEST, RED)
    far = (13.0, 44.0, 14.0, 45.0)
    site.publish(mosaic, "far", far, BLUE)
    view.shows(13.5, 44.5, BLUE)


def test_the_address_keeps_the_place(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", WEST, RED)
    view.open(mosaic, "#10/45.25/7.25")
    view.shows(7.25, 45.25, RED)
    assert view.page.evaluate("livemosaic.map.getZoom()") == 10
    view.look_at(7.75, 45.75)
    view.until("() => location.hash.startsWith('#10/45.75/7.75')")


def test_what_lies_under_the_cursor_is_told_and_outlined(site: Site, view: View) -> None:
    mosaic = site.mosaic(properties=["eo:cloud_cover"])
    site.publish(mosaic, "below", BOTH, RED)
    site.publish(mosaic, "above", EAST, GREEN, day=12)
    view.open(mosaic)
    view.shows(*IN_EAST, GREEN)
    asked = len(view.requests)
    view.point_to(*IN_EAST)
    scenes = view.page.locator("#scenes > li")
    expect(scenes).to_have_text(
        [re.compile("above.*12 Jan 2026.*12 % cloud.*on top"), "below" + r"1 Jan 202612 % cloud"]
    )
    view.until("() => livemosaic.map.queryRenderedFeatures({ layers: ['outline-2'] }).length")
    view.point_to(*IN_WEST)
    expect(scenes).to_have_count(1)
    view.point_to(*OUTSIDE)
    expect(view.page.locator("#panel")).to_be_hidden()
    new = [url for url in view.requests[asked:] if "bbox=8.5" in url]
    assert new == []


def test_a_click_keeps_the_list_as_the_server_has_it_top_first(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "below", BOTH, RED)
    site.publish(mosaic, "above", EAST, GREEN, day=12)
    view.open(mosaic)
    view.shows(*IN_EAST, GREEN)
    with view.page.expect_response(re.compile(r"items\?bbox=8\.\d+,45\.\d+,8\.\d+,45\.\d+&")):
        view.click(*IN_EAST)
    names = view.page.locator("#scenes .id")
    expect(names).to_have_text(["above", "below"])
    view.point_to(*OUTSIDE)
    expect(names).to_have_count(2)
    expect(view.page.locator("#scenes > li").first).to_contain_text("on top")
    view.page.locator("#scenes summary").first.click()
    expect(view.page.locator("#scenes dd", has_text=".tif").first).to_be_visible()
    view.page.keyboard.press("Escape")
    expect(view.page.locator("#panel")).to_be_hidden()


def test_a_click_beside_all_scenes_closes_the_list(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    view.click(*IN_EAST)
    expect(view.page.locator("#panel.pinned")).to_be_visible()
    view.click(*OUTSIDE)
    expect(view.page.locator("#panel")).to_be_hidden()


def test_the_kept_list_follows_the_mosaic(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "below", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    view.click(*IN_EAST)
    expect(view.page.locator("#scenes .id")).to_have_text(["below"])
    site.publish(mosaic, "above", EAST, GREEN, day=12)
    expect(view.page.locator("#scenes .id")).to_have_text(["above", "below"])


def test_it_can_be_used_without_a_mouse(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    view.page.keyboard.press("Tab")
    assert view.page.evaluate("document.activeElement.className") == "maplibregl-canvas"
    view.page.keyboard.press("Enter")
    expect(view.page.locator("#scenes .id")).to_have_text(["scene"])
    view.page.keyboard.press("Escape")
    expect(view.page.locator("#panel")).to_be_hidden()


def test_a_hostile_item_is_text_and_runs_nothing(site: Site, view: View) -> None:
    mosaic = site.mosaic(properties=["eo:cloud_cover", "<b>key</b>"])
    evil = "<img src=x onerror=window.hacked=1>"
    view.open(mosaic)
    site.publish(mosaic, evil, BOTH, RED, properties={"<b>key</b>": evil, "eo:cloud_cover": evil})
    expect(view.page.locator("#feed li .id")).to_have_text(evil)
    view.until("() => !livemosaic.map.isMoving()")
    view.shows(*IN_EAST, RED)
    view.click(*IN_EAST)
    expect(view.page.locator("#scenes .id")).to_have_text(evil)
    view.page.locator("#scenes summary").click()
    expect(view.page.locator("#scenes dl")).to_contain_text(evil)
    assert view.page.locator("#panel img, #panel b, #feed img").count() == 0
    assert view.page.evaluate("window.hacked") is None


def test_parameters_of_the_page_are_those_of_its_tiles(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    counts = np.full((1, 256, 256), 1500, "uint16")
    site.publish(mosaic, "counts", BOTH, counts)
    view.open(mosaic, "?rescale=1000,2000&bidx=1")
    view.shows(*IN_EAST, (127, 127, 127))
    tiles = [url for url in view.requests if re.search(r"/WebMercatorQuad/\d+/\d+/\d+", url)]
    assert tiles
    assert all("rescale=1000%2C2000&bidx=1" in url for url in tiles)


def test_a_named_render_can_be_chosen_and_stays_in_the_address(site: Site, view: View) -> None:
    mosaic = site.mosaic(renders={"half": {"title": "Half as bright", "rescale": [[0, 510]]}})
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic, "?bidx=1&bidx=2&bidx=3")
    view.shows(*IN_EAST, RED)
    view.page.get_by_label("Colors").select_option("Half as bright")
    view.shows(*IN_EAST, (100, 15, 20))
    expect(view.page).to_have_url(re.compile(r"\?bidx=1&bidx=2&bidx=3&render=half#"))
    view.page.reload()
    view.shows(*IN_EAST, (100, 15, 20))
    view.page.get_by_label("Colors").select_option("Default colors")
    view.shows(*IN_EAST, RED)
    expect(view.page).to_have_url(re.compile(r"\?bidx=1&bidx=2&bidx=3#"))


def test_the_order_of_scenes_can_be_chosen(site: Site, view: View) -> None:
    mosaic = site.mosaic(rules={"operations": ["max"]})
    site.publish(mosaic, "older", BOTH, RED, day=1)
    site.publish(mosaic, "newer", BOTH, GREEN, day=2)
    view.open(mosaic)
    view.shows(*IN_EAST, GREEN)
    order = view.page.get_by_label("Order of scenes")
    order.select_option("Oldest on top")
    view.shows(*IN_EAST, RED)
    order.select_option("Highest values")
    view.shows(*IN_EAST, (200, 160, 70))
    expect(order.locator("option")).to_have_text(
        ["Newest on top", "Oldest on top", "Highest values"]
    )


def test_where_there_is_nothing_to_choose_there_is_no_choice(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic, "?method=center")
    view.shows(*IN_EAST, RED)
    expect(view.page.locator("#choices")).to_be_hidden()


def test_a_parameter_that_fits_no_scene_is_explained(site: Site, troubled: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    troubled.open(mosaic, "?assets=nonesuch")
    message = troubled.page.locator("#message")
    expect(message).to_contain_text("cannot be drawn like this")
    expect(message).to_contain_text("nonesuch")


OUTLINES = "() => livemosaic.map.getSource('outline').serialize().data.geometries?.length ?? 0"


def _two(site: Site, **settings: Any) -> str:
    """A mosaic of a clear older scene, and a cloudy newer one over its east."""
    mosaic = site.mosaic(properties=["eo:cloud_cover"], **settings)
    site.publish(mosaic, "older", BOTH, RED, properties={"eo:cloud_cover": 1.0})
    site.publish(mosaic, "newer", EAST, GREEN, day=12, properties={"eo:cloud_cover": 60.0})
    return mosaic


def _listed(view: View, at: tuple[float, float], *names: str) -> None:
    """What lies under the cursor is listed, top first; the first alone is on top and outlined."""
    view.point_to(*at)
    expect(view.page.locator("#scenes .id")).to_have_text(list(names))
    expect(view.page.locator("#scenes > li").first).to_contain_text("on top")
    expect(view.page.locator("#scenes .top")).to_have_count(1)
    view.until(f"() => ({OUTLINES})() === 1")


@pytest.mark.parametrize(
    "query",
    [
        "?datetime=2026-01-01",
        "?filter=%22eo:cloud_cover%22%20%3C%2020",
        "?ids=older",
        "?lock=s2/older",
        "?mosaicRule=%7B%22where%22:%22%5C%22eo:cloud_cover%5C%22%20%3C%2020%22%7D",
    ],
)
def test_scenes_that_the_rule_leaves_out_are_neither_counted_nor_listed(
    site: Site, view: View, query: str
) -> None:
    view.open(_two(site), query)
    view.shows(*IN_EAST, RED)
    expect(view.page.locator("#count")).to_have_text("1 scene in view")
    _listed(view, IN_EAST, "older")
    view.click(*IN_EAST)
    expect(view.page.locator("#panel.pinned .id")).to_have_text(["older"])
    expect(view.page.locator("#scenes .top")).to_have_count(1)


def test_the_list_and_the_outline_are_in_the_order_of_the_rule(site: Site, view: View) -> None:
    view.open(_two(site), "?sortby=eo:cloud_cover")
    view.shows(*IN_EAST, RED)
    expect(view.page.locator("#count")).to_have_text("2 scenes in view")
    _listed(view, IN_EAST, "older", "newer")
    outlined = "() => livemosaic.map.getSource('outline').serialize().data.geometries[0]"
    west = min(x for x, _ in view.page.evaluate(outlined)["coordinates"][0][0])
    assert west == pytest.approx(BOTH[0])


def test_the_default_rule_of_the_mosaic_is_that_of_the_lists(site: Site, view: View) -> None:
    rules = {"default": {"sortby": "eo:cloud_cover"}}
    view.open(_two(site, rules=rules))
    view.shows(*IN_EAST, RED)
    _listed(view, IN_EAST, "older", "newer")


def test_a_chosen_order_is_that_of_the_lists_at_once(site: Site, view: View) -> None:
    view.open(_two(site))
    view.shows(*IN_EAST, GREEN)
    _listed(view, IN_EAST, "newer", "older")
    view.click(*IN_EAST)
    view.page.get_by_label("Order of scenes").select_option("Oldest on top")
    view.shows(8.7, 45.3, RED)
    names = view.page.locator("#panel.pinned .id")
    expect(names).to_have_text(["older", "newer"])
    expect(view.page.locator("#scenes > li").first).to_contain_text("on top")
    assert view.page.locator("#feed li").count() == 0


def test_where_scenes_are_combined_none_is_on_top_and_all_are_outlined(
    site: Site, view: View
) -> None:
    view.open(_two(site), "?operation=max")
    view.shows(*IN_EAST, (200, 160, 70))
    view.point_to(*IN_EAST)
    expect(view.page.locator("#scenes .id")).to_have_text(["newer", "older"])
    expect(view.page.locator("#more")).to_contain_text("Combined: max.")
    assert view.page.locator("#scenes .top").count() == 0
    view.until(f"() => ({OUTLINES})() === 2")
    view.click(*IN_EAST)
    expect(view.page.locator("#panel.pinned #more")).to_contain_text("Combined: max.")
    assert view.page.locator("#scenes .top").count() == 0


def test_an_order_that_differs_from_tile_to_tile_is_that_of_the_tile(
    site: Site, view: View
) -> None:
    """Both scenes cover all of the view; the one nearer to the centre of a tile is on top there."""
    mosaic = site.mosaic()
    site.publish(mosaic, "western", (5.0, 44.0, 10.0, 47.0), RED)
    site.publish(mosaic, "eastern", (6.0, 44.0, 11.0, 47.0), GREEN, day=2)
    view.open(mosaic, "?method=center#7/45.5/8")
    view.shows(6.6, 45.3, RED)
    view.shows(9.4, 45.3, GREEN)
    _listed(view, (6.6, 45.3), "western", "eastern")
    _listed(view, (9.4, 45.3), "eastern", "western")
    view.click(6.6, 45.3)
    expect(view.page.locator("#panel.pinned .id")).to_have_text(["western", "eastern"])


def test_a_rule_that_makes_no_sense_is_explained(site: Site, troubled: View) -> None:
    troubled.open(_two(site), "?datetime=yesterday")
    expect(troubled.page.locator("#message")).to_contain_text("cannot be drawn like this")
    expect(troubled.page.locator("#message")).to_contain_text("datetime 'yesterday' must be")
    expect(troubled.page.locator("#status")).to_have_text("not drawn")
    expect(troubled.page.locator("#count")).to_have_text("")


def test_scenes_that_do_not_exist_are_explained(site: Site, troubled: View) -> None:
    troubled.open(_two(site), "?ids=gone")
    expect(troubled.page.locator("#message")).to_contain_text("cannot be drawn like this")
    expect(troubled.page.locator("#message")).to_contain_text("has the id 'gone'")
    expect(troubled.page.locator("#status")).to_have_text("not drawn")


def test_a_misspelled_parameter_is_explained(site: Site, troubled: View) -> None:
    troubled.open(_two(site), "?sortyb=eo:cloud_cover")
    expect(troubled.page.locator("#message")).to_contain_text("did you mean 'sortby'?")


def test_a_parameter_that_is_no_parameter_is_explained(site: Site, troubled: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    troubled.open(mosaic, "?rescale=2,1")
    message = troubled.page.locator("#message")
    expect(message).to_contain_text("cannot be drawn like this")
    expect(message).to_contain_text("the smaller first")


def test_below_the_minzoom_it_says_to_zoom_in(site: Site, view: View) -> None:
    mosaic = site.mosaic(minzoom=8)
    site.publish(mosaic, "scene", BOTH, RED)
    view.page.goto(f"{site.url}/mosaics/{mosaic}/map.html#4/45.5/8.5")
    message = view.page.locator("#message")
    expect(message).to_contain_text("Zoom in to see the mosaic")
    expect(message).to_contain_text("from zoom 8 on")
    message.get_by_role("button").click()
    view.shows(*IN_EAST, RED)
    expect(message).to_be_hidden()


def test_a_mosaic_too_large_to_draw_at_once_opens_on_a_scene(site: Site, view: View) -> None:
    mosaic = site.mosaic(minzoom=9)
    site.publish(mosaic, "one", WEST, RED)
    site.publish(mosaic, "other", (60.0, 45.0, 61.0, 46.0), RED)
    view.open(mosaic)
    lon = view.page.evaluate("livemosaic.map.getCenter().lng")
    view.shows(7.5 if lon < 30 else 60.5, 45.5, RED)


def test_a_server_that_is_away_is_told_and_found_again(site: Site, troubled: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    troubled.open(mosaic)
    troubled.shows(*IN_EAST, RED)
    anything = re.compile(r"/mosaics/")
    troubled.page.route(anything, lambda route: route.abort())
    status = troubled.page.locator("#status")
    expect(status).to_have_text("reconnecting…")
    troubled.shows(*IN_EAST, RED)
    site.publish(mosaic, "newest", BOTH, GREEN, day=12)
    troubled.page.unroute(anything)
    expect(status).to_have_text("live")
    troubled.shows(*IN_EAST, GREEN)


@pytest.mark.parametrize("status", [429, 500, 503])
def test_a_tile_that_is_refused_for_now_is_asked_for_again(
    site: Site, troubled: View, status: int
) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    refused: set[str] = set()

    def once(route: Route) -> None:
        if route.request.url in refused:
            route.continue_()
        else:
            refused.add(route.request.url)
            route.fulfill(status=status, json={"detail": "not now"})

    troubled.page.route(re.compile(r"/WebMercatorQuad/\d+/\d+/\d+"), once)
    troubled.open(mosaic)
    troubled.shows(*IN_EAST, RED)
    assert refused


def test_a_mosaic_that_is_deleted_is_missed(site: Site, troubled: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    troubled.open(mosaic)
    troubled.shows(*IN_EAST, RED)
    site.client.delete(f"/mosaics/{mosaic}").raise_for_status()
    expect(troubled.page.locator("#message")).to_contain_text("This mosaic does not exist")
    expect(troubled.page.locator("#status")).to_have_text("not found")


def test_a_private_mosaic_is_shown_as_long_as_its_token_is_good(site: Site, troubled: View) -> None:
    mosaic = site.mosaic(access="private")
    site.publish(mosaic, "scene", BOTH, RED)
    made = site.client.post(f"/mosaics/{mosaic}/tokens", json={}).raise_for_status().json()
    troubled.open(mosaic, f"?access_token={made['access_token']}")
    troubled.shows(*IN_EAST, RED)
    expect(troubled.page.locator("#count")).to_have_text("1 scene in view")
    assert troubled.complaints == []
    expired = {"status": 401, "json": {"detail": "the access token has expired"}}
    asked = re.compile(r"/(changes|items|info)\b")
    troubled.page.route(asked, lambda route: route.fulfill(**expired))
    expect(troubled.page.locator("#status")).to_have_text("locked")
    expect(troubled.page.locator("#message")).to_contain_text("the access token has expired")


@pytest.mark.parametrize("name", ["nonesuch", "%3Cimg src=x onerror=window.hacked=1%3E"])
def test_an_unknown_mosaic_gets_a_page_that_says_so(site: Site, troubled: View, name: str) -> None:
    answer = troubled.page.goto(f"{site.url}/mosaics/{name}/map.html")
    assert answer is not None
    assert answer.status == 404
    assert "text/html" in answer.headers["content-type"]
    expect(troubled.page.locator("body")).to_contain_text("This mosaic does not exist")
    assert troubled.page.locator("body img").count() == 0
    assert troubled.page.evaluate("window.hacked") is None


def test_it_is_dark_where_the_reader_wants_it_dark(
    site: Site, new_view: Callable[..., View]
) -> None:
    view = new_view(color_scheme="dark")
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    view.shows(*OUTSIDE, DARK_GROUND)
    view.page.emulate_media(color_scheme="light")
    view.shows(*OUTSIDE, GROUND)
    assert view.complaints == []


def test_a_fine_screen_gets_fine_tiles(site: Site, new_view: Callable[..., View]) -> None:
    phone: dict[str, Any] = {"viewport": {"width": 390, "height": 780}, "device_scale_factor": 2}
    view = new_view(**phone, has_touch=True, is_mobile=True)
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic)
    view.shows(*IN_WEST, RED)
    tiles = [url for url in view.requests if re.search(r"/WebMercatorQuad/\d+/\d+/\d+", url)]
    assert tiles
    assert all("@2x" in url for url in tiles)
    view.page.touchscreen.tap(*view.at(*IN_EAST))
    expect(view.page.locator("#scenes .id")).to_have_text(["scene"])
    assert view.complaints == []


def test_it_works_behind_a_path_prefix(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    view.open(mosaic, base=PREFIX)
    view.shows(*IN_EAST, RED)
    assert all(url.startswith(f"{site.url}{PREFIX}/") for url in view.requests if ":/" in url[:6])


def test_the_address_below_tiles_leads_to_the_page(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "scene", BOTH, RED)
    path = f"{PREFIX}/mosaics/{mosaic}"
    view.page.goto(f"{site.url}{path}/tiles/WebMercatorQuad/map.html?bidx=1&bidx=2&bidx=3")
    view.page.wait_for_url(re.compile(re.escape(f"{path}/map.html?bidx=1&bidx=2&bidx=3")))
    view.shows(*IN_EAST, RED)


def test_only_its_own_server_may_give_it_anything(site: Site) -> None:
    policy = site.client.get(f"/mosaics/{site.mosaic()}/map.html").headers[
        "content-security-policy"
    ]
    assert "default-src 'none'" in policy
    assert "unsafe" not in policy
    assert "http" not in policy


@pytest.mark.parametrize("base", ["", PREFIX], ids=["at the root", "behind a prefix"])
def test_the_documentation_is_served_from_here_too(site: Site, view: View, base: str) -> None:
    view.page.goto(f"{site.url}{base}/docs")
    expect(view.page.get_by_text("/mosaics/{mosaic}/items").first).to_be_visible()
    assert all(url.startswith(("data:", f"{site.url}{base}/")) for url in view.requests)
    assert view.complaints == []


def test_a_scene_without_the_assets_that_are_shown_is_marked(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "older", BOTH, RED)
    site.publish(mosaic, "newer", BOTH, GREEN, day=12, asset="mask")
    view.open(mosaic)
    view.shows(*IN_EAST, RED)
    expect(view.page.locator("#assets")).to_have_text("visual")
    view.click(*IN_EAST)
    expect(view.page.locator("#panel.pinned .id")).to_have_text(["newer", "older"])
    expect(view.page.locator("#scenes .lacks")).to_have_text(["left out: no asset visual"])
    expect(view.page.locator("#scenes li:nth-child(2) .top")).to_have_text("on top")
