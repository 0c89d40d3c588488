"""The state file of a long ingestion, from which an interrupted run is resumed."""

import json
import os
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO, Any, Final

from livemosaic.errors import InvalidRequestError

_MARK: Final = "livemosaic"
_VERSION: Final = 1


@dataclass(slots=True)
class Done:
    """Progress of a run."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the run first began, however often it was interrupted."""
    places: dict[str, Any] = field(default_factory=dict)
    """Place in each source, by its name."""
    counts: Counter[str] = field(default_factory=Counter)
    """Numbers of Items by label (`EntryOutcome.labels`)."""
    items: int = 0
    refused: int = 0
    """Items that were rejected or failed."""
    older: int = 0
    """Items that are older than what a mosaic has, and change nothing there."""
    weight: int = 0
    """Weight of the entries read."""
    errors: int = 0
    """Bytes of the error file that belong to this progress."""


_NUMBERS: Final = ("items", "refused", "older", "weight", "errors")


def done_before(path: Path, run: Mapping[str, Any]) -> Done | None:
    """Returns the progress that a journal records; None without a journal.

    Raises `InvalidRequestError` for the journal of another run, or for another file.
    """
    text = path.read_bytes() if path.is_file() else b""
    if text and not text.startswith(f'{{"{_MARK}":{_VERSION},'.encode()):
        raise InvalidRequestError(f"{str(path)!r} is not the state of a run: name another file")
    lines = [json.loads(line) for line in text.split(b"\n")[:-1]]
    if not lines:
        return None
    done = Done(_begun(path, lines[0], run))
    for line in lines[1:]:
        done.places |= line["places"]
        done.counts = Counter(line["counts"])
        for name in _NUMBERS:
            setattr(done, name, line.get(name, 0))
    return done


class Journal:
    """A file of JSON lines, appended to, each on the disk before work continues.

    The first line identifies the run, every other records its progress; an incomplete last line is
    ignored.
    """

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_bytes() if path.exists() else b""
            self._file = path.open("ab")
            self._file.truncate(text.rfind(b"\n") + 1)
        except OSError as error:
            raise InvalidRequestError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def begin(self, run: Mapping[str, Any], began: datetime) -> None:
        """Writes the first line, which identifies the run."""
        self._write({_MARK: _VERSION, "began": began.isoformat(), "run": run})

    def add(self, places: Mapping[str, Any], done: Done) -> None:
        """Records the progress, with the places that have changed."""
        numbers = {name: getattr(done, name) for name in _NUMBERS}
        self._write({"places": places, "counts": done.counts, **numbers})

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _write(self, line: Any) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        sync(self._file)


def sync(file: IO[bytes]) -> None:
    """Flushes a file to the disk."""
    file.flush()
    os.fsync(file.fileno())


def _begun(path: Path, first: Any, run: Mapping[str, Any]) -> datetime:
    before = first["run"]
    for name, value in json.loads(json.dumps(run)).items():
        if before.get(name) != value:
            raise InvalidRequestError(
                f"{str(path)!r} is the state of another run: {_difference(name, before, value)}. "
                "Delete it to begin anew, or name another file"
            )
    return datetime.fromisoformat(first["began"])


def _difference(name: str, before: Mapping[str, Any], value: Any) -> str:
    was = before.get(name)
    if isinstance(was, dict) and isinstance(value, dict):
        key = min(k for k in was.keys() | value.keys() if was.get(k) != value.get(k))
        name, was, value = f"{name} {key!r}", was.get(key), value.get(key)
    return f"its {name} was {_short(was)} and is {_short(value)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:100] + "…"
