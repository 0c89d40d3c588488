"""Rows of the change feed: one is written in the transaction of each change of a mosaic.

| row  | pk                 | sk                | attributes                                       |
|------|--------------------|-------------------|--------------------------------------------------|
| feed | `{m}#feed#changes` | `{stamp}#{token}` | `kind`, `subject`, `version`, `deleted`, `bbox`, |
|      |                    |                   | `expires`                                        |

`{stamp}` is the writer's clock in milliseconds, 15 digits, read before the transaction begins;
`{token}` follows from the content, so that a repeated write is the same row.

A transaction may be committed long after its stamp, when readers have passed that moment. Readers
therefore stay `SETTLE_S` behind, and a writer whose transaction took longer than `LATE_S` writes
the row again with a new stamp. One that dies between the two leaves the change to the next delivery
of its event, which finds the stamp in the scene's head (`ChangedArea`) and writes the row again.
"""

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final, Literal, Self

from livemosaic.geo.antimeridian import extent, united
from livemosaic.index.schema import ChangedArea, Head, Tombstone, partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.table import Key, Put, Row, Table

Clock = Callable[[], float]
"""Epoch seconds."""

SETTLE_S: Final = 15.0
"""How far readers stay behind: `LATE_S`, and 10 s between the clocks of a writer and a reader."""
LATE_S: Final = 5.0
"""The age of a stamp up to which a commit is in time for all readers."""
KEPT_S: Final = 24 * 3600
"""How long readers can go on from where they were."""
REPEATED_S: Final = 3600
"""How long after a change its event, delivered again, has its row written again."""
_SLACK_S: Final = 3600
WORLD: Final[BBox] = (-180.0, -90.0, 180.0, 90.0)

ChangeKind = Literal["scene", "collection", "mosaic"]
"""What a row is about: a scene, a collection that was truncated, the settings of the mosaic."""


@dataclass(frozen=True, slots=True, kw_only=True)
class FeedRow:
    """A change of a mosaic: where images may differ now."""

    stamp_ms: int
    """Epoch milliseconds of the writer's clock, before the change was committed."""
    bbox: BBox
    """Degrees, west > east across ±180: all that the change covered before, and covers now."""
    kind: ChangeKind = "scene"
    subject: str = ""
    """The key of the scene, or the collection."""
    version: str = ""
    deleted: bool = False

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """The value of a row of the feed's partition."""
        item = row.item
        return cls(
            stamp_ms=int(row.key.sk.partition("#")[0]),
            bbox=tuple(item["bbox"]),
            kind=item["kind"],
            subject=item["subject"],
            version=item["version"],
            deleted=item["deleted"],
        )

    @property
    def id(self) -> str:
        """The sort key: unlike that of any other change."""
        content = f"{self.kind}\0{self.subject}\0{self.version}"
        token = hashlib.blake2b(content.encode(), digest_size=4).hexdigest()
        return f"{position(self.stamp_ms)}#{token}"

    def put(self, mosaic: Mosaic) -> Put:
        """The write of the row."""
        return Put(Key(feed_partition(mosaic), self.id), self._to_item())

    def _to_item(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "subject": self.subject,
            "version": self.version,
            "deleted": self.deleted,
            "bbox": list(self.bbox),
            "expires": self.stamp_ms // 1000 + KEPT_S + _SLACK_S,
        }


def feed_partition(mosaic: Mosaic) -> str:
    """The partition of a mosaic's change feed."""
    return partition(mosaic, "feed", "changes")


def position(stamp_ms: int) -> str:
    """The beginning of the sort keys of all rows of a millisecond; sorts before each of them."""
    return f"{stamp_ms:015}"


def milliseconds(seconds: float) -> int:
    """A moment in whole milliseconds."""
    return round(seconds * 1000)


def area_of_change(
    before: Head | Tombstone | None, after: Head | Tombstone, stamp_ms: int
) -> ChangedArea | None:
    """Where a change of a scene shows, before and after it; None where nothing shows.

    A change shortly before counts in, as its own row may be missing still.
    """
    recent = None if before is None else recent_area(before, stamp_ms)
    boxes = [] if recent is None else [recent]
    boxes += [extent(h.scene.footprint) for h in (before, after) if isinstance(h, Head)]
    if not boxes:
        return None
    bbox = boxes[0]
    for more in boxes[1:]:
        bbox = united(bbox, more)
    return ChangedArea(stamp_ms, bbox)


def recent_area(head: Head | Tombstone, now_ms: int) -> BBox | None:
    """Where the last change of a scene shows, whose writer may not have completed it yet."""
    area = head.area
    return area.bbox if area and now_ms - area.stamp_ms < REPEATED_S * 1000 else None


def row_of(head: Head | Tombstone) -> FeedRow | None:
    """The row of the change that made a head or tombstone; None where nothing shows of it."""
    if head.area is None:
        return None
    return FeedRow(
        stamp_ms=head.area.stamp_ms,
        bbox=head.area.bbox,
        subject=head.key,
        version=head.version,
        deleted=isinstance(head, Tombstone),
    )


def repeat_if_late(table: Table, mosaic: Mosaic, row: FeedRow, clock: Clock) -> None:
    """Write a row just committed again, with a new stamp, until a stamp is in time for readers."""
    while (now := milliseconds(clock())) - row.stamp_ms > LATE_S * 1000:
        row = replace(row, stamp_ms=now)
        table.transact([row.put(mosaic)])


def repeat_if_doubtful(
    table: Table, mosaic: Mosaic, head: Head | Tombstone | None, clock: Clock
) -> None:
    """Write the row of a recent change again, whose writer may have died before it did so."""
    row = None if head is None else row_of(head)
    if row is not None and milliseconds(clock()) - row.stamp_ms < REPEATED_S * 1000:
        repeat_if_late(table, mosaic, row, clock)
