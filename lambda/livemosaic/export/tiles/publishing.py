"""Where an archive is published: whole or not at all, with dated copies, and its ledger beside it.

A crash at any moment leaves the archive that was there, and the next export goes by the ledger as
far as it fits.
"""

import asyncio
import os
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import date
from functools import partial
from pathlib import Path, PurePosixPath
from tempfile import TemporaryFile
from threading import Lock
from typing import Final, Protocol

from cachetools import LRUCache

from livemosaic.export.files import put_at
from livemosaic.export.pmtiles.reader import Archive, ReadRange
from livemosaic.export.tiles.archive import ArchiveDesign, ArchiveExport, ExportTally, zooms_of
from livemosaic.export.tiles.drawing import Before, TileArtist, settings_digest
from livemosaic.export.tiles.ledger import TileLedger
from livemosaic.export.tiles.look import TileLook
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import TileFormat
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.objects import AbsentError, ObjectError
from livemosaic.storage.stores import Bucket
from livemosaic.tiler.picture import Tiler
from livemosaic.tiler.whole.stretch import Stretches

_CHUNK: Final = 1024 * 1024
_CHUNKS: Final = 64
_DATE: Final = r"\d{4}-\d{2}-\d{2}"


@dataclass(frozen=True, slots=True)
class ArchivePlace:
    """A file, or `s3://{bucket}/{key}`, that holds the newest archive of a mosaic."""

    to: str
    keep: int = 0
    """Copies that are kept of archives of earlier days, and of today: `{name}.{date}.pmtiles`."""

    @property
    def ledger(self) -> str:
        """Where the ledger is."""
        return f"{self.to}.ledger"

    def known(self, settings: str) -> TileLedger:
        """Returns the ledger that is there; empty of none, and of one by other settings."""
        with opened(self.ledger) as read:
            return TileLedger.from_bytes(read(0, -1) if read else b"", settings)

    @contextmanager
    def before(self, settings: str) -> Iterator[Before]:
        """Opens the archive that is there; of none, or one by other settings, nothing is known."""
        ledger = self.known(settings)
        with opened(self.to) as read:
            archive = None
            if read and len(ledger.records):
                with suppress(ValueError, ObjectError):
                    archive = Archive.open(read)
            yield Before(ledger, archive) if archive else Before()

    def publish(self, export: ArchiveExport, today: date) -> ExportTally:
        """Writes an archive in place of the one that is there, then its ledger.

        Raises `InvalidRequestError` where that fails, and as `ArchiveExport.write`.
        """
        with put_at(self.to) as path:
            with path.open("wb") as out, TemporaryFile(dir=path.parent) as spool:
                tally, ledger = export.write(out, spool)
            if self.keep:
                with put_at(self.copy_of(today)) as copy:
                    _copy(path, copy)
        with put_at(self.ledger) as path:
            path.write_bytes(ledger)
        if self.keep:
            self.drop_old()
        return tally

    def copy_of(self, day: date) -> str:
        """Returns where the copy of a day is."""
        suffix = PurePosixPath(self.to).suffix
        return f"{self.to.removesuffix(suffix)}.{day.isoformat()}{suffix}"

    def drop_old(self) -> None:
        """Deletes copies of the earliest days, but for the newest `keep`."""
        name = PurePosixPath(self.to)
        own = re.compile(rf"{re.escape(name.stem)}\.{_DATE}{re.escape(name.suffix)}")
        if at := bucket_and_key(self.to):
            bucket, folder = Bucket(at[0]), at[1].rpartition("/")[0]
            start = f"{folder}/" if folder else ""
            listed = (each.key for each in bucket.listed(folder))
            found = sorted(key for key in listed if own.fullmatch(key.removeprefix(start)))
            for key in found[: -self.keep]:
                bucket.delete(key)
            return
        parent = Path(self.to.removeprefix("file://")).parent
        days = sorted(path for path in parent.iterdir() if own.fullmatch(path.name))
        for path in days[: -self.keep]:
            path.unlink(missing_ok=True)


