"""What becomes of a run: counted, the errors in a file, and noted for a run that goes on."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from livemosaic.cli.backfill.journal import Done, Journal, done_before, sync
from livemosaic.cli.targets.target import EntryOutcome
from livemosaic.errors import InvalidRequestError, TableBusyError

_NOTED_S: Final = 1.0
"""A run that is cut off does again what it did for so long, which changes nothing."""
_GIVE_UP: Final = 256
"""Failures in a row that say that it is not the Items that fail."""


class Ledger:
    """Keeps account of one run, and of what was done of it before."""

    def __init__(self, resume: Path | None, errors: Path | None, run: Mapping[str, Any]) -> None:
        before = done_before(resume, run) if resume else None
        self.done = before or Done()
        self.resumed = self.done.items
        """Items that were done before."""
        self._errors = _opened(errors, before.errors if before else None) if errors else None
        self._journal = Journal(resume) if resume else None
        if self._journal and not before:
            self._journal.begin(run, self.done.began)
        self._places: dict[str, Any] = {}
        self._noted = time.monotonic()
        self._failed = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        if kind is None:
            self._note()
        for file in (self._errors, self._journal):
            if file:
                file.close()

    def add(self, told: EntryOutcome) -> None:
        """Take note of what became of an entry; `TableBusyError` where no more come through."""
        self.done.items += 1
        self.done.counts.update(told.words)
        self.done.weight += told.entry.weight
        if not told.ok:
            self.done.refused += 1
            if self._errors:
                self._errors.write(_line(told))
        self._failed = self._failed + 1 if told.status == "failed" else 0
        if self._failed >= _GIVE_UP:
            raise TableBusyError(
                f"{self._failed} Items in a row failed, the last for this reason: {told.reason}"
            )
        if mark := told.entry.mark:
            self._places[mark.source] = mark.place
            if not self._failed and time.monotonic() > self._noted + _NOTED_S:
                self._note()

    def _note(self) -> None:
        """First the errors, then that they are there."""
        if self._errors:
            sync(self._errors)
            self.done.errors = self._errors.tell()
        if self._journal and self._places:
            self._journal.add(self._places, self.done)
        self._places = {}
        self._noted = time.monotonic()


def _opened(path: Path, size: int | None) -> IO[bytes]:
    """The error file as it was when something was last noted; None stands for a new run."""
    there = path.stat().st_size if path.is_file() else 0
    if there and size is None:
        raise InvalidRequestError(
            f"{str(path)!r} holds errors of another run: name another file, or delete it"
        )
    if there < (size or 0):
        raise InvalidRequestError(
            f"{str(path)!r} had {size:,} bytes of errors and has {there:,}: delete the file of "
            "--resume to begin anew"
        )
    try:
        file = path.open("ab")
        file.truncate(size or 0)
    except OSError as error:
        raise InvalidRequestError(f"cannot write {str(path)!r}: {error.strerror}") from error
    return file


def _line(told: EntryOutcome) -> bytes:
    entry, body = told.entry, told.entry.message.body
    item = _document(body)
    line = {
        "source": entry.source,
        "line": entry.line,
        "id": item.get("id") if isinstance(item, dict) else None,
        "reason": told.reason,
        "item": item,
    }
    return json.dumps(line).encode() + b"\n"


def _document(body: str | bytes | Mapping[str, Any]) -> Any:
    """A document, or the text that is none."""
    if isinstance(body, Mapping):
        return dict(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body if isinstance(body, str) else body.decode(errors="replace")
