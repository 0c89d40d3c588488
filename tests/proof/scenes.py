"""One scene and what may happen to it, in a mosaic with other scenes in the same cells."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from items import NOW, box, deletion, item, message
from livemosaic.geo.cells import cell_grid
from livemosaic.geo.covering import decode
from livemosaic.geo.rasterize import Outline
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.partitions import Area
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.scene import IndexedScene
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Item, Key, Table
from livemosaic.tiler.views import TileAddress, area_of
from proof.memory import MemoryTable, Rows, unpacked
from proof.programs import InTurn

FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"
"""Takes minutes instead of seconds: see CONTRIBUTING."""
ALLOW = AllowList(("https://", "s3://"))
LATER = NOW.timestamp() + 3600
"""When everything happens, but where time passes."""

HERE = box(7, 45, 8, 46)
WIDE = box(-30, 45, 9, 47)
CHANGES: Mapping[str, Mapping[str, Any]] = {
    name: item("a", place, href=f"https://example.com/{name}.tif", datetime=f"2026-01-{day:02}")
    for name, place, day in [
        ("put", HERE, 5),
        ("revised", HERE, 5),
        ("raised", HERE, 20),
        ("shrunk", box(7.4, 45.4, 7.6, 45.6), 1),
        ("widened", WIDE, 5),
        ("widened-raised", WIDE, 20),
        ("grown", box(-30, 20, 50, 50), 20),
        ("gone-east", box(100, 20, 110, 25), 20),
    ]
} | {"deleted": deletion("a")}
"""Messages of scene `a`: its place, its rank by its day, and an asset of its own for each."""

OTHERS = (
    item("b", HERE, datetime="2026-01-10T00:00:00Z"),
    item("c", box(-40, 10, 60, 60), datetime="2026-01-11T00:00:00Z"),
)
"""Scenes that are there from the start, at two levels, ranked between those of `a`."""


def index(table: Table, clock: Callable[[], float] = lambda: LATER, **turn: bool) -> Index:
    return Index(table, Mosaics(table, clock=clock), InTurn(**turn), clock=clock)


@dataclass(frozen=True)
class Setting:
    """A mosaic with others in it."""

    mosaic: Mosaic
    rows: Rows


def setting() -> Setting:
    table = MemoryTable()
    mosaics = Mosaics(table)
    mosaics.create(Mosaic(id="m", quadkey_zoom=4, max_cells=4))
    ingest = Ingest(index(table), ALLOW)
    assert all(outcome.ok for outcome in ingest.batch([message(other) for other in OTHERS]))
    return Setting(mosaics.get("m"), table.rows)


def event(body: Mapping[str, Any], seconds: float) -> Message:
    return message(body, seconds)


def tile(mosaic: Mosaic, zoom: int) -> Area:
    x, y, _ = tile_matrix_set("WebMercatorQuad").tile(7.5, 45.5, zoom)
    return TileAddress("WebMercatorQuad", zoom, x, y).view(mosaic, 256).area


def tiles(mosaic: Mosaic) -> dict[str, Area]:
    """Tiles over the place; at each level there is one cell around them."""
    return {f"tile at zoom {zoom}": tile(mosaic, zoom) for zoom in (3, 4)}


def several_cells(mosaic: Mosaic) -> dict[str, Area]:
    """What several cells make up: a tile above the coarsest of them, and a box."""
    box_lonlat = (-25, 45.5, 8, 45.9)
    return {"tile at zoom 2": tile(mosaic, 2), "box": area_of(mosaic, box_lonlat)}


def claimed(found: IndexedScene, mosaic: Mosaic, area: Area) -> int:
    """Which of eight places from west to east of an area its footprint claims, as bits."""
    cells = cell_grid(mosaic.tms)
    grid = Grid(cells.crs, area.boxes[0], 8, 1)
    masks = [Outline.of(decode(cells, *part), cells.crs, grid).burn()[0] for part in found.parts]
    return sum(1 << n for n, mask in enumerate(zip(*masks, strict=True)) if any(mask))


OF_THE_WAY = ("written", "moved", "area")
"""Attributes of heads that say how they came about."""


def stands(rows: Rows) -> dict[Key, Item]:
    """What stands for scenes: heads, tombstones, and rows of cells that do not expire.

    Less marks that bounds may be too large, the change feed, which repeats a row where a writer may
    have died (`test_feed`), and the versions in the rows: a later event that says the same moves
    that of the head alone.
    """
    return {
        key: {k: v for k, v in item.items() if k not in (*OF_THE_WAY, *_version(key))}
        for key, item in ((key, unpacked(packed)) for key, packed in rows.items())
        if key.pk not in ("mosaics", "mosaics.loose") and "#feed#" not in key.pk
        if "expires" not in item or item.get("deleted")
    }


def _version(key: Key) -> tuple[str, ...]:
    return () if "#scenes#" in key.pk else ("version",)


def ghosts(rows: Rows, now: float = LATER) -> set[tuple[str, str]]:
    """Keys of moved rows that no head remembers, or heads remember wrongly, while they count."""
    items = {key: unpacked(packed) for key, packed in rows.items()}
    there = {
        (key.pk.split("#", 1)[1], key.sk, item["expires"], item["version"])
        for key, item in items.items()
        if "expires" in item and ("#cell#" in key.pk or "#coarse#" in key.pk)
    }
    remembered = {
        (f"{kind}#{quadkey}", f"{rank}#{key.sk}", expires, head["written"])
        for key, head in items.items()
        if "#scenes#" in key.pk
        for kind, quadkey, rank, expires in head.get("moved", ())
    }
    return {(pk, sk) for pk, sk, expires, _ in there ^ remembered if expires > now}
