"""Conditional requests: 304 where a tile would come out the same, known without a pixel."""

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.counted import CountedTable
from api.served import (
    AUTHORIZED,
    LEFT,
    RIGHT,
    SIZE,
    WHOLE,
    Part,
    Server,
    X,
    Y,
    Z,
    raster,
    scene,
    serving,
    tile_url,
)
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore

TOP_LEFT = (Z + 1, 2 * X, 2 * Y)
BESIDE: Part = (300, 0, 400, 100)
"""In the index cells of the tile, as it spans several levels of them, but not on the tile."""


def etag(server: Server, url: str | None = None, **query: Any) -> str:
    answer = server.get(url or tile_url(), **query)
    assert answer.status_code == 200, answer.text
    found: str = answer.headers["ETag"]
    return found


def again(server: Server, known: str, url: str | None = None, **query: Any) -> Any:
    """The tile asked for by one who has that version of it."""
    return server.client.get(
        url or tile_url(), params=query or None, headers={"If-None-Match": known}
    )


def delete(server: Server, name: str, mosaic: str = "m") -> None:
    url = f"/mosaics/{mosaic}/items/{name}?collection=s2"
    assert server.client.delete(url, headers=AUTHORIZED).status_code == 204


class TestEveryTable:
    def test_a_tile_that_is_known_is_not_sent_again(self, any_server: Server) -> None:
        any_server.publish("a", 1)
        first = any_server.tile()
        answer = again(any_server, first.headers["ETag"])
        assert (answer.status_code, answer.content) == (304, b"")
        for name in ("ETag", "Cache-Control", "Vary"):
            assert answer.headers.get(name) == first.headers.get(name)
        assert {"content-type", "content-length"}.isdisjoint(answer.headers)

    def test_until_a_scene_arrives_on_it(self, any_server: Server) -> None:
        any_server.publish("a", 1, day=1)
        known = etag(any_server)
        any_server.publish("b", 2, LEFT, day=2)
        answer = again(any_server, known)
        assert answer.status_code == 200
        assert answer.headers["ETag"] != known
        assert answer.content == any_server.tile().content

    def test_and_not_where_it_arrives_elsewhere(self, any_server: Server) -> None:
        any_server.publish("a", 1, day=1)
        known = etag(any_server)
        any_server.publish("beside", 2, BESIDE, day=2)
        assert again(any_server, known).status_code == 304

    def test_and_the_tile_before_is_the_same_again_once_it_left(self, any_server: Server) -> None:
        any_server.publish("a", 1, day=1)
        known = etag(any_server)
        any_server.publish("b", 2, day=2)
        assert again(any_server, known).status_code == 200
        delete(any_server, "b")
        assert again(any_server, known).status_code == 304


