"""Makes due archives of tiles beside a server: a process for each, one after the other."""

from collections.abc import Mapping
from contextlib import suppress
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.cli.serve.beside import SideWork, Task, begun
from livemosaic.export.schedule.making import ScheduledMaker
from livemosaic.export.schedule.status import (
    ExportReport,
    ScheduledArchive,
    due_archives,
    scheduled,
)
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.services import Services, running

_EVERY_S: Final = 30.0
_MOSAIC, _RENDER = "mosaic", "render"


def archives(services: Services) -> SideWork:
    """Returns the making of due archives beside a server, for `beside`."""
    store = ArchiveStore(services.settings.archives)

    def find() -> Task | None:
        due = due_archives(store, services.mosaics, datetime.now(UTC))
        return {_MOSAIC: due[0].mosaic, _RENDER: due[0].export.render} if due else None

    def died(task: Task, status: int) -> None:
        reason = f"the process that made it ended with status {status}, such as for want of memory"
        for archive in _meant(services, task):
            _maker(services).tell(archive, ExportReport(datetime.now(UTC), reason))

    return SideWork("maker of archives", __name__, find, _EVERY_S, died)


def main() -> None:
    """Runs the process beside a server: makes one archive."""
    with suppress(KeyboardInterrupt):
        settings, task = begun(is_interrupted=True)
        with running(settings) as services:
            ArchiveStore(settings.archives).make_folder()
            for archive in _meant(services, task):
                _maker(services).make(archive)


def _meant(services: Services, task: Mapping[str, Any]) -> list[ScheduledArchive]:
    """Returns the archive of a task, unless its setting has gone meanwhile."""
    store, mosaic = ArchiveStore(services.settings.archives), services.mosaics.get(task[_MOSAIC])
    return [each for each in scheduled(store, mosaic) if each.export.render == task[_RENDER]]


def _maker(services: Services) -> ScheduledMaker:
    return ScheduledMaker(services.mosaics, services.publisher())
