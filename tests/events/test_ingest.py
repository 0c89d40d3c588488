"""What messages do to mosaics: one outcome each, whatever the others are."""

import itertools
import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any, ClassVar

import pytest

from bench.meter import Metered
from items import NOW, box, deletion, item, message
from livemosaic.errors import TableBusyError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.registry.roster import RecentMosaics
from livemosaic.index.scenes import Index
from livemosaic.index.schema import head_key
from livemosaic.ingest.batch import Ingest, Outcome
from livemosaic.ingest.events.message import Message
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Delete, Put, Table
from livemosaic.tiler.views import area_of


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


@pytest.fixture
def ingest(table: Table) -> Iterator[Ingest]:
    with ThreadPoolExecutor(4) as pool:
        yield Ingest(Index(table, Mosaics(table), pool), AllowList(("https://", "s3://")))


def create(ingest: Ingest, mosaic_id: str = "m", **settings: Any) -> Mosaic:
    return ingest.index.mosaics.create(Mosaic(id=mosaic_id, **settings))


def send(ingest: Ingest, *bodies: Any) -> list[Outcome]:
    """Send messages a second apart."""
    return ingest.batch([message(body, seconds=n) for n, body in enumerate(bodies)])


def shown(ingest: Ingest, mosaic_id: str = "m") -> list[str]:
    mosaic = ingest.index.mosaics.get(mosaic_id)
    return [f.id for f in ingest.index.find(mosaic, area_of(mosaic, (7.4, 45.4, 7.6, 45.6)))]


def changes(outcome: Outcome) -> dict[str, str]:
    return {change.mosaic: change.change for change in outcome.changes}


class TestLeftOutAssets:
    TIFF: ClassVar = "image/tiff; application=geotiff"
    ASSETS: ClassVar = {
        "visual": {"href": "https://example.com/a.tif", "type": TIFF},
        "mirror": {"href": "gs://bucket/x.tif", "type": TIFF},
    }

    def test_the_others_are_shown_and_the_outcome_and_the_log_say_so(
        self, ingest: Ingest, caplog: pytest.LogCaptureFixture
    ) -> None:
        create(ingest)
        (outcome,) = send(ingest, item("a", assets=self.ASSETS))
        assert outcome.status == "done"
        (warning,) = outcome.warnings
        start = "mosaic 'm' shows item 'a' without its asset 'mirror'"
        assert warning.startswith(f"{start} (its tiles show visual by default): ")
        assert "gs://bucket/x.tif" in warning
        assert [vars(record).get("reason") for record in caplog.records] == [warning]
        scene = ingest.index.scene(ingest.index.mosaics.get("m"), "s2#a")
        assert list(scene.assets) == ["visual"]

    def test_one_that_the_map_shows_is_named_so(self, ingest: Ingest) -> None:
        create(ingest)
        create(ingest, "n", default_assets=("mirror",))
        send(ingest, item("z", assets=self.ASSETS))
        swapped = {"visual": self.ASSETS["mirror"], "mirror": self.ASSETS["visual"]}
        (outcome,) = send(ingest, item("a", assets=swapped))
        assert "'visual', which its tiles need by default:" in outcome.warnings[0]
        (outcome,) = send(ingest, item("a", assets=self.ASSETS))
        warnings = {warning.split("'")[1]: warning for warning in outcome.warnings}
        assert "by default" not in warnings["m"]
        assert "'mirror', which its tiles need by default:" in warnings["n"]

    def test_of_many_the_needed_ones_are_named_and_the_rest_counted(self, ingest: Ingest) -> None:
        create(ingest, default_assets=("z",))
        many = {str(n): self.ASSETS["mirror"] for n in range(30)}
        assets = {"visual": self.ASSETS["visual"], **many, "z": self.ASSETS["mirror"]}
        (outcome,) = send(ingest, item("a", assets=assets))
        assert len(outcome.warnings) == 6
        assert "without its asset 'z', which its tiles need by default" in outcome.warnings[0]
        assert outcome.warnings[-1] == "mosaic 'm' shows item 'a' without 26 more of its assets"

    def test_with_none_left_the_item_is_refused(self, ingest: Ingest) -> None:
        create(ingest)
        (outcome,) = send(ingest, item("a", assets={"mirror": self.ASSETS["mirror"]}))
        assert (outcome.status, outcome.warnings) == ("rejected", [])
        assert "'gs'" in outcome.reason
        assert "never allowed" not in outcome.reason

    def test_once_it_is_allowed_the_item_sent_again_has_it(self, ingest: Ingest) -> None:
        create(ingest)
        assets = self.ASSETS | {"mirror": {"href": "http://h:8/x.tif", "type": self.TIFF}}
        document = item("a", updated="2026-02-01T00:00:00Z", assets=assets)
        send(ingest, document)
        wider = replace(ingest, allow=AllowList(("https://", "http://h:8")))
        assert changes(send(wider, document)[0]) == {"m": "applied"}
        assert changes(send(wider, document)[0]) == {"m": "unchanged"}
        scene = ingest.index.scene(ingest.index.mosaics.get("m"), "s2#a")
        assert list(scene.assets) == ["visual", "mirror"]


