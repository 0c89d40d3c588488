"""A mosaic as MosaicJSON 0.0.3, which cogeo-mosaic and titiler.mosaic read.

MosaicJSON has one asset of each scene, and a list of them for each cell of one zoom. Only scenes
whose footprint has area in a cell are listed there, in the stored order of the mosaic, the top one
first. Of tiles above that zoom, cogeo-mosaic joins the lists of its cells one after the other.
"""

from collections import defaultdict
from collections.abc import Iterable, Iterator
from typing import Any, Final

import shapely
from shapely.geometry import MultiPolygon, box

from livemosaic.errors import InvalidRequestError, TooLargeError
from livemosaic.geo.cells import Cell, CellGrid, cell_grid
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.scene import Scene
from livemosaic.storage.hrefs import without_query

_WEB: Final = "WebMercatorQuad"
"""The TileMatrixSet of a MosaicJSON that names none."""
_WORLD: Final[BBox] = (-180.0, -90.0, 180.0, 90.0)
_MAX_CELLS: Final = 4096
"""Cells that one scene may take."""


def at_most(scenes: Iterable[Scene], most: int) -> Iterator[Scene]:
    """Yields scenes; raises `TooLargeError` for more than `most` of them."""
    for count, scene in enumerate(scenes):
        if count == most:
            raise TooLargeError(
                f"the mosaic has more than {most:,} scenes; `livemosaic export` has no such limit"
            )
        yield scene


def mosaic_json(
    mosaic: Mosaic, scenes: Iterable[Scene], *, asset: str = "", quadkey_zoom: int | None = None
) -> dict[str, Any]:
    """Returns a mosaic as MosaicJSON, with the hrefs of one asset: by default the shown one.

    Raises `InvalidRequestError` where the mosaic shows several assets and none is named, where no
    scene has the asset, and where a scene takes too many cells of the zoom, by default that of the
    largest cells that scenes are indexed in.
    """
    name = asset or only_asset(mosaic)
    zoom = _usual_zoom(mosaic) if quadkey_zoom is None else quadkey_zoom
    grid = cell_grid(mosaic.tms)
    having = [scene for scene in scenes if scene.shows(name)]
    if not having:
        raise InvalidRequestError(f"no scene of mosaic {mosaic.id!r} has an asset {name[:80]!r}")
    tiles: defaultdict[str, list[str]] = defaultdict(list)
    for scene in sorted(having, key=lambda each: (each.layer, each.rank, each.key)):
        for cell in _cells(grid, scene, zoom):
            tiles[cell.quadkey].append(without_query(scene.assets[name]))
    return {
        "mosaicjson": "0.0.3",
        "name": mosaic.title or mosaic.id,
        "version": "1.0.0",
        **({"attribution": mosaic.attribution} if mosaic.attribution else {}),
        "minzoom": mosaic.minzoom,
        "maxzoom": mosaic.deepest_zoom,
        "quadkey_zoom": zoom,
        "bounds": list(mosaic.described or _WORLD),
        "asset_type": "COG",
        **_tile_matrix_set(mosaic, grid),
        "tiles": dict(sorted(tiles.items())),
    }


def _tile_matrix_set(mosaic: Mosaic, grid: CellGrid) -> dict[str, Any]:
    if mosaic.tms == _WEB:
        return {}
    return {"tilematrixset": grid.tms.model_dump(mode="json", exclude_none=True)}


def only_asset(mosaic: Mosaic) -> str:
    """Returns the one asset that a mosaic shows; raises `InvalidRequestError` for several."""
    shown = mosaic.shown_assets
    if len(shown) != 1:
        names = ", ".join(shown or mosaic.known_assets) or "none"
        raise InvalidRequestError(
            f"one asset of each scene is exported: name it, of mosaic {mosaic.id!r} one of {names}"
        )
    return shown[0]


def _usual_zoom(mosaic: Mosaic) -> int:
    return max(mosaic.minzoom, min(mosaic.levels, default=mosaic.minzoom))


def _cells(grid: CellGrid, scene: Scene, zoom: int) -> Iterator[Cell]:
    """Yields the cells in which the footprint has area."""
    shape = grid.project(scene.footprint)
    parts = shapely.get_parts(shape) if isinstance(shape, MultiPolygon) else [shape]
    count = sum(grid.count(part.bounds, zoom) for part in parts if not part.is_empty)
    if count > _MAX_CELLS:
        raise InvalidRequestError(
            f"item {scene.id[:80]!r} takes {count:,} cells of zoom {zoom}, at most {_MAX_CELLS:,} "
            "are listed; choose a smaller quadkey_zoom"
        )
    cells = {c for part in parts if not part.is_empty for c in grid.cells_of(part.bounds, zoom)}
    shapely.prepare(shape)
    for cell in sorted(cells, key=lambda each: each.quadkey):
        bounds = box(*grid.bounds(cell))
        if shape.intersects(bounds) and not shape.touches(bounds):
            yield cell
