"""Random events on both tables, by workers that are interleaved at every call, die, and come again.

Beside them the model of what a mosaic is: of each scene the newest thing said, of each object what
it holds, of each collection the latest truncation. LIVEMOSAIC_TEST_DEPTH=full looks longer.
"""

import json
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from itertools import count
from typing import Any

import hypothesis.strategies as st
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    precondition,
    rule,
    run_state_machine_as_test,
)

from items import NOW, box, deletion, item, message
from livemosaic.errors import LivemosaicError
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.item import StacItem
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.storage.fetch import MissingError
from livemosaic.table import Table
from proof.programs import Answers, Done, Run
from proof.scenes import ALLOW, FULL, claimed, index, several_cells, tiles

PLACES = {
    "small": box(7.4, 45.4, 7.6, 45.6),
    "a degree": box(7, 45, 8, 46),
    "wide": box(-30, 45, 9, 47),
    "large": box(-30, 20, 50, 50),
    "elsewhere": box(100, 20, 110, 25),
}
WORKERS = 3
CLEAR = Cql2Filter.parse("eo:cloud_cover < 50").document

documents = st.builds(
    lambda place, day, cloud, name: {
        "geometry": PLACES[place],
        "datetime": f"2026-01-{day:02}T00:00:00Z",
        "href": f"https://example.com/{name}.tif",
        "properties": {"eo:cloud_cover": cloud},
    },
    st.sampled_from(sorted(PLACES)),
    st.integers(1, 3),
    st.sampled_from([5, 5, 5, 90]),
    st.sampled_from("xyz"),
)
seconds = st.integers(1, 9)
copies = st.integers(1, 2)


@dataclass
class Model:
    """What a mosaic should show, in the end."""

    mosaic: Mosaic
    newest: dict[tuple[str, str], tuple[str, Any]] = field(default_factory=dict)
    """Version and document of each Item that was told of; None where it is gone."""
    marks: dict[str, str] = field(default_factory=dict)

    def says(self, name: tuple[str, str], version: str, document: Any) -> None:
        if version > self.newest.get(name, ("", None))[0]:
            self.newest[name] = version, document

    def put(self, document: Mapping[str, Any], order: str) -> None:
        found = StacItem.parse(document, order=Order(NOW))
        content = found.scene(self.mosaic, ALLOW).version.rpartition("#")[2]
        shows = document["properties"]["eo:cloud_cover"] < 50
        version = f"{order}#{content if shows else '~deleted'}"
        self.says((found.collection, found.id), version, document if shows else None)

    def shown(self) -> list[Any]:
        return [
            document
            for (collection, _), (version, document) in self.newest.items()
            if document is not None and version > self.marks.get(collection, "")
        ]


@dataclass
class Worker:
    """A worker on a real table, one call at a time; see `programs`."""

    message: Message
    run: Run

    def goes_on(self, table: Table, world: Mapping[str, Callable[..., Any]]) -> bool | None:
        """Make its next call; whether the message is done with, once that is decided."""
        asked = self.run.at
        if not isinstance(asked, Done):
            call = world.get(asked.method) or getattr(table, asked.method)
            try:
                answer = call(*asked.given, **asked.named)
            except LivemosaicError as error:
                answer = error
            asked = self.run.then(answer)
        return asked.result if isinstance(asked, Done) else None


def time_of(second: int) -> str:
    return message({}, second).order.of_item(None)


def gone(second: int) -> str:
    return message({}, second).order.of_deletion()


