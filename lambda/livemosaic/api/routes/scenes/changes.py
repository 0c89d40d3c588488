"""The change feed of a mosaic (docs/changes.md)."""

from datetime import UTC, datetime
from typing import Annotated, Any

from fastapi import APIRouter, Query

from livemosaic.api.dependencies import CachedMosaic, ServicesDep
from livemosaic.api.params.box import lonlat_bbox
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.index.feed.reader import Cursor, Feed
from livemosaic.index.feed.rows import FeedRow
from livemosaic.model.raster import BBox
from livemosaic.model.time import utc_text

router = APIRouter(tags=["items"])


@router.get("/mosaics/{mosaic}/changes")
def list_changes(
    mosaic: CachedMosaic,
    services: ServicesDep,
    since: Annotated[
        str, Query(max_length=200, description="The `cursor` of the last response; begins without")
    ] = "",
    bbox: Annotated[
        str | None,
        Query(
            description="Box that changes must intersect: west,south,east,north in degrees; "
            "west > east crosses the antimeridian"
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of changes")] = 1000,
) -> dict[str, Any]:
    """Lists what changed in a mosaic since a cursor: where images may differ from before.

    A change is listed at least once when it is `settled`, 15 seconds after it was made: every image
    requested from then on shows it. Before that each request lists it again, by the same `id`.
    `bbox` of a change is all that it covered before and covers now. `reset` says that the cursor
    was of no use, as it is older than a day or of a mosaic created again: anything may have
    changed. `more` says that further changes are there already.
    """
    box = None if bbox is None else lonlat_bbox(bbox)
    cursor = Cursor.parse(since) if since else None
    feed = Feed(services.index.table, services.index.clock)
    found = feed.since(mosaic, cursor, limit)
    return {
        "cursor": str(found.cursor),
        "reset": found.reset,
        "more": found.more,
        "changes": [
            _change(row, n < found.settled)
            for n, row in enumerate(found.rows)
            if box is None or _meets(row.bbox, box)
        ],
    }


def _change(row: FeedRow, settled: bool) -> dict[str, Any]:
    collection, _, scene = row.subject.partition("#")
    return {
        "id": row.id,
        "kind": row.kind,
        "collection": collection or None,
        "scene": scene or None,
        "version": row.version,
        "deleted": row.deleted,
        "time": utc_text(datetime.fromtimestamp(row.stamp_ms / 1000, UTC)),
        "bbox": row.bbox,
        "settled": settled,
    }


def _meets(one: BBox, other: BBox) -> bool:
    boxes = lonlat_boxes(other)
    return any(mine.intersects(yours) for mine in lonlat_boxes(one) for yours in boxes)
