"""The last steps of an export by jobs: lays the archive out, uploads its pieces, publishes it.

The bytes before the tiles are as `ArchiveWriter` has them, from the same arrangement. The
tiles are uploaded in parts of one multipart upload, by as many jobs; that completes at once, so
readers have the archive before, or the new one.
"""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from itertools import pairwise
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.errors import InvalidRequestError
from livemosaic.export.jobs.parts import DrawnPart, distinct, total
from livemosaic.export.jobs.work import PIECES, ExportWork
from livemosaic.export.pmtiles.writer import Arrangement
from livemosaic.export.schedule.status import ExportReport, ScheduledArchive
from livemosaic.export.tiles.lacks import lacks
from livemosaic.export.tiles.ledger import ledger_of
from livemosaic.export.tiles.publishing import ArchivePlace
from livemosaic.export.tiles.store import MEDIA_TYPE
from livemosaic.storage.hrefs import bucket_and_key

PIECE: Final = 32 * 1024 * 1024
"""Bytes of a part of the upload, and up to a tile less; S3 wants 5 MiB at least."""
_MOST_PIECES: Final = 9000
"""S3 takes 10,000 parts (S3 User Guide, "Amazon S3 multipart upload limits")."""
_AT_ONCE: Final = 16
_COPY: Final = np.dtype([("part", "<u4"), ("offset", "<u8"), ("length", "<u4")])
_COPIES, _HEAD, _UPLOAD, _BODIES = "copies", "head", "upload.json", "bodies.json"
_PUBLISHED: Final = "published.json"
_MADE_BY: Final = "export"
"""Metadata of an archive on S3: the name of the export that made it."""


@dataclass(frozen=True, slots=True)
class Assembly:
    """Puts an archive together from what jobs drew."""

    work: ExportWork
    s3: Any
    """A client of boto3."""
    clock: Callable[[], datetime]
    piece: int = PIECE

    def lay_out(self) -> None:
        """Writes the beginning of the archive, and the list of its pieces; begins the upload.

        Raises `InvalidRequestError` where no tile has a pixel.
        """
        plan = self.work.plan
        parts = self._parts()
        tiles = np.concatenate([part.tiles for part in parts])
        if not len(tiles):
            raise InvalidRequestError(
                f"mosaic {plan.mosaic!r} shows nothing at zooms {plan.minzoom} to {plan.maxzoom}: "
                "an archive needs a tile"
            )
        firsts, contents = distinct(tiles["digest"])
        lengths = tiles["length"].astype(np.uint64)[firsts]
        made = Arrangement.of(tiles["number"], contents, lengths, plan.content)
        rows = firsts[made.order]
        copies = np.zeros(len(rows), _COPY)
        counts = [len(part.tiles) for part in parts]
        copies["part"] = np.repeat(np.arange(len(parts)), counts)[rows]
        copies["offset"] = np.concatenate([part.offsets() for part in parts])[rows]
        copies["length"] = tiles["length"][rows]
        self.work.put(_HEAD, made.head)
        self.work.put(_COPIES, copies.tobytes())
        self.work.put_json(_BODIES, [part.bodies for part in parts])
        self.work.put_json("tally.json", lacking(parts))
        self._begin_upload(pieces(len(made.head), copies["length"], self.piece))

    def _begin_upload(self, spans: Sequence[tuple[int, int]]) -> None:
        bucket, key = self._target
        upload = self.s3.create_multipart_upload(
            Bucket=bucket, Key=key, ContentType=MEDIA_TYPE, Metadata={_MADE_BY: self._made_by}
        )
        self.work.put_json(_UPLOAD, upload["UploadId"])
        listed = [{"n": n, "first": a, "stop": b} for n, (a, b) in enumerate(spans)]
        self.work.put_json(PIECES, listed)

    def upload(self, n: int, first: int, stop: int) -> None:
        """Uploads a piece: the bytes of some of the copies, behind the beginning where it is 0."""
        size = _COPY.itemsize
        stored = self.work.get(_COPIES, size * first, size * stop) if first < stop else b""
        copies = np.frombuffer(stored, _COPY)
        bodies_of = self.work.get_json(_BODIES)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            bodies = pool.map(
                lambda run: self.work.get(bodies_of[run[0]], run[1], run[2]),
                _runs(copies),
            )
            body = b"".join((self.work.get(_HEAD) if n == 0 else b"", *bodies))
        bucket, key = self._target
        done = self.s3.upload_part(
            Bucket=bucket,
            Key=key,
            UploadId=self.work.get_json(_UPLOAD),
            PartNumber=n + 1,
            Body=body,
        )
        self.work.put_json(f"etags/{n}.json", done["ETag"])

    @property
    def is_published(self) -> bool:
        """Whether the archive is at its place."""
        return self.work.find_json(_PUBLISHED) is not None

    def finish(self) -> None:
        """Publishes the archive, its ledger and its dated copy, and reports it."""
        plan, place = self.work.plan, ArchivePlace(self.work.plan.place, self.work.plan.export.keep)
        bucket, key = self._target
        if not self.is_published:
            self._complete()
            self.work.put_json(_PUBLISHED, True)
        ledger = ledger_of(plan.settings, (part.records for part in self._parts()))
        self.s3.put_object(Bucket=bucket, Key=f"{key}.ledger", Body=ledger)
        now = self.clock()
        if place.keep:
            _, copy = _on_s3(place.copy_of(now.date()))
            self.s3.copy({"Bucket": bucket, "Key": key}, bucket, copy)
            place.drop_old()
        warnings = (*plan.warnings, *self.work.get_json("tally.json"))
        self._scheduled.tell(ExportReport(self.clock(), warnings=warnings))

    def _complete(self) -> None:
        """Completes the upload, unless that was done by an attempt that did not live to note it."""
        bucket, key = self._target
        listed = self.work.get_json(PIECES)
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            names = [f"etags/{each['n']}.json" for each in listed]
            tags = [*pool.map(self.work.get_json, names)]
        parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
        try:
            self.s3.complete_multipart_upload(
                Bucket=bucket,
                Key=key,
                UploadId=self.work.get_json(_UPLOAD),
                MultipartUpload={"Parts": parts},
            )
        except self.s3.exceptions.NoSuchUpload:
            there = self.s3.head_object(Bucket=bucket, Key=key)["Metadata"]
            if there.get(_MADE_BY) != self._made_by:
                raise

    def give_up(self) -> None:
        """Ends an upload that was begun, so that its parts are not kept."""
        upload = self.work.find_json(_UPLOAD)
        if upload and not self.is_published:
            bucket, key = self._target
            with suppress(self.s3.exceptions.NoSuchUpload):
                self.s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=upload)

    @property
    def _made_by(self) -> str:
        return self.work.folder.url.rpartition("/")[2]

    @property
    def _target(self) -> tuple[str, str]:
        return _on_s3(self.work.plan.place)

    @property
    def _scheduled(self) -> ScheduledArchive:
        plan = self.work.plan
        return ScheduledArchive(mosaic=plan.mosaic, export=plan.export, place=plan.place)

    def _parts(self) -> list[DrawnPart]:
        with ThreadPoolExecutor(_AT_ONCE) as pool:
            names = [f"{unit.name}.index" for unit in self.work.units]
            lasts = [*map(DrawnPart.from_bytes, pool.map(self.work.get, names))]
            earlier = [name for last in lasts for name in last.earlier]
            return [*lasts, *map(DrawnPart.from_bytes, pool.map(self.work.get, earlier))]


