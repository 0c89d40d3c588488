"""The functions that keep overviews up to date: hints in, cells made; a sweep for what is left."""

import json
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager, nullcontext
from dataclasses import dataclass, field, replace
from functools import partial, reduce
from pathlib import Path
from time import time
from typing import Any
from uuid import uuid4

import boto3
import pytest
import rasterio
from shapely.geometry import shape

from api.overviews import Tile, document, make_scenes
from cogs import write_cog
from conftest import REGION
from handlers.cloudwatch import of_log
from handlers.gateway import HttpApi
from handlers.runtime import Function, FunctionError, function
from items import deletion, item, sqs_event
from livemosaic.geo.antimeridian import extent, united
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import KEPT_S, OverviewRows, stale_row
from livemosaic.index.schema import mosaic_prefix
from livemosaic.ingest import sqs
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.functions import OVERDUE_S, Building, Sweep
from livemosaic.overviews.hints import (
    DELAY_S,
    MINUTE_S,
    WINDOW_S,
    Hint,
    HintQueue,
    announcing,
    hints_of,
)
from livemosaic.services import Services, building, running
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

NO_FAILURE: dict[str, Any] = {"batchItemFailures": []}
REGION_OF_SCENES = "120"
"""Of the tile 3/4/2, in which they lie."""


def hints(*bodies: Mapping[str, str] | str) -> dict[str, Any]:
    """Messages of a FIFO queue as Lambda hands them over (Lambda, "Using Lambda with Amazon SQS",
    example FIFO queue message event)."""
    texts = [body if isinstance(body, str) else json.dumps(body) for body in bodies]
    event = sqs_event(*texts)
    for number, record in enumerate(event["Records"]):
        record["attributes"] |= {
            "SequenceNumber": f"188496378803287040{number:02}",
            "MessageGroupId": "m/120",
            "MessageDeduplicationId": f"m/120/{number}",
        }
        record["eventSourceARN"] = "arn:aws:sqs:eu-central-1:123456789012:hints.fifo"
    return event


def hint(mosaic: str = "m", region: str = "") -> dict[str, str]:
    return {"mosaic": mosaic, "region": region}


@dataclass
class Place:
    """An index with overviews beside it, and the functions on it."""

    folder: Path
    opened: ExitStack
    _made: dict[str, Function] = field(default_factory=dict)

    @property
    def index(self) -> str:
        return f"sqlite:///{self.folder}/index.db"

    def function(self, handler: str) -> Function:
        if handler not in self._made:
            own = {
                "LIVEMOSAIC_INDEX": self.index,
                "LIVEMOSAIC_ALLOWED_PREFIXES": f"{self.folder}/",
                "LIVEMOSAIC_METRICS": "here",
                "LIVEMOSAIC_MOSAIC_MAX_AGE_S": "0",
                "AWS_ACCESS_KEY_ID": "nobody",
                "AWS_SECRET_ACCESS_KEY": "nothing",
                "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
            }
            self._made[handler] = self.opened.enter_context(function(handler, self.folder, **own))
        return self._made[handler]

    def build(self, *bodies: Mapping[str, str] | str) -> Any:
        return self.function("overviews.handler").invoke(hints(*bodies))

    def built(self) -> list[dict[str, Any]]:
        """What the builder logged of its passes."""
        logged = self.function("overviews.handler").logged()
        return [line for line in logged if line["message"] == "overviews built"]

    def create(self, *names: str) -> None:
        table = SqliteTable(self.folder / "index.db")
        for name in names:
            Mosaics(table).create(Mosaic(id=name, overviews=OverviewPolicy()))
        table.close()

    def publish(self, *documents: Any) -> None:
        answer = self.function("ingest.handler").invoke(sqs_event(*map(json.dumps, documents)))
        assert answer == NO_FAILURE

    def tile(self, mosaic: str = "m") -> Any:
        """The tile of zoom 3 in which the scenes are."""
        api = HttpApi(self.function("tiler.handler").invoke)
        answer = api.get(f"/mosaics/{mosaic}/tiles/WebMercatorQuad/3/4/2.png?f={uuid4()}")
        assert answer.status == 200, answer.content
        return answer


