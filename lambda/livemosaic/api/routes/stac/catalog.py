"""Collections of the STAC API, which are mosaics, and their Items (OGC API - Features)."""

from itertools import islice
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from livemosaic.api.access import visible_mosaics_after
from livemosaic.api.dependencies import CachedMosaic, CurrentMosaic, ServicesDep
from livemosaic.api.params.stac import MAX_LIMIT, box_numbers, search_body
from livemosaic.api.responses.stac import GeoJSONResponse, SchemaResponse, StacLinks
from livemosaic.api.routes.stac.search import (
    ITEMS,
    SCHEMAS,
    Box,
    Filter,
    FilterLang,
    Limit,
    Times,
    Token,
)
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.index.named import named_scenes
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene, scene_key
from livemosaic.services import Services
from livemosaic.stac.collections import filterable, queryables_document
from livemosaic.stac.projection import known_frames
from livemosaic.stac.search import MAX_MOSAICS, SearchPosition

router = APIRouter(tags=["STAC"])

_MOST_COLLECTIONS: Final = 200
"""Collections of a page."""


@router.get("/collections")
def list_collections(
    request: Request,
    limit: Annotated[int, Query(ge=1, description="Collections of a page, at most 200")] = 100,
    token: Annotated[str, Query(max_length=63, description="Page token")] = "",
) -> dict[str, Any]:
    """Lists the mosaics that the caller may see as STAC Collections, page by page."""
    links = StacLinks(request)
    read = islice(visible_mosaics_after(request, token), MAX_MOSAICS)
    visible = [mosaic for mosaic in read if mosaic is not None]
    shown = visible[: min(limit, _MOST_COLLECTIONS)]
    around = [links.link("self", "collections"), links.link("root", "")]
    if len(shown) < len(visible):
        around.append(links.next(token=shown[-1].id, limit=limit) | {"type": "application/json"})
    return {"collections": [links.collection(mosaic) for mosaic in shown], "links": around}


@router.get("/collections/{mosaic}")
def show_collection(mosaic: CurrentMosaic, request: Request) -> dict[str, Any]:
    """Shows a mosaic as a STAC Collection, with links to its Items, tiles and maps."""
    return StacLinks(request).collection(mosaic)


@router.get("/collections/{mosaic}/queryables", response_class=SchemaResponse, responses=SCHEMAS)
def collection_queryables(mosaic: CachedMosaic, request: Request) -> SchemaResponse:
    """Returns the names that filters on Items of a Collection may use, as a JSON Schema."""
    url = StacLinks(request).url("collections", mosaic.id, "queryables")
    document = queryables_document(filterable(mosaic), f"Queryables of {mosaic.id}")
    return SchemaResponse({"$id": url, **document})


@router.get("/collections/{mosaic}/items", response_class=GeoJSONResponse, responses=ITEMS)
def collection_items(
    mosaic: CachedMosaic,
    request: Request,
    services: ServicesDep,
    collections: Annotated[
        str | None, Query(description="The id of the Collection, which some clients repeat")
    ] = None,
    bbox: Box = None,
    datetime: Times = None,
    limit: Limit = 10,
    filter: Filter = None,  # noqa: A002 (the standard's name)
    filter_lang: FilterLang = "cql2-text",
    token: Token = "",
) -> GeoJSONResponse:
    """Lists Items of a Collection, page by page; pages end as in `/search`."""
    if collections not in (None, mosaic.id):
        raise InvalidRequestError(f"collections {collections!s:.80} is not {mosaic.id!r}")
    body = search_body(
        bbox=box_numbers(bbox),
        datetime=datetime,
        limit=limit,
        filter=filter,
        filter_lang=filter_lang,
        token=token,
    )
    position = SearchPosition.parse(token) if token else None
    page = body.search().page(services.index, [mosaic], min(limit, MAX_LIMIT), position)
    links = StacLinks(request)
    collection = links.link("collection", "collections", mosaic.id)
    following = [links.next(token=page.following.token)] if page.following else []
    frames = known_frames(services.index.table, page.found)
    members = (links.member(mosaic, scene, frames) for _, scene in page.found)
    return GeoJSONResponse(links.page(members, [links.here, collection, *following]))


@router.get(
    "/collections/{mosaic}/items/{item:path}", response_class=GeoJSONResponse, responses=ITEMS
)
def collection_item(
    mosaic: CachedMosaic,
    item: str,
    request: Request,
    services: ServicesDep,
    source: Annotated[
        str | None,
        Query(description="Collection of the original Item, where several have Items by that id"),
    ] = None,
) -> GeoJSONResponse:
    """Shows one Item of a Collection."""
    scene = _scene(services, mosaic, item, source)
    frames = known_frames(services.index.table, [(mosaic, scene)])
    return GeoJSONResponse(StacLinks(request).member(mosaic, scene, frames))


def _scene(services: Services, mosaic: Mosaic, item: str, source: str | None) -> Scene:
    if source is not None or mosaic.only_collection:
        key = scene_key(mosaic.only_collection if source is None else source, item)
        return services.index.scene(mosaic, key)
    found = named_scenes(services.index, mosaic, [item])
    if not found:
        raise NotFoundError(f"collection {mosaic.id!r} has no item {item[:200]!r}")
    return found[0]
