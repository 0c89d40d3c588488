"""The steps of an export by jobs, as a state machine runs them, and what starts it."""

import hashlib
import json
import logging
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from livemosaic import logs
from livemosaic.errors import LivemosaicError
from livemosaic.export.jobs.assembly import PIECE, Assembly
from livemosaic.export.jobs.draw import draw, planned
from livemosaic.export.jobs.plan import plan
from livemosaic.export.jobs.work import ExportWork, Region
from livemosaic.export.schedule.making import INTERNAL
from livemosaic.export.schedule.status import (
    ExportReport,
    ScheduledArchive,
    first_due,
    scheduled,
    scheduled_as,
)
from livemosaic.export.tiles.publishing import ArchivePublisher
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.index.mosaics import Mosaics
from livemosaic.ingest.batch import Deadline
from livemosaic.ingest.sqs import deadline_of
from livemosaic.storage.folder import Folder
from livemosaic.storage.objects import ObjectError

log = logging.getLogger(__name__)

FAILED_EXPORTS: Final = "FailedExports"
"""Metric: scheduled archives of which the last attempt failed."""
LATE_EXPORTS: Final = "LateExports"
"""Metric: scheduled archives that are overdue by more than `LATE`."""
LATE: Final = timedelta(hours=6)
"""Some attempts, and the time that a large archive takes."""
_ERROR: Final = "error.json"
_RESERVED: Final = 0.3
"""Part of a run in which no tile is begun: the alarm of durations rings at 80 % of the timeout."""


def _now() -> datetime:
    return datetime.now(UTC)


@dataclass(frozen=True, slots=True)
class ExportSteps:
    """Runs one step: the handler of the state machine's function."""

    mosaics: Mosaics
    publisher: ArchivePublisher
    store: ArchiveStore
    s3: Any
    """A client of boto3."""
    clock: Callable[[], datetime] = _now
    piece: int = PIECE
    """Bytes of a part of the upload."""

    def __call__(self, event: Mapping[str, Any], context: object) -> Mapping[str, Any]:
        """Handles `{"work": URL, "step": …}` and what the step needs; `render` names an export.

        Returns nothing: what is made is in S3, and a state machine keeps all results at once.
        """
        work = ExportWork(Folder(event["work"]))
        try:
            self._run(work, event, deadline_of(context, _RESERVED) or (lambda: False))
        except (LivemosaicError, ObjectError) as error:
            work.put_json(_ERROR, str(error))
            raise
        return {}

    def _run(self, work: ExportWork, event: Mapping[str, Any], late: Deadline) -> None:
        assembly = Assembly(work, self.s3, self.clock, self.piece)
        match event["step"]:
            case "plan":
                of = event["mosaic"], event["render"]
                plan(work, self.mosaics, self.publisher, self.store, *of)
            case "draw":
                draw(work, self.mosaics, self.publisher, Region.of_json(event["unit"]), late)
            case "lay out":
                assembly.lay_out()
            case "upload":
                assembly.upload(**event["piece"])
            case "finish":
                if not assembly.is_published:
                    planned(work.plan, self.mosaics, self.publisher)
                assembly.finish()
            case "fail":
                assembly.give_up()
                self._tell(event["mosaic"], event["render"], work.find_json(_ERROR) or INTERNAL)
            case step:
                raise ValueError(f"there is no step {step!r}")

    def _tell(self, mosaic: str, name: str, error: str) -> None:
        log.error("archive not made", extra={"mosaic": mosaic, "render": name, "reason": error})
        if archive := scheduled_as(self.store, self.mosaics.get(mosaic), name):
            archive.tell(ExportReport(self.clock(), error))


@dataclass(frozen=True, slots=True)
class ExportStarter:
    """Starts the state machine for an archive that is due: the handler of a schedule.

    The longest overdue comes first, and one is made at a time, as all share a function. An
    execution is named by what is there now, and the day: one that ended without a report is tried
    again on the next.
    """

    mosaics: Mosaics
    store: ArchiveStore
    machine: str
    """ARN of the state machine."""
    work: str
    """URL below which each execution has a folder."""
    steps: Any
    """A client of boto3 for Step Functions."""
    deployment: str = ""
    """Its name in metrics; without, none are logged."""
    clock: Callable[[], datetime] = _now

    def __call__(self, event: object, context: object) -> dict[str, int]:
        """Handles any event; returns how many archives are due, late and failed."""
        del event, context
        now = self.clock()
        found = [each for one in self.mosaics.all() for each in scheduled(self.store, one)]
        due = [each for each in found if each.is_due(now)]
        if not self._is_running():
            next((each for each in sorted(due, key=first_due) if self._start(each, now)), None)
        late = sum(each.is_late(now, LATE) for each in found)
        failed = sum(bool(each.error) for each in found)
        counted = logs.metrics(self.deployment, {LATE_EXPORTS: late, FAILED_EXPORTS: failed})
        log.info("archives looked at", extra={"archives": len(found), "due": len(due), **counted})
        return {"due": len(due), "late": late, "failed": failed}

    def _is_running(self) -> bool:
        found = self.steps.list_executions(
            stateMachineArn=self.machine, statusFilter="RUNNING", maxResults=1
        )
        return bool(found["executions"])

    def _start(self, archive: ScheduledArchive, now: datetime) -> bool:
        """Starts an execution, unless it was started; returns whether it was not."""
        name = _name(archive, now)
        work = f"{self.work}/{name}"
        given = {
            "work": work,
            "key": work.removeprefix("s3://").partition("/")[2],
            "mosaic": archive.mosaic,
            "render": archive.export.name,
        }
        try:
            self.steps.start_execution(
                stateMachineArn=self.machine, name=name, input=json.dumps(given)
            )
        except self.steps.exceptions.ExecutionAlreadyExists:
            return False
        log.info("export started", extra={"mosaic": archive.mosaic, "execution": name})
        return True


def _name(archive: ScheduledArchive, now: datetime) -> str:
    state = archive.place, archive.made, archive.report and archive.report.at, now.date()
    return hashlib.blake2b(repr(state).encode(), digest_size=16).hexdigest()