@pytest.fixture
def place(tmp_path: Path) -> Iterator[Place]:
    with ExitStack() as opened:
        yield Place(tmp_path, opened)


@pytest.fixture
def services(place: Place) -> Iterator[Services]:
    """The same index, in this process."""
    own = Settings(index=place.index, allowed_prefixes=(f"{place.folder}/",))
    with running(own) as found:
        yield found


def test_hints_of_a_batch_are_built_and_low_zooms_show_them(place: Place) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    assert "x-overview" not in place.tile().headers
    assert place.build(hint(), hint(), hint(region=REGION_OF_SCENES)) == NO_FAILURE
    answer = place.tile()
    assert answer.headers["x-overview"].endswith("stale=0")
    assert "x-truncated" not in answer.headers
    [line] = place.built()
    assert (line["mosaic"], line["taken"]) == ("m", 25), "one pass for all hints of a mosaic"
    assert line["written"] > 0


def test_the_same_hint_again_draws_and_writes_nothing(place: Place) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    place.build(hint())
    place.build(hint(region=REGION_OF_SCENES))
    place.build(hint())
    again = [(line["taken"], line["drawn"], line["written"]) for line in place.built()[1:]]
    assert again == [(0, 0, 0)] * 2


def test_a_region_is_built_and_others_wait_for_their_own_hint(place: Place) -> None:
    place.create("m")
    scenes = make_scenes(place.folder, 5)
    place.publish(*map(document, scenes))
    place.build(hint())
    place.publish(document(scenes[0], updated="2026-03-02T00:00:00Z"))
    place.build(hint(region="333"))
    assert place.built()[-1]["taken"] == 0
    assert "stale=1" in place.tile().headers["x-overview"]
    place.build(hint(region=REGION_OF_SCENES))
    assert place.built()[-1]["taken"] == 1
    assert "stale=0" in place.tile().headers["x-overview"]


def test_one_mosaic_fails_alone_and_its_hint_is_answered_as_failed(place: Place) -> None:
    place.create("bad", "good")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    folder = place.folder / "index.db.overviews"
    folder.mkdir(exist_ok=True)
    table = SqliteTable(place.folder / "index.db")
    (folder / f"bad.{Mosaics(table).get('bad').generation}").write_bytes(b"no folder")
    table.close()
    event = hints(hint("bad"), hint("good"), hint("bad", REGION_OF_SCENES))
    answer = place.function("overviews.handler").invoke(event)
    names = [record["messageId"] for record in event["Records"]]
    failed = {each["itemIdentifier"] for each in answer["batchItemFailures"]}
    assert failed == {names[0], names[2]}
    assert place.tile("good").headers["x-overview"].endswith("stale=0")
    points = of_log(place.function("overviews.handler").logged())
    assert [point.value for point in points if point.metric[1] == "FailedBuilds"] == [1]


def test_a_message_that_is_no_hint_fails_alone(place: Place) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    texts = [
        "rubbish",
        "[1]",
        '{"mosaic": "../m", "region": ""}',
        '{"mosaic": "m", "region": "9"}',
        '{"mosaic": "m", "region": "0123"}',
        '{"mosaic": "m", "region": "", "due": "soon"}',
    ]
    event = hints(*texts, hint())
    answer = place.function("overviews.handler").invoke(event)
    failed = [each["itemIdentifier"] for each in answer["batchItemFailures"]]
    assert failed == [record["messageId"] for record in event["Records"][:-1]]
    assert place.tile().headers["x-overview"].endswith("stale=0")


def test_a_hint_of_a_mosaic_that_is_gone_is_forgotten(place: Place) -> None:
    place.create("m")
    assert place.build(hint("gone"), hint("gone", "012")) == NO_FAILURE


def test_what_is_no_batch_of_a_queue_is_an_error(place: Place) -> None:
    with pytest.raises(FunctionError, match="this function takes batches from SQS"):
        place.function("overviews.handler").invoke({"source": "aws.events"})


