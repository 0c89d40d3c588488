"""How a mosaic's scenes are written in the table: keys and attributes.

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
scene's rows; later events that said the same moved `version` alone. `moved` of a head lists its
moved rows (kind, quadkey, rank, `expires`).

A cell or coarse row also has the `centre` of the footprint, longitude and latitude, which its own
part does not tell.

Rows of no mosaic:

| row       | pk                     | sk               | attributes                       |
|-----------|------------------------|------------------|----------------------------------|
| header    | `header#{hash}`        | `header`         | `bytes` (see `headers`) and the  |
|           |                        |                  | `length`, `etag`, `modified` of  |
|           |                        |                  | the object; `expires`            |
| thing     | `thing#{hash}`         | `thing`          | `name`, `sequence`, `order`,     |
|           |                        |                  | `held`, `left`, `revision` (see  |
|           |                        |                  | `things`); `expires` of one that |
|           |                        |                  | holds no Item                    |

`{hash}` is that of an asset's href or a thing's name, 32 hexadecimal digits of BLAKE2b.
"""

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any, Final

import shapely

from livemosaic.geo.covering import Cover
from livemosaic.geo.footprint import centre
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.table import Item, Key

SHARDS: Final = 16
"""Partitions of a mosaic's heads: 16 times a partition's 1,000 write units a second."""


def partition(mosaic: Mosaic, kind: str, name: str) -> str:
    """The partition of `cell` or `coarse` rows of a quadkey, or of heads (`scenes`) of a shard."""
    return f"{mosaic_prefix(mosaic)}{kind}#{name}"


def mosaic_prefix(mosaic: Mosaic) -> str:
    """What the partitions of a mosaic begin with, and no others."""
    return f"{mosaic.id}.{mosaic.generation}#"


def head_partitions(mosaic: Mosaic) -> list[str]:
    """Where the heads of a mosaic are, all of them."""
    return [partition(mosaic, "scenes", str(shard)) for shard in range(SHARDS)]


def head_key(mosaic: Mosaic, scene: str) -> Key:
    """Where the head of a scene is, by its key."""
    digest = hashlib.blake2b(scene.encode(), digest_size=2).digest()
    return Key(partition(mosaic, "scenes", str(int.from_bytes(digest) % SHARDS)), scene)


def row_key(mosaic: Mosaic, kind: str, quadkey: str, rank: str, scene: str) -> Key:
    """Where a `cell` or `coarse` row of a scene is."""
    return Key(partition(mosaic, kind, quadkey), f"{rank}#{scene}")


def keys_of(mosaic: Mosaic, scene: str, head: Item) -> Iterator[Key]:
    """Where the rows are that stand for a scene, as its head says."""
    for kind, quadkeys in (("cell", head["cells"]), ("coarse", head["coarse"])):
        for quadkey in quadkeys:
            yield row_key(mosaic, kind, quadkey, head["rank"], scene)


def rows_of(mosaic: Mosaic, scene: Scene, cells: Cover) -> Iterator[tuple[Key, Item]]:
    """The rows that stand for a scene where it is."""
    content = _content(scene)
    for kind, quadkeys in (("cell", cells.cells), ("coarse", cells.coarse)):
        for quadkey in quadkeys:
            part = cells.part(quadkey)
            if part is not None:
                key = row_key(mosaic, kind, quadkey, scene.rank, scene.key)
                yield key, content | {"footprint": part}


def moved_rows(left: Mapping[Key, int], scene: Scene, cells: Cover) -> Iterator[tuple[Key, Item]]:
    """What takes the place of rows that a scene left, where its footprint still reaches."""
    content = _content(scene) | {"moved": scene.rank}
    for key, until in left.items():
        part = cells.part(key.pk.rpartition("#")[2])
        if part is not None:
            yield key, content | {"footprint": part, "expires": until}


def listed(moved: Mapping[Key, Item]) -> list[list[Any]]:
    """Moved rows as the head remembers them: kind, quadkey, rank, until when."""
    return [
        [*key.pk.split("#")[1:], key.sk.partition("#")[0], item["expires"]]
        for key, item in moved.items()
    ]


def _content(scene: Scene) -> dict[str, Any]:
    """Of a cell row, less the footprint there."""
    return {
        "version": scene.version,
        "datetime": scene.datetime,
        "assets": dict(scene.assets),
        "properties": dict(scene.properties),
        "centre": list(centre(scene.footprint)),
    }


def head_item(scene: Scene, cells: Cover) -> dict[str, Any]:
    """The head of a scene, less what moves left behind."""
    return {
        "version": scene.version,
        "written": scene.version,
        "rank": scene.rank,
        "cells": list(cells.cells),
        "coarse": list(cells.coarse),
        "datetime": scene.datetime,
        "assets": dict(scene.assets),
        "properties": dict(scene.properties),
        "geometry": shapely.to_wkb(scene.footprint),
    }


def scene_of(key: str, head: Item) -> Scene:
    """The scene that a head tells of."""
    collection, _, scene_id = key.partition("#")
    return Scene(
        collection=collection,
        id=scene_id,
        version=head["version"],
        footprint=shapely.from_wkb(head["geometry"]),
        rank=head["rank"],
        datetime=head["datetime"],
        assets=head["assets"],
        properties=head["properties"],
    )
