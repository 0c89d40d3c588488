"""What the page gives to other programs shows what the page shows."""

import re
import shlex
import subprocess
import warnings
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import expect
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from .conftest import PREFIX, TIMEOUT_S, Site, View

pytestmark = pytest.mark.browser
expect.set_options(timeout=TIMEOUT_S * 1000)

BOTH = (7.0, 45.0, 9.0, 46.0)
QUERY = "?rescale=1000,3000&colormap_name=viridis&datetime=2026-01-01/.."
YELLOW = (253, 231, 37)
NEARLY_YELLOW = pytest.approx(YELLOW, abs=3)
"""Images without holes are JPEG."""


def _open(site: Site, view: View, zoom: int = 9, **settings: Any) -> str:
    mosaic, rest = site.mosaic(**settings), QUERY
    site.publish(mosaic, "counts", BOTH, np.full((1, 256, 256), 3000, "uint16"))
    if settings.get("access") == "private":
        made = site.client.post(f"/mosaics/{mosaic}/tokens", json={}).raise_for_status().json()
        rest += f"&access_token={made['access_token']}"
    view.open(mosaic, f"{rest}#{zoom}/45.5/8", base=PREFIX)
    view.shows(8.0, 45.5, YELLOW)
    view.page.get_by_role("button", name="Use this view").click()
    return mosaic


def _text(view: View, title: str) -> str:
    section = view.page.locator("section.use").filter(has=view.page.get_by_text(title, exact=True))
    text = section.locator("code").text_content()
    assert text
    return text


def _middle(content: bytes) -> tuple[int, ...]:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(content) as file, file.open() as image:
            row, column = image.height // 2, image.width // 2
            return tuple(image.read()[:3, row, column].tolist())


@pytest.mark.parametrize("access", ["public", "private"])
def test_each_address_shows_what_the_page_shows(site: Site, view: View, access: str) -> None:
    mosaic = _open(site, view, access=access)
    tile = _text(view, "XYZ tiles").replace("{z}/{x}/{y}", "9/267/183")
    assert _middle(httpx.get(tile, timeout=TIMEOUT_S).content) == NEARLY_YELLOW
    described = httpx.get(_text(view, "TileJSON"), timeout=TIMEOUT_S).raise_for_status().json()
    assert "rescale=1000%2C3000" in described["tiles"][0]
    capabilities = httpx.get(_text(view, "WMTS"), timeout=TIMEOUT_S).raise_for_status().text
    assert mosaic in capabilities
    assert "colormap_name=viridis" in capabilities
    view.page.goto(_text(view, "This page"))
    view.shows(8.0, 45.5, YELLOW)
    assert view.page.evaluate("livemosaic.map.getZoom()") == 9


def test_the_image_is_the_view_pixel_for_pixel(site: Site, view: View) -> None:
    _open(site, view, zoom=8)
    url = shlex.split(_text(view, "Image"))[-1]
    content = httpx.get(url, timeout=TIMEOUT_S).raise_for_status().content
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with MemoryFile(content) as file, file.open() as image:
            assert (image.width, image.height) == (900, 600)
            valid = image.dataset_mask() > 0
    rows, columns = np.nonzero(valid)
    left, top = view.at(7.0, 46.0)
    right, bottom = view.at(9.0, 45.0)
    edges = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
    assert edges == pytest.approx((left, top, right, bottom), abs=1.5)


def test_python_reads_what_the_page_shows(site: Site, view: View) -> None:
    _open(site, view)
    names: dict[str, Any] = {}
    exec(_text(view, "Python"), names)  # as a user would
    image = names["image"]
    middle = image.array[:, image.height // 2, image.width // 2]
    assert tuple(middle[:3].tolist()) == NEARLY_YELLOW


def test_gdal_reads_what_the_page_shows(site: Site, view: View, tmp_path: Any) -> None:
    _open(site, view)
    command = shlex.split(_text(view, "GDAL").replace("\\\n", ""))
    if not subprocess.run(["which", command[0]], capture_output=True, check=False).stdout:
        pytest.skip("gdal_translate is not installed")
    target = tmp_path / "view.tif"
    subprocess.run([*command[:-1], target], check=True, capture_output=True, timeout=TIMEOUT_S)
    assert _middle(target.read_bytes()) == NEARLY_YELLOW


def test_the_layer_for_qgis_is_two_clicks_away(site: Site, view: View) -> None:
    mosaic = _open(site, view)
    with view.page.expect_download() as download:
        view.page.get_by_role("link", name="QGIS layer").click()
    assert download.value.suggested_filename == f"{mosaic}.qlr"
    assert "colormap_name" in download.value.path().read_text()


def test_it_follows_the_map_and_is_copied(site: Site, view: View) -> None:
    view.page.context.grant_permissions(["clipboard-read", "clipboard-write"])
    _open(site, view)
    view.page.evaluate("livemosaic.map.jumpTo({ center: [7.5, 45.25], zoom: 10 })")
    expect(view.page.locator("section.use").first).to_contain_text("#10/45.25/7.5")
    view.page.get_by_role("button", name="Copy This page").click()
    expect(view.page.get_by_role("button", name="Copy This page")).to_have_text("Copied")
    copied = view.page.evaluate("navigator.clipboard.readText()")
    assert re.search(r"datetime=2026-01-01/\.\.#10/45\.25/7\.5$", copied)


def test_the_map_says_who_made_the_scenes(site: Site, view: View) -> None:
    _open(site, view, attribution="Made by <b>us</b> & them", license="CC-BY-4.0")
    shown = view.page.locator(".maplibregl-ctrl-attrib")
    expect(shown).to_contain_text("Made by <b>us</b> & them · CC-BY-4.0")
    expect(shown).to_contain_text("livemosaic · MapLibre")
    link = shown.get_by_role("link", name="CC-BY-4.0")
    expect(link).to_have_attribute("href", "https://spdx.org/licenses/CC-BY-4.0.html")
