"""Item Search of the STAC API (1.0), by GET and by POST."""

from collections.abc import Iterator
from itertools import chain
from typing import Annotated, Any, Final

from fastapi import APIRouter, Query, Request

from livemosaic.api.access import mosaic_of, visible_mosaics_after
from livemosaic.api.dependencies import ServicesDep
from livemosaic.api.params.stac import (
    MAX_LIMIT,
    Language,
    SearchBody,
    box_numbers,
    json_object,
    listed,
    search_body,
)
from livemosaic.api.responses.stac import (
    GEOJSON,
    SCHEMA,
    GeoJSONResponse,
    SchemaResponse,
    StacLinks,
)
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services
from livemosaic.stac.collections import queryables_document
from livemosaic.stac.projection import known_frames
from livemosaic.stac.search import FoundPage, SearchPosition
from livemosaic.tiler.rules.filter import ALWAYS

router = APIRouter(tags=["STAC"])

ITEMS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {GEOJSON: {}}}}
SCHEMAS: Final[dict[int | str, dict[str, Any]]] = {200: {"content": {SCHEMA: {}}}}

Box = Annotated[
    str | None, Query(description="West,south,east,north in degrees; or six numbers, with heights")
]
Times = Annotated[
    str | None, Query(max_length=100, description="RFC 3339 time or interval; one end may be `..`")
]
Limit = Annotated[
    int, Query(ge=1, description=f"Items of a page; at most {MAX_LIMIT} are returned")
]
Filter = Annotated[str | None, Query(description="CQL2 filter")]
FilterLang = Annotated[Language, Query(alias="filter-lang", description="Language of `filter`")]
Token = Annotated[str, Query(max_length=1200, description="Page token, from a `next` link")]


@router.get("/search", response_class=GeoJSONResponse, responses=ITEMS)
def search(
    request: Request,
    services: ServicesDep,
    collections: Annotated[str | None, Query(description="Ids of Collections")] = None,
    ids: Annotated[str | None, Query(description="Ids of Items")] = None,
    bbox: Box = None,
    intersects: Annotated[str | None, Query(description="GeoJSON geometry")] = None,
    datetime: Times = None,
    limit: Limit = 10,
    filter: Filter = None,  # noqa: A002 (the standard's name)
    filter_lang: FilterLang = "cql2-text",
    token: Token = "",
) -> GeoJSONResponse:
    """Searches the Items of all Collections, page by page.

    A page examines at most 2,000 scenes; follow `next` links until there is none. A search of
    which a whole page has no result, though scenes are left, is refused: narrow it.
    """
    body = search_body(
        collections=listed(collections),
        ids=listed(ids),
        bbox=box_numbers(bbox),
        intersects=json_object(intersects),
        datetime=datetime,
        limit=limit,
        filter=filter,
        filter_lang=filter_lang,
        token=token,
    )
    links = StacLinks(request)
    page = _search(request, services, body)
    following = [links.next(token=page.following.token)] if page.following else []
    return _answer(links, services, page, [links.here, *following])


@router.post("/search", response_class=GeoJSONResponse, responses=ITEMS)
def search_by_post(request: Request, body: SearchBody, services: ServicesDep) -> GeoJSONResponse:
    """Searches as GET does, with the parameters in a JSON body."""
    links = StacLinks(request)
    page = _search(request, services, body)
    following = []
    if page.following:
        given = body.model_dump(exclude_unset=True, by_alias=True)
        following = [
            {
                **links.next(),
                "method": "POST",
                "body": {**given, "token": page.following.token},
                "merge": False,
            }
        ]
    return _answer(links, services, page, [links.here, *following])


@router.get("/queryables", response_class=SchemaResponse, responses=SCHEMAS)
def queryables(request: Request) -> SchemaResponse:
    """Returns the names that filters on Items of all Collections may use, as a JSON Schema."""
    url = StacLinks(request).url("queryables")
    return SchemaResponse({"$id": url, **queryables_document(ALWAYS, "Queryables of all Items")})


def _answer(
    links: StacLinks, services: Services, page: FoundPage, around: list[dict[str, Any]]
) -> GeoJSONResponse:
    frames = known_frames(services.index.table, page.found)
    members = (links.member(mosaic, scene, frames) for mosaic, scene in page.found)
    return GeoJSONResponse(links.page(members, around))


def _search(request: Request, services: Services, body: SearchBody) -> FoundPage:
    position = SearchPosition.parse(body.token) if body.token else None
    mosaics = _mosaics(request, body.collections, position.mosaic if position else "")
    return body.search().page(services.index, mosaics, min(body.limit, MAX_LIMIT), position)


def _mosaics(request: Request, named: list[str] | None, first: str) -> Iterator[Mosaic | None]:
    """Yields the mosaics to search from an id on; `InvalidRequestError` for a name of none."""
    if named:
        return iter([_named(request, name) for name in sorted({*named}) if name >= first])
    begun = _begun(request, first) if first else []
    return chain(begun, visible_mosaics_after(request, first))


def _named(request: Request, name: str) -> Mosaic:
    try:
        return mosaic_of(name, request)
    except NotFoundError as error:
        raise InvalidRequestError(str(error)) from error


def _begun(request: Request, name: str) -> list[Mosaic]:
    """Returns the mosaic that a page goes on in; none where it was deleted meanwhile."""
    try:
        return [mosaic_of(name, request)]
    except NotFoundError:
        return []
