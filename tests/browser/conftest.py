"""A real server with real COGs, and a real Chromium that looks at it."""

import os
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from playwright.sync_api import Browser, Page, sync_playwright
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile
from starlette.applications import Starlette
from starlette.routing import Mount

import livemosaic
from api.served import app_on_socket
from chromium import executable
from cogs import write_cog
from items import box, item
from livemosaic.api.app import App
from livemosaic.services import Services, running
from livemosaic.settings import Settings

TOKEN = "browser-tests"
TIMEOUT_S = 40
PREFIX = "/prod/live"
"""The same server again, as behind a stage of an API gateway."""

FLAGS = [
    "--no-sandbox",
    "--use-angle=swiftshader",
    "--enable-unsafe-swiftshader",
    "--disable-gpu-compositing",  # only WebGL is drawn by the emulated GPU: a fifth less to compute
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-domain-reliability",
    "--disable-sync",
    "--no-first-run",
]

CALM = """
{
  const frame = requestAnimationFrame.bind(window), cancel = cancelAnimationFrame.bind(window);
  const waiting = new Map();
  let ids = 0;
  window.requestAnimationFrame = draw => {
    const id = ++ids;
    const pause = setTimeout(() => {
      const begun = frame(now => { waiting.delete(id); draw(now); });
      waiting.set(id, () => cancel(begun));
    }, 80);
    waiting.set(id, () => clearTimeout(pause));
    return id;
  };
  window.cancelAnimationFrame = id => { waiting.get(id)?.(); waiting.delete(id); };
}
"""
"""At most twelve frames a second: the emulated GPU draws each of a map with both cores."""

STALL = "GPU stall due to ReadPixels"
"""Chromium's word, once a browser, on how it takes what WebGL has drawn from the emulated GPU."""

Color = tuple[int, int, int]


@pytest.fixture(scope="module", autouse=True)
def parts() -> None:
    """Skip where the browser or MapLibre is missing; in CI that is a failure."""
    web = Path(livemosaic.__file__).parent / "api/web"
    missing = [
        what
        for what, there in (
            ("chromium is not installed", executable()),
            (
                "MapLibre GL is not in livemosaic/api/web",
                (web / "maplibre/maplibre-gl.mjs").exists(),
            ),
        )
        if not there
    ]
    if missing:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("; ".join(missing))


@dataclass
class Site:
    """A server, and what a publisher does with it."""

    url: str
    folder: Path
    client: httpx.Client
    services: Services
    numbers: Iterator[int] = field(default_factory=count)

    def mosaic(self, **settings: Any) -> str:
        """Create a mosaic; its id."""
        mosaic = settings.pop("id", f"m{next(self.numbers)}")
        self.client.post("/mosaics", json={"id": mosaic, **settings}).raise_for_status()
        return mosaic

    def publish(
        self,
        mosaic: str,
        scene: str,
        bounds: tuple[float, float, float, float],
        color: Color | np.ndarray[Any, Any],
        day: int = 1,
        asset: str = "visual",
        **rest: Any,
    ) -> None:
        """Publish a scene of one colour, or of given bands; a later `day` lies on top."""
        data = np.asarray(color)
        if data.ndim == 1:
            data = np.full((3, 256, 256), data[:, None, None], "uint8")
        path = self.folder / f"{next(self.numbers)}.tif"
        write_cog(path, data, crs="EPSG:4326", bounds=bounds, overviews=(2, 4))
        rest.setdefault("properties", {"eo:cloud_cover": 12.4})
        date = f"2026-01-{day:02}T10:30:00Z"
        assets = {asset: {"href": str(path), "type": "image/tiff"}}
        document = item(scene, box(*bounds), datetime=date, assets=assets, **rest)
        answer = self.client.post(f"/mosaics/{mosaic}/items", json=document)
        assert answer.status_code == 200, answer.text

    def publish_bands(
        self,
        mosaic: str,
        scene: str,
        bounds: tuple[float, float, float, float],
        bands: dict[str, np.ndarray[Any, Any]],
    ) -> None:
        """Publish a scene with an asset for each band, by its common name."""
        assets = {}
        for name, data in bands.items():
            path = self.folder / f"{next(self.numbers)}.tif"
            write_cog(path, data, crs="EPSG:4326", bounds=bounds, overviews=(2, 4))
            band = {"name": name, "eo:common_name": name}
            assets[name] = {"href": str(path), "type": "image/tiff", "bands": [band]}
        document = item(scene, box(*bounds), datetime="2026-01-01T10:30:00Z", assets=assets)
        answer = self.client.post(f"/mosaics/{mosaic}/items", json=document)
        assert answer.status_code == 200, answer.text

    def delete(self, mosaic: str, scene: str) -> None:
        """Take a scene out."""
        url = f"/mosaics/{mosaic}/items/{scene}"
        self.client.delete(url, params={"collection": "s2"}).raise_for_status()


def _client(url: str) -> httpx.Client:
    headers = {"Authorization": f"Bearer {TOKEN}"}
    return httpx.Client(base_url=url, headers=headers, timeout=TIMEOUT_S)


