"""Hints that overviews are outdated, in an SQS FIFO queue that a builder listens to.

A hint does no more than wake the builder: stale rows say what to do. So one that is lost, or comes
twice, does no harm; a sweep finds rows that were left behind.

All changes of a region within `WINDOW_S` share one hint, by its deduplication id. SQS delivers it
`DELAY_S` after it was sent, when no further change can have been counted to its window: so the
builder that it wakes finds every one of them. The group is the region: SQS keeps a group's next
hint back while a builder is at work on it (SQS Developer Guide, "FIFO delivery logic").
"""

import json
import logging
import re
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sqs import Announce
from livemosaic.ingest.subscriptions import Applied
from livemosaic.model.mosaic import MOSAIC_ID, Mosaic
from livemosaic.overviews.sets import begun

log = logging.getLogger(__name__)

WINDOW_S: Final = 10
DELAY_S: Final = 15
"""Beyond the window, as clocks of senders differ."""
_REGION: Final = re.compile("[0-3]{3}|")
_MAX_ENTRIES: Final = 10
"""Of a request (SQS API Reference, SendMessageBatch)."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Stale rows may wait in a region of a mosaic."""

    mosaic: str
    region: str = ""
    """Of `index.overviews.REGIONS`; empty for all of them, and for sets that must be made."""

    @classmethod
    def of_body(cls, body: str) -> Self:
        """Returns the hint that a message is; raises `InvalidRequestError` for any other text."""
        try:
            found = json.loads(body)
            mosaic, region = found["mosaic"], found["region"]
            if MOSAIC_ID.fullmatch(mosaic) and _REGION.fullmatch(region):
                return cls(mosaic, region)
        except (ValueError, TypeError, KeyError) as error:
            raise InvalidRequestError(f"no hint of overviews: {body[:80]!r}") from error
        raise InvalidRequestError(f"no hint of overviews: {body[:80]!r}")

    @property
    def group(self) -> str:
        """Message group: one builder at a time works on it."""
        return f"{self.mosaic}/{self.region or 'all'}"

    def entry(self, entry_id: str, now: float) -> dict[str, str]:
        """Returns the hint as an entry of SendMessageBatch, sent at a time in epoch seconds."""
        return {
            "Id": entry_id,
            "MessageBody": json.dumps({"mosaic": self.mosaic, "region": self.region}),
            "MessageGroupId": self.group,
            "MessageDeduplicationId": f"{self.group}/{int(now // WINDOW_S)}",
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
        """Sends hints, each once; returns how many did not arrive, which is logged."""
        unsent = sum(map(self._send, _requests(dict.fromkeys(hints))))
        if unsent:
            log.error("hints for the builder of overviews not sent", extra={"count": unsent})
        return unsent

    def _send(self, hints: Sequence[Hint]) -> int:
        now = self._clock()
        entries = [hint.entry(str(number), now) for number, hint in enumerate(hints)]
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            log.exception("no answer from the queue of hints")
            return len(hints)
        return len(answer.get("Failed", ()))


def announcing(ingest: Ingest, queue: Callable[[], HintQueue]) -> Announce:
    """Returns what sends the hints of a batch; the queue is opened for the first of them.

    Where that fails it is logged: the sweep finds what the builder was not woken for.
    """

    def announce(changes: Sequence[Applied]) -> None:
        if not changes:
            return
        try:
            mosaics = ingest.recent.get(ingest.index.mosaics)  # as the batch read them at its end
        except LivemosaicError:
            log.exception("no hints for the builder of overviews")
            return
        if hints := hints_of(changes, mosaics):
            queue().send(hints)

    return announce


def _requests(hints: Iterable[Hint]) -> Iterable[Sequence[Hint]]:
    every = list(hints)
    return (every[i : i + _MAX_ENTRIES] for i in range(0, len(every), _MAX_ENTRIES))


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
    sets = begun(mosaic)
    return sets != mosaic.overview_sets or any(each.state == "building" for each in sets)