class Events(RuleBasedStateMachine):
    """What may happen."""

    def __init__(self, table: Table, mosaic_id: str) -> None:
        super().__init__()
        self.table = table
        self.now = time.time()  # as it is for a table that removes what has expired
        mosaics = Mosaics(table)
        self.mosaic = mosaics.create(
            Mosaic(id=mosaic_id, quadkey_zoom=4, max_cells=4, filter=CLEAR)
        )
        self.model = Model(self.mosaic)
        self.queue: list[Message] = []
        self.working: list[Worker] = []
        self.object: list[Any] = []
        """What it held, one after the other; None where it was removed."""

    def send(self, body: Any, second: int, times: int = 1) -> None:
        self.queue += [message(body, second)] * times

    @rule(name=st.sampled_from("ab"), document=documents, second=seconds, times=copies)
    def says_how_it_is(self, name: str, document: Any, second: int, times: int) -> None:
        whole = item(name, **document)
        self.send(whole, second, times)
        self.model.put(whole, time_of(second))

    @rule(name=st.sampled_from("ab"), second=seconds, times=copies)
    def says_it_is_gone(self, name: str, second: int, times: int) -> None:
        self.send(deletion(name), second, times)
        self.model.says(("s2", name), gone(second), None)

    @rule(second=seconds, times=copies)
    def truncates(self, second: int, times: int) -> None:
        self.send({"op": "truncate", "collection": "s2"}, second, times)
        mark = gone(second)
        self.model.marks["s2"] = max(mark, self.model.marks.get("s2", ""))

    @rule(name=st.sampled_from("cd"), document=documents, times=copies)
    def writes_an_object(self, name: str, document: Any, times: int) -> None:
        self._object(item(name, collection="objects", **document), times)

    @rule(times=copies)
    def removes_an_object(self, times: int) -> None:
        self._object(None, times)

    def _object(self, content: Any, times: int) -> None:
        self.object.append(content)
        sequencer = f"0055AED6DCD9028{len(self.object):03X}1"
        thing = {"key": f"{self.mosaic.id}.json", "sequencer": sequencer}
        record = {
            "eventSource": "aws:s3",
            "eventName": "ObjectCreated:Put" if content else "ObjectRemoved:Delete",
            "eventTime": NOW.isoformat(),
            "s3": {"bucket": {"name": "items"}, "object": thing},
        }
        self.send({"Records": [record]}, 1, times)

    def _fetch(self, _href: str) -> bytes:
        if self.object[-1] is None:
            raise MissingError("404")
        return json.dumps(self.object[-1]).encode()

    @precondition(lambda self: self.queue and len(self.working) < WORKERS)
    @rule(nth=st.integers(0, 50))
    def a_worker_takes_a_message(self, nth: int) -> None:
        taken = self.queue.pop(nth % len(self.queue))
        mosaic_id = self.mosaic.id

        def work(answers: Answers) -> bool:
            ingest = Ingest(index(answers, clock=answers.clock), ALLOW, fetch=answers.fetch)
            (outcome,) = ingest.batch([taken], only=Mosaics(answers).get(mosaic_id))
            assert outcome.status != "rejected", outcome
            return outcome.ok

        self.working.append(Worker(taken, Run(work)))

    @precondition(lambda self: self.working)
    @rule(nth=st.integers(0, WORKERS - 1), calls=st.integers(1, 6))
    def a_worker_goes_on(self, nth: int, calls: int) -> None:
        worker = self.working[nth % len(self.working)]
        for _ in range(calls):
            done = worker.goes_on(self.table, {"clock": lambda: self.now, "fetch": self._fetch})
            if done is not None:
                self.working.remove(worker)
                self.queue += [] if done else [worker.message]
                return

    @precondition(lambda self: self.working)
    @rule(nth=st.integers(0, WORKERS - 1))
    def a_worker_dies(self, nth: int) -> None:
        """Before its next call, or after its last, whose answer it never saw."""
        worker = self.working.pop(nth % len(self.working))
        worker.run.close()
        self.queue.append(worker.message)

    @rule()
    def a_request_ends(self) -> None:
        """Time passes in which every reader of what moved has come to an end."""
        self.now += 121

    @rule()
    def a_reader_looks(self) -> None:
        """No scene is found twice."""
        found = [(scene, once) for scene, _, once in self._found(self.mosaic.id, self.now)]
        assert len(found) == len(set(found))

    def _found(self, mosaic_id: str, now: float) -> list[tuple[str, Any, str]]:
        mosaic = Mosaics(self.table).get(mosaic_id)
        look = index(self.table, clock=lambda: now)
        areas = {**tiles(mosaic), **several_cells(mosaic)}
        return [
            (found.id, (found.assets, found.rank, claimed(found, mosaic, area)), name)
            for name, area in areas.items()
            for found in look.find(mosaic, area)
        ]

    def teardown(self) -> None:
        while self.working or self.queue:
            if not self.working:
                self.a_worker_takes_a_message(0)
            self.a_worker_goes_on(0, 10)
        expected = f"{self.mosaic.id}-expected"
        self._put_expected(expected)
        for now in (self.now, self.now + 121):
            found, wanted = self._found(self.mosaic.id, now), self._found(expected, now)
            assert found == wanted, f"{found} instead of {wanted}"
        assert self._listed(self.mosaic.id) == self._listed(expected)
        assert self._places(self.mosaic.id) == self._places(expected)
        for mosaic_id in (self.mosaic.id, expected):
            list(index(self.table).drop(mosaic_id))

    def _put_expected(self, mosaic_id: str) -> None:
        held = [content for content in self.object[-1:] if content is not None]
        mosaic = Mosaics(self.table).create(
            Mosaic(id=mosaic_id, quadkey_zoom=4, max_cells=4, filter=CLEAR)
        )
        every = [item("z", place, properties={"eo:cloud_cover": 0}) for place in PLACES.values()]
        ingest = Ingest(index(self.table, clock=lambda: self.now), ALLOW)
        for body in (*every, deletion("z")):  # so that both have had all the levels
            ingest.batch([message(body, 1)], only=mosaic)
        wanted = [message(body, 1) for body in (*self.model.shown(), *held)]
        outcomes = ingest.batch(wanted, only=mosaic)
        assert all(outcome.ok for outcome in outcomes)

    def _places(self, mosaic_id: str) -> set[tuple[str, str]]:
        """Keys of the rows that stand for scenes, wherever they are."""
        mosaic = f"{mosaic_id}.{Mosaics(self.table).get(mosaic_id).generation}#c"
        rows = self.table.scan(mosaic)  # cells and coarse ones
        return {(r.key.pk[len(mosaic) :], r.key.sk) for r in rows if "moved" not in r.item}

    def _listed(self, mosaic_id: str) -> list[tuple[str, str, str]]:
        scenes, _ = index(self.table).list_scenes(Mosaics(self.table).get(mosaic_id), limit=100)
        return sorted((s.collection, s.id, s.assets["visual"]) for s in scenes)


@pytest.fixture
def machine(table: Table) -> Callable[[], Events]:
    numbers = count()
    return lambda: Events(table, f"m{next(numbers)}")


def test_a_mosaic_is_in_the_end_what_its_events_say(
    machine: Callable[[], Events], request: pytest.FixtureRequest
) -> None:
    emulated = "dynamodb" in request.node.callspec.id
    examples = (30 if FULL else 4) if emulated else (300 if FULL else 60)
    run_state_machine_as_test(
        machine,
        settings=settings(
            max_examples=examples,
            stateful_step_count=100 if FULL else 40,
            deadline=None,
            derandomize=not FULL,
            database=None,
            phases=list(Phase) if FULL else [Phase.generate],
            suppress_health_check=list(HealthCheck),
        ),
    )