class TestSubscriptions:
    def test_an_item_is_in_every_mosaic_that_wants_its_collection(self, ingest: Ingest) -> None:
        create(ingest, "all")
        create(ingest, "s2", collections=("s2", "s1"))
        create(ingest, "landsat", collections=("landsat",))
        (outcome,) = send(ingest, item("a"))
        assert changes(outcome) == {"all": "applied", "s2": "applied"}
        assert (shown(ingest, "all"), shown(ingest, "s2")) == (["a"], ["a"])
        assert shown(ingest, "landsat") == []

    def test_an_item_that_no_mosaic_wants_is_ignored(self, ingest: Ingest) -> None:
        create(ingest, collections=("landsat",))
        (outcome,) = send(ingest, item("a"))
        assert (outcome.status, outcome.ok, outcome.changes) == ("ignored", True, [])

    def test_only_one_mosaic_is_touched_when_one_is_named(self, ingest: Ingest) -> None:
        target = create(ingest, "m")
        create(ingest, "other")
        ingest.batch([message(item("a"))], only=target)
        assert (shown(ingest, "m"), shown(ingest, "other")) == (["a"], [])

    def test_a_filter_lets_through_what_passes_it(self, ingest: Ingest) -> None:
        cql2 = Cql2Filter.parse("eo:cloud_cover < 10").document
        create(ingest, filter=cql2)
        send(
            ingest,
            item("clear", properties={"eo:cloud_cover": 3}),
            item("cloudy", properties={"eo:cloud_cover": 30}),
            item("unknown"),
        )
        assert shown(ingest) == ["clear"]

    def test_a_scene_that_no_longer_passes_the_filter_leaves(self, ingest: Ingest) -> None:
        create(ingest, filter=Cql2Filter.parse("eo:cloud_cover < 10").document)
        cloudy = item("a", properties={"eo:cloud_cover": 30}, updated="2026-01-02T00:00:00Z")
        clear = item("a", properties={"eo:cloud_cover": 3}, updated="2026-01-01T00:00:00Z")
        send(ingest, clear)
        assert shown(ingest) == ["a"]
        send(ingest, cloudy)
        assert shown(ingest) == []
        send(ingest, clear)
        assert shown(ingest) == []


