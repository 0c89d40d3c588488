"""What the map page says of scenes in view that are not drawn, at any zoom."""

import re
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import expect

from items import box, item

from .conftest import TIMEOUT_S, Site, View
from .test_overviews import ACROSS, GREEN, RED, build, place, publish_many, with_overviews

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

PLACE = (7.0, 45.0, 8.0, 46.0)
NARROW = {"width": 390, "height": 760}


def publish_lost(
    site: Site, mosaic: str, scene: str, bounds: tuple[float, float, float, float]
) -> None:
    """A scene whose file is not there."""
    href = str(site.folder / f"lost-{next(site.numbers)}.tif")
    assets = {"visual": {"href": href, "type": "image/tiff"}}
    document = item(scene, box(*bounds), datetime="2026-01-20T10:30:00Z", assets=assets)
    site.client.post(f"/mosaics/{mosaic}/items", json=document).raise_for_status()


def test_a_scene_that_cannot_be_read_is_named_with_the_reason(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "whole", PLACE, RED)
    view.open(mosaic)
    view.shows(7.5, 45.5, RED)
    skipped = view.page.locator("#skipped")
    expect(skipped).to_be_hidden()
    publish_lost(site, mosaic, "lost, <b>a=b</b> 100 %", PLACE)
    expect(view.page.locator("#skipped-title")).to_have_text("1 scene could not be read")
    expect(view.page.locator("#skipped-scenes")).to_be_hidden()
    view.shows(7.5, 45.5, RED)
    skipped.locator("summary").click()
    entry = view.page.locator("#skipped-scenes li")
    expect(entry.locator(".id")).to_have_text("lost, <b>a=b</b> 100 %")
    expect(entry.locator(".why")).to_have_text(re.compile("asset .visual. .* is missing"))
    view.look_at(30, 10)
    expect(skipped).to_be_hidden()
    view.look_at(7.5, 45.5)
    expect(skipped).to_be_visible()
    site.delete(mosaic, "lost, <b>a=b</b> 100 %")
    expect(skipped).to_be_hidden()


def test_overviews_name_some_of_the_scenes_that_cannot_be_read(site: Site, view: View) -> None:
    mosaic = with_overviews(site)
    publish_many(site, mosaic)
    for n in range(ACROSS):
        publish_lost(site, mosaic, f"lost{n}", place(n, n))
    build(site, mosaic)
    view.open(mosaic, "#4/45.9/7.9")
    expect(view.page.locator("#skipped-title")).to_have_text("2+ scenes could not be read")
    view.page.locator("#skipped summary").click()
    expect(view.page.locator("#skipped-scenes")).to_contain_text("lost0")
    expect(view.page.locator("#skipped-scenes li").last).to_have_text("and others")


def test_a_scene_without_a_shown_asset_is_left_out_and_named(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "shown", PLACE, RED)
    site.publish(mosaic, "other", PLACE, GREEN, day=2, asset="thermal")
    view.open(mosaic)
    view.shows(7.5, 45.5, RED)
    expect(view.page.locator("#skipped-title")).to_have_text("1 scene is left out")


@pytest.mark.parametrize(
    ("scheme", "size"),
    [("dark", NARROW), ("light", {"width": 1100, "height": 700})],
    ids=["phone", "desk"],
)
def test_the_list_lies_in_the_card_and_scrolls(
    site: Site, new_view: Callable[..., View], tmp_path: Path, scheme: str, size: dict[str, int]
) -> None:
    mosaic = site.mosaic()
    site.publish(mosaic, "whole", PLACE, RED)
    for n in range(12):
        publish_lost(site, mosaic, f"S2A_MSIL2A_20260101T101010_N0500_R022_T32TMT_{n:02}", PLACE)
    view = new_view(viewport=size, color_scheme=scheme, has_touch=size is NARROW)
    view.open(mosaic)
    expect(view.page.locator("#skipped-title")).to_have_text("12 scenes could not be read")
    closed = view.page.locator("#card").bounding_box()
    view.page.locator("#skipped summary").click()
    opened = view.page.locator("#card").bounding_box()
    assert closed is not None
    assert opened is not None
    assert closed["height"] < opened["height"] < 0.75 * size["height"]
    assert opened["x"] + opened["width"] <= size["width"]
    last = view.page.locator("#skipped-scenes li").last
    last.scroll_into_view_if_needed()
    expect(last).to_be_in_viewport()
    view.page.screenshot(path=tmp_path / "skipped.png")
