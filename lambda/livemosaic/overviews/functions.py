"""The builder of overviews as a Lambda function of the queue of hints, and a sweep beside it.

Both may be run at any time and any number of times: what there is to do follows from stale rows.
"""

import logging
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any, Final

from livemosaic import logs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.ingest.sqs import ShowSoon, deadline_of, records_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews.builder import BuildTally, OutOfTimeError, OverviewBuilder
from livemosaic.overviews.hints import Hint, HintQueue, is_in_the_making

log = logging.getLogger(__name__)

FAILED_BUILDS: Final = "FailedBuilds"
"""Metric: passes of the builder that failed, and hints that the sweep could not send."""
OLDEST_STALE_SECONDS: Final = "OldestStaleSeconds"
"""Metric: how long the oldest change has been waiting that overviews do not show."""
OVERDUE_S: Final = 60
"""Age of a stale row from which on its hint seems to be lost, or its pass to have failed."""
_RESERVED: Final = 0.3
"""Share of a run's time in which the builder begins no more cells."""

Late = Callable[[], bool]

Record = Mapping[str, Any]
"""A message of an SQS event, in Lambda's format."""


@dataclass(frozen=True, slots=True)
class Building:
    """Builds what the hints of a batch are about: for each mosaic one pass over its regions.

    A pass that fails is tried again soon, with its hints. One that time ran out for is not: cells
    that it made stay, and so do its stale rows, of which the sweep sends hints.
    """

    open_builder: Callable[[], AbstractContextManager[OverviewBuilder]]
    show_soon: ShowSoon
    deployment: str = ""
    """Its name in metrics; without, none are logged."""

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Handles an event of SQS; returns the messages that failed, for Lambda.

        Raises `InvalidRequestError` for any other event.
        """
        by_mosaic, failed = _by_mosaic(records_of(event))
        late = deadline_of(context, _RESERVED) or (lambda: False)
        with self.open_builder() as builder:
            for mosaic, records in by_mosaic.items():
                if not self._build(builder, mosaic, _regions(records), late):
                    failed += records
        for record in failed:
            self.show_soon(record)
        return {"batchItemFailures": [{"itemIdentifier": each["messageId"]} for each in failed]}

    def _build(
        self, builder: OverviewBuilder, mosaic: str, regions: Sequence[str], late: Late
    ) -> bool:
        """Makes one pass; returns whether its hints can be forgotten."""
        if late():
            return False
        about = {"mosaic": mosaic, "regions": len(regions)}
        try:
            tally = builder.run(mosaic, regions=regions, late=late)
        except OutOfTimeError:
            log.info("overviews: time is over, the sweep goes on", extra=about)
            return True
        except NotFoundError as error:
            log.info("overviews: nothing to build", extra={**about, "reason": str(error)})
            return True
        except Exception:
            counted = logs.metrics(self.deployment, {FAILED_BUILDS: 1})
            log.exception("overviews not built", extra={**about, **counted})
            return False
        log.info("overviews built", extra={**about, **_facts(tally)})
        return True


def _by_mosaic(records: Sequence[Record]) -> tuple[dict[str, list[Record]], list[Record]]:
    """Returns hints by their mosaics, and messages that are none."""
    hints: dict[str, list[Record]] = {}
    others: list[Record] = []
    for record in records:
        try:
            hints.setdefault(Hint.of_body(record["body"]).mosaic, []).append(record)
        except InvalidRequestError as error:
            log.error("message rejected", extra={"reason": str(error)})  # noqa: TRY400
            others.append(record)
    return hints, others


def _regions(records: Sequence[Record]) -> Sequence[str]:
    regions = {Hint.of_body(record["body"]).region for record in records}
    return REGIONS if "" in regions else sorted(regions)


def _facts(tally: BuildTally) -> dict[str, Any]:
    facts = {
        name: getattr(tally, name) for name in ("taken", "looked", "drawn", "written", "bytes")
    }
    if tally.unread:
        scene, reason = next(iter(tally.unread.items()))
        facts |= {"unread": len(tally.unread), "example": scene, "reason": reason}
    return facts


@dataclass(frozen=True, slots=True)
class Sweep:
    """Sends hints of what is overdue, and logs how far overviews are behind."""

    index: Index
    hints: HintQueue
    pool: Executor
    deployment: str = ""
    clock: Callable[[], float] = time.time

    def __call__(self, event: Any, context: Any) -> dict[str, int]:
        """Handles any event; returns how many hints were sent."""
        del event
        late = deadline_of(context) or (lambda: False)
        mosaics = [mosaic for mosaic in self.index.mosaics.all() if mosaic.overviews is not None]
        random.shuffle(mosaics)  # lest time always runs out for the same ones
        found: list[Hint] = []
        oldest = 0.0
        for mosaic in mosaics:
            if late():
                log.warning("the sweep of overviews ran out of time")
                break
            hints, age = self._of(mosaic)
            found += hints
            oldest = max(oldest, age)
        unsent = self.hints.send(found)
        measured = {OLDEST_STALE_SECONDS: oldest, FAILED_BUILDS: unsent}
        counted = logs.metrics(self.deployment, measured)
        log.info("overviews swept", extra={"hints": len(found), **counted})
        return {"hints": len(found) - unsent}

    def _of(self, mosaic: Mosaic) -> tuple[Collection[Hint], float]:
        """Returns the hints of a mosaic, and for how many seconds what it shows is outdated."""
        ages = self._ages(mosaic)
        shown = max(ages.values(), default=0.0) if mosaic.shown_overviews else 0.0
        if is_in_the_making(mosaic) or _has_ended_sets(mosaic, self.clock()):
            return [Hint(mosaic.id)], shown
        return [Hint(mosaic.id, region) for region, age in ages.items() if age > OVERDUE_S], shown

    def _ages(self, mosaic: Mosaic) -> dict[str, float]:
        """Returns the age in seconds of the oldest stale row that is due, by region."""
        rows, now = OverviewRows(self.index.table), self.clock()
        firsts = self.pool.map(lambda region: rows.waiting(mosaic, region, 1), REGIONS)
        found = zip(REGIONS, firsts, strict=True)
        return {region: now - row.due for region, first in found for row in first if row.due <= now}


def _has_ended_sets(mosaic: Mosaic, now: float) -> bool:
    return any(each.state == "replaced" and each.until <= now for each in mosaic.overview_sets)
