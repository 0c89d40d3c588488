"""A tile reads pixels of the COGs that it needs, and nothing else. An object store counts."""

import io
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from api.served import (
    AUTHORIZED,
    LEFT,
    RIGHT,
    WHOLE,
    Server,
    X,
    Y,
    Z,
    raster,
    scene,
    serving,
    tile_url,
)
from livemosaic.storage import http
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore


@pytest.fixture
def store(folder: Path) -> Iterator[ObjectStore]:
    with ObjectStore(folder) as running:
        yield running


@pytest.fixture
def server(sqlite_table: SqliteTable, folder: Path, store: ObjectStore) -> Iterator[Server]:
    """Assets are read over HTTP, from a host that the allow-list names."""
    with serving(sqlite_table, folder, href=store.url) as made:
        made.create()
        yield made


def touched(store: ObjectStore) -> set[str]:
    """Names of the scenes whose pixels were asked for: they lie behind the header."""
    return {
        request.target.strip("/").rpartition("-")[0]
        for request in store.requests
        if request.range and request.range[0] > 0
    }


def opened(store: ObjectStore) -> Counter[str]:
    """How often each file was read from its first byte, but for the byte of `LoginProbe`."""
    return Counter(
        request.target.strip("/").rpartition("-")[0]
        for request in store.requests
        if request.range is None or (request.range[0] == 0 and request.range != (0, 1))
    )


def test_publishing_reads_the_header(server: Server, store: ObjectStore) -> None:
    """After a byte, once, by which it is known that the store wants no login."""
    server.publish("a", 1)
    assert [request.range for request in store.requests] == [(0, 1), (0, 32768)]
    server.publish("b", 1)
    assert [request.range for request in store.requests][2:] == [(0, 32768)]


def test_a_scene_that_is_fully_hidden_is_never_asked_for(
    server: Server, store: ObjectStore
) -> None:
    server.publish("hidden", 1, LEFT, day=1)
    server.publish("top", 2, WHOLE, day=2)
    assert server.picture().scenes == ["top"]
    assert touched(store) == {"top"}


def test_one_hidden_by_several_together_is_not_either(server: Server, store: ObjectStore) -> None:
    server.publish("hidden", 1, WHOLE, day=1)
    server.publish("left", 2, LEFT, day=2)
    server.publish("right", 3, RIGHT, day=3)
    assert sorted(server.picture().scenes) == ["left", "right"]
    assert touched(store) == {"left", "right"}


def test_a_deep_stack_costs_its_top(server: Server, store: ObjectStore) -> None:
    for day in range(1, 29):
        server.publish(f"s{day:02}", day, day=day)
    assert server.picture().scenes == ["s28"]
    assert touched(store) == {"s28"}


def test_a_scene_beside_the_tile_is_not_asked_for(server: Server, store: ObjectStore) -> None:
    """It shares index cells with tiles up here, not pixels."""
    server.publish("here", 1, (0, 0, 128, 128))
    server.publish("beside", 2, (300, 0, 400, 100))
    server.publish("above", 3, (0, -200, 100, -100))
    assert server.tile(".png").headers["X-Scenes"] == "here"  # of values, any scene tells the kind
    assert touched(store) == {"here"}


def test_a_scene_below_a_hole_is_asked_for_in_the_next_round(
    server: Server, store: ObjectStore
) -> None:
    server.publish("bottom", 1, WHOLE, day=1)
    server.publish("middle", 2, RIGHT, day=2)
    server.publish("liar", 3, RIGHT, claims=WHOLE, day=3)
    assert server.picture().scenes == ["liar", "bottom"]
    assert touched(store) == {"liar", "bottom"}


def test_a_header_is_read_when_its_scene_is_published_and_for_no_tile(
    server: Server, store: ObjectStore
) -> None:
    server.publish("left", 1, LEFT)
    server.publish("right", 2, RIGHT)
    server.publish("liar", 3, LEFT, claims=WHOLE, day=2)
    for _ in range(3):
        server.picture()
    server.picture(tile_url(tile=(Z + 1, 2 * X, 2 * Y)))
    assert opened(store) == {"liar": 1, "right": 1, "left": 1}
    assert touched(store) == {"liar", "right"}


def test_a_file_that_came_after_its_item_is_opened_once_for_a_tile_and_for_the_next_ones(
    server: Server, store: ObjectStore
) -> None:
    store.statuses["/a-0.tif"] = 404
    server.publish("a", 1)
    store.statuses.clear()
    store.requests.clear()
    for _ in range(3):
        assert server.picture().at(9) == [1]
    assert opened(store) == {"a": 1}


def test_tiles_asked_for_at_once_open_it_once_together(server: Server, store: ObjectStore) -> None:
    store.delay_s = 0.05
    server.publish("a", 1)
    urls = [tile_url(".npy", tile=(Z + 2, 4 * X + n, 4 * Y)) for n in range(4)]
    with ThreadPoolExecutor(4) as pool:
        answers = list(pool.map(server.client.get, urls))
    assert [answer.status_code for answer in answers] == [200] * 4
    assert all((np.load(io.BytesIO(answer.content))[0] == 1).all() for answer in answers)
    assert opened(store) == {"a": 1}


