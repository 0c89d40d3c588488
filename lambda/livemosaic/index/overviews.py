"""Rows of live overviews: cells of pixels for low zooms, and marks that say which are outdated.

An overview cell stands for all scenes below it. It is a tile of every third zoom (a rung), kept as
one COG of source values per asset. Every change of a scene writes a stale row in its own
transaction; a builder makes the cells under it anew, and then deletes the stale rows that it read.

Rows, `m` standing for `{mosaic}.{generation}`:

| row      | pk                             | sk              | attributes                       |
|----------|--------------------------------|-----------------|----------------------------------|
| stale    | `{m}#stale#{region}`           | `{due}#{token}` | `scene`, `version`, `cells`,     |
|          |                                |                 | `tries`                          |
| overview | `{m}#overview.{set}#{quadkey}` | `0#{quadkey}`   | `version`, `datetime`, `images`, |
|          |                                |                 | `revision`, `of`, `kinds`,       |
|          |                                |                 | `notes`, `was`, `retired`        |
| made     | `{m}#made.{set}`               | `0#{quadkey}`   |                                  |
| closed   | `{m}#closed.{set}`             | `closed`        | `expires`                        |

`{due}` is the moment in milliseconds from which the row counts, 15 digits, and `{token}` random:
no two writes share a row, so none of them waits for another, and deleting a row that was read
deletes no other. `{region}` is the tile of zoom 3 around its cells, or the first one in the
smallest tile around them. `cells` are the index cells at the scene's level, before and after the
change.

The `version` of an overview row is the digest of its objects, empty where there are none;
`datetime` is when they were made, and `images` has them by the assets that they show together. Its
`revision` grows with every write, and the row is never deleted while its set is in use: who writes
it expects the revision that he read. `of` has what each block was made of, `kinds` what these show
and the types of their values, `notes` what they do not show (`cells.notes`; absent where that is
nothing), `was` the objects before, each with the moment until when readers may need it. A `retired`
row stands for no cell: scenes are read instead.

The *made* rows of a set name all of its cells, and are written with them: so a set can be deleted
without a scan. It is *closed* before: no cell is made from then on, however late its builder is.
"""

import secrets
from collections.abc import Callable, Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from os.path import commonprefix
from typing import Any, Final, Self

from livemosaic.geo.cells import Cell
from livemosaic.geo.covering import WHOLE
from livemosaic.index.cells.notes import Notes, of_texts, to_texts
from livemosaic.index.schema import Head, Tombstone, mosaic_prefix, partition
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.model.scene import IndexedScene
from livemosaic.table import ABSENT, Delete, Equals, Expect, Item, Key, Put, Row, Table
from livemosaic.table.groups import RowGroup, rows_of

RUNG: Final = 3
"""Zooms from a rung of overview cells to the next: a cell has `4 ** RUNG` blocks."""
BLOCK: Final = 256
"""Pixels of the edge of a block; a block of a cell is a tile `RUNG` zooms deeper."""
REGIONS: Final = tuple(Cell(3, x, y).quadkey for y in range(8) for x in range(8))
"""The names of all partitions of stale rows of a mosaic."""
KEPT_S: Final = 600
"""How long objects and sets stay after they were replaced: far longer than any request lives."""
_RANK: Final = "0"
CLOSED_S: Final = 60 * 24 * 3600
"""How long a set, or extents, stay closed: longer than any builder is held up."""


@dataclass(frozen=True, slots=True)
class StaleRow:
    """A mark that the overview cells around some index cells are outdated."""

    key: Key
    scene: str
    """The key of the scene that changed; empty where no scene did."""
    version: str
    cells: tuple[str, ...]
    """Quadkeys; the empty one is the whole world."""
    tries: int = 0
    """How often the cells were made without a scene that could not be read."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """The value of a row of a stale partition."""
        item = row.item
        return cls(row.key, item["scene"], item["version"], tuple(item["cells"]), item["tries"])

    @property
    def due(self) -> float:
        """Epoch seconds from which on it counts."""
        return int(self.key.sk.partition("#")[0]) / 1000

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row."""
        return {
            "scene": self.scene,
            "version": self.version,
            "cells": list(self.cells),
            "tries": self.tries,
        }


def stale_row(
    mosaic: Mosaic,
    cells: Iterable[str],
    due: float,
    scene: str = "",
    version: str = "",
    tries: int = 0,
) -> StaleRow:
    """A new mark of some cells; `due` in epoch seconds."""
    marked = tuple(dict.fromkeys(cells))
    key = Key(_stale_partition(mosaic, region_of(marked)), f"{round(due * 1000):015}#{_token()}")
    return StaleRow(key, scene, version, marked, tries)