@dataclass
class Kept:
    """A queue that keeps the hints, by when they are sent."""

    now: list[Hint] = field(default_factory=list)
    later: list[Hint] = field(default_factory=list)

    def send_now(self, hints: Any) -> int:
        self.now += hints
        return 0

    def send_later(self, hints: Any) -> int:
        self.later += hints
        return 0


@dataclass
class Again:
    """A queue that is asked to show messages again."""

    shown: list[tuple[Any, int | None]] = field(default_factory=list)
    """Messages, and after how many seconds if somebody chose."""

    def soon(self, record: Any) -> None:
        self.shown.append((record, None))

    def after(self, record: Any, pause_s: int) -> None:
        self.shown.append((record, pause_s))


class Clocked:
    """Lambda's context of a run whose time passes with each look at it."""

    def __init__(self, looks: int) -> None:
        self.left = looks

    def get_remaining_time_in_millis(self) -> int:
        self.left -= 1
        return 900_000 if self.left >= 0 else 1000


def test_a_run_whose_time_is_over_leaves_the_rest_for_the_next_ones(
    place: Place, services: Services
) -> None:
    """Cells that were made stay, so that any number of short runs end with all of them."""
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 7)))
    again, sent = Again(), Kept()
    build = Building(partial(building, services), again, sent)
    runs, rows = 0, OverviewRows(services.index.table)
    while not any(s.state == "ready" for s in services.mosaics.get("m").overview_sets):
        assert [*rows.stale(services.mosaics.get("m"), REGION_OF_SCENES)], "kept until all is done"
        assert build(hints(hint()), Clocked(2 + 2 * runs)) == NO_FAILURE
        runs += 1
        assert runs < 40
        assert sent.now == [Hint("m")] * (runs - 1) or sent.now == [Hint("m")] * runs, "it goes on"
    assert runs > 2
    assert len(sent.now) == runs - 1
    assert not [*rows.stale(services.mosaics.get("m"), REGION_OF_SCENES)]
    assert not again.shown
    assert place.tile().headers["x-overview"].endswith("stale=0")


def test_hints_for_which_no_time_is_left_come_again_soon(place: Place, services: Services) -> None:
    place.create("m")
    again = Again()
    event = hints(hint())
    answer = Building(partial(building, services), again, Kept())(event, Clocked(1))
    assert answer == {"batchItemFailures": [{"itemIdentifier": event["Records"][0]["messageId"]}]}
    assert again.shown == [(event["Records"][0], None)]


def test_a_set_that_is_not_made_in_one_run_is_shared_by_place(
    place: Place, services: Services
) -> None:
    """Each place has a hint of its own, and the set that all of them make equals that of one."""
    place.create("m", "one")
    scenes = [*make_scenes(place.folder, 5), *(shifted(s) for s in make_scenes(place.folder, 5))]
    place.publish(*map(document, scenes))
    sent = Kept()
    build = Building(partial(building, services), Again(), sent)
    assert build(hints(hint()), Clocked(2)) == NO_FAILURE
    seen: list[Hint] = []
    while todo := sent.now or sent.later:
        seen.append(replace(todo.pop(0), due=0))
        assert build(hints(seen[-1].body), None) == NO_FAILURE
        assert len(seen) < 60
    regions = {found.region for found in seen}
    assert {"", REGION_OF_SCENES, "121"} <= regions
    with building(services) as builder:
        builder.run("one")
    assert digests(services, "m") == digests(services, "one")
    assert place.tile().headers["x-overview"].endswith("stale=0")


def shifted(scene: Tile) -> Tile:
    """The same scene 40 degrees to the east."""
    left, bottom, right, top = scene.bounds
    east = 40 / 180 * 20037508.342789244
    bounds = (left + east, bottom, right + east, top)
    path = scene.path.with_name(f"{scene.path.stem}-east.tif")
    with rasterio.open(scene.path) as source:
        write_cog(path, source.read(), crs="EPSG:3857", bounds=bounds)
    return replace(scene, name=path.stem, path=path, bounds=bounds)


