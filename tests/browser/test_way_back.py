"""Wherever the map is moved, and whatever it selects, the page leads back to the mosaic."""

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import TIMEOUT_S, Color, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED, SEA, GROUND = (200, 30, 40), (211, 223, 231), (236, 239, 241)
ALPS, IN_ALPS = (7.0, 45.0, 9.0, 46.0), (8.5, 45.5)
ISLE = (7.999, 44.999, 8.001, 45.001)


def _alps(site: Site, **settings: object) -> str:
    mosaic = site.mosaic(**settings)
    site.publish(mosaic, "scene", ALPS, RED)
    return mosaic


def _arrives(view: View, at: tuple[float, float] = IN_ALPS, color: Color = RED) -> None:
    """Wait until a place is in view, and has its color."""
    there = "at => !livemosaic.map.isMoving() && livemosaic.map.getBounds().contains(at)"
    view.until(there, list(at))
    view.shows(*at, color)


def _drawn(view: View, layer: str) -> None:
    view.until(
        "layer => livemosaic.map.queryRenderedFeatures({ layers: [layer] }).length > 0", layer
    )


@pytest.mark.parametrize("place", ["#12/10/10", "#2/-40/-120", "#22/0/0", "#0/85/179"])
def test_a_map_far_from_the_mosaic_has_a_way_back(site: Site, view: View, place: str) -> None:
    mosaic = _alps(site, minzoom=3)
    view.open(mosaic, place)
    message = view.page.locator("#message")
    message.get_by_role("button").click()
    _arrives(view)
    expect(message).to_be_hidden()


def test_the_home_button_shows_the_whole_mosaic(site: Site, view: View) -> None:
    view.open(_alps(site), "#14/45.9/7.1")
    view.page.get_by_role("button", name="Show the whole mosaic").click()
    _arrives(view)
    box = view.page.evaluate("livemosaic.map.getBounds().toArray().flat()")
    assert box[0] < ALPS[0]
    assert box[2] > ALPS[2]


def test_below_its_zooms_scenes_are_outlined_and_the_button_leads_to_them(
    site: Site, view: View
) -> None:
    mosaic = _alps(site, minzoom=8)
    view.open(mosaic, "#4/30/-20")
    expect(view.page.locator("#message")).to_contain_text("Zoom in to see the mosaic")
    view.page.evaluate("livemosaic.map.jumpTo({ center: [0, 45], zoom: 4 })")
    _drawn(view, "footprints-1")
    view.page.locator("#message").get_by_role("button").click()
    _arrives(view)


def test_a_mosaic_too_small_to_be_seen_is_a_dot(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "roof", ISLE, RED)
    view.open(mosaic, "#3/45/8")
    _drawn(view, "beacon")
    view.look_at(8.0, 45.0, 16)
    hidden = "() => livemosaic.map.queryRenderedFeatures({ layers: ['beacon'] }).length === 0"
    view.until(hidden)


@pytest.mark.parametrize(
    "query", ["?datetime=1999-01-01", "?filter=%22eo:cloud_cover%22%20%3E%2099"]
)
def test_a_rule_without_scenes_is_named_and_can_be_dropped(
    site: Site, view: View, query: str
) -> None:
    mosaic = _alps(site, properties=["eo:cloud_cover"])
    view.open(mosaic, query)
    message = view.page.locator("#message")
    expect(message).to_contain_text("No scene is selected")
    expect(view.page.locator("#count")).to_have_text("no scenes in view")
    message.get_by_role("button", name="Show all scenes").click()
    _arrives(view)
    assert "?" not in view.page.url


def test_a_rule_whose_scenes_are_elsewhere_leads_to_one(site: Site, view: View) -> None:
    mosaic = _alps(site)
    site.publish(mosaic, "later", (12.0, 45.0, 13.0, 46.0), (30, 160, 70), day=9)
    view.open(mosaic, "?datetime=2026-01-09#9/45.5/8.3")
    message = view.page.locator("#message")
    expect(message).to_contain_text("No scene here is selected")
    message.get_by_role("button", name="Show one").click()
    _arrives(view, (12.5, 45.5), (30, 160, 70))


def test_a_hole_in_the_mosaic_is_named(site: Site, view: View) -> None:
    mosaic = _alps(site)
    site.publish(mosaic, "east", (12.0, 45.0, 13.0, 46.0), RED)
    view.open(mosaic, "#11/45.5/10.5")
    expect(view.page.locator("#message")).to_contain_text("No scene is here")


