"""Tables of results: aligned on stdout, as JSON for machines; progress on stderr."""

import json
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

Value = str | int | float | None


@dataclass(frozen=True, slots=True)
class Sheet:
    """One table of results."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Sequence[Value]]
    """One value per column; None where there is nothing to say."""
    notes: Sequence[str] = ()

    def text(self) -> str:
        """Aligned columns, numbers to the right."""
        cells = [list(self.columns), *([_shown(value) for value in row] for row in self.rows)]
        widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
        left = [
            all(isinstance(row[n], str | None) for row in self.rows)
            for n in range(len(self.columns))
        ]
        lines = [
            "  ".join(
                cell.ljust(width) if to_left else cell.rjust(width)
                for cell, width, to_left in zip(row, widths, left, strict=True)
            ).rstrip()
            for row in cells
        ]
        rule = "  ".join("-" * width for width in widths)
        return "\n".join([self.title, "", lines[0], rule, *lines[1:], "", *self.notes])


def _shown(value: Value) -> str:
    if value is None:
        return ""
    if isinstance(value, float):
        return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
    return f"{value:,}" if isinstance(value, int) else value


def show(sheet: Sheet) -> None:
    """Print a table as soon as it is known."""
    print(sheet.text(), end="\n\n", flush=True)


def save(sheets: Sequence[Sheet], path: Path) -> None:
    """Write all tables as JSON: a list of title, notes and rows, each row by column."""
    document = [
        {
            "title": sheet.title,
            "notes": list(sheet.notes),
            "rows": [dict(zip(sheet.columns, row, strict=True)) for row in sheet.rows],
        }
        for sheet in sheets
    ]
    path.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")


@contextmanager
def step(what: str) -> Iterator[None]:
    """Say on stderr what is being done, and how long it took."""
    print(f"{what} …", end="", file=sys.stderr, flush=True)
    start = time.perf_counter()
    yield
    print(f" {time.perf_counter() - start:.1f} s", file=sys.stderr, flush=True)
