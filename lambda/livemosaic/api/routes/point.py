"""Band values at a point, of each scene and of the mosaic."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from fastapi import APIRouter, Response
from pydantic import BaseModel

from livemosaic.api.dependencies import CachedMosaic, CoordCrs, ReadParams, RuleParams, ServicesDep
from livemosaic.api.responses.explain import band_names, explain_view
from livemosaic.model.raster import Pixels
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.picture import Draft, Picture, Reads
from livemosaic.tiler.views import Point

router = APIRouter(tags=["numbers"])


class Values(BaseModel):
    """Values by band, null where there is no data."""

    values: list[int | float | None]
    """Integers of bands of 64 bits, exactly; else floating-point numbers."""
    band_names: list[str]
    band_descriptions: list[str]


class ScenePoint(Values):
    """Band values of one scene."""

    name: str
    collection: str | None
    datetime: str | None


class Skipped(BaseModel):
    """A scene that could not be read."""

    name: str
    why: str


class PointOut(Values):
    """Values at a point: of the mosaic by its rule, and of each scene."""

    coordinates: tuple[float, float]
    assets: list[ScenePoint]
    skipped: list[Skipped]
    truncated: str | None
    """The limit that left scenes out."""


@router.get(
    "/mosaics/{mosaic}/point/{lon},{lat}",
    response_model=PointOut,
    responses={204: {"description": "No scene covers the point"}},
)
async def point(
    mosaic: CachedMosaic,
    lon: float,
    lat: float,
    crs: CoordCrs,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
) -> Any:
    """Reads the pixel of each scene at a point, top first, at full resolution."""
    view = Point(crs, lon, lat).view(mosaic)
    # One pixel needs neither interpolation nor a minimum of pixels.
    read, rule = replace(read, resampling="nearest", palette=False), replace(rule, min_pixels=0)
    draft = services.tiler.draft(mosaic, view, read, rule, every=True)
    done = await services.tiler.read(draft)
    if not (done.layers or done.errors or draft.plan.left_out):
        return Response(status_code=204)
    return _shown((lon, lat), draft, done, await services.tiler.compose(draft, done))


def _shown(coordinates: tuple[float, float], draft: Draft, done: Reads, made: Picture) -> PointOut:
    places = sorted(done.layers)
    return PointOut(
        coordinates=coordinates,
        assets=[_scene(draft, draft.plan.scene(at), done.layers[at]) for at in places],
        skipped=[Skipped(name=name, why=why) for name, why in (*made.skipped, *made.left_out)],
        truncated=made.truncated or None,
        **(_values(draft, made.pixels) if places else dict.fromkeys(Values.model_fields, ())),
    )


def _scene(draft: Draft, scene: IndexedScene, pixels: Pixels) -> ScenePoint:
    return ScenePoint(
        name=scene.id,
        collection=scene.collection or None,
        datetime=scene.datetime,
        **_values(draft, pixels),
    )


def _values(draft: Draft, pixels: Pixels) -> dict[str, Sequence[Any]]:
    found = pixels.data[:, 0, 0]
    real = pixels.valid[0, 0] & np.isfinite(found)
    # float64 does not hold 64-bit integers exactly, and holds all else.
    exact = found if found.dtype.itemsize == 8 else found.astype(np.float64)
    return {
        "values": [v if ok else None for v, ok in zip(exact.tolist(), real, strict=True)],
        "band_names": band_names(draft.read, pixels.names),
        "band_descriptions": pixels.names,
    }


@router.get("/mosaics/{mosaic}/point/{lon},{lat}/assets")
async def point_assets(
    mosaic: CachedMosaic,
    lon: float,
    lat: float,
    crs: CoordCrs,
    services: ServicesDep,
    read: ReadParams,
    rule: RuleParams,
) -> dict[str, Any]:
    """Lists the scenes that cover a point, top first, by footprints alone."""
    view = Point(crs, lon, lat).view(mosaic)
    return await explain_view(services, mosaic, view, read, replace(rule, min_pixels=0), every=True)