class TestWhatChangesIt:
    """A scene changes the tag of the tiles that it touches and of no other."""

    def test_a_scene_arrives_where_others_have_holes(self, server: Server) -> None:
        server.publish("left", 1, LEFT, day=2)
        known = etag(server)
        server.publish("below", 2, WHOLE, day=1)
        assert again(server, known).status_code == 200

    def test_a_scene_arrives_on_top_of_one_tile_and_beside_its_neighbour(
        self, server: Server
    ) -> None:
        server.publish("a", 1, day=1)
        tiles = [tile_url(tile=(Z + 1, 2 * X + dx, 2 * Y + dy)) for dx in (0, 1) for dy in (0, 1)]
        known = [etag(server, url) for url in tiles]
        server.publish("b", 2, (0, 0, 100, 100), day=2)
        assert [again(server, k, u).status_code for k, u in zip(known, tiles, strict=True)] == [
            200, 304, 304, 304,
        ]  # fmt: skip

    def test_a_new_version_of_a_scene_under_the_same_href(self, server: Server) -> None:
        path = server.publish("a", 1)
        known = etag(server)
        raster(path, 2)
        server.add(scene("a", server.url(path), properties={"note": "new pixels"}))
        assert again(server, known).status_code == 200
        assert server.picture().at(9) == [2]

    @pytest.mark.parametrize(
        "part", [LEFT, (0, 0, SIZE, 255), BESIDE], ids=["shrinks", "loses a row", "moves away"]
    )
    def test_a_footprint_changes(self, server: Server, part: Part) -> None:
        path = server.publish("a", 1)
        known = etag(server)
        server.add(scene("a", server.url(path), part))
        assert again(server, known).status_code == 200

    def test_the_order_changes(self, server: Server) -> None:
        server.publish("a", 1, day=1)
        path = server.publish("b", 2, day=2)
        known = etag(server)
        server.add(scene("b", server.url(path), day=3))  # the same picture: may have changed
        answer = again(server, known)
        assert answer.status_code == 200
        assert answer.headers["X-Scenes"] == "b"

    def test_the_mosaic_is_another_one_of_that_name(self, server: Server) -> None:
        known = etag(server)
        assert server.client.delete("/mosaics/m", headers=AUTHORIZED).status_code == 204
        server.create()
        assert again(server, known).status_code == 200

    def test_the_mosaic_shows_other_assets(self, server: Server) -> None:
        paths = [raster(server.folder / f"{n}.tif", n) for n in (1, 2)]
        server.add(scene("a", dict(zip(("one", "two"), map(server.url, paths), strict=True))))
        known = etag(server)
        changed = server.client.put(
            "/mosaics/m", json={"default_assets": ["two"]}, headers=AUTHORIZED
        )
        assert changed.status_code == 200
        assert again(server, known).status_code == 200

    @pytest.mark.parametrize(
        "changed", [{"max_scenes": 3}, {"max_rows": 99}, {"pixel_version": "another"}], ids=str
    )
    def test_the_servers_limits_or_its_pixel_version_change(
        self, sqlite_table: SqliteTable, tmp_path: Path, changed: dict[str, Any]
    ) -> None:
        folder = tmp_path
        with serving(sqlite_table, folder) as server:
            server.create()
            known = etag(server)
            with serving(sqlite_table, folder, **changed) as other:
                assert again(other, known).status_code == 200

    def test_every_way_to_ask_has_its_own(self, server: Server) -> None:
        server.publish("a", [100, 50])
        ways: list[tuple[str, dict[str, Any]]] = [
            *((suffix, {}) for suffix in ("", ".png", ".jpg", ".webp", ".tif", ".npy", "@2x")),
            (".png", {"rescale": "0,255"}),
            (".png", {"rescale": "0,200"}),
            (".png", {"bidx": 1}),
            (".png", {"bidx": 2}),
            (".png", {"bidx": 1, "colormap_name": "viridis"}),
            (".png", {"expression": "b1*2", "rescale": "0,255"}),
            (".png", {"assets": "visual"}),
            (".png", {"nodata": 100}),
            (".png", {"nodata": "nan"}),
            (".png", {"resampling": "cubic"}),
            (".png", {"unscale": True, "rescale": "0,255"}),
            (".png", {"return_mask": False}),
            (".png", {"tilesize": 128}),
        ]
        tags = [etag(server, tile_url(suffix), **query) for suffix, query in ways]
        tags.append(etag(server, tile_url(".png", tile=TOP_LEFT)))
        assert len(set(tags)) == len(tags)
        for (suffix, query), tag in zip(ways, tags, strict=False):
            assert again(server, tag, tile_url(suffix), **query).status_code == 304