def test_only_the_assets_asked_for_are_read(server: Server, store: ObjectStore) -> None:
    hrefs = {}
    for name in ("red", "nir", "green"):
        path = server.publish(f"{name}", 1, mosaic="m")
        hrefs[name] = server.url(path)
    server.create("bands")
    server.add(scene("a", hrefs), mosaic="bands")
    server.picture(tile_url(mosaic="bands"), expression="nir-red")
    assert touched(store) == {"nir", "red"}


def test_a_scene_published_anew_is_read_anew(server: Server, store: ObjectStore) -> None:
    path = server.publish("a", 1)
    assert server.picture().at(9) == [1]
    server.publish("b", 2, day=2).replace(path)
    server.client.delete("/mosaics/m/items/b?collection=s2", headers=AUTHORIZED)
    server.add(scene("a", server.url(path), properties={"note": "same href, new pixels"}))
    assert server.picture().at(9) == [2]


def test_asking_what_a_tile_is_made_of_reads_no_file(server: Server, store: ObjectStore) -> None:
    server.publish("a", 1)
    store.requests.clear()
    assert server.get(tile_url("/assets")).status_code == 200
    assert server.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json").status_code == 200
    assert store.requests == []


def test_a_redirect_is_not_followed(server: Server, store: ObjectStore) -> None:
    path = server.publish("good", 1, day=1)
    store.redirects["/moved.tif"] = f"/{path.name}"
    server.add(scene("moved", server.url("moved.tif"), day=2))
    picture = server.picture()
    assert picture.scenes == ["good"]
    assert "redirect" in picture.headers["X-Skipped-Scenes"]


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418, 500, 503])
def test_a_store_that_fails_costs_one_scene(
    server: Server, store: ObjectStore, status: int
) -> None:
    server.publish("good", 1, day=1)
    path = server.publish("bad", 2, day=2)
    store.statuses[f"/{path.name}"] = status
    picture = server.picture()
    assert picture.scenes == ["good"]
    assert (picture.data == 1).all()
    assert "bad=" in picture.headers["X-Skipped-Scenes"]


def test_a_page_instead_of_a_file_costs_one_scene(server: Server, store: ObjectStore) -> None:
    server.publish("good", 1, day=1)
    (server.folder / "login-1.tif").write_text("<html>Please log in</html>" * 1000)
    server.add(scene("login", server.url("login-1.tif"), day=2))
    assert server.picture().scenes == ["good"]


def test_a_store_that_ignores_ranges_costs_its_scenes(server: Server, store: ObjectStore) -> None:
    rng = np.random.default_rng(1)
    server.publish("a", rng.integers(1, 9, (3, 256, 256), np.uint8), compress="none", blocksize=64)
    store.ignore_ranges = True
    answer = server.tile(".png")
    assert answer.status_code == 200


def test_a_server_whose_bytes_drip_is_not_waited_for(
    server: Server, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Else it would keep a thread, of which there are few, and a command that wants to end."""
    monkeypatch.setattr(http, "RANGE_S", 0.2)
    store.drips["/" + server.publish("a", 1).name] = 0.01
    server.publish("b", 2, LEFT, day=2)
    picture = server.picture()
    assert picture.headers["X-Skipped-Scenes"].endswith("takes its server over 0.2 s")
    assert picture.at(0) == [2]


def test_headers_that_drip_are_not_waited_for(
    sqlite_table: SqliteTable, folder: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They would come for minutes, each byte in time."""
    monkeypatch.setattr(http, "READ_TIMEOUT_S", 0.2)
    with serving(sqlite_table, folder, href=store.url) as server:
        server.create()
        store.head_drips["/" + server.publish("a", 1).name] = 0.01
        server.publish("b", 2, LEFT, day=2)
        picture = server.picture()
    assert picture.headers["X-Skipped-Scenes"].endswith("could not be reached (MaxRetryError)")
    assert picture.at(0) == [2]


def test_an_image_that_waits_for_its_turn_in_its_midst_lacks_no_scene(
    sqlite_table: SqliteTable, folder: Path, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its bytes make it a large one in its midst; the ones before it take longer than it may."""
    monkeypatch.setattr(http, "RANGE_S", 1)
    limits: dict[str, Any] = {"max_picture_s": 2, "max_large_images": 1}
    limits["allowed_prefixes"] = (store.url, str(folder))
    with serving(sqlite_table, folder, href=store.url, **limits) as server:
        server.create("slow")
        noise = np.random.default_rng(1).integers(1, 9, (3, 256, 256), np.uint8)
        slow = server.publish("slow", noise, mosaic="slow", compress="none")
        store.drips["/" + slow.name] = 0.01
        store.requests.clear()
        server.create("deep")
        deep = str(raster(folder / "deep.tif", [1.0] * 8, dtype="float64"))
        server.add(*(scene(f"s{day}", deep, day=day) for day in range(1, 11)), mosaic="deep")
        with ThreadPoolExecutor(4) as pool:
            others = [pool.submit(server.get, tile_url("@4x.npy", "slow")) for _ in range(4)]
            while len(store.requests) < 2:  # the first may be of a small image, for all of them
                time.sleep(0.01)
            answer = server.get(tile_url("@2x.npy", "deep"), operation="mean")
    assert answer.status_code == 200
    assert "X-Skipped-Scenes" not in answer.headers
    assert len(answer.headers["X-Scenes"].split(",")) == 10
    assert {other.result().headers["X-Skipped-Scenes"][:4] for other in others} == {"slow"}
