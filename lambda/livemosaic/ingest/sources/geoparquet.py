"""The source of STAC Items in stac-geoparquet, with one batch of rows in memory at a time.

pyarrow alone reads it: the library stac-geoparquet needs pandas and geopandas, and rustac reads
whole files and replaces a missing datetime by the present.
"""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import shapely
from shapely.errors import GEOSException

from livemosaic.errors import InvalidRequestError, needs_extra
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket

with needs_extra("geoparquet", "*.parquet"):
    import pyarrow
    from pyarrow.parquet import ParquetFile

_ROWS: Final = 256
"""Rows converted to Items at a time."""
_OF_ITEM: Final = frozenset(
    ("type", "stac_version", "stac_extensions", "id", "bbox", "links", "assets", "collection")
)
"""Columns of an Item's members (stac-geoparquet 1.0), without the geometry."""
_BBOX: Final = ("xmin", "ymin", "zmin", "xmax", "ymax", "zmax")


@dataclass(frozen=True, slots=True)
class Parquet:
    """A file, by its path or as `s3://{bucket}/{key}`."""

    name: str
    allow: AllowList = field(default_factory=AllowList)
    """Names the ways in to buckets."""

    def rows(self) -> int:
        """Returns the number of rows."""
        with self._readable(), self._open() as (file, _):
            rows: int = ParquetFile(file).metadata.num_rows
            return rows

    def groups(self) -> list[int]:
        """Returns the number of rows of each row group."""
        with self._readable(), self._open() as (file, _):
            metadata = ParquetFile(file).metadata
            return [metadata.row_group(n).num_rows for n in range(metadata.num_row_groups)]

    def written(self) -> datetime:
        """Returns when the file or the object was written."""
        with self._readable(), self._open() as (_, written):
            return written

    @property
    def identity(self) -> Any:
        """Name, size, and ETag or modification time."""
        with self._readable():
            if at := _in_s3(self.name, self.allow):
                found = at[0].head(at[1])
                return [self.name, found.size, found.etag]
            stat = Path(self.name).stat()
            return [self.name, stat.st_size, stat.st_mtime_ns]

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. A snapshot, of when the file or the object in S3 was written."""
        row, done = 0, place or 0
        with self._readable(), self._open() as (file, written):
            for batch in ParquetFile(file).iter_batches(_ROWS):
                if row + batch.num_rows > done:
                    skipped = max(done - row, 0)
                    times = min(written, began), began
                    yield from self._entries(batch.slice(skipped), row + skipped, *times)
                row += batch.num_rows

    def read_between(
        self, written: datetime, began: datetime, start: int, stop: int
    ) -> Iterator[Entry]:
        """Yields the entries of the rows from `start` to before `stop`, counted from 0, as `read`.

        Only row groups that have some of them are read; `written` is when the file was.
        """
        with self._readable(), self._open() as (file, _):
            parquet = ParquetFile(file)
            groups, row = _groups_between(parquet.metadata, start, stop)
            for batch in parquet.iter_batches(_ROWS, row_groups=groups):
                first, last = max(start - row, 0), min(stop - row, batch.num_rows)
                if first < last:
                    part = batch.slice(first, last - first)
                    yield from self._entries(part, row + first, min(written, began), began)
                row += batch.num_rows

    def _entries(
        self, batch: pyarrow.RecordBatch, before: int, written: datetime, began: datetime
    ) -> Iterator[Entry]:
        for row, columns in enumerate(_rows(batch), before + 1):
            document, problem = _item(columns)
            order = Order.listed(written, began, row, snapshot=True)
            message = Message(f"{self.name}:{row}", document, began, {}, stated=order)
            mark = Mark(self.name, row)
            yield Entry(message, self.name, row, problem=problem, mark=mark)

    @contextmanager
    def _open(self) -> Iterator[tuple[Any, datetime]]:
        if at := _in_s3(self.name, self.allow):
            bucket, key = at
            yield bucket.file(key), bucket.head(key).modified
            return
        with Path(self.name).open("rb") as file:
            yield file, datetime.fromtimestamp(Path(self.name).stat().st_mtime, UTC)

    @contextmanager
    def _readable(self) -> Iterator[None]:
        try:
            yield
        except ObjectError as error:
            raise InvalidRequestError(f"{self.name} {error}") from error
        except (OSError, pyarrow.ArrowException) as error:  # pyarrow raises both
            reason = getattr(error, "strerror", None) or _first_line(error)
            raise InvalidRequestError(f"cannot read {self.name!r}: {reason}") from error


def _groups_between(metadata: Any, start: int, stop: int) -> tuple[list[int], int]:
    """Returns the row groups that have rows of a range, and the number of rows before them."""
    groups, before, row = [], 0, 0
    for n in range(metadata.num_row_groups):
        end = row + metadata.row_group(n).num_rows
        if end <= start:
            before = end
        elif row < stop:
            groups.append(n)
        row = end
    return groups, before


def _in_s3(name: str, allow: AllowList) -> tuple[Bucket, str] | None:
    if not name.startswith("s3://"):
        return None
    bucket, _, key = name.removeprefix("s3://").partition("/")
    return Bucket(bucket, allow.way_to_bucket(bucket, key)), key


def _rows(batch: pyarrow.RecordBatch) -> list[dict[str, Any]]:
    """Returns rows by column names, with times cut from nanoseconds to Python's microseconds."""
    fields = [_in_microseconds(field) for field in batch.schema]
    rows: list[dict[str, Any]] = batch.cast(pyarrow.schema(fields), safe=False).to_pylist()
    return rows


def _in_microseconds(field: pyarrow.Field) -> pyarrow.Field:
    if pyarrow.types.is_timestamp(field.type):
        return field.with_type(pyarrow.timestamp("us", field.type.tz))
    return field


def _item(row: Mapping[str, Any]) -> tuple[dict[str, Any], str]:
    """Returns the STAC Item of a row, without nulls, and the error of its geometry or ''."""
    item = {"type": "Feature", **_plain({k: row[k] for k in _OF_ITEM if k in row})}
    properties = {k: v for k, v in row.items() if k not in _OF_ITEM and k != "geometry"}
    item["properties"] = {"datetime": None, **_plain(properties)}
    if isinstance(item.get("bbox"), dict):
        item["bbox"] = [item["bbox"][edge] for edge in _BBOX if edge in item["bbox"]]
    try:
        item["geometry"] = _geojson(row["geometry"]) if row.get("geometry") else None
    except (GEOSException, TypeError) as error:
        return item, f"geometry is not WKB: {_first_line(error)}"
    return item, ""


def _plain(value: Any) -> Any:
    """Converts a value to JSON, without nulls: a column of one row is there for all rows."""
    match value:
        case dict():
            return {k: _plain(v) for k, v in value.items() if v is not None}
        case list():
            return [_plain(element) for element in value]
        case datetime():
            return value.isoformat() if value.tzinfo else value.isoformat() + "Z"
        case date() | Decimal():
            return str(value)
        case bytes():  # such as `proj:geometry`, of no use here
            return None
    return value


def _geojson(wkb: bytes) -> Any:
    return json.loads(shapely.to_geojson(shapely.from_wkb(wkb)))


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