class TestMosaicsThatChangeBetweenBatches:
    """A batch begins with the mosaics that the one before it ended with."""

    def test_one_read_of_the_registry_is_enough_for_a_batch(self, table: Table) -> None:
        meter = Metered(table)
        with ThreadPoolExecutor(1) as pool:
            ingest = Ingest(Index(meter, Mosaics(meter), pool), AllowList(("https://",)))
            create(ingest)
            send(ingest, item("a"))
            meter.take()
            send(ingest, item("a"))
            usage = meter.take()
            assert (usage.gets, usage.queries, usage.write_units) == (2, 0, 0)

    def test_a_new_mosaic_has_the_items_of_the_next_batch(self, ingest: Ingest) -> None:
        create(ingest, "first")
        send(ingest, item("a"))
        create(ingest, "second")
        (outcome,) = send(ingest, item("b"))
        assert outcome.status == "done"
        assert (sorted(shown(ingest, "first")), shown(ingest, "second")) == (["a", "b"], ["b"])

    def test_a_message_that_nobody_wanted_a_moment_ago_is_not_lost(self, ingest: Ingest) -> None:
        assert [o.status for o in send(ingest, item("a"))] == ["ignored"]
        create(ingest)
        assert [o.status for o in send(ingest, item("a"))] == ["done"]
        assert shown(ingest) == ["a"]

    def test_a_filter_counts_from_the_next_batch_on(self, ingest: Ingest) -> None:
        create(ingest)
        send(ingest, item("a"))
        cql2 = Cql2Filter.parse("eo:cloud_cover < 10").document
        ingest.index.mosaics.update("m", {"filter": cql2})
        send(ingest, item("b", properties={"eo:cloud_cover": 30}))
        assert shown(ingest) == ["a"]

    def test_a_mosaic_made_again_has_the_items_of_the_next_batch(self, ingest: Ingest) -> None:
        create(ingest)
        send(ingest, item("a"))
        list(ingest.index.drop("m"))
        create(ingest)
        send(ingest, item("b"))
        assert shown(ingest) == ["b"]

    def test_nothing_is_left_of_what_came_into_a_mosaic_that_was_deleted(
        self, ingest: Ingest, table: Table
    ) -> None:
        create(ingest)
        send(ingest, item("a"))
        list(ingest.index.drop("m"))
        send(ingest, item("b"))
        left = [row for row in table.scan("m.") if "#feed#" not in row.key.pk]
        assert left == []  # but the feed, whose rows expire within a day

    def test_what_is_no_moment_ago_is_not_believed(self, table: Table) -> None:
        now = 0.0
        with ThreadPoolExecutor(1) as pool:
            index = Index(table, Mosaics(table), pool)
            recent = RecentMosaics([], max_age_s=5, clock=lambda: now)
            index.mosaics.create(Mosaic(id="m"))
            assert [*recent.get(index.mosaics).by_id] == []
            now = 5.1
            assert [*recent.get(index.mosaics).by_id] == ["m"]


