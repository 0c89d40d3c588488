"""The rows of a mosaic's scenes in the table: their keys, their attributes, and values for them.

Rows of a mosaic, `m` standing for `{mosaic}.{generation}`:

| row       | pk                     | sk               | attributes                       |
|-----------|------------------------|------------------|----------------------------------|
| head      | `{m}#scenes#{shard}`   | `{scene}`        | C and `rank`, `cells`, `coarse`, |
|           |                        |                  | `geometry` (WKB, lon and lat),   |
|           |                        |                  | `written`, `moved`               |
| tombstone | `{m}#scenes#{shard}`   | `{scene}`        | `version`, `deleted`, `expires`  |
| cell      | `{m}#cell#{quadkey}`   | `{rank}#{scene}` | C and `footprint` (`covering`)   |
| coarse    | `{m}#coarse#{quadkey}` | `{rank}#{scene}` | C and `footprint`                |
| moved     | of a cell or coarse    | of that row      | C, `footprint`, `expires` and    |
|           |                        |                  | `moved` (the rank it has now)    |

C: `version`, `datetime`, `assets` (href by key), `properties`. `{scene}` is `{collection}#{id}`,
`expires` epoch seconds, `cells` and `coarse` lists of quadkeys. `written` is the version in the
scene's rows; later events of equal content raise `version` alone. `moved` of a head lists its
moved rows (kind, quadkey, rank, `expires`). Cell, coarse and moved rows also have the `centre` of
the whole footprint, longitude and latitude, which the part in one cell does not show.

Rows of no mosaic:

| row       | pk                     | sk               | attributes                       |
|-----------|------------------------|------------------|----------------------------------|
| header    | `header#{hash}`        | `header`         | `bytes` (see `headers`) and the  |
|           |                        |                  | `length`, `etag`, `modified` of  |
|           |                        |                  | the object; `expires`            |
| thing     | `thing#{hash}`         | `thing`          | `name`, `sequence`, `order`,     |
|           |                        |                  | `held`, `left`, `revision` (see  |
|           |                        |                  | `tracked_objects`); `expires` of |
|           |                        |                  | one that holds no Item           |

`{hash}` is the BLAKE2b hash, 32 hexadecimal digits, of an asset's href or a tracked object's name.
"""

import hashlib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Literal, NamedTuple, Self

import shapely

from livemosaic.geo.covering import Cover
from livemosaic.geo.footprint import centre
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import LonLat
from livemosaic.model.scene import Scene
from livemosaic.table import ABSENT, Equals, Item, Key, Row

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
    return [partition(mosaic, "scenes", str(shard)) for shard in range(SHARDS)]


def head_key(mosaic: Mosaic, scene: str) -> Key:
    """The key of a scene's head or tombstone, by the key of the scene."""
    digest = hashlib.blake2b(scene.encode(), digest_size=2).digest()
    return Key(partition(mosaic, "scenes", str(int.from_bytes(digest) % SHARDS)), scene)


@dataclass(frozen=True, slots=True)
class Place:
    """The key of a cell or coarse row within a scene's rows, and until when readers may need it."""

    kind: str
    """`cell` or `coarse`."""
    quadkey: str
    rank: str
    expires: int
    """Epoch seconds."""

    def key(self, mosaic: Mosaic, scene: str) -> Key:
        """The key in the table."""
        return Key(partition(mosaic, self.kind, self.quadkey), f"{self.rank}#{scene}")


@dataclass(frozen=True, slots=True)
class Tombstone:
    """The row of a deleted scene, in place of its head."""

    scene: str
    version: str
    expires: int
    """Epoch seconds."""

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row."""
        return {"version": self.version, "deleted": True, "expires": self.expires}


@dataclass(frozen=True, slots=True)
class Head:
    """The row that holds a whole scene, and names its cell, coarse and moved rows."""

    scene: str
    """The key of the scene."""
    version: str
    written: str
    """The version in the scene's rows: older where a later event had equal content."""
    rank: str
    cells: Sequence[str]
    coarse: Sequence[str]
    datetime: str | None
    assets: Mapping[str, str]
    properties: Mapping[str, Any]
    geometry: bytes
    """The footprint as WKB, longitude and latitude."""
    moved: Sequence[Place] = ()
    """Where moves left rows behind."""

    @classmethod
    def of(cls, scene: Scene, cover: Cover, moved: Iterable[Place]) -> Self:
        """The head of a scene whose rows are written with it."""
        return cls(
            scene=scene.key,
            version=scene.version,
            written=scene.version,
            rank=scene.rank,
            cells=cover.cells,
            coarse=cover.coarse,
            datetime=scene.datetime,
            assets=scene.assets,
            properties=scene.properties,
            geometry=shapely.to_wkb(scene.footprint),
            moved=tuple(moved),
        )

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row."""
        return {
            "version": self.version,
            "written": self.written,
            "rank": self.rank,
            "cells": list(self.cells),
            "coarse": list(self.coarse),
            "datetime": self.datetime,
            "assets": dict(self.assets),
            "properties": dict(self.properties),
            "geometry": self.geometry,
            "moved": [[at.kind, at.quadkey, at.rank, at.expires] for at in self.moved],
        }

    def to_scene(self) -> Scene:
        """The scene that the row holds."""
        collection, _, scene_id = self.scene.partition("#")
        return Scene(
            collection=collection,
            id=scene_id,
            version=self.version,
            footprint=shapely.from_wkb(self.geometry),
            rank=self.rank,
            datetime=self.datetime,
            assets=self.assets,
            properties=self.properties,
        )

    def places(self, expires: int = 0) -> Iterator[Place]:
        """Where the scene's cell and coarse rows are, less those that moves left behind."""
        return _places(self.cells, self.coarse, self.rank, expires)

    def keys(self, mosaic: Mosaic) -> list[Key]:
        """The keys of those rows."""
        return [place.key(mosaic, self.scene) for place in self.places()]