class WantedArchive(Protocol):
    """An archive that is asked for, of images or of vector tiles."""

    @property
    def place(self) -> ArchivePlace:
        """Where it is published."""

    @property
    def has_pixels(self) -> bool:
        """Whether pixels of scenes are read for it, or of overviews in their place."""

    def design(self, publisher: "ArchivePublisher", mosaic: Mosaic) -> ArchiveDesign:
        """Returns how tiles are made; raises `InvalidRequestError` where that cannot be."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveRequest:
    """An archive of images that is asked for."""

    place: ArchivePlace
    render: str = ""
    """A named render of the mosaic; empty for its default one, or none."""
    format: TileFormat = "webp"
    minzoom: int = 0
    maxzoom: int = 14
    rescale: Sequence[tuple[float, float]] | None = None
    """Ranges in place of `rescale=auto`, empty where the mosaic had no pixels; None: of now."""

    @property
    def has_pixels(self) -> bool:
        """See `WantedArchive`."""
        return True

    def design(self, publisher: "ArchivePublisher", mosaic: Mosaic) -> ArchiveDesign:
        """See `WantedArchive`."""
        zooms = zooms_of(mosaic, self.minzoom, self.maxzoom)
        look = TileLook.of(mosaic, self.render, self.format)
        tiler, render = publisher.tiler, look.render
        if self.rescale is None:
            applied = publisher.stretches.applied(tiler, mosaic, look.read, render, look.rule)
            render = asyncio.run(applied)
        elif render.auto_rescale and self.rescale:
            render = replace(render, auto_rescale=False, rescale=tuple(self.rescale))
        look = replace(look, render=render)
        version, allowed = publisher.pixel_version(), publisher.allowed
        return ArchiveDesign(
            zooms,
            settings_digest(tiler, mosaic, look, version, allowed),
            look.about(mosaic),
            partial(TileArtist.of, tiler, mosaic, look),
            render.rescale,
        )


@dataclass(frozen=True, slots=True)
class ArchivePublisher:
    """Publishes archives of mosaics of one index."""

    tiler: Tiler
    stretches: Stretches
    pixel_version: Callable[[], str]
    allowed: tuple[str, ...]
    """Prefixes of the hrefs that may be read."""

    def publish(
        self,
        mosaic: Mosaic,
        wanted: WantedArchive,
        today: date,
        report: Callable[[ExportTally], None] = lambda _: None,
    ) -> ExportTally:
        """Makes and publishes an archive; raises `InvalidRequestError` where that cannot be."""
        made = wanted.design(self, mosaic)
        with wanted.place.before(made.settings) as before:
            export = ArchiveExport(made.artist(before), made.zooms, made.settings, report)
            return wanted.place.publish(export, today)


@contextmanager
def opened(where: str) -> Iterator[ReadRange | None]:
    """Opens a file or an object, of which -1 is the end; None where there is none."""
    if at := bucket_and_key(where):
        bucket = Bucket(at[0])
        try:
            size = bucket.head(at[1]).size
        except AbsentError:
            yield None
            return
        yield _Chunks(bucket.object(at[1]).read_blocking, size).read
        return
    try:
        file = Path(where.removeprefix("file://")).open("rb")  # noqa: SIM115 - closed below
    except FileNotFoundError:
        yield None
        return
    with file:
        size = os.fstat(file.fileno()).st_size

        def read(start: int, stop: int) -> bytes:
            start, stop = min(start, size), size if stop < 0 else min(stop, size)
            return os.pread(file.fileno(), max(0, stop - start), start)

        yield read


class _Chunks:
    """Reads an object in chunks, of which the last used are kept: tiles lie side by side."""

    def __init__(self, read: Callable[[int, int], bytes], size: int) -> None:
        self._read = read
        self._size = size
        self._kept: LRUCache[int, bytes] = LRUCache(_CHUNKS)
        self._lock = Lock()

    def read(self, start: int, stop: int) -> bytes:
        stop = self._size if stop < 0 else min(stop, self._size)
        first, last = start // _CHUNK, (stop - 1) // _CHUNK
        found = b"".join(self._chunk(n) for n in range(first, last + 1))
        return found[start - first * _CHUNK : stop - first * _CHUNK]

    def _chunk(self, number: int) -> bytes:
        with self._lock:
            if number not in self._kept:
                start = number * _CHUNK
                self._kept[number] = self._read(start, min(start + _CHUNK, self._size))
            return self._kept[number]


def _copy(made: Path, copy: Path) -> None:
    try:
        os.link(made, copy)
    except OSError:
        shutil.copyfile(made, copy)