class TestWhatDoesNot:
    def test_the_same_item_delivered_again(self, server: Server) -> None:
        path = server.publish("a", 1)
        known = etag(server)
        server.add(scene("a", server.url(path)))
        assert again(server, known).status_code == 304
        assert etag(server) == known

    def test_a_scene_arrives_below_all_that_was_looked_at(self, server: Server) -> None:
        """It shows nowhere on the tile."""
        server.publish("top", 2, day=2)
        known = etag(server)
        server.publish("below", 1, day=1)
        assert again(server, known).status_code == 304

    def test_a_scene_without_the_assets_asked_for(self, server: Server) -> None:
        path = server.publish("a", 1, day=1)
        server.add(scene("b", {"other": server.url(path)}, BESIDE))
        known = etag(server, assets="visual")
        server.add(scene("c", {"other": server.url(path)}, day=2))
        assert again(server, known, assets="visual").status_code == 304

    def test_a_title_or_what_it_keeps_from_now_on(self, server: Server) -> None:
        server.publish("a", 1)
        known = etag(server)
        new = {"title": "New", "max_age_s": 60, "properties": ["gsd"]}
        assert server.client.put("/mosaics/m", json=new, headers=AUTHORIZED).status_code == 200
        answer = again(server, known)
        assert answer.status_code == 304
        assert answer.headers["Cache-Control"] == "public, max-age=60, stale-if-error=60"

    def test_having_asked_with_another_tag_before(self, server: Server) -> None:
        """What a stale tag made the server look at is no part of the new tile's tag."""
        for n in range(4):
            server.publish(f"s{n}", n, (n * 64, 0, n * 64 + 64, 256), day=1)
        stale = etag(server)
        server.publish("top", 9, day=2)
        assert again(server, stale).headers["ETag"] == etag(server)


@dataclass
class Counting:
    """A server that counts what it reads."""

    server: Server
    table: CountedTable
    store: ObjectStore

    def cost(self, ask: Callable[[], Any]) -> tuple[Any, int, int]:
        """The answer, and the rows and the object-store requests that it took."""
        self.table.forget()
        self.store.requests.clear()
        answer = ask()
        return answer, self.table.rows, len(self.store.requests)


@pytest.fixture
def counting(sqlite_table: SqliteTable, tmp_path: Path) -> Iterator[Counting]:
    table = CountedTable(sqlite_table)
    with (
        ObjectStore(tmp_path) as store,
        serving(table, tmp_path, href=store.url, mosaic_max_age_s=60, max_scenes=8) as server,
    ):
        server.create()
        yield Counting(server, table, store)