def digests(services: Services, name: str) -> dict[str, str]:
    """The cells of a mosaic that stand, whose set is complete."""
    mosaic = services.mosaics.get(name)
    assert mosaic.shown_overviews is not None
    found = OverviewRows(services.index.table).rows(mosaic, mosaic.shown_overviews)
    return {cell.quadkey: cell.digest for cell in found if not cell.retired}


def test_a_hint_that_comes_too_early_is_put_back_until_it_is_due(
    place: Place, services: Services
) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    now, again = [1000.0], Again()
    build = Building(partial(building, services), again, Kept(), clock=lambda: now[0])
    event = hints(hint() | {"due": 1014.5})
    [record] = event["Records"]
    assert build(event, None) == {"batchItemFailures": [{"itemIdentifier": record["messageId"]}]}
    assert again.shown == [(record, 15)]
    assert not services.mosaics.get("m").overview_sets, "nothing was built"
    now[0] = 1014.5
    assert build(event, None) == NO_FAILURE
    assert place.tile().headers["x-overview"].endswith("stale=0")


# Hints


@pytest.fixture
def queue(dynamodb_endpoint: str | None) -> Iterator[tuple[Any, str]]:
    """A FIFO queue without delay, and its client."""
    if dynamodb_endpoint is None:
        pytest.skip("makes queues, and no emulator is used")
    keys = {"aws_access_key_id": "testing", "aws_secret_access_key": "testing"}
    client = boto3.Session().client(
        "sqs", region_name=REGION, endpoint_url=dynamodb_endpoint, **keys
    )
    url = client.create_queue(QueueName=f"h-{uuid4()}.fifo", Attributes={"FifoQueue": "true"})
    yield client, url["QueueUrl"]
    client.delete_queue(QueueUrl=url["QueueUrl"])
    client.close()


def received(queue: tuple[Any, str]) -> list[Hint]:
    client, url = queue
    found: list[Hint] = []
    while messages := client.receive_message(QueueUrl=url, MaxNumberOfMessages=10).get("Messages"):
        for message in messages:
            found.append(Hint.of_body(message["Body"]))
            client.delete_message(QueueUrl=url, ReceiptHandle=message["ReceiptHandle"])
    return found


@pytest.mark.emulator
def test_a_lone_change_sends_a_hint_at_once_and_one_for_changes_that_come_meanwhile(
    queue: tuple[Any, str],
) -> None:
    now = [1_000_000.0]
    sender = HintQueue(*queue, clock=lambda: now[0])
    places = [Hint("m", "012"), Hint("m", "013"), Hint("m"), Hint("n", "012")]
    for _ in range(3):
        assert sender.send(places * 4) == 0
    due = now[0] + DELAY_S
    both = {hint: [hint, replace(hint, due=due)] for hint in places}
    found = received(queue)
    assert {h: [f for f in found if f.group == h.group] for h in places} == both, "in this order"
    assert sender.send(places[:1]) == 0
    assert received(queue) == [], "of this window one has come already"


@pytest.mark.emulator
def test_a_burst_of_a_region_sends_a_hint_each_ten_seconds_and_one_more_each_minute(
    queue: tuple[Any, str],
) -> None:
    """So a burst costs a seventh more passes than without the hint at once, and they find less."""
    now = [1_000_020.0]
    sender = HintQueue(*queue, clock=lambda: now[0])
    for _ in range(120):
        assert sender.send([Hint("m", "012")]) == 0
        now[0] += 1
    found = received(queue)
    assert [hint.due for hint in found].count(0) == 2
    due = [hint.due for hint in found if hint.due]
    assert due == [1_000_020.0 + DELAY_S + WINDOW_S * n for n in range(12)]
    assert min(d - (WINDOW_S * (n + 1)) for n, d in enumerate(due)) > 1_000_020.0, "all are in it"


