"""The moving picture of README: scenes arrive on the demo's page until its story is told.

`make film` writes it. Scenes and frames follow the page's clock, which goes on when the tiles of
a frame are drawn: the film is smooth on a slow machine, too.
"""

import argparse
import io
import tempfile
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from PIL import Image, ImageChops
from playwright.sync_api import Page, sync_playwright

from browser.conftest import FLAGS, TIMEOUT_S
from chromium import executable
from livemosaic.cli.demo.run import MOSAIC, served
from livemosaic.cli.demo.scenery.scenes import make_scenes
from livemosaic.ingest.events.message import Message
from livemosaic.services import Services, running
from livemosaic.settings import Settings

SIZE: Final = (900, 560)
_SPEED: Final = 2
_EVERY_MS: Final = 1_500
"""From one scene to the next, by the page's clock."""
_LONGEST_MS: Final = 1_000
"""How long a frame is shown at most, whatever the page waits for."""
_LAST_MS: Final = 3_000
_QUALITY: Final = 60
_LEAP_S: Final = 60
"""By so much the page's clock is set forward when it is stopped: it may not be set back."""
_LOOKS: Final = "() => window.livemosaic?.looks > 0"
_IS_DRAWN: Final = "() => livemosaic.map.areTilesLoaded()"
_IS_STORY: Final = "() => document.getElementById('tool-story').ariaPressed === 'true'"


@dataclass
class Film:
    """Frames, and for how long each is shown."""

    step_ms: int
    frames: list[Image.Image] = field(default_factory=list)
    durations_ms: list[int] = field(default_factory=list)

    def add(self, frame: Image.Image) -> None:
        """Shows a frame next, or the last one for longer where nothing has changed."""
        shown_ms = self.step_ms // _SPEED
        if self.frames and ImageChops.difference(self.frames[-1], frame).getbbox() is None:
            self.durations_ms[-1] = min(self.durations_ms[-1] + shown_ms, _LONGEST_MS)
            return
        self.frames.append(frame)
        self.durations_ms.append(shown_ms)

    def save(self, path: Path) -> None:
        """Writes an animated WebP, which goes on for ever."""
        first, *rest = self.frames
        durations = [*self.durations_ms[:-1], _LAST_MS]
        first.save(
            path, save_all=True, append_images=rest, duration=durations, loop=0,
            quality=_QUALITY, method=4,
        )  # fmt: skip


def film(page: Page, address: str, scenes: "Arrivals", step_ms: int) -> Film:
    """Lets scenes arrive on the page one by one, and watches until its story is told."""
    made = Film(step_ms)
    page.clock.install()
    page.goto(address)
    page.wait_for_function(_LOOKS, polling=100, timeout=TIMEOUT_S * 1000)
    page.clock.pause_at(page.evaluate("Date.now()") / 1000 + _LEAP_S)
    is_story = was_story = False
    while is_story or not was_story:
        page.clock.run_for(step_ms)
        scenes.go_on(step_ms)
        _wait_for_tiles(page)
        made.add(_frame(page))
        was_story, is_story = was_story or is_story, page.evaluate(_IS_STORY)
    return made


def _wait_for_tiles(page: Page) -> None:
    """Lets a moment of the page pass for each of ours, until no tile is missing."""
    for _ in range(TIMEOUT_S * 50):
        if page.evaluate(_IS_DRAWN):
            return
        page.wait_for_timeout(20)
        page.clock.run_for(1)
    raise RuntimeError("the map is not drawn")


def _frame(page: Page) -> Image.Image:
    with Image.open(io.BytesIO(page.screenshot())) as image:
        return image.convert("RGB")


@dataclass
class Arrivals:
    """The demo's scenes, in time."""

    services: Services
    items: Iterator[dict[str, Any]]
    passed_ms: int = 0
    next_ms: int = _EVERY_MS

    def go_on(self, step_ms: int) -> None:
        """Publishes the scenes of a step."""
        self.passed_ms += step_ms
        while self.passed_ms >= self.next_ms:
            self.next_ms += _EVERY_MS
            if item := next(self.items, None):
                self._publish(Message(item["id"], item, datetime.now(UTC), {}))

    def _publish(self, message: Message) -> None:
        with ThreadPoolExecutor() as pool:  # this thread has Playwright's event loop
            (outcome,) = pool.submit(self.services.ingest.batch, [message]).result()
        if not outcome.ok:
            raise RuntimeError(outcome.reason)


@contextmanager
def demo(folder: Path) -> Iterator[tuple[Services, str]]:
    """The demo's mosaic without scenes, and the address that the demo opens."""
    settings = Settings(index=f"sqlite:///{folder}/index.db", allowed_prefixes=(f"{folder}/",))
    with running(settings) as services, served(services, 0) as url:
        services.mosaics.create(MOSAIC)
        yield services, f"{url}/mosaics/{MOSAIC.id}/map.html?story"


def main(words: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("path", type=Path, help="the animated WebP to write")
    parser.add_argument("--count", type=int, default=24, help="how many scenes arrive")
    parser.add_argument("--step", type=int, default=250, help="milliseconds between two frames")
    parser.add_argument("--width", type=int, default=SIZE[0], help="pixels of the page")
    parser.add_argument("--scene", type=int, default=1024, help="pixels of a scene's edge")
    asked = parser.parse_args(words)
    width, height = asked.width, asked.width * SIZE[1] // SIZE[0]
    with (
        tempfile.TemporaryDirectory() as folder,
        demo(Path(folder)) as (services, address),
        sync_playwright() as playwright,
        closing(make_scenes(Path(folder), count=asked.count, size=asked.scene)) as items,
    ):
        browser = playwright.chromium.launch(executable_path=executable(), args=FLAGS)
        page = browser.new_page(viewport={"width": width, "height": height})
        made = film(page, address, Arrivals(services, items), asked.step)
        browser.close()
    made.save(asked.path)


if __name__ == "__main__":
    main()