def wait_until(condition: Callable[[], Any]) -> None:
    end = time.monotonic() + TIMEOUT_S
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Site]:
    """One server for all tests; each test makes mosaics of its own."""
    folder = tmp_path_factory.mktemp("scenes")
    settings = Settings(
        index=f"sqlite:///{tmp_path_factory.mktemp('index')}/table.db",
        allowed_prefixes=(str(folder),),
        token=TOKEN,
    )
    with running(settings) as services:
        app = App(services)
        both = Starlette(routes=[Mount(PREFIX, app), Mount("/", app)])
        with app_on_socket(both) as url, _client(url) as client:
            yield Site(url, folder, client, services)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium with a new profile, drawing WebGL without a graphics card.

    It ends with its module: Playwright keeps an event loop running in this thread.
    """
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        yield browser
        browser.close()


@dataclass
class View:
    """The page of a mosaic, as a person has it before them."""

    page: Page
    url: str
    requests: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    """Errors and warnings in the console, and exceptions."""

    def open(self, mosaic: str, rest: str = "", base: str = "") -> None:
        """Load the page and wait for its first look at the server."""
        self.page.goto(f"{self.url}{base}/mosaics/{mosaic}/map.html{rest}")
        self.until("() => window.livemosaic?.looks > 0")

    def until(self, function: str, argument: Any = None) -> None:
        """Wait for a function of the page to be truthy."""
        self.page.wait_for_function(function, arg=argument, timeout=TIMEOUT_S * 1000)

    def at(self, lon: float, lat: float) -> tuple[float, float]:
        """Where a place is on the screen."""
        self.until("() => window.livemosaic")
        x, y = self.page.evaluate(
            "at => { const { x, y } = livemosaic.map.project(at); return [x, y]; }", [lon, lat]
        )
        return x, y

    def color(self, lon: float, lat: float) -> Color:
        """What a person sees at a place."""
        x, y = self.at(lon, lat)
        clip = {"x": round(x), "y": round(y), "width": 1, "height": 1}
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", NotGeoreferencedWarning)
            with MemoryFile(self.page.screenshot(clip=clip)) as file, file.open() as image:
                red, green, blue = image.read((1, 2, 3))[:, 0, 0].tolist()
        return red, green, blue

    def shows(self, lon: float, lat: float, color: Color) -> None:
        """Wait until a place has a colour, near enough: tiles may be JPEG."""
        end = time.monotonic() + TIMEOUT_S
        while max(abs(a - b) for a, b in zip(self.color(lon, lat), color, strict=True)) > 12:
            assert time.monotonic() < end, f"{self.color(lon, lat)} is not {color}"
            self.page.wait_for_timeout(50)

    def text(self, selector: str) -> str:
        """The visible text of an element."""
        return self.page.locator(selector).inner_text()

    def point_to(self, lon: float, lat: float) -> None:
        """Move the mouse to a place."""
        x, y = self.at(lon, lat)
        self.page.mouse.move(x - 3, y)
        self.page.mouse.move(x, y)

    def click(self, lon: float, lat: float) -> None:
        """Click on a place."""
        self.page.mouse.click(*self.at(lon, lat))

    def look_at(self, lon: float, lat: float, zoom: float | None = None) -> None:
        """Go somewhere else, and let the page take its look there."""
        looks = self.page.evaluate(
            """([center, zoom]) => {
              livemosaic.map.jumpTo({ center, zoom: zoom ?? livemosaic.map.getZoom() });
              return livemosaic.looks;
            }""",
            [[lon, lat], zoom],
        )
        self.until("looks => livemosaic.looks > looks", looks)


@pytest.fixture
def new_view(browser: Browser, site: Site, tmp_path: Path) -> Iterator[Callable[..., View]]:
    """Makes views, and ends them; whatever a test is about, nothing may leave the server."""
    views: list[View] = []

    def make(**options: Any) -> View:
        options.setdefault("viewport", {"width": 900, "height": 600})
        options.setdefault("device_scale_factor", 0.5)  # a quarter of the pixels to compute
        page = browser.new_context(**options).new_page()
        page.add_init_script(CALM)
        view = View(page, site.url)
        views.append(view)
        page.on("request", lambda request: view.requests.append(request.url))
        page.on("pageerror", lambda error: view.complaints.append(str(error)))
        page.on("console", lambda told: _note(view, told))
        return view

    def _note(view: View, told: Any) -> None:
        if told.type in ("error", "warning") and STALL not in told.text:
            view.complaints.append(f"{told.text} {told.location.get('url', '')}")

    yield make
    for number, view in enumerate(views):
        view.page.screenshot(path=tmp_path / f"view-{number}.png")
        view.page.context.close()
    inside = (f"{site.url}/", f"blob:{site.url}/", "data:")
    assert [url for view in views for url in view.requests if not url.startswith(inside)] == []


@pytest.fixture
def view(new_view: Callable[..., View]) -> Iterator[View]:
    """A view in which nothing may go wrong."""
    view = new_view()
    yield view
    assert view.complaints == []


@pytest.fixture
def troubled(new_view: Callable[..., View]) -> View:
    """A view in which things go wrong, on purpose."""
    return new_view()
