"""At the pin: the values of all scenes of the rule, their chart, and what they come from."""

import re
from pathlib import Path

import numpy as np
import pytest
from playwright.sync_api import expect

from .conftest import TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

BOTH, AT = (7.0, 45.0, 9.0, 46.0), (8.0, 45.3)


def _series(site: Site, **settings: object) -> str:
    """A mosaic of the values 100, 200, 300 on three days."""
    mosaic = site.mosaic(**settings)
    for day in (1, 2, 3):
        data = np.full((1, 256, 256), 100 * day, "uint16")
        site.publish(mosaic, f"day-{day}", BOTH, data, day=day)
    return mosaic


def test_each_scene_has_its_values_and_a_chart_shows_them_over_time(site: Site, view: View) -> None:
    view.open(_series(site))
    view.click(*AT)
    expect(view.page.locator("#scenes .values")).to_have_text(["b1 300", "b1 200", "b1 100"])
    chart = view.page.get_by_role("img", name="Values of b1 over time, from 100 to 300")
    expect(chart).to_be_visible()
    points = [circle.get_attribute("cy") for circle in chart.locator("circle").all()]
    assert [float(y or "nan") for y in points] == sorted(map(float, filter(None, points)))[::-1]
    expect(view.page.locator(".chart")).to_contain_text("2026-01-01")
    view.page.keyboard.press("Escape")
    expect(view.page.locator("#panel")).to_be_hidden()


def test_values_are_those_of_the_rule_and_of_the_expression(site: Site, view: View) -> None:
    view.open(_series(site), "?datetime=../2026-01-02&expression=visual*2&rescale=0,1000")
    view.click(*AT)
    expect(view.page.locator("#scenes .values")).to_have_text(
        [re.compile("400$"), re.compile("200$")]
    )
    view.page.get_by_label("Order of scenes").select_option("Oldest on top")
    expect(view.page.locator("#scenes .values")).to_have_text(
        [re.compile("200$"), re.compile("400$")]
    )


def test_a_scene_leads_to_its_item(site: Site, view: View) -> None:
    mosaic = _series(site, access="private")
    made = site.client.post(f"/mosaics/{mosaic}/tokens", json={}).raise_for_status().json()
    view.open(mosaic, f"?access_token={made['access_token']}")
    view.click(*AT)
    view.page.locator("#scenes summary").first.click()
    href = view.page.locator("#scenes dd a").first.get_attribute("href")
    assert href is not None
    item = view.page.evaluate("href => fetch(href).then(answer => answer.json())", href)
    assert item["id"] == "day-3"


def test_a_scene_that_cannot_be_read_is_named(site: Site, view: View) -> None:
    mosaic = _series(site)
    newest = site.client.get(f"/mosaics/{mosaic}/items/day-3", params={"collection": "s2"}).json()
    path = newest["assets"]["visual"]["href"].removeprefix("file://")
    view.open(mosaic)
    Path(path).write_bytes(b"this is no TIFF any more")
    view.click(*AT)
    expect(view.page.locator("#more")).to_contain_text("1 scene without a value: day-3")
    expect(view.page.locator("#scenes .values")).to_have_count(2)
