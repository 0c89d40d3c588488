"""Where scheduled archives stand: when each was made, is due, and what the last attempt found.

All of it follows from objects at the archive's place, so that it is the same to every process, and
after a restart: the time of the archive itself, and of a small report of the last attempt beside
it, `{archive}.status`.
"""

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Final, Self

from livemosaic.errors import UnreadableAssetError
from livemosaic.export.files import put_at
from livemosaic.export.tiles.publishing import ArchivePlace, ArchiveRequest, WantedArchive
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.export.vectors.publishing import VectorArchive
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic, ScheduledExport
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.objects import AbsentError, ObjectError
from livemosaic.storage.stores import Bucket

RETRY: Final = timedelta(hours=1)
"""From a failed attempt to the next."""
_FIRST: Final = datetime.min.replace(tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class ExportReport:
    """What the last attempt to make a scheduled archive found."""

    at: datetime
    """When it ended."""
    error: str = ""
    """Why no archive was made; empty where one was."""
    warnings: tuple[str, ...] = ()
    """What the archive lacks."""

    def to_bytes(self) -> bytes:
        """Returns JSON."""
        stored = {"at": self.at.isoformat(), "error": self.error, "warnings": self.warnings}
        return json.dumps(stored).encode()

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self | None:
        """Reads what `to_bytes` returns; None for anything else."""
        with suppress(ValueError, TypeError, KeyError, AttributeError):
            found = json.loads(stored)
            at = datetime.fromisoformat(found["at"])
            warnings = tuple(map(str, found["warnings"]))
            return cls(at, str(found["error"]), warnings) if at.tzinfo else None
        return None


@dataclass(frozen=True, slots=True, kw_only=True)
class ScheduledArchive:
    """An archive of a mosaic, as its setting and its place have it now."""

    mosaic: str
    """Id of the mosaic."""
    export: ScheduledExport
    place: str
    """Path or `s3://` URL."""
    made: datetime | None = None
    """When the archive was published; None where there is none."""
    size: int = 0
    """Bytes of the archive."""
    report: ExportReport | None = field(default=None)

    @property
    def error(self) -> str:
        """Why the last attempt failed; empty where it did not, or an archive was made since."""
        report = self.report
        is_last = report and (self.made is None or report.at > self.made)
        return report.error if report and is_last else ""

    @property
    def warnings(self) -> tuple[str, ...]:
        """What the archive lacks, of one that was made on its schedule."""
        return self.report.warnings if self.report and not self.report.error else ()

    @property
    def due(self) -> datetime | None:
        """When the next attempt is due; None: at once."""
        due = self.made + timedelta(hours=self.export.every_h) if self.made else None
        if self.report and self.error:
            again = self.report.at + RETRY
            return max(due, again) if due else again
        return due

    def is_due(self, now: datetime) -> bool:
        """Whether it is to be made now."""
        return self.due is None or self.due <= now

    def is_late(self, now: datetime, by: timedelta) -> bool:
        """Whether an archive should have been made some time ago; never of one never made."""
        every = timedelta(hours=self.export.every_h)
        return self.made is not None and self.made + every + by <= now

    def tell(self, report: ExportReport) -> None:
        """Puts the report of an attempt beside the archive; as `put_at` raises.

        Who may see the mosaic may read it, so it does not say where archives are.
        """
        error = report.error.replace(self.place, "the archive")
        report = replace(report, error=error)
        with put_at(_report_of(self.place)) as path:
            path.write_bytes(report.to_bytes())


def request_of(
    export: ScheduledExport, to: str, rescale: Sequence[tuple[float, float]] | None = None
) -> WantedArchive:
    """Returns what a setting asks for, at a path or `s3://` URL.

    `rescale` is as of `ArchiveRequest`.
    """
    if export.layers:
        return vectors_of(export, to)
    return replace(images_of(export, to), rescale=rescale)


def images_of(export: ScheduledExport, to: str) -> ArchiveRequest:
    """Returns what a setting without layers asks for."""
    return ArchiveRequest(
        place=ArchivePlace(to, export.keep),
        render=export.render,
        format=export.format or "webp",
        minzoom=export.minzoom,
        maxzoom=export.maxzoom,
    )


def vectors_of(export: ScheduledExport, to: str) -> VectorArchive:
    """Returns what a setting with layers asks for."""
    return VectorArchive(
        place=ArchivePlace(to, export.keep),
        layers=export.layers,
        minzoom=export.minzoom,
        maxzoom=export.maxzoom,
    )


def store_of(store: ArchiveStore, export: ScheduledExport) -> ArchiveStore:
    """Returns where the archives of images, or of vector tiles, are in the place of all."""
    return store.of_vectors if export.layers else store


def scheduled(store: ArchiveStore, mosaic: Mosaic) -> Iterator[ScheduledArchive]:
    """Yields the scheduled archives of a mosaic; raises `ObjectError` where the store fails."""
    return (_standing(store, mosaic, export) for export in mosaic.exports)


def scheduled_as(store: ArchiveStore, mosaic: Mosaic, name: str) -> ScheduledArchive | None:
    """Returns the scheduled archive by the name of its export; None where there is none any more.

    Raises as `scheduled`.
    """
    found = (_standing(store, mosaic, each) for each in mosaic.exports if each.name == name)
    return next(found, None)


def _standing(store: ArchiveStore, mosaic: Mosaic, export: ScheduledExport) -> ScheduledArchive:
    place = store_of(store, export).place_of(mosaic, export.render)
    made, size = _stat(place) or (None, 0)
    stored = _read(_report_of(place))
    report = ExportReport.from_bytes(stored) if stored else None
    return ScheduledArchive(
        mosaic=mosaic.id, export=export, place=place, made=made, size=size, report=report
    )


def stated(store: str, mosaic: Mosaic) -> list[ScheduledArchive]:
    """Returns the scheduled archives of a mosaic below the URL of a store; empty stands for none.

    Raises `UnreadableAssetError` where the store fails.
    """
    if store:
        try:
            return [*scheduled(ArchiveStore(store), mosaic)]
        except ObjectError as error:
            raise UnreadableAssetError(f"the place of archives {error}") from error
    none = ExportReport(_FIRST, "the server has no place for archives (LIVEMOSAIC_ARCHIVE_STORE)")
    return [
        ScheduledArchive(mosaic=mosaic.id, export=each, place="", report=none)
        for each in mosaic.exports
    ]


def due_archives(store: ArchiveStore, mosaics: Mosaics, now: datetime) -> list[ScheduledArchive]:
    """Returns the archives of all mosaics that are due, the longest overdue first."""
    every = (each for mosaic in mosaics.all() for each in scheduled(store, mosaic))
    return sorted((each for each in every if each.is_due(now)), key=first_due)


def first_due(archive: ScheduledArchive) -> datetime:
    """Returns by what archives are ordered: the longest overdue first."""
    return archive.due or _FIRST


def _report_of(place: str) -> str:
    return f"{place}.status"


def _stat(place: str) -> tuple[datetime, int] | None:
    if at := bucket_and_key(place):
        try:
            found = Bucket(at[0]).head(at[1])
        except AbsentError:
            return None
        return found.modified, found.size
    try:
        with _explaining():
            stat = Path(place).stat()
    except FileNotFoundError:
        return None
    return datetime.fromtimestamp(stat.st_mtime, UTC), stat.st_size


def _read(place: str) -> bytes:
    """Returns a small file or object; empty where there is none."""
    try:
        at = bucket_and_key(place)
        with _explaining():
            return Bucket(at[0]).read(at[1]) if at else Path(place).read_bytes()
    except (AbsentError, FileNotFoundError):
        return b""


@contextmanager
def _explaining() -> Iterator[None]:
    """Raises `ObjectError` for a file that is there, as far as is known, and cannot be read."""
    try:
        yield
    except FileNotFoundError:
        raise
    except OSError as error:
        raise ObjectError(f"cannot be read ({error.strerror})") from error