class TestChanges:
    def test_the_same_message_twice_changes_nothing(self, ingest: Ingest) -> None:
        create(ingest)
        twice = [message(item("a")), message(item("a"))]
        assert [changes(o)["m"] for o in ingest.batch(twice)] == ["applied", "unchanged"]

    def test_a_changed_footprint_moves_the_scene(self, ingest: Ingest) -> None:
        create(ingest)
        send(ingest, item("a"), item("a", box(100, 0, 101, 1)))
        assert shown(ingest) == []

    def test_an_older_version_that_comes_late_changes_nothing(self, ingest: Ingest) -> None:
        create(ingest)
        events = [message(item("a"), 2), message(item("a", box(100, 0, 101, 1)), 1)]
        (_, late) = ingest.batch(events)
        assert (late.status, changes(late)) == ("ignored", {"m": "outdated"})
        assert shown(ingest) == ["a"]

    def test_a_deletion_takes_the_scene_out_of_every_mosaic(self, ingest: Ingest) -> None:
        create(ingest, "m")
        create(ingest, "n")
        (_, outcome) = send(ingest, item("a"), deletion("a"))
        assert changes(outcome) == {"m": "deleted", "n": "deleted"}
        assert shown(ingest, "m") == shown(ingest, "n") == []

    def test_any_order_of_any_duplicates_ends_the_same(self, ingest: Ingest) -> None:
        """Five events of one scene, each twice, shuffled: the newest always wins."""
        east = box(100, 0, 101, 1)
        bodies = [item("a"), item("a", east), deletion("a"), item("a", east), item("a")]
        events = [message(body, second) for second, body in enumerate(bodies)] * 2
        rng = random.Random(4)
        for n in range(15):
            mosaic = create(ingest, f"m{n}")
            rng.shuffle(events)
            ingest.batch(events, only=mosaic)
            assert shown(ingest, f"m{n}") == ["a"], events
            scene = ingest.index.scene(mosaic, "s2#a")
            assert scene.version.startswith("2026-03-01T12:00:04")

    def test_of_two_documents_of_one_version_the_same_wins_in_any_order(
        self, ingest: Ingest, caplog: pytest.LogCaptureFixture
    ) -> None:
        """Nobody can say which is right, so all mosaics show the same, and the log says so."""
        updated = "2026-02-01T00:00:00Z"
        events = [
            item("a", updated=updated, href="https://example.com/1.tif"),
            item("a", updated=updated, href="https://example.com/2.tif"),
        ]
        hrefs = set()
        for name, order in (("m", events), ("n", [*reversed(events), events[1]])):
            mosaic = create(ingest, name)
            caplog.clear()
            first, second, *_ = ingest.batch([message(e) for e in order], only=mosaic)
            assert (changes(first), changes(second)) == ({name: "applied"}, {name: "contested"})
            assert second.ok
            (record, *_) = caplog.records
            assert "two documents of one version" in record.message
            assert (record.__dict__["mosaic"], record.__dict__["item"]) == (name, "a")
            hrefs.add(ingest.index.scene(mosaic, "s2#a").assets["visual"])
            assert shown(ingest, name) == ["a"]
        assert len(hrefs) == 1

    def test_a_deletion_of_the_same_moment_is_no_contest(self, ingest: Ingest) -> None:
        create(ingest)
        first, second, third = ingest.batch(
            [message(item("a")), message(deletion("a")), message(item("a"))]
        )
        ends = [changes(outcome)["m"] for outcome in (first, second, third)]
        assert ends == ["applied", "deleted", "outdated"]

    def test_messages_side_by_side_end_the_same(self, ingest: Ingest) -> None:
        create(ingest)
        seconds = list(range(1, 21))
        random.Random(5).shuffle(seconds)
        with ThreadPoolExecutor(20) as pool:
            outcomes = ingest.batch([message(item("a"), second) for second in seconds], pool=pool)
        assert all(outcome.ok for outcome in outcomes)
        mosaic = ingest.index.mosaics.get("m")
        assert ingest.index.scene(mosaic, "s2#a").version.startswith("2026-03-01T12:00:20")


class TestCost:
    def test_a_scene_in_four_cells_costs_sixteen_write_units_and_again_none(
        self, table: Table
    ) -> None:
        """Two for each of its rows: head, cells, one for each coarser rung, and the feed's."""
        metered = Metered(table)
        href = "https://sentinel-cogs.s3.us-west-2.amazonaws.com/sentinel-s2-l2a-cogs/32/T/LR/2026/"
        assets = {
            name: {"href": f"{href}1/S2B_32TLR_20260101_0_L2A/{name}.tif", "type": "image/tiff"}
            for name in ("visual", "red", "green", "nir")
        }
        with ThreadPoolExecutor(1) as pool:
            ingest = Ingest(Index(metered, Mosaics(metered), pool), AllowList(("https://",)))
            mosaic = create(ingest)
            footprint = box(7.8, 45.5, 9.1, 46.5)
            ingest.batch([message(item("before", footprint, assets=assets))])
            metered.take()
            scene = item("a", footprint, assets=assets)
            ingest.batch([message(scene)])
            assert metered.take().write_units == 16
            ingest.batch([message(scene)])
            assert metered.take().write_units == 0
            ingest.batch([message(scene, 1)])
            assert metered.take().write_units == 2, (
                "the version of a later event that said the same"
            )
        head = metered.get(head_key(mosaic, "s2#a"))
        assert head is not None
        assert len(head["cells"]) == 4