def test_the_coastline_lies_under_the_mosaic_at_low_zooms_only(site: Site, view: View) -> None:
    """At high zooms it would be wrong by kilometres: nothing is better."""
    view.open(_alps(site), "#3/40/-20")
    view.shows(-30.5, 40.5, SEA)
    view.shows(-3.5, 40.5, GROUND)
    view.look_at(-30.5, 40.5, 9)
    view.shows(-30.52, 40.52, GROUND)


def test_coordinates_are_found(site: Site, new_view: Callable[..., View]) -> None:
    view = new_view(reduced_motion="reduce")
    view.open(_alps(site))
    view.page.get_by_role("button", name="Search").click()
    search = view.page.get_by_label("Coordinates or the id of a scene")
    for text, lat, lon in (
        ("45.5, 8.25", 45.5, 8.25),
        ("45.6 8.35", 45.6, 8.35),
        ("8.45E 45.4N", 45.4, 8.45),
        ("N45.3 E8.55", 45.3, 8.55),
        ("45°15'N 8°45'E", 45.25, 8.75),
        ("45°45′0″N 7°30′0″E", 45.75, 7.5),
    ):
        view.page.evaluate("livemosaic.map.jumpTo({ center: [0, 0], zoom: 5 })")
        search.fill(text)
        search.press("Enter")
        _arrives(view, (lon - 0.01, lat - 0.01))
        title = f"{lat:.4f}° N, {lon:.4f}° E"
        expect(view.page.locator("#panel-title")).to_have_text(title)
    assert view.complaints == []


def test_a_scene_is_found_by_its_id_and_nothing_else_is(site: Site, troubled: View) -> None:
    view = troubled
    mosaic = _alps(site)
    site.publish(mosaic, "far/away", (12.0, 45.0, 13.0, 46.0), (30, 160, 70))
    view.open(mosaic, "#9/45.5/8")
    view.page.get_by_role("button", name="Search").click()
    search = view.page.get_by_label("Coordinates or the id of a scene")
    search.fill("far/away")
    search.press("Enter")
    _arrives(view, (12.5, 45.5), (30, 160, 70))
    search.fill("95, 8")
    search.press("Enter")
    answer = view.page.locator("#drawer [role=status]")
    expect(answer).to_contain_text("neither a pair of coordinates nor the id of a scene")


def test_outlines_of_scenes_are_drawn_on_demand(site: Site, view: View) -> None:
    view.open(_alps(site))
    button = view.page.get_by_role("button", name="Outlines of scenes")
    button.click()
    _drawn(view, "footprints-1")
    expect(button).to_have_attribute("aria-pressed", "true")
    button.click()
    view.until("() => !livemosaic.map.queryRenderedFeatures({ layers: ['footprints-1'] }).length")


def test_the_drawer_is_closed_by_escape_and_gives_back_the_focus(site: Site, view: View) -> None:
    view.open(_alps(site))
    button = view.page.get_by_role("button", name="Search")
    button.focus()
    view.page.keyboard.press("Enter")
    expect(view.page.locator("#drawer")).to_be_visible()
    view.page.keyboard.press("Escape")
    expect(view.page.locator("#drawer")).to_be_hidden()
    expect(button).to_be_focused()


def test_on_a_phone_the_drawer_is_a_sheet_that_leaves_the_map_in_view(
    site: Site, new_view: Callable[..., View]
) -> None:
    view = new_view(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    view.open(_alps(site))
    view.page.get_by_role("button", name="Search").tap()
    box = view.page.locator("#drawer").bounding_box()
    assert box is not None
    assert box["y"] > 780 * 0.4
    assert box["width"] == 390
    assert view.complaints == []


@pytest.mark.parametrize(
    ("query", "text"),
    [("?lock=s2/scene", "Zoom in to see the mosaic"), ("?ids=gone", "has the id 'gone'")],
)
def test_below_its_zooms_a_rule_of_named_scenes_is_judged_as_above_them(
    site: Site, troubled: View, query: str, text: str
) -> None:
    troubled.open(_alps(site, minzoom=8), f"{query}#3/45/8")
    expect(troubled.page.locator("#message")).to_contain_text(text)
