"""The builder of overviews as a Lambda function of the queue of hints, and a sweep beside it.

Both may be run at any time and any number of times: what there is to do follows from stale rows.
"""

import logging
import math
import random
import time
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from functools import partial
from typing import Any, Final, Protocol

from livemosaic import logs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.index.bounds.fit import BoundsFitter
from livemosaic.index.overviews import REGIONS, RUNG, OverviewRows
from livemosaic.index.removal.shards import Removal
from livemosaic.index.scenes import Index
from livemosaic.ingest.sqs import deadline_of, records_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.overviews.cells.maker import BuildTally
from livemosaic.overviews.hints import Hint, HintQueue, is_in_the_making, removal_hints
from livemosaic.overviews.sets import can_be_cleared, is_kept, is_over
from livemosaic.overviews.sets.removal import OutOfTimeError
from livemosaic.overviews.tallies.keeper import TallyKeeper

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


class ShowAgain(Protocol):
    """Lets a queue deliver a message again; see `ingest.redelivery`. Never raises."""

    def soon(self, record: Record) -> None:
        """Within minutes, the later the more often it was delivered."""
        ...

    def after(self, record: Record, pause_s: int) -> None:
        """After some seconds."""
        ...


@dataclass(frozen=True, slots=True)
class Building:
    """Builds what the hints of a batch are about: for each mosaic one pass over its regions.

    A pass that fails is tried again soon, with its hints. One that time ran out for goes on by new
    hints: cells that it made stay, and so do its stale rows. Places of a set in the making are
    shared with other builders by hints, too.
    """

    open_builder: Callable[[], AbstractContextManager[OverviewBuilder]]
    again: ShowAgain
    hints: HintQueue
    deployment: str = ""
    """Its name in metrics; without, none are logged."""
    clock: Callable[[], float] = time.time

    def __call__(self, event: Any, context: Any) -> dict[str, Any]:
        """Handles an event of SQS; returns the messages that are to come again, for Lambda.

        Raises `InvalidRequestError` for any other event.
        """
        found, failed = _hints(records_of(event))
        early = [(hint, record) for hint, record in found if hint.due > self.clock() + 1]
        for hint, record in early:
            self.again.after(record, math.ceil(hint.due - self.clock()))
        failed += self._build_all([each for each in found if each not in early], context)
        for record in failed:
            self.again.soon(record)
        come_again = [*(record for _, record in early), *failed]
        return {"batchItemFailures": [{"itemIdentifier": r["messageId"]} for r in come_again]}

    def _build_all(self, found: Sequence[tuple[Hint, Record]], context: Any) -> list[Record]:
        """Builds what hints are about; returns the messages of the ones that failed."""
        late = deadline_of(context, _RESERVED) or (lambda: False)
        failed: list[Record] = []
        if found:
            with self.open_builder() as builder:
                for mosaic in dict.fromkeys(hint.mosaic for hint, _ in found):
                    own = [each for each in found if each[0].mosaic == mosaic]
                    hints = {replace(hint, due=0.0): None for hint, _ in own}
                    if not self._build(builder, mosaic, hints, late):
                        failed += [record for _, record in own]
        return failed

    def _build(
        self, builder: OverviewBuilder, mosaic: str, hints: Collection[Hint], late: Late
    ) -> bool:
        """Does what hints of a mosaic are about; returns whether they can be forgotten."""
        if late():
            return False
        places = {hint.region for hint in hints if hint.shard is None}
        about = {"mosaic": mosaic, "regions": len(places)}
        try:
            for shard in (hint.shard for hint in hints if hint.shard is not None):
                self._remove(builder.index, mosaic, shard, late)
            if "" in places and BoundsFitter(builder.index).fit(mosaic):
                log.info("bounds fitted to the scenes", extra={"mosaic": mosaic})
            if places:
                builder.remover.clear(mosaic, late=late)
                self._run(builder, mosaic, places, late)
        except OutOfTimeError:
            unsent = self.hints.send_now(hints)
            log.info("overviews: time is over, another run goes on", extra=about)
            return not unsent
        except NotFoundError as error:
            log.info("overviews: nothing to build", extra={**about, "reason": str(error)})
            return True
        except Exception:
            counted = logs.metrics(self.deployment, {FAILED_BUILDS: 1})
            log.exception("overviews not built", extra={**about, **counted})
            return False
        return True

    def _remove(self, index: Index, mosaic_id: str, shard: int, late: Late) -> None:
        """Removes scenes of a deleted mosaic, and the mosaic itself after the last of them."""
        mosaic = index.mosaics.doomed(mosaic_id)
        if mosaic is None:
            return
        removal = Removal(index, mosaic)
        if not removal.clear(shard, late):
            raise OutOfTimeError
        is_gone = removal.finish()
        about = {"mosaic": mosaic_id, "shard": shard, "is_gone": is_gone}
        log.info("scenes of a deleted mosaic removed", extra=about)

    def _run(
        self, builder: OverviewBuilder, mosaic: str, places: Collection[str], late: Late
    ) -> None:
        spread = partial(self._spread, mosaic)
        regions = [place for place in REGIONS if place in places or "" in places]
        if "" not in places and is_in_the_making(builder.index.mosaics.get(mosaic)):
            for place in sorted(places):
                done = builder.prepare(mosaic, place, late=late, spread=spread)
                self._log("overviews of a place made", mosaic, done, place=place)
                if done is not None:
                    self.hints.send_later([Hint(mosaic, place[:-RUNG])])
        elif regions:
            done = builder.run(mosaic, regions=regions, late=late, spread=spread)
            self._log("overviews built", mosaic, done, regions=len(places))

    def _spread(self, mosaic: str, places: Sequence[str]) -> None:
        """Hands places to other builders. A hint that is not sent is one for the sweep."""
        self.hints.send_now(Hint(mosaic, place) for place in places)
        log.info("overviews: shared by place", extra={"mosaic": mosaic, "places": len(places)})

    def _log(self, what: str, mosaic: str, done: BuildTally | None, **about: Any) -> None:
        if done is not None:
            log.info(what, extra={"mosaic": mosaic, **about, **_facts(done)})


