"""Scenes of a mosaic: add, list, show and delete."""

import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request, Response
from shapely.geometry.base import BaseGeometry

from livemosaic.api.dependencies import CachedMosaic, GivenRule, ReadParams, ServicesDep, Writes
from livemosaic.api.params.box import lonlat_bbox
from livemosaic.api.params.items import find_items
from livemosaic.api.responses.outcomes import RESPONSES, outcomes_document, outcomes_status
from livemosaic.api.responses.stac import GEOJSON, GeoJSONResponse, StacLinks
from livemosaic.errors import (
    InvalidItemError,
    InvalidRequestError,
    NotFoundError,
    OutdatedError,
    TableBusyError,
)
from livemosaic.geo.antimeridian import lonlat_boxes
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene, scene_key
from livemosaic.services import Services
from livemosaic.stac.projection import Frames, known_frames
from livemosaic.tiler.candidates import seamline
from livemosaic.tiler.tilesets import WORLD
from livemosaic.tiler.views import lonlat_view

router = APIRouter(tags=["items"])

_ITEMS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {GEOJSON: {}}}}


Document = Annotated[dict[str, Any], Body(description="A STAC Item or an ItemCollection")]

Force = Annotated[
    bool,
    Query(
        description="Makes what is given newer than all that the mosaics have, whatever the times "
        "in it are: for an Item that was deleted or replaced by mistake"
    ),
]


@router.post("/items", dependencies=[Writes], responses=RESPONSES)
def deliver_items(
    document: Document,
    services: ServicesDep,
    response: Response,
    force: Force = False,
) -> dict[str, Any]:
    """Adds Items to every mosaic that subscribes to them, as an event would.

    Each Item succeeds or fails on its own: 200 if all were accepted, 207 if some were, 400 if none
    can ever be, 503 if the index was too busy. Sending Items again is safe. An Item that is older
    than what a mosaic has changes nothing there: that is no error, but `newer` and `detail` of its
    outcome say so, and `older` counts such Items; `force=true` shows them. `warnings` of an outcome
    name the assets that may not be read, which its scene is shown without, and values of
    `nodata`, scale and offset that are none.
    """
    return _ingest_documents(document, services, response, None, force=force)


@router.post("/mosaics/{mosaic}/items", dependencies=[Writes], responses=RESPONSES)
def add_items(
    mosaic: str,
    document: Document,
    services: ServicesDep,
    response: Response,
    force: Force = False,
) -> dict[str, Any]:
    """Adds Items to one mosaic, with the responses of `POST /items`."""
    found = services.mosaics.get(mosaic)
    found.check_own_scenes()
    return _ingest_documents(document, services, response, found, force=force)


def _ingest_documents(
    document: dict[str, Any],
    services: Services,
    response: Response,
    only: Mosaic | None,
    *,
    force: bool,
) -> dict[str, Any]:
    now = datetime.now(UTC)
    features = document.get("features") if document.get("type") == "FeatureCollection" else None
    documents = features if isinstance(features, list) else [document]
    messages = [
        Message(str(n), _object(d), now, {}, stated=Order.listed(now, now, n))
        for n, d in enumerate(documents)
    ]
    # Writes wait for no other thread, so they may share the threads of queries.
    outcomes = services.ingest.batch(messages, only=only, pool=services.index.pool, force=force)
    response.status_code = outcomes_status(outcomes)
    return outcomes_document(outcomes, documents, force=force)


def _object(document: Any) -> Any:
    return document if isinstance(document, Mapping) else json.dumps(document)


@router.get("/mosaics/{mosaic}/items", response_class=GeoJSONResponse, responses=_ITEMS)
def list_items(
    mosaic: CachedMosaic,
    services: ServicesDep,
    request: Request,
    read: ReadParams,
    given: GivenRule,
    bbox: Annotated[
        str | None,
        Query(
            description="Box that scenes must intersect: west,south,east,north in degrees, or one "
            "point; west > east crosses the antimeridian. Scenes are listed top first"
        ),
    ] = None,
    limit: Annotated[int, Query(ge=1, le=1000, description="Maximum number of scenes")] = 100,
    token: Annotated[str, Query(max_length=600, description="Page token, from a `next` link")] = "",
) -> GeoJSONResponse:
    """Lists scenes as STAC Items: the scenes of an image of a box, or all scenes page by page.

    In a box, scenes are selected and ordered, top first, by the mosaic's rule as the request
    changes it; `rule` names how they make an image, `truncated` the limit that left some out, and a
    geometry is the seamline where the rule uses seamlines. Without a box, scenes are in no order
    and the mosaic's own rule selects none; a page may have fewer scenes than `limit`.
    """
    ruleless = replace(mosaic, rules=replace(mosaic.rules, default={}))
    rule = given.to_rule(ruleless if bbox is None else mosaic)
    find_items(request, mosaic, given.items_named(mosaic, rule))
    if bbox is not None and token:
        raise InvalidRequestError("token is of pages without a bbox: leave one of them out")
    links = StacLinks(request)
    if bbox is not None:
        stack = _stack(services, links, mosaic, read, rule, lonlat_bbox(bbox), limit)
        return GeoJSONResponse(stack)
    takes = _selection(services, mosaic, read, rule)
    scenes, following = services.index.list_scenes(mosaic, limit=limit, token=token)
    shown = [scene for scene in scenes if takes(scene)]
    frames = _frames(services, mosaic, shown)
    taken = (links.item(mosaic, scene, frames) for scene in shown)
    after = [links.next(limit=limit, token=following)] if following else []
    return GeoJSONResponse(links.page(taken, [links.here, *after]))


