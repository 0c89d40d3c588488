"""The rows of a mosaic's scenes in the table: their keys, their attributes, and values for them.

Rows of a mosaic, `m` standing for `{mosaic}.{generation}`:

| row       | pk                     | sk               | attributes                       |
|-----------|------------------------|------------------|----------------------------------|
| head      | `{m}#scenes#{shard}`   | `{scene}`        | C and `rank`, `cells`, `coarse`, |
|           |                        |                  | `geometry` (WKB, lon and lat),   |
|           |                        |                  | `written`, `moved`, `area`       |
| tombstone | `{m}#scenes#{shard}`   | `{scene}`        | `version`, `deleted`, `expires`, |
|           |                        |                  | `area`                           |
| cell      | `{m}#cell#{quadkey}`   | `{rank}#{scene}` | C and `footprint` (`covering`)   |
| coarse    | `{m}#coarse#{quadkey}` | `{rank}#{scene}` | C and `footprint`                |
| moved     | of a cell or coarse    | of that row      | C, `footprint`, `expires` and    |
|           |                        |                  | `moved` (the rank it has now)    |

C: `version`, `datetime`, `assets` (href by key) or `base` and `files` (`formats.hrefs`),
`properties`; where the Item states any,
`encodings` (text, see `model.raster`); and where assets are not of the mosaic's kind, `other_kinds`
(text by key, see `meanings`). `{scene}` is `{collection}#{id}`, `expires` epoch seconds, `cells`
and `coarse` lists of quadkeys. `written` is the version in the scene's rows; later events of equal
content raise `version` alone, and rows that are made anew by the same event have a version with a
mark (`model.order.remade`), so that a version names one state of a scene's rows. `moved` of a head
lists its moved rows (kind, quadkey, rank, `expires`); `area` is the stamp of the last change in the
feed (`feed.rows`), and its box: west, south, east, north; rows of earlier releases have none. Cell,
coarse and moved rows also have the `centre` of the whole footprint, longitude and latitude, which
the part in one cell does not show, and where the footprint does not hold it, a place `inside`.

A row that lacks an attribute raises `KeyError` when it is read.

Rows of no mosaic:

| row       | pk                     | sk               | attributes                       |
|-----------|------------------------|------------------|----------------------------------|
| header    | `header#{hash}`        | `header`         | `bytes` (see `headers`) and the  |
|           |                        |                  | `length`, `etag`, `modified` of  |
|           |                        |                  | the object                       |
| thing     | `thing#{hash}`         | `thing`          | `name`, `sequence`, `order`,     |
|           |                        |                  | `held`, `left`, `seen`,          |
|           |                        |                  | `revision` (`tracked_objects`);  |
|           |                        |                  | `expires` of one that holds no   |
|           |                        |                  | Item                             |

`{hash}` is the BLAKE2b hash, 32 hexadecimal digits, of an asset's href or a tracked object's name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType
from typing import Any, Final, Literal, NamedTuple, Self

import shapely

from livemosaic.geo.covering import Cover
from livemosaic.geo.footprint import centre, inside
from livemosaic.index.formats.hrefs import assets_of, shortened
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox, LonLat
from livemosaic.model.scene import Scene
from livemosaic.table import ABSENT, Equals, Item, Key, Put, Row

SHARDS: Final = 16
"""Partitions of a mosaic's heads: 16 times a partition's 1,000 write units a second."""


def partition(mosaic: Mosaic, kind: str, name: str) -> str:
    """The partition of `cell` or `coarse` rows of a quadkey, or of heads (`scenes`) of a shard."""
    return f"{mosaic_prefix(mosaic)}{kind}#{name}"


def mosaic_prefix(mosaic: Mosaic) -> str:
    """The prefix of all partitions of a mosaic, and of no others."""
    return f"{mosaic.id}.{mosaic.generation}#"


def head_partitions(mosaic: Mosaic) -> list[str]:
    """All partitions that hold heads of a mosaic."""
    shards = range(SHARDS)
    return [partition(each, "scenes", str(shard)) for each in mosaic.stored for shard in shards]


def head_key(mosaic: Mosaic, scene: str) -> Key:
    """The key of a scene's head or tombstone, by the key of the scene."""
    digest = hashlib.blake2b(scene.encode(), digest_size=2).digest()
    return Key(partition(mosaic, "scenes", str(int.from_bytes(digest) % SHARDS)), scene)


