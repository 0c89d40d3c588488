"""Rows of extents: the union of the footprints of all scenes in a deep partition.

What never fills never stops: a tile at the edge of 1,500 scenes would read all 1,500 rows. With an
extent it stops where nothing of it shows in what is left of the tile.

| row    | pk                             | sk                 | attributes                    |
|--------|--------------------------------|--------------------|-------------------------------|
| extent | `{m}#extent.{since}#{quadkey}` | `cell`, `coarse`   | `footprint`, `complete`,      |
|        |                                |                    | `revision`; perhaps `top`,    |
|        |                                |                    | `top_after`, `top_begun`      |
| named  | `{m}#extents.{since}`          | `{kind}#{quadkey}` |                               |
| closed | `{m}#closed.{since}`           | `closed`           | `expires`                     |

`{m}` stands for `{mosaic}.{generation}`, and `{since}` is `Mosaic.marked_since`. `footprint` is
encoded by `covering`; None where the row was just made.

**An extent lacks no scene that a reader must show.** It only grows, and is never deleted while its
`{since}` is that of the mosaic. Who makes one writes a row that is not `complete`, then reads the
partition, then completes it. Each change of a scene has a stale row (`index.overviews`), which is
deleted only after all extents that were there by then have the scene. So each committed scene has a
stale row, or is in every extent that was there when that was deleted; and one that was made later
has read it in the partition. A reader asks for stale rows first, for the mosaic next, and for
extents then, all as of now: where no stale row touches the area, and the mosaic still has the same
`{since}`, the extents have every scene that was committed before.

**Rows on top** (`index.extents.top`) are kept where footprints wander. The promise is: each row
after `top_after` in the order of the partition is one of `top`, or lies inside of what the ones
of `top` above it cover together. It says nothing of rows that are gone since: a reader makes sure
that the ones it relies on are still there as they were, has read all rows up to `top_after`, and
reads on as if there were none where that is not so. Who makes them writes `top_begun`, then reads
the partition, then adds what it found, unless another one has begun since: a scene that changed
meanwhile was added by the builder who took its stale row. None are kept where a moved row is
believed.

Overviews that are turned on again have another `{since}`. Extents of the one before are deleted:
*named* rows list all of them, and are written with them. They are *closed* first, as a set of
overview cells is: none is made from then on, and one that is gone stays so, however late its
builder is.
"""

from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, NamedTuple, Self

from livemosaic.errors import NotFoundError
from livemosaic.index.extents.top import TopRow, from_bytes, to_bytes
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.overviews import CLOSED_S, OverviewRows, regions_around
from livemosaic.index.partitions import Area
from livemosaic.index.schema import mosaic_prefix, partition
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Part
from livemosaic.table import ABSENT, Equals, Expect, Item, Key, Put, Table
from livemosaic.table.groups import RowGroup

_REGION: Final = 3
_MOST_REGIONS: Final = 8
_MOST_MARKS: Final = 100
"""Stale rows of a region that a reader looks at; where there are more, extents are not known."""


class PartitionName(NamedTuple):
    """A partition of cell or coarse rows."""

    kind: str
    """`cell` or `coarse`."""
    quadkey: str

    @classmethod
    def of(cls, pk: str) -> Self:
        """The name of a partition by its key."""
        _, kind, quadkey = pk.split("#")
        return cls(kind, quadkey)


