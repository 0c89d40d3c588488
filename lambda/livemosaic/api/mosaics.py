"""Mosaics: list, create, show, change, delete."""

import time
from dataclasses import asdict, fields
from typing import Any, Final

from fastapi import APIRouter, Depends
from fastapi.responses import JSONResponse, Response
from pydantic import BaseModel, ConfigDict, Field

from livemosaic.api.access import OfMosaicNow, OfMosaics, may_write
from livemosaic.api.params import Has
from livemosaic.api.rule import RulesSettings
from livemosaic.model import MAX_AGE_S, Access, Mosaic
from livemosaic.mosaics import FIXED, parse_filter
from livemosaic.renders import MAX_RENDERS
from livemosaic.rule import Rules

router = APIRouter(tags=["mosaics"])
Writes = Depends(may_write)

DELETE_S: Final = 15.0
"""How long one request deletes: API Gateway waits 30 s for an answer (HTTP API quotas), of which a
busy table may take ten for the last scene."""
_HIDDEN = {"generation", "watermarks", "deleting"}


class Settings(BaseModel):
    """Settings of a mosaic."""

    model_config = ConfigDict(extra="forbid")

    title: str = Field("", max_length=500)
    access: Access = Field(
        "public", description="`private`: only who holds an access token may see it"
    )
    collections: list[str] = Field(
        ["*"], max_length=100, description="STAC collections it subscribes to; `*` is any"
    )
    filter: str | dict[str, Any] | None = Field(
        None, description="CQL2, text or JSON, that an Item must pass"
    )
    assets: list[str] = Field(
        [], max_length=64, description="Assets it keeps; none keeps every GeoTIFF"
    )
    default_assets: list[str] = Field(
        [], max_length=16, description="Assets of a tile that names none"
    )
    properties: list[str] = Field(
        [], max_length=64, description="Item properties it keeps beside datetime"
    )
    sortby: str = Field(
        "-datetime", max_length=200, description="`-property` puts the largest on top"
    )
    tms: str = Field("WebMercatorQuad", description="TileMatrixSet of its index; a quadtree")
    minzoom: int = Field(0, ge=0, le=24)
    maxzoom: int = Field(22, ge=0, le=30)
    quadkey_zoom: int = Field(
        14,
        ge=0,
        le=24,
        description="Deepest zoom of an index cell; at one where each scene has at most "
        "`max_cells`, a tile takes one query",
    )
    max_cells: int = Field(16, ge=1, le=48, description="Index cells of one scene, at most")
    max_age_s: int = Field(
        0, ge=0, le=MAX_AGE_S, description="How long caches keep a tile; 0 makes them ask each time"
    )
    stale_while_revalidate_s: int = Field(
        0, ge=0, le=MAX_AGE_S, description="How much longer they may show it while they ask"
    )
    renders: dict[str, dict[str, Any]] = Field(
        {},
        max_length=MAX_RENDERS,
        description="Named renders (STAC render extension 2.0), for `render=NAME`",
    )
    rules: RulesSettings = RulesSettings()


class NewMosaic(Settings):
    """A mosaic to create."""

    id: str = Field(max_length=63, description="Letters, digits, `_`, `.`, `-`")


class MosaicOut(NewMosaic):
    """A mosaic."""

    revision: int
    bounds: tuple[float, float, float, float] | None = Field(
        description="West, south, east, north of all that was ever added"
    )
    levels: list[int] = Field(description="Zooms at which scenes are indexed")
    known_assets: list[str] = Field(description="Assets that its scenes ever had")


class MosaicList(BaseModel):
    """All mosaics."""

    mosaics: list[MosaicOut]


@router.get("/mosaics")
def list_mosaics(mosaics: OfMosaics) -> MosaicList:
    """Every public mosaic, and every private one that the credential opens."""
    return MosaicList(mosaics=[shown(mosaic) for mosaic in mosaics])


@router.post("/mosaics", status_code=201, dependencies=[Writes])
def create_mosaic(new: NewMosaic, has: Has) -> MosaicOut:
    """Create a mosaic; 409 where its id is taken."""
    return shown(has.mosaics.create(Mosaic(id=new.id, **values(new))))


@router.get("/mosaics/{mosaic}")
def show_mosaic(mosaic: OfMosaicNow) -> MosaicOut:
    """One mosaic."""
    return shown(mosaic)


@router.put("/mosaics/{mosaic}", dependencies=[Writes])
def change_mosaic(mosaic: str, settings: Settings, has: Has) -> MosaicOut:
    """Change its settings; those that indexed rows depend on may be left out, not changed.

    `access` stays as it is where it is left out: nothing private becomes public by an oversight.
    """
    given = settings.model_fields_set
    stays = {*FIXED, "access"} - given
    kept = {k: v for k, v in values(settings).items() if k not in stays}
    return shown(has.mosaics.update(mosaic, kept))


@router.delete(
    "/mosaics/{mosaic}",
    status_code=204,
    response_class=Response,
    responses={202: {"description": "Not all scenes are deleted yet: ask again"}},
    dependencies=[Writes],
)
def delete_mosaic(mosaic: str, has: Has) -> Response:
    """Delete a mosaic and all its scenes; 202 where there is more to do: ask again until 204.

    It is gone for readers from the first request on. Its id can be taken again after the last.
    """
    end = time.monotonic() + DELETE_S
    for deleted, _ in enumerate(has.index.drop(mosaic), 1):
        if time.monotonic() > end:
            detail = f"{deleted:,} scenes are deleted; ask again until 204"
            return JSONResponse(
                {"detail": detail, "deleted": deleted}, 202, headers={"Retry-After": "0"}
            )
    return Response(status_code=204)


def shown(mosaic: Mosaic) -> MosaicOut:
    """A mosaic as the API shows it."""
    return MosaicOut(**{k: v for k, v in asdict(mosaic).items() if k not in _HIDDEN})


def values(settings: Settings) -> dict[str, Any]:
    """Settings as `Mosaic` takes them, less the id; the filter as CQL2-JSON."""
    known = {field.name for field in fields(Mosaic)} - {"id"}
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value
        for name, value in settings.model_dump(include=known).items()
    }
    cql2 = values["filter"]
    parsed = None if cql2 is None else parse_filter(cql2).to_json()
    return values | {"filter": parsed, "rules": Rules.of(values["rules"])}
