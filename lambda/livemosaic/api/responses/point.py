"""Band values at a point, of each scene and of the mosaic, as JSON describes them."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from pydantic import BaseModel

from livemosaic.api.responses.explain import band_names
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Pixels
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.services import Services
from livemosaic.tiler.picture import Draft, Picture, Reads
from livemosaic.tiler.views import Point


class BandValues(BaseModel):
    """Values by band, null where there is no data."""

    values: list[int | float | None]
    """Integers of bands of 64 bits, exactly; else floating-point numbers."""
    band_names: list[str]
    band_descriptions: list[str]


class ScenePoint(BandValues):
    """Band values of one scene."""

    name: str
    collection: str | None
    datetime: str | None


class Skipped(BaseModel):
    """A scene that could not be read."""

    name: str
    why: str


class PointOut(BandValues):
    """Values at a point: of the mosaic by its rule, and of each scene."""

    coordinates: tuple[float, float]
    assets: list[ScenePoint]
    skipped: list[Skipped]
    truncated: str | None
    """The limit that left scenes out."""


async def read_at(
    services: Services, mosaic: Mosaic, point: Point, read: Read, rule: Rule, *, every: bool
) -> tuple[Draft, Reads]:
    """Reads the pixel at a point, at full resolution; of every scene, or of the visible ones."""
    # One pixel needs neither interpolation nor a minimum of pixels.
    read, rule = replace(read, resampling="nearest", palette=False), replace(rule, min_pixels=0)
    draft = services.tiler.draft(mosaic, point.view(mosaic), read, rule, every=every)
    return draft, await services.tiler.read(draft)


async def values_at(
    services: Services, mosaic: Mosaic, point: Point, read: Read, rule: Rule
) -> PointOut | None:
    """Reads the pixel of each scene at a point, top first, at full resolution; None of no scene."""
    draft, done = await read_at(services, mosaic, point, read, rule, every=True)
    if not (done.layers or done.errors or draft.plan.left_out):
        return None
    made = await services.tiler.compose(draft, done)
    return _shown((point.x, point.y), draft, done, made)


def _shown(coordinates: tuple[float, float], draft: Draft, done: Reads, made: Picture) -> PointOut:
    nothing = dict.fromkeys(BandValues.model_fields, ())
    return PointOut(
        coordinates=coordinates,
        assets=[_scene(draft, draft.plan.scene(at), pixels) for at, pixels in done.layers.items()],
        skipped=[Skipped(name=name, why=why) for name, why in (*made.skipped, *made.left_out)],
        truncated=made.truncated or None,
        **(_values(draft, made.pixels) if done.layers else nothing),
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