def _places(
    cells: Sequence[str], coarse: Sequence[str], rank: str, expires: int = 0
) -> Iterator[Place]:
    yield from (Place("cell", quadkey, rank, expires) for quadkey in cells)
    yield from (Place("coarse", quadkey, rank, expires) for quadkey in coarse)


def parse_head(scene: str, item: Item) -> Head | Tombstone:
    """The head or tombstone of a scene, by the key of the scene."""
    if item.get("deleted"):
        return Tombstone(scene, item["version"], item["expires"])
    return Head(
        scene=scene,
        version=item["version"],
        written=item.get("written", item["version"]),
        rank=item["rank"],
        cells=item["cells"],
        coarse=item["coarse"],
        datetime=item["datetime"],
        assets=item["assets"],
        properties=item["properties"],
        geometry=item["geometry"],
        moved=tuple(Place(*place) for place in item.get("moved", ())),
    )


def unchanged(head: Head | Tombstone | None) -> Equals | Literal["absent"]:
    """The expectation that a head, or its absence, has not changed since it was read."""
    return ABSENT if head is None else Equals("version", head.version)


class CellRow(NamedTuple):
    """A scene as a cell or coarse row, or a moved row in the place of one, holds it.

    A tuple, as a tile of a low zoom reads thousands: a frozen dataclass takes far longer.
    """

    kind: str
    """`cell` or `coarse`."""
    quadkey: str
    rank: str
    """The rank in the row's key."""
    scene: str
    """The key of the scene."""
    version: str
    datetime: str | None
    assets: Mapping[str, str]
    properties: Mapping[str, Any]
    footprint: bytes
    """The part inside the cell, encoded by `covering`."""
    centre: LonLat | None = None
    """The centre of the whole footprint; None in rows written before it was kept."""
    moved: str | None = None
    """The scene's present rank, in a moved row; None in others."""
    expires: int = 0
    """When a moved row expires, in epoch seconds."""

    @classmethod
    def from_row(cls, row: Row) -> Self:
        """The value of a row of a cell or coarse partition."""
        _, kind, quadkey = row.key.pk.split("#")
        rank, _, scene = row.key.sk.partition("#")
        item = row.item
        place = item.get("centre")
        return cls(
            kind,
            quadkey,
            rank,
            scene,
            item["version"],
            item.get("datetime"),
            item.get("assets", {}),
            item.get("properties", {}),
            item["footprint"],
            (place[0], place[1]) if place else None,
            item.get("moved"),
            item.get("expires", 0),
        )

    def to_item(self) -> dict[str, Any]:
        """The attributes of the row."""
        item: dict[str, Any] = {
            "version": self.version,
            "datetime": self.datetime,
            "assets": dict(self.assets),
            "properties": dict(self.properties),
        }
        if self.centre is not None:
            item["centre"] = list(self.centre)
        if self.moved is None:
            return item | {"footprint": self.footprint}
        return item | {"moved": self.moved, "footprint": self.footprint, "expires": self.expires}

    @property
    def place(self) -> Place:
        """Where the row is."""
        return Place(self.kind, self.quadkey, self.rank, self.expires)

    def key(self, mosaic: Mosaic) -> Key:
        """The key in the table."""
        return self.place.key(mosaic, self.scene)

    def repeats(self, head: Head) -> bool:
        """Whether the row stands for the scene as its head has it."""
        own = (self.version, self.datetime, self.assets, self.properties, self.moved)
        return own == (head.written, head.datetime, head.assets, head.properties, None)


def cell_rows(scene: Scene, cover: Cover) -> Iterator[CellRow]:
    """The cell and coarse rows of a scene, where its footprint has an area."""
    return _rows(scene, cover, _places(cover.cells, cover.coarse, scene.rank), None)


def moved_rows(scene: Scene, cover: Cover, left: Iterable[Place]) -> Iterator[CellRow]:
    """The rows that replace a scene's earlier rows where its footprint still has an area."""
    return _rows(scene, cover, left, scene.rank)


def _rows(
    scene: Scene, cover: Cover, places: Iterable[Place], moved: str | None
) -> Iterator[CellRow]:
    middle = centre(scene.footprint)
    for place in places:
        part = cover.part(place.quadkey)
        if part is not None:
            yield CellRow(
                kind=place.kind,
                quadkey=place.quadkey,
                rank=place.rank,
                scene=scene.key,
                version=scene.version,
                datetime=scene.datetime,
                assets=scene.assets,
                properties=scene.properties,
                footprint=part,
                centre=middle,
                moved=moved,
                expires=place.expires,
            )
