"""Files of STAC Items become messages: an Item, an ItemCollection, or one Item a line (ndjson)."""

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any

from livemosaic.errors import InvalidRequestError
from livemosaic.events import Message


@dataclass(frozen=True, slots=True)
class Source:
    """A file by its path, or standard input by `-`."""

    name: str

    @property
    def size(self) -> int | None:
        """Bytes; None for standard input, and for what is not there."""
        path = Path(self.name)
        return path.stat().st_size if path.is_file() else None

    def messages(self) -> Iterator[tuple[Message, int]]:
        """Each Item with the bytes it took, read as it goes where there is one a line.

        `InvalidRequestError` where the file is missing or is not text.
        """
        base = None if self.name == "-" else str(Path(self.name).resolve())
        try:
            with self._open() as file:
                for number, (body, length) in enumerate(_bodies(file), 1):
                    name = f"{self.name}:{number}"
                    yield Message(name, body, datetime.now(UTC), {}, base), length
        except OSError as error:
            raise InvalidRequestError(f"cannot read {self.name!r}: {error.strerror}") from error

    @contextmanager
    def _open(self) -> Iterator[IO[bytes]]:
        if self.name == "-":
            yield sys.stdin.buffer
            return
        with Path(self.name).open("rb") as file:
            yield file


def _bodies(file: IO[bytes]) -> Iterator[tuple[Any, int]]:
    first = next((line for line in file if line.strip()), b"")
    if _is_object(first):
        yield from _features(first, len(first))
        for line in file:
            if line.strip():
                yield line, len(line)
    else:
        text = first + file.read()
        yield from _features(text, len(text))


def _is_object(line: bytes) -> bool:
    try:
        return isinstance(json.loads(line), dict)
    except ValueError:
        return False


def _features(text: bytes, length: int) -> Iterator[tuple[Any, int]]:
    """Each Item of an ItemCollection on its own; else the text as it is."""
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
