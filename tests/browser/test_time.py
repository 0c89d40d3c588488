"""Time: a slider over the days of the scenes in view, which plays, and a comparison of two."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

RED, GREEN, BLUE = (200, 30, 40), (30, 160, 70), (40, 70, 200)
BOTH, AT = (7.0, 45.0, 9.0, 46.0), (7.6, 45.2)
RIGHT = (8.1, 45.2)
"""Right of the line in the middle, and left of the drawer."""


def _three(site: Site, **settings: object) -> str:
    """A mosaic of three days."""
    mosaic = site.mosaic(**settings)
    for day, color in ((1, RED), (5, GREEN), (9, BLUE)):
        site.publish(mosaic, f"day-{day}", BOTH, color, day=day)
    return mosaic


def _time(view: View) -> None:
    view.page.get_by_role("button", name="Time", exact=True).click()
    expect(view.page.get_by_label("Day", exact=True)).to_be_visible()


EACH = ["Up to 1 Jan 2026", "Up to 5 Jan 2026", "Up to 9 Jan 2026"]


def _noted(view: View, selector: str) -> Callable[[], list[str]]:
    """Notes the texts that an element gets from now on, as it may be seen for a moment only."""
    view.page.evaluate(
        """selector => {
          window.noted = [];
          const element = document.querySelector(selector);
          const note = text => noted.at(-1) !== text && noted.push(text);
          const observer = new MutationObserver(() => note(element.textContent));
          observer.observe(element, { childList: true });
        }""",
        selector,
    )
    return lambda: view.page.evaluate("noted")


def _drew_each_day(view: View) -> None:
    tiles = [url for url in view.requests if "/WebMercatorQuad/" in url and "tilejson" not in url]
    for day in ("01", "05", "09"):
        assert any(f"datetime=..%2F2026-01-{day}T23" in url for url in tiles), day


def test_the_slider_shows_the_mosaic_as_of_a_day(site: Site, view: View) -> None:
    view.open(_three(site))
    _time(view)
    expect(view.page.locator("#drawer")).to_contain_text("3 days of scenes in view, 1 Jan 2026")
    slider = view.page.get_by_label("Day", exact=True)
    slider.fill("1")
    expect(view.page.locator(".day")).to_have_text("Up to 5 Jan 2026")
    view.shows(*AT, GREEN)
    expect(view.page.locator("#count")).to_have_text("2 scenes in view")
    slider.fill("0")
    view.shows(*AT, RED)
    expect(view.page.locator("#count")).to_have_text("1 scene in view")
    view.page.get_by_role("button", name="All days").click()
    view.shows(*AT, BLUE)
    assert "datetime" not in view.page.url


def test_a_day_alone_is_shown_on_demand(site: Site, view: View) -> None:
    mosaic = _three(site)
    site.publish(mosaic, "west", (7.0, 45.0, 7.5, 46.0), GREEN, day=10)
    view.open(mosaic, "?datetime=2026-01-10")
    view.shows(7.2, 45.2, GREEN)
    _time(view)
    expect(view.page.locator(".day")).to_have_text("Only 10 Jan 2026")
    expect(view.page.get_by_label("Only scenes of that day")).to_be_checked()
    view.page.get_by_label("Only scenes of that day").uncheck()
    view.shows(*AT, BLUE)
    expect(view.page.locator(".day")).to_have_text("Up to 10 Jan 2026")


def test_it_plays_from_the_first_day_to_the_last(site: Site, view: View) -> None:
    view.open(_three(site))
    view.shows(*AT, BLUE)
    _time(view)
    days = _noted(view, ".day")
    view.page.get_by_role("button", name="Play").click()
    expect(view.page.get_by_role("button", name="Stop")).to_be_visible()
    expect(view.page.get_by_role("button", name="Play")).to_be_visible()
    view.shows(*AT, BLUE)
    assert days() == EACH
    _drew_each_day(view)


def test_two_days_are_compared_by_a_line_that_can_be_moved(site: Site, view: View) -> None:
    view.open(_three(site))
    view.shows(*RIGHT, BLUE)
    _time(view)
    view.page.get_by_label("Compare with").select_option("Up to 1 Jan 2026")
    view.shows(*RIGHT, RED)
    view.shows(*AT, BLUE)
    line = view.page.get_by_label("Line between the two maps")
    line.fill("20")
    view.shows(*AT, RED)
    view.page.get_by_label("Compare with").select_option("Nothing")
    view.shows(*AT, BLUE)
    expect(line).to_be_hidden()


def test_a_render_is_compared_and_both_follow_the_map(site: Site, view: View) -> None:
    mosaic = _three(site, renders={"half": {"title": "Half", "rescale": [[0, 510]]}})
    view.open(mosaic)
    _time(view)
    view.page.get_by_label("Compare with").select_option("Render Half")
    view.shows(*RIGHT, (20, 35, 100))
    view.page.evaluate("livemosaic.map.jumpTo({ center: [8.95, 45.5], zoom: 9 })")
    view.shows(8.97, 45.4, (20, 35, 100))
    site.publish(mosaic, "new", BOTH, GREEN, day=12)
    view.shows(8.97, 45.4, (15, 80, 35))


def test_the_story_shows_the_whole_mosaic_day_after_day(site: Site, view: View) -> None:
    view.open(_three(site), "#12/45.9/7.1")
    days = _noted(view, "#caption")
    view.page.get_by_role("button", name="Watch the mosaic grow").click()
    expect(view.page.locator("#caption")).to_be_visible()
    expect(view.page.locator("#caption")).to_be_hidden()
    view.shows(*AT, BLUE)
    assert [day for day in days() if day] == EACH
    _drew_each_day(view)
    assert "datetime" not in view.page.url


def test_the_story_ends_where_the_viewer_moves_the_map(site: Site, view: View) -> None:
    view.open(_three(site))
    button = view.page.get_by_role("button", name="Watch the mosaic grow")
    button.click()
    expect(view.page.locator("#caption")).to_have_text(re.compile("Up to"))
    view.page.get_by_role("button", name="Zoom in").click()
    expect(button).to_have_attribute("aria-pressed", "false")
    expect(view.page.locator("#count")).to_have_text("3 scenes in view")


def test_the_view_follows_a_mosaic_that_grows(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "first", (7.0, 45.0, 8.0, 46.0), RED)
    view.open(mosaic)
    site.publish(mosaic, "second", (12.0, 45.0, 13.0, 46.0), GREEN, day=3)
    view.until("() => livemosaic.map.getBounds().contains([12.9, 45.5])")
    view.until("() => !livemosaic.map.isMoving()")
    view.shows(12.5, 45.5, GREEN)


def test_a_scene_out_of_view_is_announced_to_who_has_moved_the_map(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "first", (7.0, 45.0, 8.0, 46.0), RED)
    view.open(mosaic, "#9/45.5/7.5")
    site.publish(mosaic, "far", (20.0, 45.0, 21.0, 46.0), GREEN, day=3)
    line = view.page.locator("#feed li.away")
    expect(line).to_have_text(re.compile("1 scene out of view"))
    line.get_by_role("button").click()
    view.until("() => livemosaic.map.getBounds().contains([20.5, 45.5])")
    view.until("() => !livemosaic.map.isMoving()")
    view.shows(20.5, 45.5, GREEN)


def test_the_demo_ends_on_a_time_lapse(site: Site, view: View) -> None:
    """`?story` is of the page alone: tiles never see it."""
    mosaic = _three(site)
    view.open(mosaic, "?story")
    assert "story" not in view.page.url
    expect(view.page.locator("#caption")).to_have_text(re.compile("Up to"))
    assert not any("story" in url.partition("?")[2] for url in view.requests[1:])


def test_on_a_phone_the_feed_leaves_the_map_in_view(
    site: Site, new_view: Callable[..., View]
) -> None:
    view = new_view(viewport={"width": 390, "height": 780}, has_touch=True, is_mobile=True)
    mosaic = _three(site)
    view.open(mosaic)
    for day in (11, 12, 13):
        site.publish(mosaic, f"new-{day}", BOTH, GREEN, day=day)
    line = view.page.locator("#feed li")
    expect(line).to_have_count(1)
    box = line.bounding_box()
    assert box is not None
    assert box["y"] > 780 * 0.8
    assert box["height"] < 60


def test_the_card_names_the_newest_date_of_the_scenes_in_view(site: Site, view: View) -> None:
    mosaic = _three(site)
    view.open(mosaic)
    newest = view.page.locator("#newest")
    expect(newest).to_have_text("newest 9 Jan 2026")
    site.publish(mosaic, "late", BOTH, RED, day=3)
    expect(view.page.locator("#count")).to_have_text("4 scenes in view")
    expect(newest).to_have_text("newest 9 Jan 2026")
    site.publish(mosaic, "new", BOTH, GREEN, day=20)
    expect(newest).to_have_text("newest 20 Jan 2026")