def _on_s3(place: str) -> tuple[str, str]:
    """Returns bucket and key of a place; raises `InvalidRequestError` for a file."""
    found = bucket_and_key(place)
    if found is None:
        raise InvalidRequestError("archives of jobs are on S3: LIVEMOSAIC_ARCHIVE_STORE")
    return found


def lacking(parts: Sequence[DrawnPart]) -> list[str]:
    """Returns what the tiles of all parts lack, in words."""
    return [*lacks(total([part.tally for part in parts]))]


def pieces(head: int, lengths: NDArray[np.uint32], piece: int) -> list[tuple[int, int]]:
    """Returns half-open spans of contents, so that each piece but the last is about as large.

    The first one also has the `head` bytes before contents.
    """
    starts = head + np.cumsum(lengths, dtype=np.uint64) - lengths
    whole = head + int(lengths.sum(dtype=np.uint64))
    size = max(piece, -(-whole // _MOST_PIECES))
    cuts = [*np.searchsorted(starts, np.arange(size, whole, size)).tolist(), len(lengths)]
    found = [*pairwise([0, *dict.fromkeys(cut for cut in cuts if cut)])]
    return found or [(0, len(lengths))]


def _runs(copies: NDArray[Any]) -> Iterator[tuple[int, int, int]]:
    """Yields parts and half-open ranges of bytes that follow each other there, too."""
    if not len(copies):
        return
    ends = copies["offset"] + copies["length"]
    same = (copies["part"][1:] == copies["part"][:-1]) & (copies["offset"][1:] == ends[:-1])
    begins = np.flatnonzero(np.concatenate(([True], ~same)))
    lasts = np.append(begins[1:], len(copies)) - 1
    for first, last in zip(begins, lasts, strict=True):
        yield int(copies["part"][first]), int(copies["offset"][first]), int(ends[last])
