"""The source of STAC Items in files: an Item, an ItemCollection, or one Item a line (ndjson)."""

import json
import sys
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.model.order import Order


@dataclass(frozen=True, slots=True)
class Files:
    """Files by their paths, or standard input as `-`, one after the other."""

    names: Sequence[str]

    @property
    def name(self) -> str:
        """See `Source`."""
        return "files"

    @property
    def total(self) -> int | None:
        """Total bytes; None with standard input, or if a file is missing."""
        paths = [Path(name) for name in self.names]
        known = all(path.is_file() for path in paths)
        return sum(path.stat().st_size for path in paths) if known else None

    @property
    def identity(self) -> Any:
        """Names, sizes and modification times."""
        if "-" in self.names:
            raise InvalidRequestError("--resume cannot read standard input again: name a file")
        return {name: _state(name) for name in self.names}

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. Weights are bytes; ndjson is read a line at a time."""
        done = place or {"file": 0, "line": 0, "count": 0}
        count = done["count"]
        for n, name in list(enumerate(self.names))[done["file"] :]:
            written = _written(name, began)
            skipped = done["line"] if n == done["file"] else 0
            for line, body, length in _numbered(name, skipped):
                count += 1
                order = Order.listed(written, began, count)
                message = Message(f"{name}:{line}", body, began, {}, _base(name), stated=order)
                mark = Mark(self.name, {"file": n, "line": line, "count": count})
                yield Entry(message, name, line, length, mark=mark)


def _state(name: str) -> Any:
    with _readable(name):
        stat = Path(name).stat()
    return [stat.st_size, stat.st_mtime_ns]


def _written(name: str, began: datetime) -> datetime:
    """Returns when a file was written: not after the run began, as of standard input."""
    if name == "-":
        return began
    with _readable(name):
        return min(datetime.fromtimestamp(Path(name).stat().st_mtime, UTC), began)


def _base(name: str) -> str | None:
    return None if name == "-" else str(Path(name).resolve())


def _numbered(name: str, skipped: int) -> Iterator[tuple[int, Any, int]]:
    with _readable(name), _open(name) as file:
        for line, (body, length) in enumerate(bodies(file), 1):
            if line > skipped:
                yield line, body, length


@contextmanager
def _readable(name: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise InvalidRequestError(f"cannot read {name!r}: {error.strerror}") from error


@contextmanager
def _open(name: str) -> Iterator[IO[bytes]]:
    if name == "-":
        yield sys.stdin.buffer
        return
    with Path(name).open("rb") as file:
        yield file


def bodies(file: IO[bytes]) -> Iterator[tuple[Any, int]]:
    """Yields each Item of a file, unchecked, with its number of bytes."""
    first = next((line for line in file if line.strip()), b"")
    if _is_object(first):
        yield from _features(first, len(first))
        yield from _lines(file)
        return
    text = first + file.read()
    # In indented JSON only the first line begins with a brace; else it is ndjson with a bad line.
    if text.count(b"\n{") + text.startswith(b"{") > 1:
        yield from _lines(text.splitlines(keepends=True))
    else:
        yield from _features(text, len(text))


def _lines(lines: Iterable[bytes]) -> Iterator[tuple[bytes, int]]:
    return ((line, len(line)) for line in lines if line.strip())


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except (ValueError, RecursionError):
        return False


def _features(text: bytes, length: int) -> Iterator[tuple[Any, int]]:
    """Yields each Item of an ItemCollection; of another document its text."""
    try:
        document = json.loads(text)
    except (ValueError, RecursionError):
        document = None
    features = document.get("features") if isinstance(document, dict) else None
    if not isinstance(features, list) or not features:
        yield text, length
        return
    for feature in features:
        yield feature if isinstance(feature, dict) else json.dumps(feature), length // len(features)