@pytest.mark.emulator
def test_a_batch_of_events_sends_a_hint_for_each_region_that_it_changed(
    place: Place, services: Services, queue: tuple[Any, str]
) -> None:
    place.create("m")
    services.mosaics.create(Mosaic(id="plain"))
    clock = iter(range(0, 1_000_000, MINUTE_S))
    sender = HintQueue(*queue, clock=lambda: float(next(clock)))
    with ThreadPoolExecutor(2) as pool:
        ingest = services.ingest
        handle = sqs.handler(ingest, pool, announce=announcing(ingest, lambda: sender))
        scenes = make_scenes(place.folder, 5)

        def publish(*documents: Any, **attributes: str) -> list[Hint]:
            texts = [*map(json.dumps, documents)]
            handle(sqs_event(*texts, attributes=[attributes] * len(texts)), None)
            return [hint for hint in received(queue) if not hint.due]

        first = [document(scene, updated="2026-01-01T00:00:00Z") for scene in scenes]
        assert publish(*first) == [Hint("m")], "the first cells are to be made"
        with building(services) as builder:
            builder.run("m")
        newer = [document(scene, updated="2026-02-01T00:00:00Z") for scene in scenes[:4]]
        assert publish(*newer) == [Hint("m", REGION_OF_SCENES)]
        assert publish(*newer) == [], "nothing changed"
        far = {"type": "Polygon", "coordinates": [[[100, -40], [101, -40], [101, -39], [100, -40]]]}
        moved = newer[0] | {"geometry": far, "bbox": [100, -40, 101, -39]}
        moved["properties"] = moved["properties"] | {"updated": "2026-02-02T00:00:00Z"}
        assert publish(moved) == [Hint("m", "000")], "its stale row reaches from 120 to 310"
        assert publish(moved, status="deleted") == [Hint("m", "310")]
        assert publish(moved | {"id": "never seen"}, status="deleted") == []
        assert publish(BAD, newer[1] | {"id": "another"}) == [Hint("m", REGION_OF_SCENES)]


BAD = item("bad") | {"geometry": None}


def test_a_queue_that_cannot_be_reached_fails_no_event(place: Place) -> None:
    """The stale rows are there, and the sweep finds them."""
    place.create("m")
    own = {
        "LIVEMOSAIC_INDEX": place.index,
        "LIVEMOSAIC_ALLOWED_PREFIXES": f"{place.folder}/",
        "LIVEMOSAIC_OVERVIEW_HINTS": "http://127.0.0.1:9/1/hints.fifo",
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        "AWS_ACCESS_KEY_ID": "nobody",
        "AWS_SECRET_ACCESS_KEY": "nothing",
    }
    with function("ingest.handler", place.folder, **own) as ingest:
        event = sqs_event(*map(json.dumps, map(document, make_scenes(place.folder, 1))))
        assert ingest.invoke(event) == NO_FAILURE
        assert "hints for the builder of overviews not sent" in ingest.log.read_text()


def test_a_truncation_is_a_hint_of_the_whole_mosaic() -> None:
    from livemosaic.ingest.subscriptions import Applied

    mosaics = [Mosaic(id="m", overviews=OverviewPolicy()), Mosaic(id="plain")]
    changes = [Applied(mosaic.id, "s2", "", "truncated") for mosaic in mosaics]
    assert hints_of(changes, mosaics) == [Hint("m")]


# The sweep


def swept(services: Services, later_s: float = 0) -> list[Hint]:
    kept = Kept()
    clock = services.index.clock
    sweep = Sweep(services.index, kept, services.index.pool, "here", lambda: clock() + later_s)  # type: ignore[arg-type]
    assert sweep({}, None) == {"hints": len(kept.now)}
    return kept.now


def test_the_sweep_sends_hints_of_what_is_overdue_and_nothing_else(
    place: Place, services: Services
) -> None:
    place.create("m")
    services.mosaics.create(Mosaic(id="plain"))
    scenes = make_scenes(place.folder, 5)
    place.publish(*map(document, scenes))
    assert swept(services) == [Hint("m")], "a set that must be made"
    with building(services) as builder:
        builder.run("m")
    assert swept(services, 10 * OVERDUE_S) == []
    place.publish(document(scenes[0], updated="2026-03-02T00:00:00Z"))
    assert swept(services) == [], "its hint is on the way"
    assert swept(services, OVERDUE_S + 1) == [Hint("m", REGION_OF_SCENES)]
    mosaic = services.mosaics.get("m")
    retry = stale_row(mosaic, ["3333"], services.index.clock() + 3600, tries=3)
    OverviewRows(services.index.table).mark(retry)
    assert swept(services, OVERDUE_S + 1) == [Hint("m", REGION_OF_SCENES)], "not due yet"
    assert Hint("m", "333") in swept(services, 3600 + OVERDUE_S + 1)


