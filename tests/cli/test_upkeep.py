"""`livemosaic serve` keeps overviews up to date: a real server, and its process beside it."""

import json
import os
import re
import signal
import subprocess
import time
import urllib.request
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPMessage
from pathlib import Path
from typing import Any, TypeVar

import numpy as np
import pytest
from rasterio.io import MemoryFile
from shapely.geometry import shape

from cli.process import LIVEMOSAIC, listen_to_interrupts
from cli.test_overviews import EDGE, World, crowd
from livemosaic.cli.serve.upkeep import Upkeep
from livemosaic.services import running
from livemosaic.settings import Settings

T = TypeVar("T")

pytestmark = pytest.mark.timeout(180)


def eventually(look: Callable[[], T], seconds: float = 60) -> T:
    """What something gives once it is true."""
    end = time.monotonic() + seconds
    while not (found := look()):
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.1)
    return found


@dataclass
class Running:
    """A server process."""

    process: "subprocess.Popen[bytes]"
    log: Path

    @property
    def url(self) -> str:
        found = eventually(lambda: re.search(r"(http://[\d.:]+\d)/", self.text()))
        return found[1]

    def text(self) -> str:
        return self.log.read_text()

    def tile(self, tile: str = "3/4/2", mosaic: str = "m") -> tuple[bytes, HTTPMessage]:
        url = f"{self.url}/mosaics/{mosaic}/tiles/WebMercatorQuad/{tile}.png"
        with urllib.request.urlopen(url, timeout=30) as answer:
            return answer.read(), answer.headers

    def fresh(self) -> bytes | None:
        """A tile of zoom 3, if its overviews show all changes."""
        image, headers = self.tile()
        return image if "stale=0" in headers.get("X-Overview", "") else None

    def post(self, items: Sequence[object]) -> None:
        body = json.dumps({"type": "FeatureCollection", "features": items}).encode()
        headers = {"Authorization": "Bearer secret", "Content-Type": "application/json"}
        with urllib.request.urlopen(
            urllib.request.Request(f"{self.url}/items", body, headers), timeout=60
        ) as answer:
            assert answer.status == 200

    def children(self) -> list[int]:
        tasks = Path(f"/proc/{self.process.pid}/task").glob("*/children")
        return [int(child) for task in tasks for child in task.read_text().split()]


@contextmanager
def serving(
    world: World, name: str = "one", *words: str, ends: Sequence[int] = (0, 130)
) -> Iterator[Running]:
    index = f"sqlite:///{world.folder / world.name}.db"
    options = ["--index", index, "--allow", str(world.folder), "serve", "--port", "0"]
    with started(
        world.folder / f"{name}.log", *options, "--token", "secret", *words, ends=ends
    ) as it:
        yield it


@contextmanager
def started(log: Path, *words: str, ends: Sequence[int] = (0, 130)) -> Iterator[Running]:
    with log.open("wb") as stderr:
        process = subprocess.Popen(
            [*LIVEMOSAIC, *words], stderr=stderr, preexec_fn=listen_to_interrupts
        )
    try:
        yield Running(process, log)
        process.send_signal(signal.SIGINT)
        assert process.wait(60) in ends, log.read_text()
    finally:
        process.kill()
        process.wait()


@pytest.fixture
def world(tmp_path: Path) -> World:
    found = World(tmp_path)
    crowd(found)
    return found


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return "\nState:\tZ" not in Path(f"/proc/{pid}/status").read_text()


def test_a_tile_of_a_low_zoom_shows_each_change_soon(world: World) -> None:
    with serving(world) as server:
        assert "X-Overview" not in server.tile()[1]
        server.post([*world.items.values()])
        first = eventually(server.fresh)
        world.day = 2
        for number in range(6):
            white = np.full((2, EDGE, EDGE), 255, np.uint8)
            world.cog(f"s{number}0", white, number * EDGE, 0)
        server.post([world.items[f"s{number}0"] for number in range(6)])
        eventually(lambda: server.fresh() not in (None, first))
        (builder,) = server.children()
        assert os.getpriority(os.PRIO_PROCESS, builder) > os.getpriority(
            os.PRIO_PROCESS, server.process.pid
        )
    assert not is_alive(builder)
    world.run("verify", "m", "--overviews")


