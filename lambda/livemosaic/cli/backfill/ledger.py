"""Accounting of a run: counts, the error file, and the journal from which it is resumed."""

import json
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, Any, Final, Self

from livemosaic.cli.backfill.journal import Done, Journal, done_before, sync
from livemosaic.client.target import EntryOutcome
from livemosaic.errors import InvalidRequestError, TableBusyError

_RECORD_S: Final = 1.0
"""An interrupted run repeats so much of its work, which changes nothing."""
_GIVE_UP: Final = 256
"""Consecutive failures after which the Items are not the cause."""


class Ledger:
    """Keeps the account of one run, including the work before it was resumed."""

    def __init__(self, resume: Path | None, errors: Path | None, run: Mapping[str, Any]) -> None:
        before = done_before(resume, run) if resume else None
        self.done = before or Done()
        self.resumed = self.done.items
        """Items ingested before the run was resumed."""
        self._errors = _opened(errors, before.errors if before else None) if errors else None
        self._journal = Journal(resume) if resume else None
        if self._journal and not before:
            self._journal.begin(run, self.done.began)
        self._places: dict[str, Any] = {}
        self._recorded = time.monotonic()
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
            self._record()
        for file in (self._errors, self._journal):
            if file:
                file.close()

    def add(self, outcome: EntryOutcome) -> None:
        """Counts the outcome of an entry; raises `TableBusyError` where entries only fail."""
        self.done.items += 1
        self.done.counts.update(outcome.labels)
        self.done.older += bool(outcome.older)
        self.done.weight += outcome.entry.weight
        if not outcome.ok:
            self.done.refused += 1
            if self._errors:
                self._errors.write(_line(outcome))
        self._failed = self._failed + 1 if outcome.status == "failed" else 0
        if self._failed >= _GIVE_UP:
            raise TableBusyError(
                f"{self._failed} Items in a row failed, the last for this reason: {outcome.reason}"
            )
        if mark := outcome.entry.mark:
            self._places[mark.source] = mark.place
            if not self._failed and time.monotonic() > self._recorded + _RECORD_S:
                self._record()

    def _record(self) -> None:
        """Writes the errors first, then the journal that counts their bytes."""
        if self._errors:
            sync(self._errors)
            self.done.errors = self._errors.tell()
        if self._journal and self._places:
            self._journal.add(self._places, self.done)
        self._places = {}
        self._recorded = time.monotonic()


def _opened(path: Path, size: int | None) -> IO[bytes]:
    """Opens the error file at its last recorded size; None for a new run."""
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


def _line(outcome: EntryOutcome) -> bytes:
    entry, body = outcome.entry, outcome.entry.message.body
    item = _document(body)
    line = {
        "source": entry.source,
        "line": entry.line,
        "id": item.get("id") if isinstance(item, dict) else None,
        "reason": outcome.reason,
        "item": item,
    }
    return json.dumps(line).encode() + b"\n"


def _document(body: str | bytes | Mapping[str, Any]) -> Any:
    """Returns the JSON document, or the text where it is not JSON."""
    if isinstance(body, Mapping):
        return dict(body)
    try:
        return json.loads(body)
    except (ValueError, RecursionError):
        return body if isinstance(body, str) else body.decode(errors="replace")
