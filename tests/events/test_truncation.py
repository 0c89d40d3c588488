"""A collection that is truncated is gone at once, and what is newer is not."""

import itertools
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest

from bench.meter import Metered
from interruptions import Hook, Hooked
from items import NOW, box, item, message
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.index.mosaics import MAX_WATERMARKS, Mosaics
from livemosaic.index.scenes import TOMBSTONE_S, Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic, Watermark
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Table
from livemosaic.tiler.views import area_of


@pytest.fixture
def ingest(table: Table) -> Iterator[Ingest]:
    with ThreadPoolExecutor(4) as pool:
        yield made(table, pool)


def made(table: Table, pool: ThreadPoolExecutor) -> Ingest:
    return Ingest(Index(table, Mosaics(table), pool), AllowList(("https://",)))


def create(ingest: Ingest, mosaic_id: str = "m", **settings: Any) -> Mosaic:
    return ingest.index.mosaics.create(Mosaic(id=mosaic_id, **settings))


def truncation(collection: str = "s2", *, seconds: float) -> Message:
    return message({"op": "truncate", "collection": collection}, seconds)


def hide(ingest: Ingest, collection: str = "s2", *, seconds: float) -> None:
    """The first half of a truncation, before any row goes."""
    version = message({}, seconds).order.of_deletion()
    mosaic = ingest.index.mosaics.get("m")
    assert ingest.index.truncate(mosaic, collection, version).change == "truncated"


def shown(ingest: Ingest, mosaic_id: str = "m") -> list[str]:
    mosaic = ingest.index.mosaics.get(mosaic_id)
    listed = sorted(scene.id for scene in ingest.index.list_scenes(mosaic, limit=100)[0])
    found = ingest.index.find(mosaic, area_of(mosaic, (7.4, 45.4, 7.6, 45.6)))
    assert sorted(scene.id for scene in found) == listed
    return listed


def left_over(ingest: Ingest, mosaic_id: str = "m") -> list[str]:
    return list(ingest.index.left_over(ingest.index.mosaics.get(mosaic_id), "s2"))


