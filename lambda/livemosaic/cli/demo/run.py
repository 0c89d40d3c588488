"""The demo: made-up scenes arrive one by one in a mosaic that is served meanwhile."""

import json
import shutil
import threading
import time
import webbrowser
from collections.abc import Generator, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, Final

from rich.console import Console
from rich.progress import Progress

from livemosaic.cli.demo.scenery.scenes import claim, is_of_demo, make_scenes
from livemosaic.cli.serve.beside import beside
from livemosaic.cli.serve.server import application, listening, server
from livemosaic.cli.serve.upkeep import upkeep
from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.services import Services, running
from livemosaic.settings import Settings

MOSAIC: Final = Mosaic(
    id="demo",
    title="A made-up island, live",
    collections=("demo",),
    properties=("eo:cloud_cover", "platform"),
    minzoom=0,
    maxzoom=14,
    quadkey_zoom=12,
    overviews=OverviewPolicy(),
)
NDVI: Final = "expression=(nir-red)/(nir%2Bred)&rescale=-0.2,0.8&colormap_name=rdylgn"
"""Query of an NDVI rendering of its scenes."""

_SIZE: Final = 1024
"""Pixels of a scene's edge; made in seconds."""


@dataclass(frozen=True, slots=True)
class Demo:
    """Options of the demo."""

    folder: Path
    count: int
    every: float
    """Seconds between two arrivals."""
    port: int
    """Port to listen on; 0 takes a free one."""
    browser: bool
    stay: bool
    """Whether to keep serving when all scenes have arrived."""


def run(demo: Demo, progress: Progress, console: Console) -> None:
    """Runs the demo until interrupted, or until all scenes have arrived without `stay`."""
    scenes = demo.folder / "scenes"
    index = demo.folder / "index.db"
    _clear(demo.folder, scenes)
    settings = Settings(index=f"sqlite:///{index}", allowed_prefixes=(f"{scenes.resolve()}/",))
    with running(settings) as services, served(services, demo.port) as url:
        services.mosaics.create(MOSAIC)
        page = f"{url}/mosaics/demo/map.html"
        console.print(f"The mosaic is live at [bold link={page}]{page}[/]  (Ctrl-C ends it)")
        if demo.browser:
            webbrowser.open(f"{page}?story")
        _arrive(demo, services, scenes, progress, console)
        console.print(f"All {demo.count} scenes are there. NDVI of some: {page}?{NDVI}")
        while demo.stay:
            time.sleep(1)


def _clear(folder: Path, scenes: Path) -> None:
    """Deletes the index of an earlier demo, and claims the folder of scenes.

    Raises `InvalidRequestError` where that cannot be done, or anything there is not of a demo.
    """
    try:
        scenes.mkdir(parents=True, exist_ok=True)
        old = [*folder.glob("index.db*")]
        if (there := [*old, *scenes.iterdir()]) and not is_of_demo(scenes):
            raise InvalidRequestError(
                f"{there[0]} is not of a demo, which would delete it: name another --folder"
            )
        for each in old:
            shutil.rmtree(each) if each.is_dir() else each.unlink()
        claim(scenes)
    except OSError as error:
        raise InvalidRequestError(
            f"{folder} cannot be the folder of the demo ({error.strerror}): name another --folder"
        ) from error


def _arrive(
    demo: Demo, services: Services, scenes: Path, progress: Progress, console: Console
) -> None:
    task = progress.add_task("scenes arriving", total=demo.count)
    with closing(items_of(scenes, demo.count)) as items:
        for item in items:
            message = Message(item["id"], item, datetime.now(UTC), {})
            (outcome,) = services.ingest.batch([message])
            if not outcome.ok:
                raise InvalidRequestError(f"{outcome.message_id}: {outcome.reason}")
            console.print(arrival(item))
            progress.advance(task)
            time.sleep(demo.every)


def arrival(item: Mapping[str, Any]) -> str:
    """Returns the line for an Item that arrived."""
    date = item["properties"]["datetime"][:10]
    cloud = item["properties"].get("eo:cloud_cover", 0)
    return f"  + {item['id']}  {date}  {cloud:.0f} % cloud"


def items_of(scenes: Path, count: int) -> Generator[dict[str, Any]]:
    """Yields the Items of an earlier run with as many scenes; else new ones as they are made."""
    kept = scenes / f"items-{count}.ndjson"
    if kept.exists():
        yield from map(json.loads, kept.read_text().splitlines())
        return
    shutil.rmtree(scenes)
    scenes.mkdir()
    made = []
    for item in make_scenes(scenes, count=count, size=_SIZE):
        made.append(json.dumps(item))
        yield item
    kept.write_text("\n".join(made))


@contextmanager
def served(services: Services, port: int) -> Iterator[str]:
    """Serves mosaics and builds their overviews meanwhile; yields the URL of the server."""
    with listening("127.0.0.1", port) as listener:
        serving = server(application(services))
        thread = threading.Thread(target=serving.run, args=([listener],), daemon=True)
        thread.start()
        try:
            while not serving.started and thread.is_alive():
                time.sleep(0.02)
            with beside(services, upkeep(services), is_terminal=True):
                yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            serving.should_exit = True
            thread.join(10)