def test_changed_settings_are_found_by_the_sweep(place: Place, services: Services) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    with building(services) as builder:
        builder.run("m")
    services.mosaics.update("m", {"overviews": replace(OverviewPolicy(), resampling="max")})
    assert swept(services) == [Hint("m")]
    with building(services) as builder:
        builder.run("m")
    assert swept(services) == []
    assert swept(services, 3600) == [Hint("m")], "the set that was replaced is to be deleted"


def test_the_sweep_logs_how_far_overviews_are_behind(
    place: Place, services: Services, caplog: pytest.LogCaptureFixture
) -> None:
    place.create("m")
    scenes = make_scenes(place.folder, 5)
    place.publish(*map(document, scenes))

    def oldest(later_s: float) -> float:
        caplog.clear()
        with caplog.at_level("INFO", "livemosaic"):
            swept(services, later_s)
        [record] = (r for r in caplog.records if r.message == "overviews swept")
        described = record.__dict__["_aws"]["CloudWatchMetrics"][0]["Metrics"]
        assert {"Name": "OldestStaleSeconds", "Unit": "Seconds"} in described
        found: float = record.__dict__["OldestStaleSeconds"]
        return found

    assert oldest(3600) == 0, "there is none yet that could be behind"
    with building(services) as builder:
        builder.run("m")
    assert oldest(3600) == 0
    place.publish(document(scenes[0], updated="2026-03-02T00:00:00Z"))
    assert 3600 <= oldest(3600) < 3660


def test_the_sweep_and_the_builder_fit_bounds_to_the_scenes_that_are_left(
    place: Place, services: Services
) -> None:
    """In a mosaic without overviews, too."""
    services.mosaics.create(Mosaic(id="plain"))
    scenes = make_scenes(place.folder, 5)
    documents = [*map(document, scenes)]
    place.publish(*documents)
    wide = services.mosaics.get("plain").bounds
    easts = [shape(one["geometry"]).bounds[2] for one in documents]
    gone = [one for one, east in zip(documents, easts, strict=True) if east == max(easts)]
    place.publish(*(deletion(one["id"]) for one in gone))
    assert services.mosaics.get("plain").bounds == wide
    assert Hint("plain") not in swept(services, -60), "scenes that leave at once cost one fit"
    later = replace(services.index, clock=lambda: time() + 120)
    kept = Kept()
    Sweep(later, kept, later.pool, "here")({}, None)  # type: ignore[arg-type]
    assert Hint("plain") in kept.now
    with building(services) as builder:
        again = replace(builder, index=later)
        run = Building(lambda: nullcontext(again), Again(), kept, "here")  # type: ignore[arg-type]
        assert run(hints(hint("plain")), None) == NO_FAILURE
    plain = services.mosaics.get("plain")
    left = [extent(one.footprint) for one in services.index.every_scene(plain)]
    assert len(left) == len(scenes) - len(gone)
    assert plain.bounds == reduce(united, left) != wide
    api = HttpApi(place.function("tiler.handler").invoke)
    told = api.get("/mosaics/plain/tiles/WebMercatorQuad/tilejson.json").json["bounds"]
    assert told == pytest.approx(reduce(united, left))


# What is to be deleted


