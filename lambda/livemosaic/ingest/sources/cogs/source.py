"""The source of COGs without STAC Items: files, folders, objects and patterns in S3, URLs."""

import asyncio
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import islice
from pathlib import Path, PurePosixPath
from typing import Any, Final

from livemosaic.cog.reader import CogReader
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.ingest.sources.cogs import SUFFIXES, Making, is_tiff, path_of
from livemosaic.ingest.sources.cogs.item import item_of
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import bucket_and_key, redact
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket

_AT_ONCE: Final = 16
"""Files opened in parallel."""


@dataclass(frozen=True, slots=True)
class _Cog:
    href: str
    """What the allow-list reads."""
    path: str
    """Where it is among the files of its name; they are read in the order of their paths."""
    modified: datetime | None

    @property
    def stem(self) -> str:
        """Its name without folder and suffix."""
        return PurePosixPath(self.path).stem


@dataclass(frozen=True, slots=True)
class Cogs:
    """COGs by their names, one after the other; each is an Item."""

    names: Sequence[str]
    allow: AllowList = field(default_factory=AllowList)
    making: Making = field(default_factory=Making)

    @property
    def name(self) -> str:
        """See `Source`."""
        return "COGs"

    @property
    def total(self) -> int | None:
        """The number of files; None with a pattern in S3."""
        if any(_is_pattern(name) for name in self.names):
            return None
        return sum(len(_in_folder(name)) if Path(name).is_dir() else 1 for name in self.names)

    @property
    def identity(self) -> Any:
        """The names, and how Items are made; files may be added, and change."""
        making = self.making
        moment = making.moment.isoformat() if making.moment else None
        asset = [making.asset] if making.asset else []  # states of earlier releases have none
        return [list(self.names), making.collection, moment, making.of_data, *asset]

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. The moment of an Item is when its file was written.

        A file that cannot be opened is an entry with a problem, and so is one with the name of
        an earlier one: both would be the same Item.
        """
        done = (place["name"], place["path"]) if place else (-1, "")
        reader = CogReader(self.allow)
        found = ((n, one) for n, one in enumerate(self._found(), 1) if one[:2] > done)
        with asyncio.Runner() as runner:
            while some := list(islice(found, _AT_ONCE)):
                made = runner.run(self._made(reader, [cog for _, (_, _, cog, _) in some]))
                for (count, (at, path, cog, twin)), one in zip(some, made, strict=True):
                    body, problem = (b"", one) if isinstance(one, str) else (one, "")
                    order = Order.listed(min(cog.modified or began, began), began, count)
                    message = Message(cog.href, body, began, {}, stated=order)
                    mark = Mark(self.name, {"name": at, "path": path})
                    yield Entry(message, redact(cog.href), problem=twin or problem, mark=mark)

    def _found(self) -> Iterator[tuple[int, str, _Cog, str]]:
        """Yields the number of a name, a path, its file, and the problem of one with a twin."""
        hrefs: dict[str, str] = {}
        for at, name in enumerate(self.names):
            for cog in _files(name, self.allow):
                twin = hrefs.setdefault(cog.stem, cog.href)
                yield at, cog.path, cog, "" if twin == cog.href else _twin(cog, twin)

    async def _made(self, reader: CogReader, cogs: Sequence[_Cog]) -> list[Mapping[str, Any] | str]:
        return await asyncio.gather(*(self._item(reader, cog) for cog in cogs))

    async def _item(self, reader: CogReader, cog: _Cog) -> Mapping[str, Any] | str:
        """Returns the Item of a file, or why it has none."""
        try:
            return await item_of(reader, cog.href, cog.stem, cog.modified, self.making)
        except (LivemosaicError, ObjectError) as error:
            return str(error)


def _twin(cog: _Cog, twin: str) -> str:
    return (
        f"{redact(cog.href)} has the name of {redact(twin)}, and a name is the id of an Item: "
        "rename one of them"
    )


def _is_pattern(name: str) -> bool:
    return name.startswith("s3://") and name.lower().endswith(("/*.tif", "/*.tiff"))


def _files(name: str, allow: AllowList) -> Iterator[_Cog]:
    """Yields the files of a name in the order of their paths."""
    if found := bucket_and_key(name):
        yield from _in_bucket(*found, name, allow)
    elif name.startswith(("https://", "http://")):
        yield _Cog(name, path_of(name), None)
    elif Path(name).is_dir():
        yield from (_local(path, path.relative_to(name)) for path in _in_folder(name))
    else:
        path = Path(name)
        yield _local(path, path)


def _in_folder(name: str) -> list[Path]:
    """Returns the TIFFs in a folder and its subfolders.

    `InvalidRequestError` if it has none, and where a folder cannot be read: its files would be
    missing without a word.
    """
    walked = os.walk(name, onerror=_unread)
    named = (Path(at, file) for at, _, files in walked for file in files if is_tiff(file))
    found = [path for path in named if path.is_file()]
    if not found:
        raise InvalidRequestError(f"the folder {name!r} has no {' or '.join(SUFFIXES)} file")
    return sorted(found, key=lambda path: path.relative_to(name).as_posix())


def _unread(error: OSError) -> None:
    raise InvalidRequestError(f"cannot read {error.filename!r}: {error.strerror}") from error


def _local(path: Path, below: Path) -> _Cog:
    try:
        modified = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    except OSError as error:
        raise InvalidRequestError(f"cannot read {str(path)!r}: {error.strerror}") from error
    return _Cog(str(path.resolve()), below.as_posix(), modified)


def _in_bucket(bucket: str, key: str, name: str, allow: AllowList) -> Iterator[_Cog]:
    if "*" in key and not _is_pattern(name):
        raise InvalidRequestError(
            f"{name!r} is a pattern that is not read: write s3://BUCKET/PREFIX/*.tif, which is "
            "every TIFF below the prefix"
        )
    prefix = key.rpartition("/")[0] + "/" if "/" in key else ""
    opened = Bucket(bucket, allow.way_to_bucket(bucket, key))
    try:
        for one in opened.listed(prefix) if _is_pattern(name) else [opened.head(key)]:
            if is_tiff(one.key):
                yield _Cog(f"s3://{bucket}/{one.key}", one.key, one.modified)
    except ObjectError as error:
        raise InvalidRequestError(f"{name} {error}") from error
