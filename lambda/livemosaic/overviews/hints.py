"""Hints that overviews are outdated, in an SQS FIFO queue that a builder listens to.

A hint does no more than wake the builder: stale rows say what to do. So one that is lost, or comes
twice, does no harm; a sweep finds rows that were left behind.

A change sends two hints of its region. The first is delivered at once, so that a lone change shows
within seconds; but only one a minute, by its deduplication id. The second is for what the first
does not find: all changes within `WINDOW_S` share it, and it is due `DELAY_S` after it was sent,
when no further change can have been counted to its window. A builder that gets it earlier puts it
back. The group is the region: SQS keeps a group's next hint back while a builder is at work on it
(SQS Developer Guide, "FIFO delivery logic").
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.index.schema import SHARDS
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sqs import Announce
from livemosaic.ingest.subscriptions import Applied
from livemosaic.model.mosaic import MOSAIC_ID, Mosaic
from livemosaic.overviews.sets import begun

log = logging.getLogger(__name__)

WINDOW_S: Final = 10
DELAY_S: Final = 15
"""Beyond the window, as clocks of senders differ."""
MINUTE_S: Final = 60
_REGION: Final = re.compile("(?:[0-3]{3}){0,3}")
_SHARDS: Final = (None, *range(SHARDS))
_MAX_ENTRIES: Final = 10
"""Of a request (SQS API Reference, SendMessageBatch)."""

Entry = Mapping[str, str]
"""A message of a SendMessageBatch request, without the id that it needs there."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Stale rows may wait in a region of a mosaic, or cells of a place are to be made."""

    mosaic: str
    region: str = ""
    """Of `index.overviews.REGIONS`; empty for all of them, and for sets that must be made; for a
    set in the making also a place of zoom 6 or 9 (`OverviewBuilder.prepare`)."""
    due: float = 0.0
    """Epoch seconds before which it is too early."""
    shard: int | None = None
    """Shard of a deleted mosaic whose scenes are to be removed; then no overviews are meant."""

    @classmethod
    def of_body(cls, body: str) -> Self:
        """Returns the hint that a message is; raises `InvalidRequestError` for any other text."""
        try:
            found = json.loads(body)
            mosaic, region, due = found["mosaic"], found["region"], float(found.get("due", 0))
            shard = found.get("shard")
            if MOSAIC_ID.fullmatch(mosaic) and _REGION.fullmatch(region) and shard in _SHARDS:
                return cls(mosaic, region, due, shard)
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            raise InvalidRequestError(f"no hint of overviews: {body[:80]!r}") from error
        raise InvalidRequestError(f"no hint of overviews: {body[:80]!r}")

    @property
    def group(self) -> str:
        """Message group: one builder at a time works on it."""
        if self.shard is not None:
            return f"{self.mosaic}/scenes.{self.shard}"
        return f"{self.mosaic}/{self.region or 'all'}"

    @property
    def body(self) -> str:
        """The text of its message."""
        found = {"mosaic": self.mosaic, "region": self.region}
        shard = {} if self.shard is None else {"shard": self.shard}
        return json.dumps(found | ({"due": self.due} if self.due else {}) | shard)

    def entry(self, kind: str, window_s: int, now: float) -> Entry:
        """Returns an entry of SendMessageBatch at epoch seconds: one of its kind in a window."""
        return {
            "MessageBody": self.body,
            "MessageGroupId": self.group,
            "MessageDeduplicationId": f"{self.group}/{kind}/{int(now // window_s)}",
        }


class HintQueue:
    """The queue of hints, for sending. Thread-safe."""

    def __init__(self, client: Any, url: str, clock: Callable[[], float] = time.time) -> None:
        self._client = client
        self._url = url
        self._clock = clock

    @classmethod
    def open(cls, url: str, region: str) -> Self:
        """Returns the queue at a URL, with its own client."""
        config = Config(
            connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 3}
        )
        return cls(boto3.Session(region_name=region).client("sqs", config=config), url)

    def send(self, hints: Iterable[Hint]) -> int:
        """Sends hints of changes; returns how many messages did not arrive, which is logged."""
        every = [*dict.fromkeys(hints)]
        return self._send([*self._first(every), *self._second(every)])

    def send_now(self, hints: Iterable[Hint]) -> int:
        """Sends hints of what waits already; returns as `send` does."""
        now = self._clock()
        return self._send([hint.entry("now", WINDOW_S, now) for hint in dict.fromkeys(hints)])

    def send_later(self, hints: Iterable[Hint]) -> int:
        """Sends hints that are due when their window is over; returns as `send` does."""
        return self._send([*self._second(dict.fromkeys(hints))])

    def _first(self, hints: Iterable[Hint]) -> Iterator[Entry]:
        now = self._clock()
        return (hint.entry("first", MINUTE_S, now) for hint in hints)

    def _second(self, hints: Iterable[Hint]) -> Iterator[Entry]:
        now = self._clock()
        return (replace(h, due=now + DELAY_S).entry("second", WINDOW_S, now) for h in hints)

    def _send(self, entries: Sequence[Entry]) -> int:
        unsent = sum(map(self._request, _requests(entries)))
        if unsent:
            log.error("hints for the builder of overviews not sent", extra={"count": unsent})
        return unsent

    def _request(self, entries: Sequence[Entry]) -> int:
        numbered = [{"Id": str(number), **entry} for number, entry in enumerate(entries)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=numbered)
        except (ClientError, BotoCoreError):
            log.exception("no answer from the queue of hints")
            return len(entries)
        return len(answer.get("Failed", ()))


def removal_hints(mosaic_id: str) -> list[Hint]:
    """Returns hints that the scenes of a deleted mosaic are to be removed, for many builders."""
    return [Hint(mosaic_id, shard=shard) for shard in range(SHARDS)]


def announcing(ingest: Ingest, queue: Callable[[], HintQueue]) -> Announce:
    """Returns what sends the hints of a batch; the queue is opened for the first of them.

    Where that fails it is logged: the sweep finds what the builder was not woken for.
    """

    def announce(changes: Sequence[Applied]) -> None:
        if not changes:
            return
        try:
            roster = ingest.recent.get(ingest.index.mosaics)  # as the batch read it at its end
        except LivemosaicError:
            log.exception("no hints for the builder of overviews")
            return
        found = {change.mosaic: roster.get(change.mosaic) for change in changes}
        if hints := hints_of(changes, filter(None, found.values())):
            queue().send(hints)

    return announce


def _requests(entries: Sequence[Entry]) -> Iterator[Sequence[Entry]]:
    return (entries[i : i + _MAX_ENTRIES] for i in range(0, len(entries), _MAX_ENTRIES))


def hints_of(changes: Iterable[Applied], mosaics: Iterable[Mosaic]) -> list[Hint]:
    """Returns the hints of a batch of changes: one for each region of a mosaic."""
    known: Mapping[str, Mosaic] = {mosaic.id: mosaic for mosaic in mosaics}
    hints: dict[Hint, None] = {}
    for change in changes:
        mosaic = known.get(change.mosaic)
        is_truncated = change.change == "truncated"
        if mosaic is None or mosaic.overviews is None or not (change.region or is_truncated):
            continue
        is_whole = is_truncated or is_in_the_making(mosaic)
        hints[Hint(mosaic.id) if is_whole else Hint(mosaic.id, change.region)] = None
    return [*hints]


def is_in_the_making(mosaic: Mosaic) -> bool:
    """Returns whether a set of cells must be begun or completed, which is one builder's work."""
    sets = begun(mosaic, 0)
    return sets != mosaic.overview_sets or any(each.state == "building" for each in sets)