class TestReaders:
    def test_what_is_truncated_is_gone_before_its_rows_are(self, ingest: Ingest) -> None:
        mosaic = create(ingest)
        landsat = item("b", collection="landsat")
        ingest.batch([message(item("a")), message(landsat), message(item("c", collection="s2x"))])
        hide(ingest, seconds=1)
        assert left_over(ingest) == ["s2#a"]
        assert shown(ingest) == ["b", "c"]
        mosaic = ingest.index.mosaics.get("m")
        with pytest.raises(NotFoundError, match="no item 'a'"):
            ingest.index.scene(mosaic, "s2#a")
        assert [s.id for s in ingest.index.scenes(mosaic, ["s2#a", "landsat#b"])] == ["b"]

    def test_what_is_newer_stays_whichever_came_first(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([message(item("old")), message(item("new"), 20)])
        hide(ingest, seconds=10)
        ingest.batch([message(item("newer"), 30), message(item("older"), 5)])
        assert shown(ingest) == ["new", "newer"]

    def test_a_scene_moved_since_is_where_it_is_now(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([message(item("a", box(7.2, 45, 8.2, 46)))])
        hide(ingest, seconds=10)
        ingest.batch([message(item("a", datetime="2026-01-05T00:00:00Z"), 20)])
        assert shown(ingest) == ["a"]


class TestWriters:
    def test_what_is_not_newer_is_outdated(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([truncation(seconds=10)])
        late, deleted, same, newer = ingest.batch(
            [
                message(item("late"), 9),
                message({"op": "delete", "collection": "s2", "id": "x"}, 9),
                message(item("same"), 10),
                message(item("newer"), 11),
            ]
        )
        changes = [outcome.changes[0].change for outcome in (late, deleted, same, newer)]
        assert changes == ["outdated", "outdated", "outdated", "applied"]
        assert shown(ingest) == ["newer"]

    def test_a_scene_that_a_later_event_said_again_stays(self, ingest: Ingest) -> None:
        """Its rows tell of the earlier event, its head of the later one."""
        create(ingest)
        ingest.batch([message(item("a"))])
        assert ingest.batch([message(item("a"), 20)])[0].changes[0].change == "unchanged"
        assert ingest.batch([truncation(seconds=10)])[0].ok
        assert shown(ingest) == ["a"]

    def test_a_scene_said_again_after_the_truncation_is_back(self, ingest: Ingest) -> None:
        """With the same content as the rows that readers do not see any more."""
        create(ingest)
        ingest.batch([message(item("a"))])
        hide(ingest, seconds=10)
        ingest.batch([message(item("a"), 20)])
        assert shown(ingest) == ["a"]

    @pytest.mark.parametrize("seconds", [5, 20], ids=["older", "newer"])
    @pytest.mark.parametrize("said", [False, True], ids=["new", "said before"])
    def test_one_who_does_not_know_of_it_yet_changes_nothing(
        self, sqlite_table: Table, seconds: int, said: bool
    ) -> None:
        """The whole truncation falls between every two calls of an upsert."""
        with ThreadPoolExecutor(1) as pool:
            for n in itertools.count():
                other = made(sqlite_table, pool)
                mosaic = create(other, f"m{n}")
                if said:
                    other.batch([message(item("a"))], only=mosaic)

                def truncate(other: Ingest = other, mosaic: Mosaic = mosaic) -> None:
                    assert other.batch([truncation(seconds=10)], only=mosaic)[0].ok

                hook = Hook(n, truncate)
                writer = made(Hooked(sqlite_table, hook), pool)
                assert writer.batch([message(item("a"), seconds)], only=mosaic)[0].ok
                if not hook.ran:
                    break
                assert shown(other, f"m{n}") == (["a"] if seconds == 20 else [])
                assert left_over(other, f"m{n}") == []
        assert n > 1


class TestPurge:
    def test_no_row_is_left(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([message(item(f"item-{n}")) for n in range(70)])
        with ThreadPoolExecutor(4) as pool:
            (outcome,) = ingest.batch([truncation(seconds=1)], pool=pool)
        assert outcome.status == "done"
        assert (shown(ingest), left_over(ingest)) == ([], [])
        mosaic = ingest.index.mosaics.get("m")
        unmarked = replace(mosaic, watermarks=())
        assert list(ingest.index.find(unmarked, area_of(mosaic, (7.4, 45.4, 7.6, 45.6)))) == []

    def test_what_time_runs_out_for_is_purged_by_the_next_delivery(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([message(item(f"item-{n}")) for n in range(70)])
        calls = itertools.count()
        (first,) = ingest.batch([truncation(seconds=1)], deadline=lambda: next(calls) > 1)
        assert (first.status, "next delivery" in first.reason) == ("failed", True)
        assert shown(ingest) == []
        assert 0 < len(left_over(ingest)) < 70
        (second,) = ingest.batch([truncation(seconds=1)])
        assert (second.status, left_over(ingest)) == ("done", [])

    def test_again_costs_no_write_unit(self, table: Table) -> None:
        metered = Metered(table)
        with ThreadPoolExecutor(1) as pool:
            ingest = made(metered, pool)
            create(ingest)
            ingest.batch([message(item("a"))])
            ingest.batch([truncation(seconds=2)])
            metered.take()
            again, lower = ingest.batch([truncation(seconds=2), truncation(seconds=1)])
            assert (again.changes[0].change, lower.changes[0].change) == ("truncated", "outdated")
            assert metered.take().write_units == 0


class TestWatermarks:
    def test_a_mosaic_remembers_so_many(self, ingest: Ingest) -> None:
        mosaics = ingest.index.mosaics
        create(ingest)
        now = NOW.timestamp()
        for n in range(MAX_WATERMARKS):
            mark = Watermark(f"c{n}", "2026", int(now) + TOMBSTONE_S + n)
            mosaics.truncate("m", mark, now)
        with pytest.raises(InvalidRequestError, match="'m' remembers truncations of 100"):
            mosaics.truncate("m", Watermark("one more", "2026", 2**40), now)
        mosaics.truncate("m", Watermark("c7", "2027", 2**40), now)
        later = now + TOMBSTONE_S + 2.5
        mosaic = mosaics.truncate("m", Watermark("one more", "2026", 2**40), later)
        assert mosaic.watermark("one more") == "2026"
        assert mosaic.watermark("c7") == "2027"
        assert [mosaic.watermark(f"c{n}") for n in range(4)] == ["", "", "", "2026"]

    def test_one_never_falls(self, ingest: Ingest) -> None:
        create(ingest)
        for version in ("2", "1"):
            mosaic = ingest.index.mosaics.truncate("m", Watermark("s2", version, 5), 0)
        assert mosaic.watermark("s2") == "2"

    def test_a_change_of_settings_keeps_them(self, ingest: Ingest) -> None:
        create(ingest)
        ingest.batch([truncation(seconds=10)])
        ingest.index.mosaics.update("m", {"title": "new"})
        ingest.batch([message(item("late"), 9)])
        assert shown(ingest) == []
