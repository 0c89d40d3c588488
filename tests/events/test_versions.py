"""Objects of versioned buckets come and go in more ways than two; the index follows them all."""

import json
import random
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from items import item, message
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.fetch import MissingError
from livemosaic.table import Table


@dataclass
class Version:
    """One of an object; without a document it is a delete marker."""

    id: str
    sequencer: str
    document: Any


@dataclass
class VersionedObject:
    """The object `s3://b/a.json`, and what S3 sends about it. Something happens every minute."""

    bridge: bool
    """Whether EventBridge carries the events."""
    versions: list[Version] = field(default_factory=list)
    minutes: int = 0

    @property
    def current(self) -> Any:
        """The document that a GET answers with."""
        return self.versions[-1].document if self.versions else None

    def get(self, href: str) -> bytes:
        if self.current is None:
            raise MissingError(f"{href!r} is missing")
        return json.dumps(self.current).encode()

    def put(self, document: Any) -> Message:
        return self._event("Put", self._added(document))

    def mark(self) -> Message:
        """A DELETE that names no version."""
        return self._event("DeleteMarkerCreated", self._added(None))

    def drop(self, version: Version) -> Message:
        """A DELETE of one version, or a lifecycle rule that does it: with the sequencer that this
        version was created with, as recorded of S3 (`s3-old-version-expired.json`)."""
        self.versions.remove(version)
        self.minutes += 1
        return self._event("Delete", version)

    def _added(self, document: Any) -> Version:
        self.minutes += 1
        seconds = int(message({}, 60 * self.minutes).time.timestamp())
        self.versions.append(Version(f"v{self.minutes}", f"00{seconds:08X}5A", document))
        return self.versions[-1]

    def _event(self, what: str, version: Version) -> Message:
        sent = message({}, 60 * self.minutes).time
        time = sent.strftime("%Y-%m-%dT%H:%M:%SZ")
        thing = {"key": "a.json", "sequencer": version.sequencer}
        if self.bridge:
            thing["version-id"] = version.id
            kinds = {
                "Delete": "Permanently Deleted",
                "DeleteMarkerCreated": "Delete Marker Created",
            }
            detail = {"bucket": {"name": "b"}, "object": thing, "deletion-type": kinds.get(what)}
            kind = "Object Created" if what == "Put" else "Object Deleted"
            body = {"source": "aws.s3", "detail-type": kind, "time": time, "detail": detail}
        else:
            thing["versionId"] = version.id
            name = f"Object{'Created' if what == 'Put' else 'Removed'}:{what}"
            s3 = {"bucket": {"name": "b"}, "object": thing}
            body = {"Records": [{"eventName": name, "eventTime": time, "s3": s3}]}
        return Message(f"{what} {self.minutes}", body, sent, {})


@pytest.fixture(params=[False, True], ids=["by SQS", "by EventBridge"])
def thing(request: pytest.FixtureRequest) -> VersionedObject:
    return VersionedObject(request.param)


@pytest.fixture
def shown(table: Table, thing: VersionedObject) -> Callable[..., list[str]]:
    """Ingests messages, and tells which Items are shown."""
    index = Index(table, Mosaics(table), None)
    mosaic = index.mosaics.create(Mosaic(id="m"))
    ingest = Ingest(index, AllowList(), fetch=thing.get)

    def ingested(*messages: Message) -> list[str]:
        outcomes = ingest.batch(messages)
        assert all(outcome.ok for outcome in outcomes), outcomes
        return [scene.id for scene in index.list_scenes(mosaic, limit=10)[0]]

    return ingested


Shown = Callable[..., list[str]]


def test_an_object_whose_marker_is_deleted_is_shown_again(
    thing: VersionedObject, shown: Shown
) -> None:
    assert shown(thing.put(item("a"))) == ["a"]
    assert shown(thing.mark()) == []
    assert shown(thing.drop(thing.versions[-1])) == ["a"]


def test_the_version_below_a_deleted_one_is_shown(thing: VersionedObject, shown: Shown) -> None:
    assert shown(thing.put(item("a"))) == ["a"]
    assert shown(thing.put(item("b"))) == ["b"]
    assert shown(thing.drop(thing.versions[-1])) == ["a"]
    assert shown(thing.drop(thing.versions[-1])) == []


def test_old_versions_expire_without_a_trace(thing: VersionedObject, shown: Shown) -> None:
    shown(thing.put(item("a")))
    assert shown(thing.put(item("b"))) == ["b"]
    assert shown(thing.drop(thing.versions[0])) == ["b"]


def test_an_object_that_expires_has_the_sequencer_that_it_was_created_with(
    thing: VersionedObject, shown: Shown
) -> None:
    """As recorded of S3 in a bucket without versions (`s3-lifecycle.json`)."""
    created = thing.put(item("a"))
    assert shown(created) == ["a"]
    sequencer = thing.versions.pop().sequencer
    thing.bridge = False
    expired = thing._event("Delete", Version("", sequencer, None))
    assert shown(expired) == []
    assert shown(created) == [], "delivered again"


@pytest.mark.parametrize("seed", range(5))
def test_whatever_happens_and_in_whatever_order_it_is_told(
    thing: VersionedObject, shown: Shown, seed: int
) -> None:
    chance = random.Random(seed)
    waiting: list[Message] = []
    for n in range(12):
        if thing.versions and chance.random() < 0.4:
            waiting.append(thing.drop(chance.choice(thing.versions)))
        elif thing.versions and chance.random() < 0.3:
            waiting.append(thing.mark())
        else:
            waiting.append(thing.put(item(chance.choice("ab"), properties={"n": n})))
        chance.shuffle(waiting)
        while waiting and chance.random() < 0.4:
            shown(waiting[0], waiting.pop())
    assert shown(*waiting, *waiting[:2]) == ([thing.current["id"]] if thing.current else [])
