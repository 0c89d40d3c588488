"""Mosaics: list, create, show, change, delete."""

import time
from typing import Final

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel

from livemosaic.api.access import may_write
from livemosaic.api.dependencies import CurrentMosaic, ServicesDep, VisibleMosaics
from livemosaic.api.schemas import MosaicOut, MosaicSettings, NewMosaic, shown, values
from livemosaic.index.mosaics import FIXED
from livemosaic.model.mosaic import Mosaic

router = APIRouter(tags=["mosaics"])
Writes = Depends(may_write)

DELETE_S: Final = 15.0
"""How long one request deletes: API Gateway waits 30 s for an answer (HTTP API quotas), of which a
busy table may take ten for the last scene."""


class MosaicList(BaseModel):
    """All mosaics."""

    mosaics: list[MosaicOut]


@router.get("/mosaics")
def list_mosaics(mosaics: VisibleMosaics) -> MosaicList:
    """Every public mosaic, and every private one that the credential opens."""
    return MosaicList(mosaics=[shown(mosaic) for mosaic in mosaics])


@router.post("/mosaics", status_code=201, dependencies=[Writes])
def create_mosaic(new: NewMosaic, services: ServicesDep) -> MosaicOut:
    """Create a mosaic; 409 where its id is taken."""
    return shown(services.mosaics.create(Mosaic(id=new.id, **values(new))))


@router.get("/mosaics/{mosaic}")
def show_mosaic(mosaic: CurrentMosaic) -> MosaicOut:
    """One mosaic."""
    return shown(mosaic)


@router.put("/mosaics/{mosaic}", dependencies=[Writes])
def change_mosaic(mosaic: str, settings: MosaicSettings, services: ServicesDep) -> MosaicOut:
    """Change its settings; those that indexed rows depend on may be left out, not changed.

    `access` stays as it is where it is left out: nothing private becomes public by an oversight.
    """
    given = settings.model_fields_set
    stays = {*FIXED, "access"} - given
    kept = {k: v for k, v in values(settings).items() if k not in stays}
    return shown(services.mosaics.update(mosaic, kept))


@router.delete(
    "/mosaics/{mosaic}",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "Not all scenes are deleted yet: ask again"}},
    dependencies=[Writes],
)
def delete_mosaic(mosaic: str, services: ServicesDep) -> Response:
    """Delete a mosaic and all its scenes; 202 where there is more to do: ask again until 204.

    It is gone for readers from the first request on. Its id can be taken again after the last.
    """
    end = time.monotonic() + DELETE_S
    for deleted, _ in enumerate(services.index.drop(mosaic), 1):
        if time.monotonic() > end:
            detail = f"{deleted:,} scenes are deleted; ask again until 204"
            return JSONResponse(
                {"detail": detail, "deleted": deleted}, 202, headers={"Retry-After": "0"}
            )
    return Response(status_code=204)