class TestFailures:
    BAD = (
        item("bad", {"type": "Point", "coordinates": [0, 0]}),
        item("bad") | {"geometry": None},
        item("bad", box(0, 88, 1, 91)),
        item("bad", href="file:///etc/passwd"),
        item("bad", href="/vsicurl/http://169.254.169.254/x.tif"),
        {"Type": "Notification", "Message": '{"href": "https://x/a"}', "Timestamp": "9999-01-01"},
        "not json",
        {"hello": "world"},
        deletion("bad", time="0001-01-01T00:00:00+14:00"),
        {"Type": "Notification", "Message": "{}", "Timestamp": "soon"},
        {"Type": "Notification", "Message": "{}", "MessageAttributes": ["x"]},
        item("bad", type="x" * 100_000),
        item("bad", properties={"nested": nested(100_000)}),
    )

    def test_a_message_that_can_never_succeed_fails_alone_and_says_why(
        self, ingest: Ingest, caplog: pytest.LogCaptureFixture
    ) -> None:
        create(ingest)
        messages = [Message(f"bad{n}", body, NOW, {}) for n, body in enumerate(self.BAD)]
        messages.insert(3, Message("good", item("good"), NOW, {}))
        with caplog.at_level(logging.WARNING, logger="livemosaic"):
            outcomes = ingest.batch(messages)
        assert [o.message_id for o in outcomes] == [m.id for m in messages]
        assert [o.status for o in outcomes if o.message_id != "good"] == ["rejected"] * len(
            self.BAD
        )
        assert all(0 < len(o.reason) < 500 for o in outcomes if o.message_id != "good")
        assert not any(o.ok for o in outcomes if o.message_id != "good")
        assert shown(ingest) == ["good"]
        logged = {record.__dict__["message_id"]: record for record in caplog.records}
        assert set(logged) == {f"bad{n}" for n in range(len(self.BAD))}
        assert "latitude 91" in logged["bad2"].__dict__["reason"]

    def test_a_bad_item_in_a_collection_does_not_keep_the_others_out(self, ingest: Ingest) -> None:
        create(ingest)
        body = {
            "type": "FeatureCollection",
            "features": [item("a"), item("bad") | {"geometry": None}, item("c")],
        }
        (outcome,) = ingest.batch([message(body)])
        assert outcome.status == "rejected"
        assert "item 'bad': has no geometry" in outcome.reason
        assert sorted(shown(ingest)) == ["a", "c"]

    @pytest.mark.parametrize("late_at", [0, 1, 3], ids=lambda n: f"{n} items done")
    def test_what_has_no_time_left_is_not_begun_and_what_was_done_stays(
        self, ingest: Ingest, late_at: int
    ) -> None:
        create(ingest)
        collection = {"type": "FeatureCollection", "features": [item("a"), item("b")]}
        asked = itertools.count()
        outcomes = ingest.batch(
            [message(collection), message(item("c")), message(item("d"))],
            deadline=lambda: next(asked) >= late_at,
        )
        done = ["a", "b", "c"][:late_at]
        assert sorted(shown(ingest)) == done
        assert [o.ok for o in outcomes] == [late_at >= 2, late_at >= 3, False]
        assert [c.id for o in outcomes for c in o.changes] == done
        assert {o.reason for o in outcomes if not o.ok} == {
            "the time of this run is nearly over: the rest is left to the next delivery"
        }
        assert all(o.status == "failed" for o in outcomes if not o.ok)

    def test_no_header_is_read_when_time_is_up(self, ingest: Ingest) -> None:
        create(ingest)
        kept: list[str] = []
        keeping = replace(ingest, keep_headers=lambda hrefs, _: kept.extend(hrefs))
        asked = itertools.count()
        keeping.batch([message(item("a"))], deadline=lambda: next(asked) >= 1)
        assert (shown(ingest), kept) == (["a"], [])
        keeping.batch([message(item("a"))])
        assert kept == ["https://example.com/a.tif"]

    @pytest.mark.parametrize(
        ("settings", "kept"),
        [
            ({}, "visual"),
            ({"default_assets": ("nir", "*/red.tif", "*red.tif")}, "nir red"),
            ({"renders": {"dry": {"assets": ["swir"]}, "flat": {"resampling": "nearest"}}},
             "visual swir"),
            ({"renders": {"ndvi": {"expression": "(nir-red)/(nir+red)"}}}, "visual nir red"),
            ({"renders": {"first": {"expression": "b1/255"}, "none": {"assets": ["gone"]}}},
             "visual"),
            ({"renders": {"odd": {"assets": 7}, "bad": {"expression": "(("}}}, "visual"),
            ({"overviews": OverviewPolicy(assets=("green", "visual"))}, "visual green"),
            ({"assets": ("swir", "scl", "red")}, "swir scl red"),
        ],
        ids=[
            *("chosen", "named", "render", "expression", "bands", "invalid", "overviews"),
            "kept by name",
        ],
    )  # fmt: skip
    def test_headers_are_kept_of_assets_that_requests_open_without_naming_them(
        self, ingest: Ingest, settings: dict[str, Any], kept: str
    ) -> None:
        names = ("visual", "red", "green", "nir", "swir", "scl")
        hrefs = {name: f"https://example.com/{name}.tif" for name in names}
        create(ingest, **settings)
        for item_id in "ab":  # the first of them chooses what is shown
            asked: list[str] = []
            keeping = replace(ingest, keep_headers=lambda found, _: asked.extend(found))  # noqa: B023
            for _ in range(2):  # once more where nothing changes: its COG may be another
                asked.clear()
                assets = {n: {"href": h, "type": "image/tiff"} for n, h in hrefs.items()}
                keeping.batch([message(item(item_id, assets=assets))])
                assert sorted(asked) == sorted(hrefs[name] for name in kept.split())

    def test_a_busy_table_fails_the_message_for_another_try(self, table: Table) -> None:
        with ThreadPoolExecutor(1) as pool:
            good = Ingest(Index(table, Mosaics(table), pool), AllowList(("https://",)))
            create(good)
            broken = Ingest(Index(Failing(table), Mosaics(table), pool), good.allow)
            first, second = broken.batch([message(item("busy")), message(item("b"))])
        assert (first.status, first.ok) == ("failed", False)
        assert first.reason == "throttled"
        assert second.status == "done"

    def test_what_nobody_foresaw_fails_the_message_and_leaks_nothing(
        self, table: Table, caplog: pytest.LogCaptureFixture
    ) -> None:
        with ThreadPoolExecutor(1) as pool:
            good = Ingest(Index(table, Mosaics(table), pool), AllowList(("https://",)))
            create(good)
            broken = Ingest(Index(Failing(table), Mosaics(table), pool), good.allow)
            (outcome,) = broken.batch([message(item("boom"))])
        assert outcome.status == "failed"
        assert "secret" not in outcome.reason
        assert "secret" in caplog.text


class Failing:
    """A table that fails on the scenes `busy` and `boom`."""

    def __init__(self, table: Table) -> None:
        self.get, self.batch_get, self.query = table.get, table.batch_get, table.query
        self.table = table

    def transact(self, actions: list[Put | Delete]) -> None:
        if any(action.key.sk.endswith("#busy") for action in actions):
            raise TableBusyError("throttled")
        if any(action.key.sk.endswith("#boom") for action in actions):
            raise RuntimeError("secret detail")
        self.table.transact(actions)
