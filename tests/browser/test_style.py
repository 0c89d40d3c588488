"""The style panel: what is shown, stretched to what is in view, and kept as a render."""

import re

import numpy as np
import pytest
from playwright.sync_api import expect

from .conftest import TIMEOUT_S, TOKEN, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

BOTH = (7.0, 45.0, 9.0, 46.0)
DARK, BRIGHT = (7.5, 45.3), (8.1, 45.3)  # left of the drawer


def _counts(site: Site, **settings: object) -> str:
    """A mosaic of one band of 16 bits: 1000 in the west, 3000 in the east."""
    mosaic = site.mosaic(**settings)
    data = np.full((1, 256, 256), 1000, "uint16")
    data[:, :, 128:] = 3000
    site.publish(mosaic, "counts", BOTH, data)
    return mosaic


def _bands(site: Site, **values: int) -> str:
    """A mosaic of a scene with an asset a band, as its Item names them."""
    mosaic = site.mosaic(default_assets=["red"])
    hrefs = {}
    for name, value in values.items():
        data = np.full((1, 256, 256), value, "uint16")
        data[:, :, :128] //= 2
        hrefs[name] = data
    site.publish_bands(mosaic, "scene", BOTH, hrefs)
    return mosaic


def test_one_click_stretches_what_was_near_black(site: Site, view: View) -> None:
    view.open(_counts(site))
    view.shows(*BRIGHT, (12, 12, 12))
    view.page.get_by_role("button", name="Stretch to the values in view").click()
    view.shows(*BRIGHT, (255, 255, 255))
    view.shows(*DARK, (0, 0, 0))
    expect(view.page).to_have_url(re.compile(r"rescale=1000%2C3000"))


def test_a_nearly_black_image_offers_to_be_stretched(site: Site, view: View) -> None:
    """Beside clouds, too, whose reflectance sensors state as up to 1.6, 16,000 of 65,535."""
    mosaic = _counts(site)
    cloud = np.full((1, 256, 256), 16_000, "uint16")
    site.publish(mosaic, "cloud", (9.1, 45.0, 9.6, 46.0), cloud)
    view.open(mosaic, "#8/45.3/8.4")
    notice = view.page.locator("#notice")
    expect(notice).to_contain_text("The image is nearly black")
    notice.get_by_role("button", name="Stretch colors").click()
    view.shows(9.35, 45.3, (255, 255, 255))
    expect(notice).to_be_hidden()


def test_an_image_that_can_be_seen_offers_nothing(site: Site, view: View) -> None:
    mosaic = _counts(site)
    site.publish(mosaic, "bright", (7.9, 45.2, 8.3, 45.4), np.full((1, 256, 256), 30_000, "uint16"))
    view.open(mosaic)
    view.shows(*BRIGHT, (117, 117, 117))
    view.page.wait_for_timeout(500)
    expect(view.page.locator("#notice")).to_be_hidden()


def test_the_stretch_is_of_what_is_in_view(site: Site, view: View) -> None:
    mosaic = _counts(site)
    site.publish(mosaic, "far", (12.0, 45.0, 14.0, 46.0), np.full((1, 256, 256), 60_000, "uint16"))
    view.open(mosaic, "#9/45.3/8")
    view.page.get_by_role("button", name="Stretch to the values in view").click()
    view.shows(*BRIGHT, (255, 255, 255))


def test_the_histogram_and_its_numbers_change_the_stretch(site: Site, view: View) -> None:
    view.open(_counts(site))
    view.page.get_by_role("button", name="Style", exact=True).click()
    brightest = view.page.get_by_label(re.compile("Brightest value"))
    brightest.fill("5000")
    brightest.press("Enter")
    view.shows(*BRIGHT, (128, 128, 128))
    undo = view.page.get_by_role("button", name="Undo")
    undo.click()
    view.shows(*BRIGHT, (12, 12, 12))
    expect(undo).to_be_disabled()
    assert "rescale" not in view.page.url


def test_a_color_ramp_has_a_legend_with_its_values(site: Site, view: View) -> None:
    view.open(_counts(site), "?rescale=1000,3000")
    view.page.get_by_role("button", name="Style", exact=True).click()
    view.page.get_by_label("Color ramp").select_option("viridis")
    view.shows(*DARK, (68, 1, 84))
    view.shows(*BRIGHT, (253, 231, 37))
    legend = view.page.locator("#legend")
    expect(legend).to_have_text(re.compile("1000.*visual.*3000"))
    drawn = "image => image.complete && image.naturalWidth > 0"
    view.page.wait_for_function(drawn, arg=legend.locator("img").element_handle())


