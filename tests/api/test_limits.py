"""What a picture may take in all; what is beyond is left out, and said."""

import asyncio
import re
from pathlib import Path
from typing import Any

import pytest

from api.served import X, Y, Z, serving, tile_url
from livemosaic.cog.budget import LargeTurns, take_turn
from livemosaic.model.render import Read
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import TileAddress
from objectstore import ObjectStore


def test_scenes_beyond_the_bytes_of_a_picture_are_skipped(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    """Four bands of 256 × 256 in 16 bits are half a million bytes, and count twice."""
    with serving(sqlite_table, folder, max_picture_bytes=2_100_000) as server:
        server.create()
        for day in (1, 2, 3):
            server.publish(f"day{day}", [10] * 4, day=day, dtype="uint16")
        picture = server.picture(operation="count")
    assert picture.at(9) == [2]
    assert "1,048,576 bytes" in picture.headers["X-Skipped-Scenes"].replace("%2C", ",")
    assert "ETag" not in picture.headers


def test_enlarged_scenes_count_as_large_as_they_are_drawn(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    """A tile of 512 × 512 pixels of scenes of 256 × 256: two bands of 16 bits are a megabyte.

    It counts twice.
    """
    with serving(sqlite_table, folder, max_picture_bytes=4_200_000) as server:
        server.create()
        for day in (1, 2, 3):
            server.publish(f"day{day}", [10] * 2, day=day, dtype="uint16")
        picture = server.picture(f"{tile_url()}@2x", operation="count")
    assert picture.at(9) == [2]
    assert "2,097,152 bytes" in picture.headers["X-Skipped-Scenes"].replace("%2C", ",")


def test_scenes_that_are_not_read_in_the_time_of_a_picture_are_skipped(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    with (
        ObjectStore(folder, delay_s=0.5) as store,
        serving(sqlite_table, folder, href=store.url, max_picture_s=0.1) as server,
    ):
        server.create()
        server.publish("slow", [10, 20, 30])
        picture = server.picture()
    assert not picture.valid.any()
    assert "within the 0.1 s" in picture.headers["X-Skipped-Scenes"]


def test_waiting_for_the_turn_of_other_large_images_takes_no_time_of_an_image(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    """A tile that is small, of scenes with many bytes: it has to wait when it is half read."""
    with serving(sqlite_table, folder, max_picture_s=3.0) as server:
        server.create()
        names = [f"day{day}" for day in range(1, 11)]
        for day, name in enumerate(names, 1):
            server.publish(name, [10 * day] * 8, day=day, dtype="uint16")
        tiler, mosaic = server.services.tiler, server.services.mosaics.get("m")
        view = TileAddress("WebMercatorQuad", Z, X, Y).view(mosaic, 512)
        rule = rule_of({"operation": "median"}, mosaic)
        turns = LargeTurns(1)

        async def hold() -> None:
            async with turns.request():
                await take_turn()
                await asyncio.sleep(4)

        async def make() -> Any:
            holding = asyncio.create_task(hold())
            await asyncio.sleep(0)
            async with turns.request():
                made = await tiler.make(await tiler.prepare(mosaic, view, Read(), rule))
            assert holding.done()
            return made

        made = asyncio.run(make())
    assert made.skipped == []
    assert {*made.scenes} == {*names}


def large_image() -> dict[str, Any]:
    """An ASGI scope that asks for one."""
    path = f"{tile_url()}@4x.png"
    return {
        "type": "http", "http_version": "1.1", "method": "GET", "scheme": "http", "headers": [],
        "path": path, "raw_path": path.encode(), "query_string": b"", "root_path": "",
        "server": ("testserver", 80), "client": ("testclient", 1),
    }  # fmt: skip


def test_who_receives_slowly_lets_others_have_their_large_images(
    sqlite_table: SqliteTable, folder: Path
) -> None:
    with serving(sqlite_table, folder, max_large_images=1) as server:
        server.create()
        server.publish("a", [10, 20, 30])
        app: Any = server.client.app

        async def scenario() -> list[int]:
            found: list[int] = []
            received, goes_on = asyncio.Event(), asyncio.Event()

            async def receive() -> Any:
                await asyncio.sleep(60)

            async def slowly(message: Any) -> None:
                received.set()
                await goes_on.wait()

            async def at_once(message: Any) -> None:
                if message["type"] == "http.response.start":
                    found.append(message["status"])

            slow = asyncio.create_task(app(large_image(), receive, slowly))
            await received.wait()
            await asyncio.wait_for(app(large_image(), receive, at_once), 30)
            goes_on.set()
            await slow
            return found

        assert asyncio.run(asyncio.wait_for(scenario(), 60)) == [200]


@pytest.mark.parametrize("is_gone", [False, True], ids=["waiting", "gone"])
def test_who_has_gone_has_no_large_image_drawn(
    sqlite_table: SqliteTable, folder: Path, is_gone: bool
) -> None:
    """As clients do that cancel a map when it is moved; servers say so after an empty body."""
    with (
        ObjectStore(folder) as store,
        serving(sqlite_table, folder, href=store.url, max_large_images=1) as server,
    ):
        server.create()
        server.publish("a", [10, 20, 30])
        app: Any = server.client.app
        received = [{"type": "http.disconnect"}] * is_gone
        received.insert(0, {"type": "http.request", "body": b"", "more_body": False})
        sent: list[Any] = []

        async def receive() -> Any:
            if not received:
                await asyncio.sleep(60)
            return received.pop(0)

        async def send(message: Any) -> None:
            sent.append(message)

        store.requests.clear()
        asyncio.run(asyncio.wait_for(app(large_image(), receive, send), 60))
        assert bool(sent) is not is_gone
        assert bool(store.requests) is not is_gone


def test_the_limits_that_can_be_set_are_written_down_with_their_defaults() -> None:
    page = (Path(__file__).parents[2] / "docs" / "limits.md").read_text()
    written = re.findall(r"^\| `LIVEMOSAIC_(MAX_\w+)` \| (\S+) \|", page, re.MULTILINE)
    limits = {
        name.upper(): str(field.default).removesuffix(".0")
        for name, field in Settings.model_fields.items()
        if name.startswith("max_")
    }
    assert dict(written) == limits


@pytest.mark.parametrize(
    ("setting", "within", "beyond", "says"),
    [
        (
            "max_assets",
            {"assets": "a,b"},
            {"assets": "a,b,c"},
            "3 assets were asked for, at most 2",
        ),
        ("max_assets", {"expression": "a;b"}, {"expression": "a;b;c"}, "3 assets were asked for"),
        ("max_bands", {"bidx": [1, 1]}, {"bidx": [1, 1, 1]}, "3 bands were asked for, at most 2"),
        ("max_expression_length", {"expression": "b1"}, {"expression": "b1 "}, "3 characters"),
        ("max_expression_depth", {"expression": "((b1))"}, {"expression": "(((b1)))"}, "than 2"),
    ],
    ids=["assets", "assets of an expression", "bands", "expression", "depth"],
)
def test_an_operator_may_allow_less(
    sqlite_table: SqliteTable,
    folder: Path,
    setting: str,
    within: dict[str, Any],
    beyond: dict[str, Any],
    says: str,
) -> None:
    with serving(sqlite_table, folder, **{setting: 2}) as server:
        server.create(assets=["a", "b", "c"])
        assert server.tile(".npy", **within).status_code == 200
        for answer in (
            server.tile(".npy", **beyond),
            server.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json", **beyond),
        ):
            assert answer.status_code == 400
            assert says in answer.json()["detail"]