@dataclass(frozen=True, slots=True)
class PartitionExtent:
    """Where scenes of a partition may lie."""

    name: PartitionName
    footprint: bytes | None = None
    """As stored of scenes in the cell; None where nothing is known."""
    complete: bool = False
    """Whether all scenes lie in it, not only the ones that changed since it was begun."""
    revision: int = 0
    """Of the row as read; 0 where there is none yet."""
    top: tuple[TopRow, ...] | None = None
    """The rows that hide all others after `top_after`, as far as they are known; None where nobody
    has looked for them."""
    top_after: str | None = None
    """A sort key; None where `top` is not known, or not worth it."""
    top_begun: int | None = None
    """The revision with which its maker began; None where nobody makes `top`."""

    @property
    def part(self) -> Part | None:
        """The footprint outside of which no scene lies; None where that is not known."""
        is_known = self.complete and self.footprint is not None
        return (self.name.quadkey, self.footprint or b"") if is_known else None

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row, with the next revision."""
        top = None if self.top is None else to_bytes(self.top)
        of_top = {"top": top, "top_after": self.top_after, "top_begun": self.top_begun}
        return {
            "footprint": self.footprint,
            "complete": self.complete,
            "revision": self.revision + 1,
            **{name: value for name, value in of_top.items() if value is not None},
        }

    @classmethod
    def from_item(cls, name: PartitionName, item: Item | None) -> Self:
        """The value of a row, or of its absence."""
        if item is None:
            return cls(name)
        top = item.get("top")
        return cls(
            name,
            item["footprint"],
            item["complete"],
            item["revision"],
            None if top is None else from_bytes(top),
            item.get("top_after"),
            item.get("top_begun"),
        )


@dataclass(frozen=True, slots=True)
class ExtentRows:
    """The extents of partitions, in a `Table`."""

    table: Table
    mosaics: Mosaics

    def get(self, mosaic: Mosaic, name: PartitionName) -> PartitionExtent:
        """The extent of a partition as of now; of revision 0 where there is none."""
        return PartitionExtent.from_item(name, self.table.get(_key(mosaic, name)))

    def put(self, mosaic: Mosaic, extent: PartitionExtent) -> None:
        """Write an extent, if its row is as it was read.

        Raises `ConditionFailedError` where it is not, or where a new one comes after `close`.
        """
        expect: Expect = Equals("revision", extent.revision) if extent.revision else ABSENT
        put = Put(_key(mosaic, extent.name), extent.to_item(), expect)
        group = extent_group(self.table, mosaic, mosaic.marked_since)
        group.put(put, "#".join(extent.name), is_new=not extent.revision)

    def close(self, mosaic: Mosaic, since: int, now: float) -> None:
        """Refuse all new extents of an earlier `marked_since` from now on, in epoch seconds."""
        extent_group(self.table, mosaic, since).close(int(now) + CLOSED_S)

    def names(self, mosaic: Mosaic, since: int) -> Iterator[PartitionName]:
        """The names of all extents of a `marked_since` that were not deleted, as of now.

        With the ones of tallies (`extents.tallies`), which are of another kind.
        """
        return (
            PartitionName(*name.split("#"))
            for name in extent_group(self.table, mosaic, since).names()
        )

    def delete(self, mosaic: Mosaic, since: int, name: PartitionName) -> None:
        """Delete an extent that is closed; what was interrupted can be repeated."""
        extent_group(self.table, mosaic, since).delete(_key_of(mosaic, since, name), "#".join(name))

    def glance(
        self, mosaic: Mosaic, names: Collection[PartitionName]
    ) -> Mapping[PartitionName, PartitionExtent]:
        """The extents of partitions that are known, by name: a second or so old, and no promise."""
        keys = {name: _key(mosaic, name) for name in names}
        items = self.table.batch_get([*keys.values()])
        found = (PartitionExtent.from_item(name, items.get(key)) for name, key in keys.items())
        return {each.name: each for each in found if each.part is not None}

    def known(
        self, mosaic: Mosaic, names: Collection[PartitionName], area: Area
    ) -> Mapping[PartitionName, PartitionExtent]:
        """The extents of partitions that are known, by name.

        They have every scene of an area that was committed before the call. None where one changed
        a moment ago, and the builder has not looked at it.
        """
        if _is_marked(OverviewRows(self.table), mosaic, area) or not self.is_marking(mosaic):
            return {}
        found = (self.get(mosaic, name) for name in names)
        return {each.name: each for each in found if each.part is not None}

    def is_marking(self, mosaic: Mosaic) -> bool:
        """Whether changes are marked until now: overviews may have been turned off a moment ago."""
        try:
            now = self.mosaics.get(mosaic.id)
        except NotFoundError:
            return False
        since = mosaic.generation, mosaic.marked_since
        return (now.generation, now.marked_since) == since


def extent_group(table: Table, mosaic: Mosaic, since: int) -> RowGroup:
    """The rows that are deleted together: extents and tallies of a `marked_since`."""
    prefix = mosaic_prefix(mosaic)
    return RowGroup(table, f"{prefix}extents.{since}", Key(f"{prefix}closed.{since}", "closed"))


def _is_marked(rows: OverviewRows, mosaic: Mosaic, area: Area) -> bool:
    """Whether a scene of an area may have changed since the builder looked, as of now."""
    tiles = {c.quadkey for b in area.boxes for c in area.grid.cells_of(b, max(_REGION, area.zoom))}
    regions = set[str]().union(*(regions_around(tile[:_REGION]) for tile in tiles))
    if len(regions) > _MOST_REGIONS:
        return True
    for region in sorted(regions):
        marks = [*rows.stale(mosaic, region, _MOST_MARKS)]
        changed = (cell for mark in marks if not mark.tries for cell in mark.cells)
        if len(marks) == _MOST_MARKS or any(_meet(c, tile) for c in changed for tile in tiles):
            return True
    return False


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)


def _key(mosaic: Mosaic, name: PartitionName) -> Key:
    return _key_of(mosaic, mosaic.marked_since, name)


def _key_of(mosaic: Mosaic, since: int, name: PartitionName) -> Key:
    return Key(partition(mosaic, f"extent.{since}", name.quadkey), name.kind)
