"""Pages are usable by everybody, and quickly there."""

import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from playwright.sync_api import expect

from .conftest import Site, View

pytestmark = pytest.mark.browser

AXE = Path(__file__).parents[2] / "node_modules/axe-core/axe.min.js"
BOTH = (7.0, 45.0, 9.0, 46.0)
KB = 1_000
OPENED = ".opblock.is-open"
"""Operations of the API reference that are unfolded; a hundred others stay as they were."""
MOST_KB = 600
"""Everything that the map page loads but tiles, compressed."""


@pytest.fixture(scope="module")
def axe() -> str:
    """The source of axe-core, which npm brings."""
    if not AXE.exists():
        (pytest.fail if os.environ.get("CI") else pytest.skip)(f"{AXE} is missing: npm ci")
    return AXE.read_text("utf-8")


def _mosaic(site: Site) -> str:
    mosaic = site.mosaic(title="Alps", renders={"half": {"rescale": [[0, 510]]}})
    for day in (1, 2):
        data = np.full((1, 256, 256), 1000 * day, "uint16")
        site.publish(mosaic, f"scene-{day}", BOTH, data, day=day)
    return mosaic


def _serious(view: View, axe: str, within: str = "html") -> list[Any]:
    """Violations of a page, or of what a CSS selector finds in it."""
    view.page.evaluate(f"() => {{ {axe} }}")
    found = view.page.evaluate(
        "within => axe.run(within, { resultTypes: ['violations'] })", within
    )["violations"]
    return [(one["id"], [node["target"] for node in one["nodes"]]) for one in found]


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_the_map_page_has_no_violations(
    site: Site, new_view: Callable[..., View], axe: str, scheme: str
) -> None:
    """Alone, and with each of its tools."""
    view = new_view(color_scheme=scheme, reduced_motion="reduce")
    view.open(_mosaic(site), "?rescale=0,3000&colormap_name=viridis")
    view.click(7.6, 45.2)
    view.until("() => document.querySelector('#chart svg')")
    found = {"none": _serious(view, axe)}
    for tool in ("search", "style", "time", "use"):
        view.page.locator(f"#tool-{tool}").click()
        expect(view.page.locator(f"#tool-{tool}")).to_have_attribute("aria-expanded", "true")
        view.until("() => !/Reading/.test(document.querySelector('#drawer-body').textContent)")
        found[tool] = _serious(view, axe)
    assert not any(found.values()), found


@pytest.mark.parametrize(
    "path",
    ["/", "/algorithms", "/algorithms/hillshade", "/colorMaps", "/tileMatrixSets/WebMercatorQuad"],
)
def test_pages_that_are_read_have_no_violations(
    site: Site, view: View, axe: str, path: str
) -> None:
    _mosaic(site)
    view.page.goto(f"{site.url}{path}?f=html")
    assert _serious(view, axe) == []


def test_the_api_reference_has_no_violations(site: Site, view: View, axe: str) -> None:
    """Folded; then the operations that are unfolded, and while one is tried."""
    view.page.goto(f"{site.url}/docs")
    view.page.wait_for_selector(".opblock", timeout=60_000)
    assert _serious(view, axe) == []
    for method in ("get", "post", "put", "patch", "delete"):
        view.page.locator(f".opblock-{method} .opblock-summary-control").first.click()
        view.page.wait_for_selector(f".opblock-{method} .try-out__btn")
    assert _serious(view, axe, OPENED) == []
    for button in view.page.locator(".try-out__btn").all():
        button.click()
    assert _serious(view, axe, OPENED) == []
    view.page.locator(".opblock-get .execute").first.click()
    view.page.wait_for_selector(".live-responses-table .microlight")
    assert _serious(view, axe, OPENED) == []


def test_the_map_page_weighs_little(site: Site, view: View) -> None:
    view.open(_mosaic(site))
    view.until("() => livemosaic.map.areTilesLoaded()")
    sizes = view.page.evaluate(
        """() => performance.getEntriesByType("resource")
          .filter(({ name }) => !/\\/WebMercatorQuad\\/\\d/.test(name))
          .map(({ name, transferSize }) => [name, transferSize])"""
    )
    assert any("maplibre-gl.mjs" in name for name, _ in sizes)
    assert sum(size for _, size in sizes) < MOST_KB * KB, sizes
