"""Mosaics: list, create, show, change and delete."""

import time
from typing import Final

from fastapi import APIRouter
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from livemosaic.api.dependencies import CurrentMosaic, ServicesDep, VisibleMosaics, Writes
from livemosaic.api.schemas import MosaicOut, MosaicSettings, NewMosaic
from livemosaic.index.mosaics import FIXED
from livemosaic.model.mosaic import Mosaic

router = APIRouter(tags=["mosaics"])

DELETE_S: Final = 15.0
"""Time limit of one deletion request: API Gateway waits 30 s for a response (HTTP API quotas), of
which a busy table may take ten for the last scene."""


class MosaicList(BaseModel):
    """A list of mosaics."""

    mosaics: list[MosaicOut]


@router.get("/mosaics")
def list_mosaics(mosaics: VisibleMosaics) -> MosaicList:
    """Lists all public mosaics, and private mosaics that the credential gives access to."""
    return MosaicList(mosaics=[MosaicOut.of(mosaic) for mosaic in mosaics])


@router.post("/mosaics", status_code=201, dependencies=[Writes])
def create_mosaic(new: NewMosaic, services: ServicesDep) -> MosaicOut:
    """Creates a mosaic; 409 if its id is taken.

    Omitting `overviews` keeps them where the server has a place for their objects, unless the
    mosaic's default rule or `minzoom` rule them out; `null` keeps none.
    """
    mosaic = Mosaic(id=new.id, **new.mosaic_fields())
    return MosaicOut.of(services.create(mosaic, is_overviews_open=new.is_overviews_open))


@router.get("/mosaics/{mosaic}")
def show_mosaic(mosaic: CurrentMosaic) -> MosaicOut:
    """Shows the current settings and state of a mosaic."""
    return MosaicOut.of(mosaic)


@router.put("/mosaics/{mosaic}", dependencies=[Writes])
def change_mosaic(mosaic: str, settings: MosaicSettings, services: ServicesDep) -> MosaicOut:
    """Replaces a mosaic's settings; the ones that indexed rows depend on cannot change.

    Omitting `access` or `overviews` leaves it unchanged, so that a private mosaic cannot become
    public, nor overviews be lost, by mistake.
    """
    given = settings.model_fields_set
    stays = {*FIXED, "access", "overviews"} - given
    kept = {k: v for k, v in settings.mosaic_fields().items() if k not in stays}
    return MosaicOut.of(services.mosaics.update(mosaic, kept))


@router.delete(
    "/mosaics/{mosaic}",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "Some scenes are left: repeat the request"}},
    dependencies=[Writes],
)
def delete_mosaic(mosaic: str, services: ServicesDep) -> Response:
    """Deletes a mosaic and all its scenes; while it returns 202, repeat the request until 204.

    Readers no longer see the mosaic after the first request; its id is free after the last.
    """
    end = time.monotonic() + DELETE_S
    for deleted, _ in enumerate(services.index.drop(mosaic), 1):
        if time.monotonic() > end:
            detail = f"{deleted:,} scenes are deleted; ask again until 204"
            return JSONResponse(
                {"detail": detail, "deleted": deleted}, 202, headers={"Retry-After": "0"}
            )
    return Response(status_code=204)