def test_bounds_follow_the_scenes_that_are_left(world: World) -> None:
    """In all that names them, by a server that keeps no overviews of the mosaic."""
    world.run("mosaics", "create", "plain", "--no-overviews")
    with serving(world) as server:
        server.post([*world.items.values()])

        def shown(path: str) -> Any:
            url = f"{server.url}/{path}"
            with urllib.request.urlopen(url, timeout=30) as answer:
                return json.loads(answer.read())

        def named() -> list[list[float]]:
            collection = shown("collections/plain")["extent"]["spatial"]["bbox"][0]
            return [
                shown("mosaics/plain/tiles/WebMercatorQuad/tilejson.json")["bounds"],
                shown("mosaics/plain/bounds")["bounds"],
                collection,
            ]

        wide = shown("mosaics/plain/bounds")["bounds"]
        easts = {name: shape(each["geometry"]).bounds[2] for name, each in world.items.items()}
        outermost = max(easts.values())
        gone = [name for name, east in easts.items() if east == outermost]
        world.run("items", "delete", "plain", *gone, "--collection", "s2", "--yes")
        eventually(lambda: all(bounds[2] < wide[2] for bounds in named()), 150)
        left = max(east for name, east in easts.items() if name not in gone)
        assert [bounds[2] for bounds in named()] == [pytest.approx(left)] * 3


def test_several_servers_keep_the_same_overviews(world: World) -> None:
    with serving(world) as one, serving(world, "two") as other:
        eventually(lambda: one.url and other.url)
        one.post([*world.items.values()])
        assert eventually(one.fresh) == eventually(other.fresh)
    assert '"ERROR"' not in one.text() + other.text()
    world.run("verify", "m", "--overviews")


def test_the_builder_ends_with_a_server_that_is_killed(world: World) -> None:
    with serving(world, ends=[-signal.SIGKILL]) as server:
        server.post([*world.items.values()])
        (builder,) = eventually(server.children)
        server.process.kill()
        eventually(lambda: not is_alive(builder), 10)


def test_a_builder_that_dies_is_begun_again(world: World) -> None:
    with serving(world) as server:
        (builder,) = eventually(server.children)
        os.kill(builder, signal.SIGKILL)
        server.post([*world.items.values()])
        eventually(server.fresh)
    assert "the builder of overviews died" in server.text()


def test_a_failure_is_logged_once_and_ends_nothing(world: World) -> None:
    place = world.folder / "index.db.overviews"
    place.write_text("in the way")
    with serving(world) as server:
        server.post([*world.items.values()])
        eventually(lambda: "cannot be built" in server.text())
        time.sleep(3)
        assert server.text().count("cannot be built") == 1
        assert server.tile()[1]["Content-Type"] == "image/png"
        place.unlink()
        eventually(server.fresh, 90)


def test_overviews_are_left_alone_where_that_is_asked_for(world: World) -> None:
    with serving(world, "one", "--no-build-overviews") as server:
        server.post([*world.items.values()])
        time.sleep(3)
        assert server.children() == []


def test_the_demo_shows_all_of_its_island_at_every_zoom(tmp_path: Path) -> None:
    words = ["demo", "--folder", str(tmp_path / "demo"), "--count", "3", "--every", "0"]
    with started(tmp_path / "log", *words, "--port", "0", "--no-browser") as demo:
        eventually(lambda: "All 3 scenes are there" in demo.text())
        for tile in ("0/0/0", "3/7/5"):
            eventually(lambda at=tile: "stale=0" in demo.tile(at, "demo")[1].get("X-Overview", ""))
            image, headers = demo.tile(tile, "demo")
            assert headers["X-Scenes"] == ""
            assert "X-Truncated" not in headers
            with MemoryFile(image) as file, file.open() as opened:
                assert opened.dataset_mask().any()


@pytest.mark.parametrize(
    "words", [("overviews", "disable", "m"), ("mosaics", "delete", "m", "--yes")], ids=" ".join
)
def test_what_was_turned_off_or_deleted_leaves_nothing(
    world: World, words: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    world.ingest()
    world.run("mosaics", "create", "other")
    world.ingest()
    world.build()
    monkeypatch.setattr("livemosaic.index.overviews.KEPT_S", 0)
    world.run(*words)
    settings = Settings(
        index=f"sqlite:///{world.folder}/index.db", allowed_prefixes=(f"{world.folder}/",)
    )
    with running(settings) as services:
        assert world.cells()
        Upkeep(services, failed=pytest.fail).look()
        assert {path.parts[-5].split(".")[0] for path in world.cells().values()} == {"other"}
        rows = [row.key.pk for row in services.index.table.scan("m.")]
        kinds = {pk.split("#")[1].partition(".")[0] for pk in rows}
        assert kinds.isdisjoint({"stale", "overview", "made"})
        assert ("scenes" in kinds) == (words[0] == "overviews")
    if words[0] == "overviews":
        assert "off" in world.run("overviews", "status", "m").output