class Place(NamedTuple):
    """The key of a cell or coarse row within a scene's rows, and until when readers may need it."""

    kind: str
    """`cell` or `coarse`."""
    quadkey: str
    rank: str
    expires: int = 0
    """Epoch seconds."""

    def key(self, mosaic: Mosaic, scene: str) -> Key:
        """The key in the table of the row of a scene, by the scene's key."""
        return Key(partition(mosaic, self.kind, self.quadkey), self.sk(scene))

    def sk(self, scene: str) -> str:
        """The sort key of that row."""
        return f"{self.rank}#{scene}"


class ChangedArea(NamedTuple):
    """Where the last change of a scene shows, and the stamp of its row in the change feed."""

    stamp_ms: int
    """Epoch milliseconds."""
    bbox: BBox
    """Degrees; west > east across ±180."""

    def to_item(self) -> list[float]:
        """The attribute of a head or tombstone."""
        return [self.stamp_ms, *self.bbox]


def _parse_area(item: Item) -> ChangedArea | None:
    if (values := item.get("area")) is None:
        return None
    stamp_ms, west, south, east, north = values
    return ChangedArea(int(stamp_ms), (west, south, east, north))


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The row of a deleted scene, in place of its head."""

    key: str
    """The key of the scene."""
    version: str
    expires: int
    """Epoch seconds."""
    area: ChangedArea | None = None
    """None where nothing was shown before."""

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row."""
        area = {} if self.area is None else {"area": self.area.to_item()}
        return {"version": self.version, "deleted": True, "expires": self.expires, **area}


@dataclass(frozen=True, slots=True)
class Head:
    """The row that holds a whole scene, and names its cell, coarse and moved rows."""

    scene: Scene
    written: str
    """The version in the scene's rows: older where a later event had equal content."""
    cells: Sequence[str]
    coarse: Sequence[str]
    moved: Sequence[Place] = ()
    """Where moves left rows behind."""
    area: ChangedArea | None = None
    """None in rows of earlier releases."""

    @property
    def key(self) -> str:
        """The key of the scene."""
        return self.scene.key

    @property
    def version(self) -> str:
        """The version of the scene."""
        return self.scene.version

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row, with whole hrefs."""
        area = {} if self.area is None else {"area": self.area.to_item()}
        return {
            **_content(self.scene),
            **area,
            "written": self.written,
            "rank": self.scene.rank,
            "cells": list(self.cells),
            "coarse": list(self.coarse),
            "geometry": shapely.to_wkb(self.scene.footprint),
            "moved": [list(place) for place in self.moved],
        }

    def places(self, expires: int = 0) -> Iterator[Place]:
        """Where the scene's cell and coarse rows are, without its moved rows."""
        yield from (Place("cell", quadkey, self.scene.rank, expires) for quadkey in self.cells)
        yield from (Place("coarse", quadkey, self.scene.rank, expires) for quadkey in self.coarse)

    def row_keys(self, mosaic: Mosaic) -> list[Key]:
        """The keys of the cell and coarse rows."""
        return [place.key(mosaic, self.key) for place in self.places()]


def parse_head(key: str, item: Item) -> Head | Tombstone:
    """The head or tombstone of a scene, by the key of the scene."""
    if item.get("deleted"):
        return Tombstone(key, item["version"], item["expires"], _parse_area(item))
    collection, _, scene_id = key.partition("#")
    scene = Scene(
        collection=collection,
        id=scene_id,
        version=item["version"],
        footprint=shapely.from_wkb(item["geometry"]),
        rank=item["rank"],
        datetime=item["datetime"],
        assets=assets_of(item),
        properties=item["properties"],
        encodings=item.get("encodings", ""),
        other_kinds=item.get("other_kinds", {}),
    )
    moved = [Place(*place) for place in item["moved"]]
    area = _parse_area(item)
    return Head(scene, item["written"], item["cells"], item["coarse"], moved, area)


