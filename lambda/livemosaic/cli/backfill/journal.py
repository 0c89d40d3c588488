"""What of a run is done: a file to go on from after whatever cut it off."""

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
    """What is done by now."""

    began: datetime = field(default_factory=lambda: datetime.now(UTC))
    """When the run began, however often it was cut off."""
    places: dict[str, Any] = field(default_factory=dict)
    """By source, how far it was read."""
    counts: Counter[str] = field(default_factory=Counter)
    """By what became of it in a mosaic, the number of Items."""
    items: int = 0
    refused: int = 0
    """Items that could not be taken."""
    weight: int = 0
    """Of what was read."""
    errors: int = 0
    """Bytes of the error file that belong to it."""


_NUMBERS: Final = ("items", "refused", "weight", "errors")


def done_before(path: Path, run: Mapping[str, Any]) -> Done | None:
    """What a journal says is done of a run; None where there is no journal.

    `InvalidRequestError` where it is that of another run, or no journal at all.
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
            setattr(done, name, line[name])
    return done


class Journal:
    """Lines of JSON, only ever appended to, each on the disk before work goes on.

    The first says of which run it is, every other what is done by then; a last line that is not
    whole counts for nothing.
    """

    def __init__(self, path: Path) -> None:
        try:
            text = path.read_bytes() if path.exists() else b""
            self._file = path.open("ab")
            self._file.truncate(text.rfind(b"\n") + 1)
        except OSError as error:
            raise InvalidRequestError(f"cannot write {str(path)!r}: {error.strerror}") from error

    def begin(self, run: Mapping[str, Any], began: datetime) -> None:
        """Say of which run it is."""
        self._write({_MARK: _VERSION, "began": began.isoformat(), "run": run})

    def add(self, places: Mapping[str, Any], done: Done) -> None:
        """Note what is done, with the places that have changed."""
        numbers = {name: getattr(done, name) for name in _NUMBERS}
        self._write({"places": places, "counts": done.counts, **numbers})

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _write(self, line: Any) -> None:
        self._file.write(json.dumps(line, separators=(",", ":")).encode() + b"\n")
        sync(self._file)


def sync(file: IO[bytes]) -> None:
    """Have on the disk what was written."""
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
        differing = sorted(k for k in was.keys() | value.keys() if was.get(k) != value.get(k))
        name, was, value = (
            f"{name} {differing[0]!r}",
            was.get(differing[0]),
            value.get(differing[0]),
        )
    return f"its {name} was {_short(was)} and is {_short(value)}"


def _short(value: Any) -> str:
    text = json.dumps(value)
    return text if len(text) <= 100 else text[:100] + "…"
