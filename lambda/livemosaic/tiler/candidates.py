"""Candidates: the scenes that may show in a view by a rule, and the pixels that each claims."""

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from typing import Final

from shapely.geometry import MultiPolygon

from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.geo.covering import WHOLE, decode, decode_beyond, rings_of, uncut
from livemosaic.geo.footprint import centre, footprint, inside
from livemosaic.geo.rasterize import Outline
from livemosaic.index.extents.rows import ExtentRows
from livemosaic.index.merge import OnTop, distinct
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Runs
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene, Part, Scene, scene_key
from livemosaic.tiler.assets import lacking, unlike
from livemosaic.tiler.outlook import Outlook
from livemosaic.tiler.plan import Needs
from livemosaic.tiler.rules.filter import Selection
from livemosaic.tiler.rules.order import check_base, ordered
from livemosaic.tiler.views import View

_TILE: Final = 256
_ROUNDED: Final = 1.001
"""By how much a stated cell size may differ from that of a zoom: it is written with few digits."""
_MOST_LATEST: Final = 16
"""Footprints of which the pixels are kept."""


@dataclass(frozen=True, slots=True, eq=False)
class Candidates:
    """The scenes of a mosaic that may show in a view by a rule."""

    index: Index
    mosaic: Mosaic
    view: View
    rule: Rule
    selection: Selection | None
    """The rule's; None where every scene takes part."""
    assets: Sequence[str] = ()
    """Assets that the request names: scenes without one of them take no part."""
    extents: ExtentRows | None = None
    """Where scenes of deep partitions lie; None where that is not kept, or all are to be listed."""
    _latest: dict[tuple[Part, ...], Runs] = field(default_factory=dict, init=False)
    """Pixels of the latest footprints: scenes of one granule have the same one."""

    @property
    def in_stored_order(self) -> bool:
        """Whether the rule keeps the order in which the index gives scenes."""
        return self.rule.in_stored_order

    def scenes(self, needs: Needs | None = None) -> Iterator[IndexedScene | OnTop | None]:
        """The scenes that share an index cell with the view, or that a lock names, in stored order.

        Nothing is read before the first scene is taken. None stands where no more are needed, as
        far as extents say, and `OnTop` where scenes come before their turn.
        """
        if self.rule.method == "lock":
            return self._locked()
        in_crs_of_cells = self.view.grid.crs == self.view.area.grid.crs
        may_end = in_crs_of_cells and self.in_stored_order  # others are all arranged, or seamlines
        if needs and self.extents and self.mosaic.marked_since and may_end:
            outlook = Outlook(self, self.extents, needs)
            return self.index.find_while(self.mosaic, self.view.area, outlook.goes_on)
        return self.index.find(self.mosaic, self.view.area)

    def arranged(self, scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
        """Scenes in the order of the rule, top first, each once; raises as `check_base`."""
        scenes = [scene for scene in scenes if not scene.is_left_out]
        check_base(scenes, self.rule)
        return ordered(scenes, self.rule, self.view.area.grid, self.view.grid)

    @property
    def takes_all(self) -> bool:
        """Whether every scene takes part."""
        return self.selection is None and not self.assets and self.rule.method != "lock"

    def takes(self, scene: IndexedScene | Scene) -> bool:
        """Whether a scene takes part wherever it lies: it has the assets, and is selected."""
        return self._may_take(scene) and not unlike(scene, self.assets)

    def _may_take(self, scene: IndexedScene | Scene) -> bool:
        if self.assets and lacking(self.mosaic, scene, self.assets):
            return False
        return self.selection is None or self.selection.takes(scene)

    def claim(self, scene: IndexedScene) -> Runs | str | None:
        """The pixels that a scene claims; None where it takes no part, or claims none.

        Text says why a scene with pixels here is left out: it lacks an asset that the mosaic shows,
        or has it of another kind.
        """
        if scene.is_left_out or not self._may_take(scene) or not self._is_in_scale(scene):
            return None
        claim = self._pixels(scene)
        least = self.rule.min_pixels
        if not claim or (least > 1 and claim.count < least):
            return None
        wanted = self.assets or self.mosaic.shown_assets
        return lacking(self.mosaic, scene, wanted) or unlike(scene, wanted) or claim

    def _pixels(self, scene: IndexedScene) -> Runs:
        if cut := seamline(scene, self.rule):
            return _drawn(self._outlines(scene, cut))
        if (found := self._latest.get(scene.parts)) is None:
            if len(self._latest) == _MOST_LATEST:
                self._latest.clear()
            found = self._latest[scene.parts] = _drawn(self._outlines(scene))
        return found

    def _is_in_scale(self, scene: IndexedScene) -> bool:
        """Whether the view has a cell size in which the scene shows; see `RulePolicy.scale`."""
        names, area = self.mosaic.rules.scale, self.view.area
        if not names or area.scale is None or self.rule.method == "lock":
            return True
        left, _, right, _ = area.grid.root
        size = (right - left) / _TILE / 2**area.scale
        least, most = (scene.properties.get(names.get(end, "")) for end in ("min", "max"))
        return not (
            (isinstance(least, int | float) and size < least / _ROUNDED)
            or (isinstance(most, int | float) and size > most * _ROUNDED)
        )

    def pixels_of(self, parts: Iterable[Part]) -> Runs:
        """The pixels of parts of footprints, in a view in the CRS of cells."""
        cells, grid = self.view.area.grid, self.view.grid
        rings = (rings for part in parts if (rings := decode(cells, *part)))
        return _drawn(Outline.of(each, cells.crs, grid) for each in rings)

    def _outlines(self, scene: IndexedScene, cut: MultiPolygon | None = None) -> Iterator[Outline]:
        cells, grid = self.view.area.grid, self.view.grid
        parts = scene.parts
        if cut:
            yield Outline.of(rings_of(cells.project(cut)), cells.crs, grid)
            parts = (("", uncut(cells, cut) or WHOLE),)
        for quadkey, stored in parts:
            if not cut and (rings := decode(cells, quadkey, stored)):
                yield Outline.of(rings, cells.crs, grid)
            if grid.crs != cells.crs and (beyond := decode_beyond(cells, quadkey, stored)):
                yield Outline.of(beyond, cells.lonlat, grid)

    def _locked(self) -> Iterator[IndexedScene]:
        """The scenes that a lock names, in its order, by their heads; deleted ones are left out.

        Raises `InvalidRequestError` for an id without a collection in a mosaic of several.
        """
        mosaic = self.mosaic
        possible = {name: _keys(mosaic, name) for name in self.rule.lock}
        keys = dict.fromkeys(key for keys in possible.values() for key in keys)
        scenes = {scene.key: scene for scene in self.index.scenes(mosaic, keys)}
        for name, keys_of_name in possible.items():
            found = [scenes[key] for key in keys_of_name if key in scenes]
            if not found and "/" not in name and not mosaic.only_collection:
                raise InvalidRequestError(
                    f"mosaic {mosaic.id!r} takes scenes of more than one collection, and has no "
                    f"{name[:80]!r} without one: write it as collection/id"
                )
            yield from (met for scene in found[:1] if (met := self.met(scene)))

    def met(self, scene: Scene) -> IndexedScene | None:
        """A scene as a reader of index cells meets it; None where the grid shows nothing of it."""
        part = uncut(self.view.area.grid, scene.footprint)
        if part is None:
            return None
        middle = centre(scene.footprint)
        return IndexedScene(
            key=scene.key,
            rank=scene.rank,
            version=scene.version,
            datetime=scene.datetime,
            assets=scene.assets,
            properties=scene.properties,
            parts=(("", part),),
            centre=middle,
            inside=inside(scene.footprint, middle),
            encodings=scene.encodings,
            other_kinds=scene.other_kinds,
            source=scene.source,
            layer=scene.layer,
        )


@dataclass(slots=True, eq=False)
class Listing:
    """Lists the scenes that take part, top first, each once; read as they are taken.

    What needs the pixels of an image is left aside: `min_pixels`, and the number of scenes read.
    """

    candidates: Candidates
    max_rows: int
    """Index rows that may be examined."""
    truncated: str = ""
    """Which limit left scenes out; known when the iteration has ended."""

    def __iter__(self) -> Iterator[IndexedScene]:
        met = (scene for scene in self.candidates.scenes() if isinstance(scene, IndexedScene))
        is_empty = True
        for scene in distinct(self._ordered(islice(met, self.max_rows))):
            if self.candidates.takes(scene):
                is_empty = False
                yield scene
        if is_empty and self.candidates.selection is not None:
            self.candidates.selection.check_kinds()
        if next(met, None) is not None:
            self.truncated = f"max_rows={self.max_rows}"

    def _ordered(self, scenes: Iterator[IndexedScene]) -> Iterator[IndexedScene]:
        if self.candidates.in_stored_order:
            return scenes
        return iter(self.candidates.arranged(list(scenes)))


def _drawn(outlines: Iterable[Outline]) -> Runs:
    return Runs.union([outline.runs() for outline in outlines])


def _keys(mosaic: Mosaic, name: str) -> list[str]:
    """The keys that a name may stand for: an id may hold a slash itself."""
    collection, slash, scene_id = name.partition("/")
    alone = scene_key(mosaic.only_collection, name)
    return [alone, scene_key(collection, scene_id)] if slash else [alone]


def seamline(scene: IndexedScene | Scene, rule: Rule) -> MultiPolygon | None:
    """Returns the seamline of a scene (longitude, latitude); None where its footprint is used.

    None for methods other than `seamline`, and for scenes that keep no valid one.
    """
    if rule.method != "seamline":
        return None
    try:
        return footprint(scene.properties.get(rule.kept_in))
    except InvalidItemError:
        return None