@pytest.fixture(scope="module")
def crowd(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with the index, `table.db`, of 120 scenes of one place."""
    folder = tmp_path_factory.mktemp("crowd")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create()
        path = raster(folder / "a.tif", 1)
        server.add(*(scene(f"s{n:03}", server.url(path)) for n in range(120)))
    return folder


class TestCost:
    @pytest.mark.parametrize(
        "parts",
        [
            pytest.param([WHOLE] * 30, id="full"),
            pytest.param([LEFT, RIGHT] * 15, id="full of two"),
            pytest.param([LEFT] * 30, id="half empty"),
            pytest.param([BESIDE] * 30, id="empty, with scenes in its cells"),
            pytest.param([BESIDE] * 12 + [WHOLE] * 20, id="full, below scenes beside it"),
            pytest.param([], id="empty"),
            pytest.param([(n * 20, 0, n * 20 + 20, 256) for n in range(12)], id="truncated"),
        ],
    )
    def test_no_file_is_asked_for_and_no_more_rows_than_the_tile_took(
        self, counting: Counting, parts: list[Part]
    ) -> None:
        server = counting.server
        for n, part in enumerate(parts):
            path = raster(server.folder / f"{n}.tif", n, part)
            server.add(scene(f"s{n:02}", server.url(path), part))
        first, rows, files = counting.cost(server.tile)
        assert (files > 0) == (first.headers["X-Scenes"] != "")
        answer, rows_again, files_again = counting.cost(
            lambda: again(server, first.headers["ETag"])
        )
        assert (answer.status_code, files_again) == (304, 0)
        assert rows_again <= rows

    def test_a_stale_tag_costs_no_row_twice(self, counting: Counting) -> None:
        server = counting.server
        for n in range(30):
            part = (n * 4, 0, n * 4 + 4, 256)
            server.publish(f"s{n:02}", 1, part)
        stale = etag(server)
        server.publish("last", 1, RIGHT)
        fresh, rows, _ = counting.cost(server.tile)
        answer, rows_again, _ = counting.cost(lambda: again(server, stale))
        assert (answer.status_code, answer.content) == (200, fresh.content)
        assert rows_again == rows

    @pytest.mark.parametrize("count", ["40", "2000", "999999"])
    @pytest.mark.parametrize("end", ["f", "e", "l"])
    def test_a_forged_tag_costs_no_more_rows_than_there_may_be(
        self, crowd: Path, count: str, end: str
    ) -> None:
        table = CountedTable(SqliteTable(crowd / "table.db"))
        with serving(table, crowd, max_rows=40) as server:
            table.forget()
            answer = again(server, f'"{"0" * 32}.{count}{end}"')
            assert answer.status_code == 200
            assert table.rows <= 10 + 40  # whole pages


class TestTags:
    @pytest.mark.parametrize(
        "form",
        ["{tag}", "W/{tag}", '"other", {tag}', '"a","b" , W/{tag},"c"', " {tag} ", "{tag},", "*"],
    )
    def test_the_tag_is_found_in_what_is_sent(self, server: Server, form: str) -> None:
        server.publish("a", 1)
        known = etag(server)
        answer = again(server, form.format(tag=known))
        assert (answer.status_code, answer.headers["ETag"]) == (304, known)

    def test_one_of_many(self, server: Server) -> None:
        """Only a few are looked for in the index; the others still save the bytes."""
        server.publish("a", 1)
        known = etag(server)
        others = [f'"{n:032x}.{n}e"' for n in range(50)]
        answer = again(server, ", ".join([*others, known]))
        assert (answer.status_code, answer.headers["ETag"]) == (304, known)

    def test_in_one_of_several_headers(self, server: Server) -> None:
        server.publish("a", 1)
        headers = [("If-None-Match", '"x"'), ("If-None-Match", etag(server))]
        assert server.client.get(tile_url(), headers=headers).status_code == 304

    @pytest.mark.parametrize(
        "header",
        [
            "",
            ",",
            '"',
            '""',
            "W/",
            'w/"a"',
            "x" * 5000,
            '"' * 3000,
            '"é"'.encode("latin-1"),
            f'"{"0" * 32}.1f"',
            f'"{"0" * 32}.-1e"',
            f'"{"0" * 32}.٣e"'.encode(),
            f'"{"0" * 32}.0f"',
            f'"{"0" * 32}.{"9" * 4000}e"',
            f'"{"0" * 32}.1z"',
            "*, *",
            '*, "a"',
            "\t",
        ],
        ids=lambda header: repr(header[:40]),
    )
    def test_what_is_no_tag_of_ours_gives_the_tile(
        self, server: Server, header: str | bytes
    ) -> None:
        server.publish("a", 1)
        answer = server.client.get(tile_url(), headers={b"If-None-Match": header})  # type: ignore[dict-item]
        assert answer.status_code == 200
        assert answer.content == server.tile().content

    @given(st.lists(st.text(st.characters(max_codepoint=255, min_codepoint=32)), max_size=5))
    @settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=50)
    def test_whatever_is_sent_is_no_failure(self, server: Server, texts: list[str]) -> None:
        header = ",".join(texts).encode("latin-1")
        answer = server.client.get(tile_url(), headers={b"If-None-Match": header})  # type: ignore[dict-item]
        assert answer.status_code in (200, 304)

    def test_the_tag_is_strong(self, server: Server) -> None:
        assert etag(server).startswith('"')

    def test_a_head_is_conditional_too(self, server: Server) -> None:
        server.publish("a", 1)
        known = server.client.head(tile_url()).headers["ETag"]
        assert known == etag(server)
        headers = {"If-None-Match": known}
        assert server.client.head(tile_url(), headers=headers).status_code == 304

    def test_an_error_stays_an_error(self, server: Server) -> None:
        for url in (tile_url(mosaic="nowhere"), tile_url(tile=(10, 5000, 1))):
            assert again(server, "*", url).status_code == 404
        assert again(server, "*", assets="nowhere").status_code == 304  # nothing is known yet
        server.publish("a", 1)
        assert again(server, "*", assets="nowhere").status_code == 400
        assert (
            again(server, "*", tile_url(".png"), colormap_name="viridis", bidx=[1, 1]).status_code
            == 400
        )

    def test_a_web_page_may_ask_like_this_and_read_the_tag(self, server: Server) -> None:
        origin = {"Origin": "https://example.com"}
        answer = server.client.get(tile_url(), headers=origin)
        assert "ETag" in answer.headers["Access-Control-Expose-Headers"]
        same = server.client.get(
            tile_url(), headers=origin | {"If-None-Match": answer.headers["ETag"]}
        )
        assert same.status_code == 304
        assert same.headers["Access-Control-Allow-Origin"] == "*"
        asks = {"Access-Control-Request-Method": "GET"}
        asks |= {"Access-Control-Request-Headers": "If-None-Match"}
        assert server.client.options(tile_url(), headers=origin | asks).status_code == 200


class TestLife:
    """Cache-Control follows the mosaic, and is short where a tile soon has more to show."""

    @pytest.mark.parametrize(
        ("given", "full", "brief"),
        [
            pytest.param({}, "no-cache", "no-cache", id="by default"),
            pytest.param(
                {"max_age_s": 300},
                "public, max-age=300",
                "public, max-age=10",
                id="minutes",
            ),
            pytest.param(
                {"max_age_s": 5},
                "public, max-age=5",
                "public, max-age=5",
                id="seconds",
            ),
            pytest.param(
                {"max_age_s": 60, "stale_while_revalidate_s": 600},
                "public, max-age=60, stale-while-revalidate=600",
                "public, max-age=10",
                id="and stale for a while",
            ),
            pytest.param(
                {"stale_while_revalidate_s": 30},
                "public, max-age=0, stale-while-revalidate=30",
                "no-cache",
                id="only stale",
            ),
        ],
    )
    def test_of_a_tile_with_all_its_scenes_and_of_others(
        self, server: Server, given: dict[str, int], full: str, brief: str
    ) -> None:
        full, brief = (x if x == "no-cache" else f"{x}, stale-if-error=60" for x in (full, brief))
        server.create("kept", **given)
        empty = server.tile(mosaic="kept")
        assert (empty.headers["Cache-Control"], empty.headers["X-Scenes"]) == (brief, "")
        assert again(server, empty.headers["ETag"], tile_url(mosaic="kept")).headers[
            "Cache-Control"
        ] == (brief)
        server.publish("a", 1, mosaic="kept")
        tile = server.tile(mosaic="kept")
        assert tile.headers["Cache-Control"] == full
        same = again(server, tile.headers["ETag"], tile_url(mosaic="kept"))
        assert same.headers["Cache-Control"] == full
        server.add(scene("gone", server.url("nowhere.tif"), day=2), mosaic="kept")
        skipped = server.tile(mosaic="kept")
        assert (skipped.headers["Cache-Control"], "ETag" in skipped.headers) == (brief, False)

    @pytest.mark.parametrize(
        ("given", "full", "brief"),
        [
            pytest.param({}, "max-age=0, s-maxage=30", "max-age=0, s-maxage=10", id="by default"),
            pytest.param({"max_age_s": 60}, "max-age=60", "max-age=10", id="of the mosaic's own"),
        ],
    )
    def test_of_a_tile_in_caches_that_many_users_share(
        self, sqlite_table: SqliteTable, folder: Path, given: dict[str, int], full: str, brief: str
    ) -> None:
        with serving(sqlite_table, folder, shared_max_age_s=30) as server:
            server.create("kept", **given)
            empty = server.tile(mosaic="kept").headers["Cache-Control"]
            server.publish("a", 1, mosaic="kept")
            shown = server.tile(mosaic="kept").headers["Cache-Control"]
        assert (shown, empty) == tuple(f"public, {x}, stale-if-error=60" for x in (full, brief))

    def test_a_scene_that_becomes_readable_shows(self, server: Server) -> None:
        server.publish("old", 1, day=1)
        server.add(scene("late", server.url("late.tif"), day=2))
        known = server.tile()
        assert "ETag" not in known.headers
        raster(server.folder / "late.tif", 2)
        answer = server.picture()
        assert answer.at(9) == [2]
        assert "ETag" in answer.headers

    def test_a_scene_that_became_unreadable_is_still_as_it_was_known(self, server: Server) -> None:
        """No file is asked for: only the item can tell that it changed."""
        path = server.publish("a", 1)
        known = etag(server)
        path.unlink()
        assert again(server, known).status_code == 304


HALVES = (LEFT, RIGHT)


class TestDeepStack:
    """The cost of a tile follows what is visible, not what is archived."""

    def test_a_tile_costs_no_more_rows_and_files_from_10_scenes_to_1000(
        self, counting: Counting
    ) -> None:
        server, rows, files = counting.server, {}, {}
        urls = {n: server.url(raster(server.folder / f"{n}.tif", n + 1, HALVES[n])) for n in (0, 1)}
        items = [scene(f"s{n:04}", urls[n % 2], HALVES[n % 2]) for n in range(1000)]
        for start, stop in ((0, 10), (10, 100), (100, 1000)):
            server.add(*items[start:stop])
            _, rows[stop], files[stop] = counting.cost(server.tile)
            assert counting.table.queries <= 3
        assert rows[10] == rows[100] == rows[1000]
        assert files[10] == 2
        assert max(files[100], files[1000]) <= 2  # none, where what was read is not old yet


FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
NAMES = "abc"
PARTS: tuple[Part, ...] = (WHOLE, LEFT, RIGHT, (0, 0, 100, 100), (140, 140, 256, 256), BESIDE)
changes = st.one_of(
    st.tuples(
        st.sampled_from(NAMES),
        st.integers(0, len(PARTS) - 1),
        st.integers(0, len(PARTS) - 1),
        st.integers(1, 3),
    ),
    st.sampled_from(NAMES),
)
"""A scene put somewhere: its name, where its pixels are, what it claims, its day; or taken out."""


def overlap(one: Part, other: Part) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


@pytest.fixture(scope="module")
def lasting(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One server for all examples, with a file for each of `PARTS`."""
    folder = tmp_path_factory.mktemp("lasting")
    for n, part in enumerate(PARTS):
        values = np.full((1, part[3] - part[1], part[2] - part[0]), n + 1, np.uint8)
        values[:, : SIZE // 4 : 2] = 0
        raster(folder / f"{n}.tif", values, part, nodata=0)
    table = SqliteTable(folder / "table.db")
    with serving(table, folder, max_scenes=2) as server:
        yield server


class TestWhateverHappens:
    @pytest.mark.slow
    @given(st.lists(changes, max_size=8), st.integers(0, 10**12))
    @settings(
        max_examples=100 if FULL else 20,
        deadline=None,
        suppress_health_check=[HealthCheck.differing_executors],
    )
    def test_304_is_said_just_where_the_tile_is_as_it_was(
        self, lasting: Server, history: list[Any], seed: int
    ) -> None:
        """And no change beside a tile gives it another tag."""
        mosaic = f"h{seed}-{next(lasting._made)}"
        lasting.create(mosaic)
        tiles: dict[tuple[int, int, int], Part] = {
            (Z, X, Y): WHOLE,
            TOP_LEFT: (0, 0, 128, 128),
            (Z + 1, 2 * X + 1, 2 * Y + 1): (128, 128, 256, 256),
        }
        urls = {tile: tile_url(".npy", mosaic, tile) for tile in tiles}
        known = {tile: lasting.get(url, tilesize=16) for tile, url in urls.items()}
        claimed: dict[str, Part] = {}
        for change in history:
            touched = [claimed.pop(change[0])] if change[0] in claimed else []
            if isinstance(change, str):
                if touched:
                    delete(lasting, change, mosaic)
            else:
                name, pixels, claims, day = change
                claimed[name] = PARTS[claims]
                touched.append(PARTS[claims])
                href = lasting.url(f"{pixels}.tif")
                lasting.add(scene(name, href, PARTS[claims], day=day), mosaic=mosaic)
            for tile, url in urls.items():
                before, fresh = known[tile], lasting.get(url, tilesize=16)
                answer = again(lasting, before.headers["ETag"], url, tilesize=16)
                same = answer.status_code == 304
                assert same == (fresh.headers["ETag"] == before.headers["ETag"])
                if same:
                    assert fresh.content == before.content
                else:
                    assert (answer.status_code, answer.content) == (200, fresh.content)
                    # The first scene tells of which type empty tiles are.
                    empty = not (before.headers["X-Scenes"] or fresh.headers["X-Scenes"])
                    assert empty or any(overlap(part, tiles[tile]) for part in touched)
                known[tile] = fresh
