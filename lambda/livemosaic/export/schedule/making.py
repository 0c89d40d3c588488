"""Makes a scheduled archive, and reports what came of it."""

import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.export.schedule.status import ExportReport, ScheduledArchive, request_of
from livemosaic.export.tiles.lacks import foreseen_of_complete, lacks
from livemosaic.export.tiles.publishing import ArchivePublisher
from livemosaic.index.mosaics import Mosaics
from livemosaic.storage.objects import ObjectError

log = logging.getLogger(__name__)

INTERNAL: Final = "an error of this server, which its log has"


@dataclass(frozen=True, slots=True)
class ScheduledMaker:
    """Makes archives of mosaics of one index."""

    mosaics: Mosaics
    publisher: ArchivePublisher
    clock: Callable[[], datetime] = lambda: datetime.now(UTC)

    def make(self, archive: ScheduledArchive) -> ExportReport:
        """Publishes an archive, and reports beside it whether that failed; never raises.

        It fails while overviews are in the making: low zooms would lack scenes until the next one.
        """
        about = {"mosaic": archive.mosaic, "render": archive.export.name}
        try:
            report = self._made(archive)
        except (LivemosaicError, ObjectError) as error:
            report = ExportReport(self.clock(), str(error))
            log.error("archive not made", extra={**about, "reason": str(error)})  # noqa: TRY400
        except Exception:
            report = ExportReport(self.clock(), INTERNAL)
            log.exception("archive not made", extra=about)
        self.tell(archive, report)
        return report

    def tell(self, archive: ScheduledArchive, report: ExportReport) -> None:
        """Puts a report beside an archive; logs where it cannot."""
        try:
            archive.tell(report)
        except InvalidRequestError as error:
            about = {"mosaic": archive.mosaic, "render": archive.export.name}
            log.error("report not written", extra={**about, "reason": str(error)})  # noqa: TRY400

    def _made(self, archive: ScheduledArchive) -> ExportReport:
        mosaic = self.mosaics.get(archive.mosaic)
        tiler, wanted = self.publisher.tiler, request_of(archive.export, archive.place)
        warnings = foreseen_of_complete(tiler, mosaic, has_pixels=wanted.has_pixels)
        tally = self.publisher.publish(mosaic, wanted, self.clock().date())
        warnings += lacks(tally)
        facts = {"drawn": tally.drawn, "copied": tally.copied, "warnings": len(warnings)}
        about = {"mosaic": mosaic.id, "render": archive.export.name}
        log.info("archive made", extra={**about, **facts})
        return ExportReport(self.clock(), warnings=tuple(warnings))