def test_a_named_render_has_the_legend_of_its_ramp(site: Site, view: View) -> None:
    render = {"title": "Heights", "rescale": [[1000, 3000]], "colormap_name": "viridis"}
    view.open(_counts(site, renders={"heights": render}), "?render=heights")
    view.shows(*BRIGHT, (253, 231, 37))
    expect(view.page.locator("#legend")).to_have_text(re.compile("1000.*Heights.*3000"))


def test_ranges_of_the_whole_mosaic_are_a_style_like_others(site: Site, troubled: View) -> None:
    """Its legend has no numbers that it does not know."""
    mosaic = _counts(site)
    troubled.open(mosaic, "?rescale=auto&colormap_name=viridis")
    troubled.shows(*DARK, (68, 1, 84))
    troubled.shows(*BRIGHT, (253, 231, 37))
    expect(troubled.page.locator("#legend")).to_have_text(re.compile("2 %.*visual.*98 %"))
    troubled.page.get_by_role("button", name="Style", exact=True).click()
    troubled.page.get_by_label("Name of the render").fill("auto")
    troubled.page.get_by_role("button", name="Save").click()
    troubled.page.get_by_label("Token that may write").fill(TOKEN)
    troubled.page.get_by_role("button", name="Save").click()
    expect(troubled.page).to_have_url(re.compile(r"\?render=auto"))
    renders = site.client.get(f"/mosaics/{mosaic}").json()["renders"]
    assert renders["auto"]["rescale"] == "auto"
    expect(troubled.page.locator("#legend")).to_have_text(re.compile("2 %.*auto.*98 %"))


def test_bands_are_offered_by_their_common_names(site: Site, view: View) -> None:
    view.open(_bands(site, red=1000, green=2000, blue=3000, nir=3000))
    view.page.get_by_role("button", name="Style", exact=True).click()
    shown = view.page.get_by_label("What is shown")
    names = [
        *("Default", "True color", "False color (near infrared)"),
        *("NDVI (vegetation)", "NDWI (water)"),
    ]
    expect(shown.locator("option")).to_contain_text(names)
    shown.select_option("NDVI (vegetation)")
    expect(view.page.locator("#legend")).to_contain_text("(nir-red)/(nir+red)")
    tile = re.compile(r"expression=%28nir-red%29%2F%28nir%2Bred%29")
    view.until("() => livemosaic.map.areTilesLoaded()")
    assert any(tile.search(url) for url in view.requests)
    shown.select_option("True color")
    view.shows(*BRIGHT, (255, 255, 255))
    view.shows(*DARK, (0, 0, 0))
    expect(view.page.locator("#legend")).to_be_hidden()


def test_a_style_is_saved_by_who_may_write(site: Site, troubled: View) -> None:
    mosaic = _counts(site)
    troubled.open(mosaic, "?rescale=1000,3000&colormap_name=viridis")
    troubled.page.get_by_role("button", name="Style", exact=True).click()
    troubled.page.get_by_label("Name of the render").fill("Green & yellow")
    troubled.page.get_by_role("button", name="Save").click()
    token = troubled.page.get_by_label("Token that may write")
    expect(token).to_be_visible()
    assert site.client.get(f"/mosaics/{mosaic}").json()["renders"] == {}
    token.fill(TOKEN)
    troubled.page.get_by_role("button", name="Save").click()
    expect(troubled.page).to_have_url(re.compile(r"\?render=green-yellow"))
    troubled.shows(*BRIGHT, (253, 231, 37))
    renders = site.client.get(f"/mosaics/{mosaic}").json()["renders"]
    assert renders == {
        "green-yellow": {
            "title": "Green & yellow",
            "rescale": [[1000, 3000]],
            "colormap_name": "viridis",
        }
    }
    expect(troubled.page.get_by_label("Colors")).to_have_value("render=green-yellow")


def test_a_view_without_scenes_cannot_be_stretched(site: Site, view: View) -> None:
    view.open(_counts(site), "#9/10/10")
    view.page.get_by_role("button", name="Stretch to the values in view").click()
    expect(view.page.locator("#message")).to_contain_text("no scene is in view")
    assert "rescale" not in view.page.url


def test_a_view_without_values_cannot_be_stretched(site: Site, view: View) -> None:
    view.open(_counts(site), "?nodata=1000#11/45.5/7.3")
    view.page.get_by_role("button", name="Stretch to the values in view").click()
    expect(view.page.locator("#message")).to_contain_text("no pixel in view has a value")
    assert "rescale" not in view.page.url