def changed(
    mosaic: Mosaic,
    before: Head | Tombstone | None,
    after: Head | Tombstone,
    clock: Callable[[], float],
) -> list[Put]:
    """The mark of a changed scene, to be written with it; none in a mosaic without overviews."""
    cells = _cells_of(mosaic, before, after)
    if not cells:
        return []
    row = stale_row(mosaic, cells, clock(), after.key, after.version)
    return [Put(row.key, row.to_item())]


def region_changed(mosaic: Mosaic, before: Head | Tombstone | None, after: Head | Tombstone) -> str:
    """The region of the mark of a changed scene; empty where none is written."""
    cells = _cells_of(mosaic, before, after)
    return region_of(cells) if cells else ""


def _cells_of(
    mosaic: Mosaic, before: Head | Tombstone | None, after: Head | Tombstone
) -> tuple[str, ...]:
    had = before.cells if isinstance(before, Head) else ()
    has = after.cells if isinstance(after, Head) else ()
    return () if mosaic.overviews is None else (*had, *has)


def region_of(cells: Sequence[str]) -> str:
    """The region of a mark: of the smallest tile around its cells, as `regions_around`."""
    return _region(commonprefix(cells))  # noqa: RUF071 - of quadkeys, not of paths


def regions_around(quadkey: str) -> set[str]:
    """The regions of all marks that may have a cell around, equal to or within a tile.

    The tile is of zoom 3 or deeper: one region for the marks that lie in its ancestor of zoom 3,
    and up to three for marks that reach beyond that.
    """
    return {_region(quadkey[:zoom]) for zoom in range(4)}


def _region(quadkey: str) -> str:
    """The ancestor of a tile at zoom 3, or the first tile of zoom 3 within it."""
    return quadkey[:3].ljust(3, "0")


def _stale_partition(mosaic: Mosaic, region: str) -> str:
    return partition(mosaic, "stale", region)


def _token() -> str:
    return secrets.token_hex(4)


@dataclass(frozen=True, slots=True)
class ReplacedObject:
    """An object that an overview cell had before, and until when readers may need it."""

    href: str
    until: int
    """Epoch seconds."""