def put_head(
    mosaic: Mosaic, head: Head | Tombstone, expect: Equals | Literal["absent"] | None = None
) -> Put:
    """The write of a head or tombstone, in the format of its mosaic."""
    return Put(head_key(mosaic, head.key), shortened(mosaic, head.to_item()), expect)


def unchanged(head: Head | Tombstone | None) -> Equals | Literal["absent"]:
    """The expectation that a head, or its absence, has not changed since it was read."""
    return ABSENT if head is None else Equals("version", head.version)


class CellRow(NamedTuple):
    """A scene as a cell or coarse row, or a moved row in the place of one, holds it.

    A tuple, as a tile of a low zoom reads thousands: a frozen dataclass takes far longer.
    """

    place: Place
    """The rank is the one in the row's key; `expires` counts in moved rows only."""
    scene: str
    """The key of the scene."""
    version: str
    datetime: str | None
    assets: Mapping[str, str]
    properties: Mapping[str, Any]
    footprint: bytes
    """The part inside the cell, encoded by `covering`."""
    centre: LonLat | None
    """The centre of the whole footprint; None in rows written before it was kept."""
    moved: str | None
    """The scene's present rank, in a moved row; None in others."""
    encodings: str = ""
    other_kinds: Mapping[str, str] = MappingProxyType({})
    inside: LonLat | None = None
    """A place of a footprint that does not hold its centre; None of others, and in rows written
    before it was kept."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """The value of a row of a cell or coarse partition."""
        _, kind, quadkey = row.key.pk.split("#")
        rank, _, scene = row.key.sk.partition("#")
        item = row.item
        centre, inside, moved = item.get("centre"), item.get("inside"), item.get("moved")
        return cls(
            Place(kind, quadkey, rank, 0 if moved is None else item["expires"]),
            scene,
            item["version"],
            item["datetime"],
            assets_of(item),
            item["properties"],
            item["footprint"],
            (centre[0], centre[1]) if centre else None,
            moved,
            item.get("encodings", ""),
            item.get("other_kinds", {}),
            (inside[0], inside[1]) if inside else None,
        )

    def key(self, mosaic: Mosaic) -> Key:
        """The key in the table."""
        return self.place.key(mosaic, self.scene)

    def put(self, mosaic: Mosaic) -> Put:
        """The write of the row, in the format of its mosaic."""
        return Put(self.key(mosaic), shortened(mosaic, self.to_item()))

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row, with whole hrefs."""
        place = {} if self.centre is None else {"centre": list(self.centre)}
        place |= {} if self.inside is None else {"inside": list(self.inside)}
        moved = {} if self.moved is None else {"moved": self.moved, "expires": self.place.expires}
        return {**_content(self), **place, "footprint": self.footprint, **moved}


def cell_rows(
    scene: Scene, cover: Cover, places: Iterable[Place], moved: str | None = None
) -> Iterator[CellRow]:
    """The rows of a scene at places where its footprint has an area."""
    content = scene.version, scene.datetime, scene.assets, scene.properties
    rest = scene.encodings, scene.other_kinds
    middle = centre(scene.footprint)
    within = inside(scene.footprint, middle)
    for place in places:
        part = cover.part(place.quadkey)
        if part is not None:
            yield CellRow(place, scene.key, *content, part, middle, moved, *rest, within)


def _content(row: Scene | CellRow) -> dict[str, Any]:
    encodings = {"encodings": row.encodings} if row.encodings else {}
    kinds = {"other_kinds": dict(row.other_kinds)} if row.other_kinds else {}
    return {
        "version": row.version,
        "datetime": row.datetime,
        "assets": dict(row.assets),
        "properties": dict(row.properties),
        **encodings,
        **kinds,
    }


def repeats(item: Item, scene: Scene) -> bool:
    """Whether a cell or coarse row, damaged or not, holds what it should repeat of its scene."""
    usual: dict[str, Any] = {"encodings": "", "other_kinds": {}}
    content, stored = usual | _content(scene), {**usual, **item}
    if "files" in item and "base" in item:
        stored["assets"] = assets_of(item)
    return "moved" not in item and {**stored, **content} == stored
