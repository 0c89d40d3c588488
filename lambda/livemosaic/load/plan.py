"""The plan of a load: which Items, in which mosaics, in which units of work. Values only."""

import hashlib
import json
import secrets
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from functools import cached_property
from typing import Any, Final, NamedTuple, Self

from livemosaic.errors import InvalidRequestError
from livemosaic.index.registry.mosaic import from_item, to_item
from livemosaic.model.assets import usual_assets
from livemosaic.model.mosaic import FORMAT, Mosaic

UNIT_ROWS: Final = 20_000
"""Rows of a unit, so that a function of 1,769 MB has some 10 times the time and memory it takes."""
SHARD_ROWS: Final = 1_000_000
"""Rows whose versions are compared in one process: some 300 MB."""


MAX_UNITS: Final = 49_999
"""Objects that one import takes, but for the one with the mosaics (DynamoDB Developer Guide,
"Import format quotas and validation")."""


class Unit(NamedTuple):
    """Some rows of a file, counted from 0, half-open."""

    file: int
    start: int
    stop: int


@dataclass(frozen=True, slots=True)
class ItemFile:
    """A file of stac-geoparquet."""

    name: str
    """A path, or `s3://{bucket}/{key}`."""
    identity: Any
    """As `Parquet.identity`: a file that was replaced is another."""
    written: str
    """RFC 3339 time at which it was written."""
    groups: Sequence[int]
    """Rows of each row group."""

    def units(self, file: int, unit_rows: int = UNIT_ROWS) -> Iterator[Unit]:
        """Yields the units of the file: whole row groups, and parts of larger ones."""
        start = end = 0
        for rows in self.groups:
            if end > start and end + rows - start > unit_rows:
                yield Unit(file, start, end)
                start = end
            end += rows
            while end - start > unit_rows:
                yield Unit(file, start, start + unit_rows)
                start += unit_rows
        if end > start:
            yield Unit(file, start, end)


@dataclass(frozen=True)
class LoadPlan:
    """All that the steps of a load have to know."""

    began: str
    """RFC 3339 time at which the load began, however often it is resumed."""
    files: Sequence[ItemFile]
    rows: Sequence[Mapping[str, Any]]
    """The mosaics as the new table has them before their first scene, as attributes of a row."""
    unit_rows: int = UNIT_ROWS
    shard_rows: int = SHARD_ROWS

    @classmethod
    def of(cls, began: datetime, files: Sequence[ItemFile], mosaics: Sequence[Mosaic]) -> Self:
        """Returns the plan that loads the Items of some files into mosaics made anew.

        Raises `InvalidRequestError` for more than one import takes.
        """
        rows = [to_item(emptied(mosaic)) for mosaic in mosaics]
        plan = cls(began.isoformat(), files, rows)
        if len(plan.units) > MAX_UNITS:
            raise InvalidRequestError(
                f"an import takes {MAX_UNITS:,} objects, and these files make {len(plan.units):,}: "
                "load fewer or larger files"
            )
        return plan

    @classmethod
    def from_json(cls, text: bytes) -> Self:
        """Returns the plan that `to_json` wrote."""
        values = json.loads(text)
        return cls(**{**values, "files": [ItemFile(**each) for each in values["files"]]})

    def to_json(self) -> bytes:
        """Returns the plan as it is kept beside the objects of its load."""
        return json.dumps(asdict(self)).encode()

    @cached_property
    def moment(self) -> datetime:
        """When the load began."""
        return datetime.fromisoformat(self.began)

    @cached_property
    def units(self) -> list[Unit]:
        """All units, in the order in which mosaics learn of their scenes."""
        return [unit for n, file in enumerate(self.files) for unit in file.units(n, self.unit_rows)]

    @cached_property
    def mosaics(self) -> list[Mosaic]:
        """The mosaics before their first scene."""
        return [from_item(row) for row in self.rows]

    @property
    def total(self) -> int:
        """The number of rows in all files."""
        return sum(sum(file.groups) for file in self.files)

    @property
    def shards(self) -> int:
        """The number of shards in which versions are compared."""
        return max(1, -(-self.total * len(self.rows) // self.shard_rows))

    def shard_of(self, digest: str) -> int:
        """Returns the shard of a scene's digest."""
        return int(digest[:8], 16) % self.shards


def emptied(mosaic: Mosaic) -> Mosaic:
    """Returns a mosaic as it is made anew: with its settings, and what tiles of it show.

    It has another generation, by which readers of its changes begin anew. The truncations that it
    remembers keep old Items out as before.
    """
    return replace(
        mosaic,
        generation=secrets.token_hex(4),
        revision=1,
        format=FORMAT,
        bounds=None,
        fit=None,
        levels=(),
        known_assets=(),
        chosen_assets=mosaic.chosen_assets or usual_assets(mosaic.known_assets),
        overview_sets=(),
    )


def digest_of(mosaic: str, key: str) -> str:
    """Returns a hash, 32 hexadecimal digits, of a scene's key in a mosaic."""
    return hashlib.blake2b(f"{mosaic}\0{key}".encode(), digest_size=16).hexdigest()