def _stack(
    services: Services,
    links: StacLinks,
    mosaic: Mosaic,
    read: Read,
    rule: Rule,
    bbox: BBox,
    limit: int,
) -> dict[str, Any]:
    """Lists the scenes of a box, top first, as an image of it stacks them."""
    listing = services.tiler.listing(mosaic, lonlat_view(mosaic, bbox), read, rule)
    boxes = lonlat_boxes(bbox)
    scenes = services.index.scenes(mosaic, (scene.key for scene in listing))
    shown = ((scene, seamline(scene, rule) or scene.footprint) for scene in scenes)
    met = [*islice((one for one in shown if _meets(one[1], boxes)), limit)]
    frames = _frames(services, mosaic, (scene for scene, _ in met))
    shown_items = (links.item(mosaic, scene, frames, shape) for scene, shape in met)
    found = links.page(shown_items, [links.here])
    found["rule"] = {"method": rule.method, "operation": rule.operation}
    return found | ({"truncated": listing.truncated} if listing.truncated else {})


def _selection(
    services: Services, mosaic: Mosaic, read: Read, rule: Rule
) -> Callable[[Scene], bool]:
    """Returns whether a scene is selected; refuses an order, which needs a box."""
    if rule.method != "default" or not rule.ascending:
        raise InvalidRequestError(
            "without a bbox, scenes are listed in no order: give a bbox, or leave out "
            f"{'ascending' if rule.method == 'default' else f'the method {rule.method!r}'}"
        )
    return services.tiler.listing(mosaic, lonlat_view(mosaic, WORLD), read, rule).candidates.takes


def _meets(footprint: BaseGeometry, boxes: list[BaseGeometry]) -> bool:
    return any(footprint.intersects(part) for part in boxes)


@router.get("/mosaics/{mosaic}/items/{item:path}", response_class=GeoJSONResponse, responses=_ITEMS)
def show_item(
    mosaic: CachedMosaic,
    item: str,
    services: ServicesDep,
    request: Request,
    collection: str | None = None,
) -> GeoJSONResponse:
    """Shows one scene as a STAC Item; `collection` is needed if the mosaic subscribes to several.

    It has what the index keeps: the kept properties and assets, not all of the original Item.
    """
    scene = _scene(services, mosaic, item, collection)
    return GeoJSONResponse(
        StacLinks(request).item(mosaic, scene, _frames(services, mosaic, [scene]))
    )


def _frames(services: Services, mosaic: Mosaic, scenes: Iterable[Scene]) -> Frames:
    return known_frames(services.index.table, ((mosaic, scene) for scene in scenes))


def _scene(services: Services, mosaic: Mosaic, item: str, collection: str | None) -> Scene:
    try:
        return services.index.scene(mosaic, _key(mosaic, item, collection))
    except NotFoundError as error:
        if collection is not None or "*" not in mosaic.collections:
            raise
        raise NotFoundError(f"{error}; if it has a collection, name that as well") from error


@router.delete(
    "/mosaics/{mosaic}/items/{item:path}",
    status_code=204,
    dependencies=[Writes],
    responses={409: {"description": "The scene has a newer version: `force=true` deletes it"}},
)
def delete_item(
    mosaic: str,
    item: str,
    services: ServicesDep,
    collection: str | None = None,
    force: Force = False,
) -> None:
    """Deletes a scene; 404 if it does not exist, 409 if its version is in the future."""
    target = services.mosaics.get(mosaic)
    target.check_own_scenes()
    key = _key(target, item, collection)
    _scene(services, target, item, collection)
    body = {"op": "delete", "collection": key.partition("#")[0] or None, "id": item}
    message = Message("0", body, datetime.now(UTC), {})
    outcome = services.ingest.batch([message], only=target, force=force)[0]
    if outcome.status == "failed":
        raise TableBusyError(outcome.reason)
    if not outcome.ok:
        raise InvalidItemError(outcome.reason)
    for change in outcome.older:
        raise OutdatedError(
            f"item {item[:200]!r} is not deleted: mosaic {mosaic!r} has {change.newer}, which is "
            "later than now; force=true deletes it nevertheless"
        )


def _key(mosaic: Mosaic, item: str, collection: str | None) -> str:
    return scene_key(mosaic.only_collection if collection is None else collection, item)