@dataclass(frozen=True, slots=True, kw_only=True)
class CellImage:
    """What an overview cell shows of some assets together: of scenes that have all of them."""

    names: tuple[str, ...]
    """Of the assets."""
    assets: Mapping[str, str] = field(default_factory=dict)
    """Href of a COG by asset; none where nothing shows."""
    apart: tuple[tuple[str, ...], ...] = ()
    """Assets that show other scenes without the rest: so may every part of each of these."""
    mixed: bool = False
    """Whether scenes disagree in scale and offset: the numbers are as each stores its own."""
    colors: bool = False
    """Whether values are colors of a palette, not the numbers that scenes store."""
    renumbered: bool = False
    """Whether scenes disagree in the numbers of their bands, or a single band stands for several.
    Of cells of earlier formats: whether bands have other numbers than in the files of scenes."""
    counts: tuple[int, ...] = ()
    """Bands of each asset; none where nothing shows, and of cells of earlier formats."""
    numbers: Mapping[str, tuple[int, ...]] = field(default_factory=dict)
    """Of the bands of an asset in the files of scenes, where they are not 1, 2, 3, …."""

    def serves(self, assets: Collection[str]) -> bool:
        """Whether a request for some assets shows the same pixels of them."""
        asked = set(assets)
        if not asked < set(self.names):
            return asked == set(self.names)
        return not any(asked <= set(each) for each in self.apart)

    def to_item(self) -> dict[str, Any]:
        """The image as the row of its cell keeps it."""
        marks, numbers = ("mixed", "colors", "renumbered"), self.numbers.items()
        return {
            "names": list(self.names),
            "assets": dict(self.assets),
            **({"apart": [list(each) for each in self.apart]} if self.apart else {}),
            **{mark: True for mark in marks if getattr(self, mark)},
            **({"counts": list(self.counts)} if self.counts else {}),
            **({"numbers": {name: [*own] for name, own in numbers}} if numbers else {}),
        }

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """The image that a row keeps."""
        return cls(
            names=tuple(item["names"]),
            assets=item["assets"],
            apart=tuple(map(tuple, item.get("apart", ()))),
            mixed=item.get("mixed", False),
            colors=item.get("colors", False),
            renumbered=item.get("renumbered", False),
            counts=tuple(item.get("counts", ())),
            numbers={name: tuple(own) for name, own in item.get("numbers", {}).items()},
        )

    @classmethod
    def from_old_item(cls, item: Item) -> Self:
        """The only image of a row of the first format, which served all assets together.

        It was no matter then whether bands have other numbers.
        """
        names = tuple(item["assets"])
        return cls(
            names=names,
            assets=item["assets"],
            apart=(names,),
            mixed=item["mixed"],
            colors=item["colors"],
            renumbered=True,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class OverviewCell:
    """An overview cell: the pixels of all scenes in a tile, at low resolution."""

    quadkey: str
    revision: int = 0
    """Of the row as read; 0 where there is none yet."""
    digest: str = ""
    """Of the objects; empty where no scene shows in the cell."""
    images: tuple[CellImage, ...] = ()
    """By the assets that they show together, all assets of the set first."""
    of: Mapping[str, str] = field(default_factory=dict)
    """What each block was made of, by the last digits of its quadkey; blocks without scenes are
    not named. See `overviews.blocks`."""
    kinds: Sequence[str] = ()
    """What its blocks show together, and of which type; see `overviews.together`."""
    notes: Mapping[str, Notes] = field(default_factory=dict)
    """What its blocks do not show, or in gray, by the last digits of their quadkeys."""
    built: str = ""
    """RFC 3339 time at which the objects were made."""
    was: Sequence[ReplacedObject] = ()
    retired: bool = False

    @property
    def zoom(self) -> int:
        """The zoom of the tile that the cell is."""
        return len(self.quadkey)

    @property
    def hrefs(self) -> list[str]:
        """Of all its objects."""
        return [href for image in self.images for href in image.assets.values()]

    def image_of(self, assets: Collection[str]) -> CellImage | None:
        """The image that a request for some assets shows; None where only scenes can tell."""
        return next((image for image in self.images if image.serves(assets)), None)

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row, with the next revision."""
        return {
            "version": self.digest,
            "datetime": self.built,
            "images": [image.to_item() for image in self.images],
            "revision": self.revision + 1,
            "of": dict(self.of),
            "kinds": list(self.kinds),
            **({"notes": to_texts(self.notes)} if self.notes else {}),
            "was": [[each.href, each.until] for each in self.was],
            "retired": self.retired,
        }

    @classmethod
    def from_item(cls, quadkey: str, item: Item) -> Self:
        """The value of a row, by its quadkey."""
        return cls(
            quadkey=quadkey,
            revision=item["revision"],
            digest=item["version"],
            images=_images(item),
            of=item["of"],
            kinds=tuple(item["kinds"]),
            notes=of_texts(item.get("notes", ())),
            built=item["datetime"],
            was=tuple(ReplacedObject(href, until) for href, until in item["was"]),
            retired=item["retired"],
        )

    def scene(self, image: CellImage) -> IndexedScene:
        """The cell as a scene that covers its whole tile; its key has no `#`, as all others do."""
        return IndexedScene(
            f"overview/{self.quadkey}",
            _RANK,
            self.digest,
            self.built,
            image.assets,
            {},
            ((self.quadkey, WHOLE),),
        )


def _images(item: Item) -> tuple[CellImage, ...]:
    if "images" in item:
        return tuple(map(CellImage.from_item, item["images"]))
    return (CellImage.from_old_item(item),) if item["assets"] else ()


@dataclass(frozen=True, slots=True)
class OverviewRows:
    """The overview cells and the stale rows of mosaics, in a `Table`."""

    table: Table

    def cell(self, mosaic: Mosaic, cells: OverviewSet, quadkey: str) -> OverviewCell:
        """A cell as of now; one of revision 0 and without assets where there is no row."""
        item = self.table.get(_key(mosaic, cells, quadkey))
        if item is None:
            return OverviewCell(quadkey=quadkey)
        return OverviewCell.from_item(quadkey, item)

    def standing(
        self, mosaic: Mosaic, cells: OverviewSet, quadkeys: Collection[str]
    ) -> dict[str, OverviewCell]:
        """The cells among some that stand for their scenes, by quadkey: made, and not retired.

        One batch, eventually consistent: a second or so behind a write.
        """
        keys = {quadkey: _key(mosaic, cells, quadkey) for quadkey in sorted(quadkeys)}
        items = self.table.batch_get([*keys.values()])
        found = {
            quadkey: OverviewCell.from_item(quadkey, items[key])
            for quadkey, key in keys.items()
            if key in items
        }
        return {quadkey: cell for quadkey, cell in found.items() if not cell.retired}

    def put(self, mosaic: Mosaic, cells: OverviewSet, cell: OverviewCell) -> OverviewCell:
        """Write a cell, if its row is as it was read; returns it as it is now.

        Raises `ConditionFailedError` where another builder came first, or the set is closed.
        """
        expect: Expect = Equals("revision", cell.revision) if cell.revision else ABSENT
        item, key = cell.to_item(), _key(mosaic, cells, cell.quadkey)
        put = Put(key, item, expect)
        self._group(mosaic, cells).put(put, _name(cell.quadkey), is_new=not cell.revision)
        return OverviewCell.from_item(cell.quadkey, item)

    def stale(self, mosaic: Mosaic, region: str, limit: int | None = None) -> Iterator[StaleRow]:
        """The stale rows of a region as of now, the earliest due first."""
        rows = rows_of(self.table, _stale_partition(mosaic, region))
        return map(StaleRow.from_row, islice(rows, limit))

    def waiting(self, mosaic: Mosaic, region: str, limit: int) -> list[StaleRow]:
        """At most `limit` stale rows of a region, the earliest due first: one query.

        For readers: eventually consistent, a second or so behind a write.
        """
        page = self.table.query(_stale_partition(mosaic, region), limit=limit)
        return [*map(StaleRow.from_row, page.rows)]

    def mark(self, row: StaleRow) -> None:
        """Write a stale row."""
        self.table.transact([Put(row.key, row.to_item())])

    def settle(self, rows: Iterable[StaleRow]) -> None:
        """Delete stale rows, each on its own, which costs half of a transaction."""
        for row in rows:
            self.table.transact([Delete(row.key)])

    def close(self, mosaic: Mosaic, cells: OverviewSet, now: float) -> None:
        """Refuse all new cells of a set from now on; `now` in epoch seconds."""
        self._group(mosaic, cells).close(int(now) + CLOSED_S)

    def made(self, mosaic: Mosaic, cells: OverviewSet) -> Iterator[str]:
        """The quadkeys of all cells of a set that were ever made and not deleted, as of now."""
        return (name.partition("#")[2] for name in self._group(mosaic, cells).names())

    def delete(self, mosaic: Mosaic, cells: OverviewSet, quadkey: str) -> None:
        """Delete the rows of a cell of a closed set; what was interrupted can be repeated."""
        self._group(mosaic, cells).delete(_key(mosaic, cells, quadkey), _name(quadkey))

    def rows(self, mosaic: Mosaic, cells: OverviewSet) -> Iterator[OverviewCell]:
        """All rows of a set, by their quadkeys, as of now."""
        for quadkey in self.made(mosaic, cells):
            yield self.cell(mosaic, cells, quadkey)

    def _group(self, mosaic: Mosaic, cells: OverviewSet) -> RowGroup:
        prefix = mosaic_prefix(mosaic)
        closed = Key(f"{prefix}closed.{cells.id}", "closed")
        return RowGroup(self.table, f"{prefix}made.{cells.id}", closed)


def ended(mosaic: Mosaic, now: float) -> tuple[OverviewSet, ...]:
    """The sets of a mosaic without overviews from now on, epoch seconds: all are to be deleted.

    One without cells is added where none was in use, as stale rows are to be deleted, too.
    """
    used = [each for each in mosaic.overview_sets if each.state != "replaced"]
    if not used and mosaic.overviews is not None:
        used = [OverviewSet(id=_token(), policy=mosaic.overviews, rule={}, format=0)]
    before = [each for each in mosaic.overview_sets if each.state == "replaced"]
    return (*before, *(replaced(each, now) for each in used))


def replaced(cells: OverviewSet, now: float) -> OverviewSet:
    """A set that is to be deleted, once no reader can need it any more."""
    return replace(cells, state="replaced", until=int(now) + KEPT_S)


def is_of_cells(key: Key) -> bool:
    """Whether a row of a mosaic is of the cells of a set, or an extent: deleted with the set."""
    kinds = "overview", "made", "closed", "extent", "extents"
    return key.pk.split("#")[1].partition(".")[0] in kinds


def _name(quadkey: str) -> str:
    return f"{_RANK}#{quadkey}"


def _key(mosaic: Mosaic, cells: OverviewSet, quadkey: str) -> Key:
    return Key(partition(mosaic, f"overview.{cells.id}", quadkey), _name(quadkey))
