"""From rows of stac-geoparquet to rows of the table, as events make them. Pure but for reading."""

import logging
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.geo.antimeridian import extent
from livemosaic.index.feed.rows import area_of_change, milliseconds
from livemosaic.index.learning.meanings import compared
from livemosaic.index.learning.traits import SceneTraits, taught
from livemosaic.index.registry.roster import Roster
from livemosaic.index.scenes import TOMBSTONE_S, scene_cover
from livemosaic.index.schema import Head, Tombstone, cell_rows, put_head
from livemosaic.ingest.batch import check_time
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.changes import Upsert
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.sources import Entry
from livemosaic.ingest.subscriptions import passes
from livemosaic.load.plan import LoadPlan, Unit
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.scene import Scene, scene_key
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Put, check_transaction

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class LoadedScene:
    """What one Item is in one mosaic."""

    mosaic: str
    key: str
    version: str
    puts: list[Put]
    """Rows of the scene, or its tombstone where it does not pass the mosaic's filter."""
    is_shown: bool = True
    traits: SceneTraits | None = None
    """None where its mosaic learns nothing of it."""
    bounds: BBox | None = None
    left_out: int = 0
    """Assets that may not be read."""


@dataclass(slots=True)
class LoadedRow:
    """One row of a file, with what became of it."""

    entry: Entry
    scenes: list[LoadedScene] = field(default_factory=list)
    outdated: int = 0
    """Mosaics in which its collection was truncated since."""
    problem: str = ""
    """Why it, or the rest of it, is rejected; empty if it is not."""


@dataclass(slots=True)
class SceneMaker:
    """Makes the scenes of a unit, in order: its mosaics learn from one after the other."""

    plan: LoadPlan
    allow: AllowList
    mosaics: dict[str, Mosaic]
    """By id, as they are known where the unit begins."""
    roster: Roster = field(init=False)

    def __post_init__(self) -> None:
        self.roster = Roster.of(self.mosaics.values())

    def rows(self, unit: Unit) -> Iterator[LoadedRow]:
        """Yields each row of a unit. Raises `InvalidRequestError` where the file has changed."""
        from livemosaic.ingest.sources.geoparquet import Parquet  # an extra of the package

        file = self.plan.files[unit.file]
        parquet = Parquet(file.name, self.allow)
        if [*parquet.identity] != [*file.identity]:
            raise InvalidRequestError(f"{file.name} was replaced since the load began: begin anew")
        written = datetime.fromisoformat(file.written)
        for entry in parquet.read_between(written, self.plan.moment, unit.start, unit.stop):
            yield self._row(entry)

    def _row(self, entry: Entry) -> LoadedRow:
        row = LoadedRow(entry)
        try:
            if not entry.problem:
                self._add_scenes(row)
        except LivemosaicError as error:
            row.problem = str(error)
        except Exception:
            log.exception("row failed", extra={"row": entry.message.id})
            row.problem = "an unexpected error; it was logged"
        row.problem = entry.problem or row.problem
        return row

    def _add_scenes(self, row: LoadedRow) -> None:
        for change in read_changes(row.entry.message):
            if not isinstance(change, Upsert):
                raise InvalidRequestError("it is not a STAC Item")
            check_time(change.order.moment, row.entry.message.time)
            subscribers = self.roster.subscribers(change.collection)
            if not subscribers:
                continue
            item = StacItem.parse(change.document, order=change.order, base=change.base)
            for subscriber in subscribers:
                made = self._scene(item, self.mosaics[subscriber.id])
                if made is None:
                    row.outdated += 1
                else:
                    row.scenes.append(made)

    def _scene(self, item: StacItem, mosaic: Mosaic) -> LoadedScene | None:
        """Returns an Item's scene; None where its collection was truncated later."""
        if not passes(item, mosaic):
            return self._removed(item, mosaic)
        scene = item.scene(mosaic, self.allow)
        if scene.version <= mosaic.watermark(scene.collection):
            return None
        return self._shown(scene, mosaic)

    def _removed(self, item: StacItem, mosaic: Mosaic) -> LoadedScene | None:
        """Returns the tombstone of an Item that an earlier version of it may come for yet."""
        if item.left <= mosaic.watermark(item.collection):
            return None
        key = scene_key(item.collection, item.id)
        expires = int(self.plan.moment.timestamp()) + TOMBSTONE_S
        row = put_head(mosaic, Tombstone(key, item.left, expires))
        return LoadedScene(mosaic.id, key, item.left, [row], is_shown=False)

    def _shown(self, scene: Scene, mosaic: Mosaic) -> LoadedScene:
        cells = scene_cover(mosaic, scene.footprint)
        traits, bounds = None, None
        if cells.level is not None:
            traits, bounds = SceneTraits.of(scene, cells.level), extent(scene.footprint)
            mosaic = self.mosaics[mosaic.id] = taught(mosaic, traits)
            scene = compared(mosaic, scene)
        head = Head(scene, scene.version, cells.cells, cells.coarse)
        stamp = milliseconds(self.plan.moment.timestamp())
        head = replace(head, area=area_of_change(None, head, stamp))
        rows = cell_rows(scene, cells, head.places())
        puts = [put_head(mosaic, head), *(row.put(mosaic) for row in rows)]
        check_transaction(puts)
        found = LoadedScene(mosaic.id, scene.key, scene.version, puts)
        return replace(found, traits=traits, bounds=bounds, left_out=len(scene.left_out))


def rejected(row: LoadedRow) -> Mapping[str, Any]:
    """Returns a rejected row as `livemosaic ingest --errors` writes it."""
    message = row.entry.message
    body = message.body if isinstance(message.body, Mapping) else None
    return {
        "source": row.entry.source,
        "line": row.entry.line,
        "id": None if body is None else body.get("id"),
        "reason": row.problem,
        "item": body,
    }
