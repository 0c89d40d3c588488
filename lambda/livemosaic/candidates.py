"""What a plan is made from: the scenes that meet a view, and what each claims of it by a rule."""

from collections.abc import Callable, Iterator, Sequence
from functools import partial

import numpy as np
from rasterio.crs import CRS

from livemosaic.cells import Ring, cell_grid
from livemosaic.claims import burn, meets
from livemosaic.covers import decode, rings_of
from livemosaic.index import Index
from livemosaic.merge import Found
from livemosaic.model import Grid, Mosaic
from livemosaic.names import named
from livemosaic.order import ordered
from livemosaic.plan import Claim, Mask
from livemosaic.rule import Rule
from livemosaic.seamline import seamline
from livemosaic.selection import Selection
from livemosaic.views import View


def scenes_of(index: Index, mosaic: Mosaic, view: View, rule: Rule) -> Iterator[Found]:
    """Those that may show; nothing is read before the first is taken.

    `NotFoundError` below the mosaic's minzoom, but for locked scenes.
    """
    if rule.method == "lock":
        return named(index, mosaic, rule.lock)
    view.check_scale(mosaic)
    return index.find(mosaic, view.area)


def arrangement_of(
    mosaic: Mosaic, grid: Grid, rule: Rule
) -> Callable[[Sequence[Found]], list[Found]] | None:
    """Puts scenes in the order of a rule; None where that is the stored one."""
    if rule.in_stored_order:
        return None
    return partial(ordered, rule=rule, tms=mosaic.tms, view=grid)


def claims_of(
    mosaic: Mosaic, grid: Grid, rule: Rule, assets: Sequence[str]
) -> Callable[[Found], Claim | None]:
    """What gives the claim of each scene; None for one that takes no part.

    Those are scenes without one of the assets, and those that the rule leaves out.
    """
    cells = cell_grid(mosaic.tms)
    selection = Selection.of(rule)

    def claim_of(scene: Found) -> Claim | None:
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
