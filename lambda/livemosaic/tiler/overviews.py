"""Overview cells in place of scenes: which requests they serve, and which cells show a view.

A cell is a scene to the plan and to the reader: a COG of source values that covers its whole tile.
So expressions, rescaling, colors and formats work from cells as from scenes. Other is asked of the
scenes themselves: every rule but the mosaic's default, and all that a cell does not keep.

Where overviews begin differs from place to place. A view in which some tiles have no cell shows
cells where they are, and scenes in the rest.
"""

import math
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import TYPE_CHECKING, Final

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import Cell
from livemosaic.geo.covering import WHOLE
from livemosaic.index.cells.notes import Remarks
from livemosaic.index.overviews import RUNG, CellImage, OverviewCell, OverviewRows
from livemosaic.index.partitions import Area
from livemosaic.model.mosaic import Mosaic, OverviewSet, Reduction
from livemosaic.model.raster import BBox, Pixels, Runs
from livemosaic.model.render import Read, Resampling
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.candidates import Candidates
from livemosaic.tiler.plan import Needs
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import View

if TYPE_CHECKING:
    from livemosaic.tiler.picture import AssetReader

WORLD: Final = ""
"""The quadkey of the cell of the world; mosaics with a `minzoom` of 3 or more have none."""
_TILE: Final = 256
_ROUNDED: Final = 0.2
"""Part of a zoom by which a cell may be coarser than an image and still has its resolution."""
_MAX_CELLS: Final = 64
"""Cells of one rung that an image reads at most."""
MOST_COUNTED: Final = 100
"""Stale rows that are counted at most."""
_REGION: Final = 3
"""The zoom of the regions by which stale rows are kept."""

_KERNELS: Final[Mapping[Resampling, frozenset[Reduction]]] = {
    **dict.fromkeys(
        ("nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average"),
        frozenset({"mean", "mode", "sample", "min", "max"}),
    ),
    "mode": frozenset({"mode"}),
    "min": frozenset({"min"}),
    "max": frozenset({"max"}),
}
"""The ways to make overviews from which a kernel gives what it gives from full resolution, but for
interpolation. The others need every source pixel: the median of means is no median."""


@dataclass(frozen=True, slots=True)
class Rung:
    """The tiles of one rung of overviews that a view meets."""

    zoom: int
    quadkeys: frozenset[str]
    is_coarse: bool
    """Whether its cells are coarser than the image."""


@dataclass(frozen=True, slots=True)
class WantedCells:
    """The cells that may show a view to a request, if they are there."""

    cells: OverviewSet
    rungs: Sequence[Rung]
    """The best first."""
    sharper: Sequence[Rung]
    """Finer ones, the finest first, which a view of more `detail` shows where all cells are."""
    read: Read
    assets: Sequence[str]
    """Assets that the request shows."""
    may_mix: bool
    """Whether scenes may be shown beside them: not if a pixel combines several."""

    @property
    def quadkeys(self) -> frozenset[str]:
        """All of them, and of a view of several the ones above, which know what is empty."""
        every = [rung.quadkeys for rung in (*self.sharper, *self.rungs)]
        tiles = frozenset[str]().union(*every)
        if all(len(quadkeys) == 1 for quadkeys in every):
            return tiles
        return tiles | {tile[:zoom] for tile in tiles for zoom in range(0, len(tile), RUNG)}