def _hints(records: Sequence[Record]) -> tuple[list[tuple[Hint, Record]], list[Record]]:
    """Returns hints with their messages, and messages that are none."""
    hints: list[tuple[Hint, Record]] = []
    others: list[Record] = []
    for record in records:
        try:
            hints.append((Hint.of_body(record["body"]), record))
        except InvalidRequestError as error:
            log.error("message rejected", extra={"reason": str(error)})  # noqa: TRY400
            others.append(record)
    return hints, others


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
    """Sends hints of what is overdue, and logs how far overviews are behind.

    Bounds that are to be fitted are overdue, too, and tallies that are not made yet.
    """

    index: Index
    hints: HintQueue
    pool: Executor
    deployment: str = ""
    clock: Callable[[], float] = time.time

    def __call__(self, event: Any, context: Any) -> dict[str, int]:
        """Handles any event; returns how many hints were sent."""
        del event
        late = deadline_of(context) or (lambda: False)
        listed = self.index.mosaics.listed()
        mosaics = [mosaic for mosaic in listed if is_kept(mosaic) and not mosaic.deleting]
        random.shuffle(mosaics)  # lest time always runs out for the same ones
        found = [Hint(each.id) for each in self.index.mosaics.remains() if self._is_due(each)]
        found += [Hint(mosaic_id) for mosaic_id in BoundsFitter(self.index).due()]
        found += [hint for each in listed if each.deleting for hint in removal_hints(each.id)]
        oldest = 0.0
        for mosaic in mosaics:
            if late():
                log.warning("the sweep of overviews ran out of time")
                break
            hints, age = self._of(mosaic)
            found += hints
            oldest = max(oldest, age)
        unsent = self.hints.send_now(found)
        measured = {OLDEST_STALE_SECONDS: oldest, FAILED_BUILDS: unsent}
        counted = logs.metrics(self.deployment, measured)
        log.info("overviews swept", extra={"hints": len(found), **counted})
        return {"hints": len(found) - unsent}

    def _is_due(self, deleted: Mosaic) -> bool:
        return can_be_cleared(deleted, self.clock())

    def _of(self, mosaic: Mosaic) -> tuple[Collection[Hint], float]:
        """Returns the hints of a mosaic, and for how many seconds what it shows is outdated."""
        ages = self._ages(mosaic)
        shown = max(ages.values(), default=0.0) if mosaic.shown_overviews else 0.0
        if is_in_the_making(mosaic) or _has_ended_sets(mosaic, self.clock()):
            return [Hint(mosaic.id)], shown
        overdue = [Hint(mosaic.id, region) for region, age in ages.items() if age > OVERDUE_S]
        if not overdue and TallyKeeper(self.index, self.clock).is_behind(mosaic):
            return [Hint(mosaic.id)], shown
        return overdue, shown

    def _ages(self, mosaic: Mosaic) -> dict[str, float]:
        """Returns the age in seconds of the oldest stale row that is due, by region."""
        rows, now = OverviewRows(self.index.table), self.clock()
        firsts = self.pool.map(lambda region: rows.waiting(mosaic, region, 1), REGIONS)
        found = zip(REGIONS, firsts, strict=True)
        return {region: now - row.due for region, first in found for row in first if row.due <= now}


def _has_ended_sets(mosaic: Mosaic, now: float) -> bool:
    return any(is_over(each, now) for each in mosaic.overview_sets)
