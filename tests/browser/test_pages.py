"""The pages that are read, as seen in a browser."""

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from .conftest import PREFIX, TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

ALPS = (7.0, 45.0, 8.0, 46.0)


@pytest.mark.parametrize("base", ["", PREFIX], ids=["at the root", "behind a prefix"])
def test_the_first_page_leads_to_the_map_of_a_mosaic(site: Site, view: View, base: str) -> None:
    mosaic = site.mosaic(title="Die Alpen <b>live</b>")
    site.publish(mosaic, "scene", ALPS, (200, 30, 40))
    view.page.goto(f"{site.url}{base}/")
    card = view.page.get_by_role("listitem").filter(has_text=mosaic)
    expect(card.get_by_role("heading")).to_have_text("Die Alpen <b>live</b>")
    expect(card).to_contain_text("45.0° N – 46.0° N, 7.0° E – 8.0° E")
    card.get_by_role("heading").click()
    view.page.wait_for_url(re.compile(re.escape(f"{site.url}{base}/mosaics/{mosaic}/map.html")))
    view.shows(7.5, 45.5, (200, 30, 40))
    assert view.complaints == []


def test_documents_lead_from_one_to_another(site: Site, view: View) -> None:
    mosaic = site.mosaic()
    view.page.goto(f"{site.url}{PREFIX}/mosaics/{mosaic}/tiles")
    view.page.get_by_role("link", name="/tiles/WebMercatorQuad").click()
    expect(view.page.get_by_text("tileMatrixSetLimits")).to_be_visible()
    view.page.get_by_role("link", name="tileMatrixSets/WebMercatorQuad").click()
    expect(view.page.get_by_role("heading")).to_have_text("WebMercatorQuad")
    view.page.get_by_role("link", name="livemosaic").click()
    expect(view.page).to_have_url(f"{site.url}{PREFIX}/")


def test_colormaps_are_shown_by_their_colors(site: Site, view: View) -> None:
    view.page.goto(f"{site.url}/colorMaps")
    swatch = view.page.get_by_role("listitem").filter(has_text=re.compile("^viridis$"))
    swatch.scroll_into_view_if_needed()
    drawn = "image => image.complete && image.naturalWidth === 256"
    view.page.wait_for_function(drawn, arg=swatch.locator("img").element_handle())
    swatch.get_by_role("link").click()
    expect(view.page.get_by_alt_text("Legend")).to_be_visible()


@pytest.mark.parametrize(
    ("scheme", "ground"), [("light", "rgb(236, 239, 241)"), ("dark", "rgb(20, 24, 28)")]
)
@pytest.mark.parametrize("width", [390, 1200])
def test_it_fits_the_screen_in_light_and_dark(
    site: Site, new_view: Callable[..., View], scheme: str, ground: str, width: int
) -> None:
    site.mosaic(
        title="A rather long title of a mosaic that-has-a-word-which-is-longer-than-a-phone"
    )
    view = new_view(color_scheme=scheme, viewport={"width": width, "height": 700})
    for path in ("/", "/colorMaps", "/tileMatrixSets/WebMercatorQuad"):
        view.page.goto(f"{site.url}{path}?f=html")
        style = "getComputedStyle(document.body).backgroundColor"
        assert view.page.evaluate(style) == ground
        assert view.page.evaluate("document.documentElement.scrollWidth") <= width
    assert view.complaints == []
