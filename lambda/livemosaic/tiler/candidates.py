"""What a plan is made from: the scenes that meet a view, and what each claims of it by a rule."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from rasterio.crs import CRS
from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.geo.cells import Ring, cell_grid
from livemosaic.geo.covering import decode, rings_of, uncut
from livemosaic.geo.footprint import centre, footprint
from livemosaic.geo.rasterize import burn, meets
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid, Mask
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene, Scene, scene_key
from livemosaic.tiler.plan import Claim
from livemosaic.tiler.rules.filter import Selection
from livemosaic.tiler.rules.order import ordered
from livemosaic.tiler.views import View


def scenes_of(index: Index, mosaic: Mosaic, view: View, rule: Rule) -> Iterator[IndexedScene]:
    """Those that may show; nothing is read before the first is taken.

    `NotFoundError` below the mosaic's minzoom, but for locked scenes.
    """
    if rule.method == "lock":
        return named(index, mosaic, rule.lock)
    view.check_scale(mosaic)
    return index.find(mosaic, view.area)


def arrangement_of(
    mosaic: Mosaic, grid: Grid, rule: Rule
) -> Callable[[Sequence[IndexedScene]], list[IndexedScene]] | None:
    """Puts scenes in the order of a rule; None where that is the stored one."""
    if rule.in_stored_order:
        return None
    return partial(ordered, rule=rule, tms=mosaic.tms, view=grid)


def claims_of(
    mosaic: Mosaic, grid: Grid, rule: Rule, assets: Sequence[str]
) -> Callable[[IndexedScene], Claim | None]:
    """What gives the claim of each scene; None for one that takes no part.

    Those are scenes without one of the assets, and those that the rule leaves out.
    """
    cells = cell_grid(mosaic.tms)
    selection = Selection.of(rule)

    def claim_of(scene: IndexedScene) -> Claim | None:
        if not all(name in scene.assets for name in assets):
            return None
        if selection is not None and not selection.takes(scene):
            return None
        cut = seamline(scene, rule)
        parts = (
            [rings_of(cells.project(cut))]
            if cut
            else [decode(cells, quadkey, stored) for quadkey, stored in scene.parts]
        )
        parts = [rings for rings in parts if meets(rings, cells.crs, grid)]
        claim = partial(_claim, parts, cells.crs, grid)
        if not parts or (rule.min_pixels > 1 and claim().sum() < rule.min_pixels):
            return None
        return claim

    return claim_of


def _claim(parts: Sequence[Sequence[Ring]], crs: CRS, grid: Grid) -> Mask:
    claims = [burn(rings, crs, grid) for rings in parts]
    return claims[0] if len(claims) == 1 else np.logical_or.reduce(claims)


def named(index: Index, mosaic: Mosaic, names: Sequence[str]) -> Iterator[IndexedScene]:
    """The scenes of some names, in their order, read by their heads; those gone are left out.

    `InvalidRequestError` for an id alone where that does not tell which scene is meant.
    """
    possible = {name: _keys(mosaic, name) for name in names}
    keys = dict.fromkeys(key for keys in possible.values() for key in keys)
    scenes = {scene.key: scene for scene in index.scenes(mosaic, keys)}
    for name, keys_of_name in possible.items():
        found = [scenes[key] for key in keys_of_name if key in scenes]
        if not found and "/" not in name and not mosaic.only_collection:
            raise InvalidRequestError(
                f"mosaic {mosaic.id!r} takes scenes of more than one collection, and has no "
                f"{name[:80]!r} without one: write it as collection/id"
            )
        yield from (met for scene in found[:1] if (met := _met(mosaic, scene)))


def _keys(mosaic: Mosaic, name: str) -> list[str]:
    """An id may hold a slash itself."""
    collection, slash, scene_id = name.partition("/")
    alone = scene_key(mosaic.only_collection, name)
    return [alone, scene_key(collection, scene_id)] if slash else [alone]


def _met(mosaic: Mosaic, scene: Scene) -> IndexedScene | None:
    """A scene as who reads cells would meet it; None where the grid shows nothing of it."""
    part = uncut(cell_grid(mosaic.tms), scene.footprint)
    if part is None:
        return None
    return IndexedScene(
        key=scene.key,
        rank=scene.rank,
        version=scene.version,
        datetime=scene.datetime,
        assets=scene.assets,
        properties=scene.properties,
        parts=(("", part),),
        centre=centre(scene.footprint),
    )


def seamline(scene: IndexedScene, rule: Rule) -> MultiPolygon | None:
    """In longitude and latitude; None where its footprint stands for it.

    That is so for other methods than `seamline`, and for scenes that keep none that can be used.
    """
    if rule.method != "seamline":
        return None
    try:
        return footprint(scene.properties.get(rule.kept_in))
    except InvalidItemError:
        return None
