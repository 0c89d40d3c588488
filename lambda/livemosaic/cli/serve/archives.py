"""Makes due archives of tiles beside a server: a process for each, one after the other."""

from collections.abc import Callable, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.cli.serve.beside import SideWork, Task, begun
from livemosaic.errors import NotFoundError
from livemosaic.export.schedule.making import ScheduledMaker
from livemosaic.export.schedule.status import (
    RETRY,
    ExportReport,
    ScheduledArchive,
    due_archives,
    scheduled_as,
    store_of,
)
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.services import Services, running

_EVERY_S: Final = 30.0
_MOSAIC, _EXPORT = "mosaic", "export"


def archives(
    services: Services, clock: Callable[[], datetime] = lambda: datetime.now(UTC)
) -> SideWork:
    """Returns the making of due archives beside a server, for `beside`.

    An attempt that leaves neither an archive nor a report, as on a disk that is full, is remembered
    here: it is made again no sooner than others that fail, and after archives that wait.
    """
    store = ArchiveStore(services.settings.archives)
    tried: dict[str, tuple[object, datetime | None]] = {}

    def find() -> Task | None:
        now = clock()
        for each in due_archives(store, services.mosaics, now):
            state = each.made, each.report
            known, again = tried.get(each.place, (None, None))
            if known == state:
                again = again or now + RETRY
                tried[each.place] = state, again
                if now < again:
                    continue
            tried[each.place] = state, None
            return {_MOSAIC: each.mosaic, _EXPORT: each.export.name}
        return None

    def died(task: Task, status: int) -> None:
        reason = f"the process that made it ended with status {status}, such as for want of memory"
        if archive := _meant(services, task):
            _maker(services).tell(archive, ExportReport(clock(), reason))

    return SideWork("maker of archives", __name__, find, _EVERY_S, died)


def main() -> None:
    """Runs the process beside a server: makes one archive."""
    with suppress(KeyboardInterrupt):
        settings, task = begun(is_interrupted=True)
        with running(settings) as services:
            if archive := _meant(services, task):
                store_of(ArchiveStore(settings.archives), archive.export).make_folder()
                _maker(services).make(archive)


def _meant(services: Services, task: Mapping[str, Any]) -> ScheduledArchive | None:
    """Returns the archive of a task, unless its mosaic or setting has gone meanwhile."""
    store = ArchiveStore(services.settings.archives)
    try:
        return scheduled_as(store, services.mosaics.get(task[_MOSAIC]), task[_EXPORT])
    except NotFoundError:
        return None


def _maker(services: Services) -> ScheduledMaker:
    return ScheduledMaker(services.mosaics, services.publisher())