@dataclass(frozen=True)
class ShownCells:
    """The overview cells that show a view."""

    cells: Sequence[OverviewCell]
    """By quadkey, each with the one image that shows."""
    zoom: int
    """Of the rung: their zoom."""
    rest: Area | None = None
    """Where there is no cell; None where cells show all of the view."""
    is_coarse: bool = False
    """Whether they are coarser than the image."""
    cut: Mapping[str, Sequence[str]] = field(default_factory=dict)
    """Coarser cells among them, by quadkey, with the tiles of the rung of which alone they show."""
    otherwise: "ShownCells | None" = None
    """What shows the rest where it has more scenes than can be read: coarser cells, if any can."""
    remarks: Remarks = field(default_factory=Remarks)
    """What they do not show in the view, or in gray, of the assets that show."""

    @cached_property
    def scenes(self) -> Sequence[IndexedScene]:
        """The cells as scenes, but for cells in which nothing shows."""
        return [
            self._cut_to_tiles(cell.scene(image))
            for cell in self.cells
            for image in cell.images
            if image.assets
        ]

    def _cut_to_tiles(self, scene: IndexedScene) -> IndexedScene:
        """A cell as a scene that claims no more than it is to show."""
        if not self.cut:
            return scene
        ((quadkey, _),) = scene.parts
        tiles = self.cut.get(quadkey, (quadkey,))
        return replace(scene, parts=tuple((tile, WHOLE) for tile in tiles))

    @property
    def names(self) -> list[str]:
        """The names of cells in which something shows."""
        return [name_of(cell.quadkey) for cell in self.cells if any(i.assets for i in cell.images)]

    def numbers(self, scene: IndexedScene) -> Mapping[str, tuple[int, ...]]:
        """The numbers of bands in the files of scenes, by asset, of a cell that is shown."""
        return self._numbers.get(scene.key, {})

    @cached_property
    def _numbers(self) -> Mapping[str, Mapping[str, tuple[int, ...]]]:
        pairs = ((cell.scene(image).key, image) for cell in self.cells for image in cell.images)
        return {key: image.numbers for key, image in pairs if image.numbers}

    @property
    def built(self) -> str:
        """RFC 3339 time at which the oldest of their objects was made; empty if there is none."""
        return min((cell.built for cell in self.cells if cell.built), default="")


@dataclass(frozen=True, slots=True)
class Lag:
    """What overview cells lack."""

    scenes: int
    """Scenes that changed since they were made."""
    unread: int
    """Blocks in which a scene could not be read; they are tried again."""