@pytest.mark.parametrize("end", ["deleted", "turned off"])
def test_the_sweep_and_the_builder_delete_what_nobody_needs(
    place: Place, services: Services, end: str
) -> None:
    place.create("m", "other")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    assert place.build(hint(), hint("other")) == NO_FAILURE
    mosaic, other = services.mosaics.get("m"), services.mosaics.get("other")
    own = place.folder / "index.db.overviews" / f"m.{mosaic.generation}"
    shown = place.tile("other").content
    if end == "deleted":
        list(services.index.drop("m"))
    else:
        services.mosaics.update("m", {"overviews": None})
    assert swept(services) == []
    assert place.build(hint()) == NO_FAILURE
    assert tifs(own), "for readers of this moment"

    later = KEPT_S + 1
    assert swept(services, later) == [Hint("m")]

    @contextmanager
    def builder() -> Iterator[OverviewBuilder]:
        with building(services) as one:
            yield replace(one, clock=lambda: services.index.clock() + later)

    build = Building(builder, Again(), Kept())  # type: ignore[arg-type]
    assert build(hints(hint()), Clocked(3)) == NO_FAILURE, "the time of a run is over"
    assert tifs(own) or rows_of_overviews(services, mosaic)
    assert swept(services, later) == [Hint("m")]
    assert build(hints(hint()), Clocked(1000)) == NO_FAILURE
    assert tifs(own) == rows_of_overviews(services, mosaic) == []
    assert swept(services, later) == []
    assert place.tile("other").content == shown
    assert place.tile("other").headers["x-overview"]
    assert rows_of_overviews(services, other)


# Scenes of deleted mosaics


def test_the_sweep_and_builders_remove_the_scenes_of_a_deleted_mosaic(
    place: Place, services: Services
) -> None:
    """Nobody asks again: the request that deleted it was cut off, and hints may be lost."""
    place.create("m", "other")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    assert place.build(hint(), hint("other")) == NO_FAILURE
    shown = place.tile("other").content
    doomed = services.mosaics.mark_deleting("m")
    asked = swept(services)
    assert asked == [Hint("m", shard=shard) for shard in range(16)]
    bodies = [json.loads(each.body) for each in asked]
    assert [Hint.of_body(json.dumps(body)) for body in bodies] == asked
    assert place.build(*bodies[:3]) == NO_FAILURE
    assert swept(services) == asked, "one that is done costs no more than a look"
    assert place.build(*bodies) == NO_FAILURE
    assert swept(services) == []
    assert services.mosaics.doomed("m") is None
    rows = services.index.table.scan(mosaic_prefix(doomed))
    assert {row.key.pk.split("#")[1].split(".")[0] for row in rows} <= OF_OVERVIEWS
    services.mosaics.create(Mosaic(id="m"))
    assert place.tile("other").content == shown


OF_OVERVIEWS = {"feed", "stale", "overview", "made", "extent", "extents", "closed"}
"""Rows that have their own end."""


def test_a_removal_whose_time_is_over_goes_on_by_a_new_hint(
    place: Place, services: Services
) -> None:
    place.create("m")
    place.publish(*map(document, make_scenes(place.folder, 5)))
    services.mosaics.mark_deleting("m")
    kept = Kept()
    build = Building(partial(building, services), Again(), kept)  # type: ignore[arg-type]
    waiting = [json.loads(each.body) for each in swept(services)]
    runs = 0
    while waiting:
        assert build(hints(*waiting), Clocked(3)) in (NO_FAILURE, failures(len(waiting)))
        waiting = [json.loads(each.body) for each in swept(services)]
        runs += 1
        assert runs < 50
    assert kept.now, "a run that was cut off sends its hint again"
    assert services.mosaics.doomed("m") is None


def failures(count: int) -> dict[str, Any]:
    identifiers = [record["messageId"] for record in hints(*["x"] * count)["Records"]]
    return {"batchItemFailures": [{"itemIdentifier": each} for each in identifiers]}


def tifs(folder: Path) -> list[Path]:
    return [*folder.rglob("*.tif")]


def rows_of_overviews(services: Services, mosaic: Mosaic) -> list[Any]:
    kinds = ("stale", "overview", "made")
    rows = services.index.table.scan(mosaic_prefix(mosaic))
    return [row.key for row in rows if row.key.pk.split("#")[1].partition(".")[0] in kinds]
