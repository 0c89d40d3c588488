"""Mosaics: list, create, show, change and delete."""

import time
from typing import Annotated, Any, Final

from fastapi import APIRouter, Body, Query, Request
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ValidationError

from livemosaic.api.dependencies import CurrentMosaic, ServicesDep, VisibleMosaics, Writes
from livemosaic.api.responses.errors import describe_errors
from livemosaic.api.schemas import MosaicOut, MosaicSettings, NewMosaic, patched
from livemosaic.errors import InvalidRequestError
from livemosaic.index.mosaics import FIXED
from livemosaic.index.removal.shards import Removal
from livemosaic.model.mosaic import Mosaic
from livemosaic.overviews.hints import removal_hints
from livemosaic.services import Services

router = APIRouter(tags=["mosaics"])

DELETE_S: Final = 15.0
"""Time limit of one deletion request: API Gateway waits 30 s for a response (HTTP API quotas), of
which a busy table may take ten for the last scene."""


WATCH_S: Final = 5.0
"""How long a request waits while builders delete, so that clients do not ask without a pause."""


class MosaicList(BaseModel):
    """A list of mosaics."""

    mosaics: list[MosaicOut]


@router.get("/mosaics")
def list_mosaics(mosaics: VisibleMosaics) -> MosaicList:
    """Lists all public mosaics, and private mosaics that the credential gives access to."""
    return MosaicList(mosaics=[MosaicOut.of(mosaic) for mosaic in mosaics])


@router.post("/mosaics", status_code=201, dependencies=[Writes])
def create_mosaic(
    new: NewMosaic, services: ServicesDep, request: Request, response: Response
) -> MosaicOut:
    """Creates a mosaic, and names its URL in `Location`; 409 if its id is taken.

    Omitting `overviews` keeps them where the server has a place for their objects, unless the
    mosaic's default rule or `minzoom` rule them out; `null` keeps none.
    """
    mosaic = Mosaic(id=new.id, **new.mosaic_fields())
    created = MosaicOut.of(services.create(mosaic, is_overviews_open=new.is_overviews_open))
    response.headers["Location"] = f"{request.base_url}mosaics/{created.id}"
    return created


@router.get("/mosaics/{mosaic}")
def show_mosaic(mosaic: CurrentMosaic) -> MosaicOut:
    """Shows the current settings and state of a mosaic."""
    return MosaicOut.of(mosaic)


@router.put("/mosaics/{mosaic}", dependencies=[Writes])
def change_mosaic(mosaic: str, settings: MosaicSettings, services: ServicesDep) -> MosaicOut:
    """Replaces a mosaic's settings; the ones that indexed rows depend on cannot change.

    Omitting `access`, `overviews` or `sources` leaves it unchanged, so that a private mosaic cannot
    become public, nor overviews be lost, by mistake.
    """
    given = settings.model_fields_set
    stays = {*FIXED, "access", "overviews", "sources"} - given
    kept = {k: v for k, v in settings.mosaic_fields().items() if k not in stays}
    return MosaicOut.of(services.mosaics.update(mosaic, kept))


@router.patch("/mosaics/{mosaic}", dependencies=[Writes])
def patch_mosaic(
    mosaic: str,
    patch: Annotated[
        dict[str, Any],
        Body(
            description="A JSON Merge Patch (RFC 7396) of the settings",
            media_type="application/merge-patch+json",
            examples=[{"title": "The Alps", "renders": {"ndvi": None}}],
        ),
    ],
    services: ServicesDep,
) -> MosaicOut:
    """Changes some settings of a mosaic; the others stay as they are, in the same transaction.

    `null` restores the default of a setting, and removes one of `renders`. The settings that
    indexed rows depend on cannot change.
    """
    try:
        changed = services.mosaics.revise(mosaic, lambda now: patched(now, patch))
    except ValidationError as error:
        raise InvalidRequestError(describe_errors(error.errors())) from error
    return MosaicOut.of(changed)


@router.delete(
    "/mosaics/{mosaic}",
    status_code=204,
    response_class=Response,
    responses={
        202: {"description": "Some scenes are left: repeat the request"},
        409: {"description": "Derived mosaics show it: `force=true` deletes it"},
    },
    dependencies=[Writes],
)
def delete_mosaic(
    mosaic: str,
    services: ServicesDep,
    force: Annotated[
        bool, Query(description="Also where derived mosaics show it, which go on without it")
    ] = False,
) -> Response:
    """Deletes a mosaic and all its scenes; while it returns 202, repeat the request until 204.

    Readers no longer see the mosaic after the first request; its id is free after the last. With
    `background` true in the response, builders delete what is left, whether it is repeated or not.
    """
    if services.hints and services.mosaics.doomed(mosaic):
        return _watched(mosaic, services)
    end = time.monotonic() + DELETE_S
    for deleted, _ in enumerate(services.index.drop(mosaic, force=force), 1):
        if time.monotonic() > end:
            return _unfinished(mosaic, deleted, services)
    return Response(status_code=204)


def _unfinished(mosaic: str, deleted: int, services: Services) -> Response:
    """Leaves the rest to builders where there are some; returns the response."""
    unsent = services.hints().send_now(removal_hints(mosaic)) if services.hints else 1
    return _left(f"{deleted:,} scenes are deleted; ask again until 204", deleted, not unsent)


def _watched(mosaic: str, services: Services) -> Response:
    """Wakes the builders that delete a mosaic, and waits a little for the last of its scenes."""
    assert services.hints  # noqa: S101 (for the type)
    unsent = services.hints().send_now(removal_hints(mosaic))
    end = time.monotonic() + WATCH_S
    while doomed := services.mosaics.doomed(mosaic):
        if time.monotonic() > end:
            total = Removal(services.index, doomed).removed()
            detail = f"builders have deleted some {total:,} scenes; ask again until 204"
            return _left(detail, 0, not unsent, total=total)
        time.sleep(1)
    return Response(status_code=204)


def _left(detail: str, deleted: int, background: bool, **more: int) -> Response:
    body = {"detail": detail, "deleted": deleted, **more}
    if background:
        body["background"] = True
    return JSONResponse(body, 202, headers={"Retry-After": "0"})