@dataclass(frozen=True, slots=True, eq=False)
class OverviewCandidates:
    """Gives a plan overview cells, and after them the scenes of places without a cell."""

    candidates: Candidates
    """Of the view, by the default rule."""
    shown: ShownCells

    in_stored_order = True

    def scenes(self, needs: Needs) -> Iterator[IndexedScene]:
        """The cells, and scenes of the rest as they are taken."""
        del needs
        yield from self.shown.scenes
        if self.shown.rest is not None:
            yield from self.candidates.index.find(self.candidates.mosaic, self.shown.rest)

    def arranged(self, scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
        """Scenes as they are: cells and scenes of the default rule have no other order."""
        return scenes

    def claim(self, scene: IndexedScene) -> Runs | str | None:
        """The pixels that a cell or a scene claims; see `Candidates.claim`."""
        return self.candidates.claim(scene)


@dataclass(frozen=True, slots=True)
class Overviews:
    """The overview cells of mosaics, as readers use them. Safe to share between threads."""

    rows: OverviewRows
    reader: "AssetReader"
    """Reads the objects of cells, and no others."""

    def find(self, mosaic: Mosaic, view: View, wanted: "WantedCells") -> ShownCells | None:
        """The cells that show a view, read at once; None where its scenes must be read."""
        standing = self.rows.standing(mosaic, wanted.cells, wanted.quadkeys)
        usable = {
            key: replace(cell, images=(image,))
            for key, cell in standing.items()
            if (image := cell.image_of(wanted.assets)) and keeps(image, wanted.read)
        }
        beyond = _beyond(mosaic, view.area)
        shown = None if beyond else _sharpest(wanted, standing, usable)
        shown = shown or _best(wanted, standing, usable, view.area, beyond)
        return shown and _remarked(wanted, shown, view.area)

    def lag(self, mosaic: Mosaic, view: View) -> "Lag | None":
        """What cells in a view, or near it, lack, of the first `MOST_COUNTED` stale rows there.

        None where it would take more than one query: at zooms 0 to 2, where the mosaic reaches into
        several tiles of zoom 3. Of a derived mosaic, of all sources that have overviews.
        """
        if mosaic.sources:
            shown = [each for each in mosaic.stored if each.shown_overviews]
            lags = [lag for each in shown if (lag := self.lag(each, view))]
            whole = len(lags) == len(shown)
            return Lag(sum(x.scenes for x in lags), sum(x.unread for x in lags)) if whole else None
        regions = _regions(mosaic, view.area)
        if len(regions) != 1:
            return None
        rows = self.rows.waiting(mosaic, regions.pop(), MOST_COUNTED)
        tiles = _tiles(view.area, view.area.zoom) or {""}
        under = [row for row in rows if any(_meet(one, t) for one in row.cells for t in tiles)]
        changed = {row.scene or row.key.sk for row in under if not row.tries}
        return Lag(len(changed), sum(row.tries > 0 for row in under))


def wanted_cells(mosaic: Mosaic, view: View, read: Read, rule: Rule) -> WantedCells | None:
    """The cells that may show a view to a request; None where only its scenes can."""
    cells = serving(mosaic, read, rule)
    found = rungs(view, cells.reach) if cells else []
    if not (cells and found):
        return None
    assets = read.assets or mosaic.shown_assets
    finer = sharper(view, cells.reach, found[0].zoom)
    return WantedCells(cells, found, finer, read, assets, may_mix=rule == DEFAULT)


def serving(mosaic: Mosaic, read: Read, rule: Rule) -> OverviewSet | None:
    """The set of cells that keep what a request means; None where only scenes do.

    `read` names the assets of its expression. Of a part of the assets of the set, some cells may
    still show other scenes than a request for them: see `CellImage.serves`.
    """
    cells = mosaic.shown_overviews
    assets = read.assets or mosaic.shown_assets
    if cells is None or not read.overviews or not assets or read.style is not None:
        return None
    if read.nodata is not None or not set(assets) <= set(cells.policy.assets):
        return None
    ways = {cells.policy.reduction(asset) for asset in assets}
    if not ways <= _KERNELS.get(read.resampling, frozenset()):
        return None
    return cells if rule == rule_of({}, mosaic) else None


def keeps(image: CellImage, read: Read) -> bool:
    """Whether an image of a cell has the numbers that a request reads of its scenes.

    Not their scale where scenes disagree in it, not their indices where they have a palette, and
    not their bands by number where scenes disagree in these, or where a scene has a single band,
    which cells repeat.
    """
    by_number = bool(read.bidx or read.bidx_of or read.expression)
    if (read.unscale and image.mixed) or (by_number and image.renumbered):
        return False
    return not image.colors or (read.palette and not (read.bidx or read.bidx_of))


def name_of(tile: str) -> str:
    """Returns what headers call an overview cell, by its quadkey."""
    at = Cell.of(tile)
    return f"overview {at.zoom}/{at.x}/{at.y}"


Numbers = Mapping[str, Sequence[int]]
"""Of the bands of an asset of a cell in the files of scenes, where they are not 1, 2, 3, …."""


def by_position(read: Read, assets: Iterable[str], numbers: Numbers) -> Read:
    """Returns a read of a cell's bands by their positions in the cell.

    Raises `InvalidRequestError` for a band that the cell leaves out, such as alpha.
    """
    if not numbers:
        return read
    wanted = ((name, read.of(name).bidx) for name in assets)
    positions = tuple((name, _positions(bidx, numbers.get(name, ()))) for name, bidx in wanted)
    return replace(read, bidx=(), bidx_of=positions)


def _positions(bidx: Sequence[int], numbers: Sequence[int]) -> tuple[int, ...]:
    if strange := [number for number in bidx if numbers and number not in numbers]:
        raise InvalidRequestError(f"band {strange[0]} is in no overview")
    return tuple(numbers.index(number) + 1 if numbers else number for number in bidx)


def by_number(pixels: Pixels, assets: Collection[str], numbers: Numbers) -> Pixels:
    """Returns pixels of a cell with bands named by their numbers in the files of scenes."""
    alone = next(iter(assets)) if len(assets) == 1 else None
    return replace(pixels, names=tuple(_named(name, alone, numbers) for name in pixels.names))


def _named(name: str, alone: str | None, numbers: Numbers) -> str:
    start, _, position = name.rpartition("b")
    own = numbers.get(start[:-1] if alone is None else alone)
    return f"{start}b{own[int(position) - 1]}" if own else name


def rungs(view: View, reach: int) -> list[Rung]:
    """The rungs of overviews that may show a view, the one that takes the fewest cells first.

    A cell has the resolution of tiles up to `RUNG` zooms deeper. Where tiles of the
    view's zoom may have more scenes than can be read, but no cell is fine enough, a coarser one is
    the last choice: a zoom longer for views that are no tile, as they meet several. None of more
    than 64 cells.
    """
    finest = _resolution(view)
    deepest = max(finest, view.area.zoom)
    last = RUNG + (len(_tiles(view.area, view.area.zoom)) > 1)
    found = [
        Rung(zoom, quadkeys, is_coarse=zoom + RUNG < finest - _ROUNDED)
        for zoom in range(0, reach + 1, RUNG)
        if min(view.area.zoom, finest - 1) <= zoom + last and zoom <= deepest + _ROUNDED
        if (quadkeys := _tiles(view.area, zoom))
    ]
    fine = [rung for rung in found if not rung.is_coarse]
    return fine[:2] + [rung for rung in found if rung.is_coarse][-1:]


def sharper(view: View, reach: int, zoom: int) -> list[Rung]:
    """The rungs below a zoom that have more of the detail of a view, the finest first."""
    needed = _resolution(view) + math.log2(view.detail) - _ROUNDED
    found: list[Rung] = []
    while zoom + RUNG < needed and zoom + RUNG <= reach:
        zoom += RUNG
        if quadkeys := _tiles(view.area, zoom):
            found.insert(0, Rung(zoom, quadkeys, is_coarse=False))
    return found


def _resolution(view: View) -> float:
    """The fractional zoom of tiles that have the resolution of a view."""
    grid, area = view.grid, view.area
    widest = min((area.grid.zoom_of(box) for box in area.boxes), default=math.inf)
    return widest + math.log2(max(grid.width, grid.height) / _TILE)


def _tiles(area: Area, zoom: int) -> frozenset[str]:
    """The tiles of a zoom that an area meets, as quadkeys; none if they are more than 64."""
    if sum(area.grid.count(box, zoom) for box in area.boxes) > _MAX_CELLS:
        return frozenset()
    return frozenset(tile.quadkey for box in area.boxes for tile in area.grid.cells_of(box, zoom))


def _sharpest(
    wanted: WantedCells, standing: Mapping[str, OverviewCell], usable: Mapping[str, OverviewCell]
) -> ShownCells | None:
    """The finest rung whose cells are all there, but for tiles without scenes."""
    for rung in wanted.sharper:
        if not _lacking(rung, standing, usable):
            return ShownCells(_there(rung, usable), rung.zoom)
    return None


def _there(rung: Rung, usable: Mapping[str, OverviewCell]) -> list[OverviewCell]:
    return [usable[tile] for tile in sorted(rung.quadkeys & usable.keys())]


def _lacking(
    rung: Rung, standing: Mapping[str, OverviewCell], usable: Mapping[str, OverviewCell]
) -> list[str]:
    """The tiles of a rung that have no usable cell, but may have scenes."""
    missing = sorted(rung.quadkeys - usable.keys())
    return [tile for tile in missing if not _is_empty(tile, standing)]


def _is_empty(tile: str, standing: Mapping[str, OverviewCell]) -> bool:
    """Whether a cell above a tile says that no scene is there."""
    zooms = range(0, len(tile), RUNG)
    above = ((standing.get(tile[:zoom]), tile[zoom : zoom + RUNG]) for zoom in zooms)
    return any(cell is not None and block not in cell.of for cell, block in above)


def _best(
    wanted: WantedCells,
    standing: Mapping[str, OverviewCell],
    usable: Mapping[str, OverviewCell],
    area: Area,
    beyond: Sequence[BBox],
) -> ShownCells | None:
    """The best of the rungs: with all of its cells, else with some, else a coarser one.

    Tiles without scenes have none. `beyond`: parts of the area that no cell shows.
    """
    there = [
        (rung, _there(rung, usable), _lacking(rung, standing, usable)) for rung in wanted.rungs
    ]
    if not beyond:
        for rung, cells, lacking in there:
            if cells and not (lacking or rung.is_coarse):
                return ShownCells(cells, rung.zoom)
    for rung, cells, lacking in there:
        if cells and wanted.may_mix and not rung.is_coarse:
            parts, zoom = (*_parts(area, lacking), *beyond), max(area.zoom, rung.zoom)
            rest = replace(area, boxes=parts, zoom=zoom)
            otherwise = None if beyond else _filled(rung, cells, lacking, usable)
            return ShownCells(cells, rung.zoom, rest, otherwise=otherwise)
    if beyond:
        return None
    coarse = (_filled(rung, cells, lacking, usable) for rung, cells, lacking in there if cells)
    found = next((shown for shown in coarse if shown), None)
    return found and replace(found, is_coarse=True)


def _filled(
    rung: Rung,
    cells: Sequence[OverviewCell],
    lacking: Iterable[str],
    usable: Mapping[str, OverviewCell],
) -> ShownCells | None:
    """The cells of a rung, and for tiles that lack one the next above; None if one has none."""
    cut: dict[str, list[str]] = {}
    for tile in lacking:
        above = (tile[:zoom] for zoom in range(rung.zoom - RUNG, -1, -RUNG))
        quadkey = next((each for each in above if each in usable), None)
        if quadkey is None:
            return None
        cut.setdefault(quadkey, []).append(tile)
    return ShownCells([*cells, *map(usable.__getitem__, cut)], rung.zoom, cut=cut)


def _remarked(wanted: WantedCells, shown: ShownCells, area: Area) -> ShownCells:
    otherwise = shown.otherwise and _remarked(wanted, shown.otherwise, area)
    return replace(shown, remarks=_remarks(wanted, shown.cells, area), otherwise=otherwise)


def _remarks(wanted: WantedCells, cells: Sequence[OverviewCell], area: Area) -> Remarks:
    """What cells say of the scenes of an area, to a request for some assets."""
    met = [
        note
        for cell in cells
        for block, notes in cell.notes.items()
        if any(_common(box, area.grid.bounds(Cell.of(cell.quadkey + block))) for box in area.boxes)
        for note in notes
    ]
    is_named = bool(wanted.read.assets)
    return Remarks.of(met, wanted.cells.policy.assets, wanted.assets, named=is_named)


def _parts(area: Area, tiles: Iterable[str]) -> list[BBox]:
    """The parts of an area in tiles."""
    bounds = [area.grid.bounds(Cell.of(tile)) for tile in tiles]
    parts = (_common(box, tile) for box in area.boxes for tile in bounds)
    return [part for part in parts if part is not None]


def _beyond(mosaic: Mosaic, area: Area) -> list[BBox]:
    """The parts of an area beyond the edge of a Mercator grid, where the mosaic reaches there.

    Cells end there, as tiles do; scenes do not.
    """
    edge = area.grid.edge
    if edge is None or mosaic.reach is None:
        return []
    _, south, _, north = mosaic.reach
    if max(-south, north) <= edge:
        return []
    _, bottom, _, top = area.grid.root
    strips = [(-math.inf, top, math.inf, math.inf), (-math.inf, -math.inf, math.inf, bottom)]
    parts = (_common(box, strip) for box in area.boxes for strip in strips)
    return [part for part in parts if part is not None]


def _common(one: BBox, other: BBox) -> BBox | None:
    left, bottom = max(one[0], other[0]), max(one[1], other[1])
    right, top = min(one[2], other[2]), min(one[3], other[3])
    return (left, bottom, right, top) if left < right and bottom < top else None


def _regions(mosaic: Mosaic, area: Area) -> set[str]:
    """The tiles of zoom 3 that an area meets and the mosaic reaches."""
    met = {tile.quadkey for box in area.boxes for tile in area.grid.cells_of(box, _REGION)}
    if len(met) < 2 or mosaic.reach is None:
        return met
    extents = area.grid.from_lonlat(mosaic.reach)
    return met & {cell.quadkey for box in extents for cell in area.grid.cells_of(box, _REGION)}


def _meet(one: str, other: str) -> bool:
    return one.startswith(other) or other.startswith(one)
