"""The map page draws a mosaic of Mars, in a real Chromium, and nothing of the Earth."""

import io
import time
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from playwright.sync_api import sync_playwright

from api.served import Server, on_socket
from browser.conftest import FLAGS, TIMEOUT_S, parts
from chromium import executable
from planets.mars import STRIPS

__all__ = ["parts"]

OUTLINED = """scenes => {
  if (!livemosaic.map.getLayer("footprints-1")) return false;
  const drawn = livemosaic.map.queryRenderedFeatures({ layers: ["footprints-1"] });
  return scenes.every((id) => drawn.some(({ properties }) => properties.id === id));
}"""


@pytest.mark.browser
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_a_hillshade_of_mars_is_drawn(mars: Server, scheme: str, tmp_path: Path) -> None:
    said: list[str] = []
    with on_socket(mars) as url, sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = browser.new_page(viewport={"width": 800, "height": 600}, color_scheme=scheme)
        page.on("console", lambda message: said.append(f"{message.type}: {message.text}"))
        page.on("requestfailed", lambda request: said.append(f"{request.failure}: {request.url}"))
        page.goto(f"{url}/mosaics/shade/map.html")
        end = time.monotonic() + TIMEOUT_S
        while True:
            with Image.open(io.BytesIO(page.screenshot())) as shot:
                middle = np.asarray(shot.convert("RGB"), int)[200:400, 300:500]
            if np.ptp(middle) > 60:  # the relief; of the background it is a few
                break
            assert time.monotonic() < end, said
            page.wait_for_timeout(200)
        assert np.ptp(middle, axis=2).max() <= 12  # gray all over
        assert "in view" in page.inner_text("body")
        page.locator("#tool-footprints").click()
        page.wait_for_function(OUTLINED, arg=[*STRIPS], timeout=TIMEOUT_S * 1000)
        browser.close()
    # What the page itself takes back, as when the view moves on, is no failure.
    assert [
        line for line in said if line.startswith(("error", "net::")) and "ERR_ABORTED" not in line
    ] == []
