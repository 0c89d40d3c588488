"""Searches the scenes of mosaics as STAC APIs do: page by page, each page of bounded cost.

A mosaic is walked in one of three ways: by ids; by index cells, in the mosaic's order, where the
place takes few of them; else through the heads of all scenes, in no order. A page ends with the
position of its last scene, after which the next page begins.
"""

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Final, NamedTuple, Self

import shapely
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.antimeridian import extent, lonlat_boxes
from livemosaic.index.named import named_scenes
from livemosaic.index.partitions import Area, partitions
from livemosaic.index.search import SceneReader
from livemosaic.model.mosaic import MOSAIC_ID, Mosaic
from livemosaic.model.scene import IndexedScene, Scene, scene_key
from livemosaic.tiler.rules.filter import Selection
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.tiler.views import area_of

MAX_SCENES: Final = 2000
"""Scenes that one page examines at most."""
MAX_QUERIES: Final = 512
"""Queries of index cells after which a page goes on to no other mosaic."""
MAX_MOSAICS: Final = 1000
"""Mosaics that one page looks at, most of them by their settings alone."""
MAX_VERTICES: Final = 50_000
"""Vertices of all footprints after which a page ends: some 2 MB of GeoJSON."""
_BATCH: Final = 32
_LISTED: Final = 100
_WAYS: Final = ("ids", "cells", "heads", "end")


class SearchPosition(NamedTuple):
    """A place in the results of a search."""

    mosaic: str
    way: str
    """How the mosaic is walked; `end` after its last scene."""
    after: str

    @property
    def token(self) -> str:
        """The position as text."""
        return "/".join(self)

    @classmethod
    def parse(cls, token: str) -> Self:
        """Reads a position; raises `InvalidRequestError` for a token that was not given out."""
        mosaic, _, rest = token.partition("/")
        way, _, after = rest.partition("/")
        if not MOSAIC_ID.fullmatch(mosaic) or way not in _WAYS:
            raise InvalidRequestError(f"token {token[:80]!r} is not one that was given out")
        return cls(mosaic, way, after)


class Found(NamedTuple):
    """A scene that a search found."""

    mosaic: Mosaic
    scene: Scene


@dataclass(frozen=True, slots=True)
class FoundPage:
    """A page of results."""

    found: list[Found]
    following: SearchPosition | None
    """Where the next page begins; None at the end."""


class _Met(NamedTuple):
    """A scene that was examined."""

    position: SearchPosition
    scene: Scene | None
    """None where it is not wanted."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SceneSearch:
    """The scenes that are wanted."""

    ids: tuple[str, ...] = ()
    """Item ids; empty for all."""
    place: BaseGeometry | None = None
    """Longitude and latitude (OGC:CRS84) within ±180; wanted scenes intersect it."""
    rule: Mapping[str, Any] = field(default_factory=dict)
    """`datetime`, `filter` and `filter_lang` as `tiler.rules.parameters` takes them."""

    def page(
        self,
        index: SceneReader,
        mosaics: Iterable[Mosaic | None],
        limit: int,
        position: SearchPosition | None = None,
    ) -> FoundPage:
        """Returns up to `limit` scenes of mosaics, which are sorted by id.

        A later page needs the mosaics from that of its position on. None stands for a mosaic that
        is left out.

        A mosaic that does not keep a property of the filter takes no part. Raises
        `InvalidRequestError` where none keeps it, and where the page would be empty although
        scenes are left: clients take an empty page for the end.
        """
        return _Pager(self, index, limit).page(mosaics, position)

    def may_meet(self, mosaic: Mosaic) -> bool:
        """Whether a mosaic has scenes, and its bounds share a point with the place."""
        if mosaic.reach is None:
            return False
        return self.place is None or any(map(self.place.intersects, lonlat_boxes(mosaic.reach)))


@dataclass(slots=True)
class _Pager:
    """One page in the making."""

    search: SceneSearch
    index: SceneReader
    limit: int
    found: list[Found] = field(default_factory=list)
    examined: int = 0
    queries: int = 0
    vertices: int = 0
    selections: list[Selection] = field(default_factory=list)
    refused: InvalidRequestError | None = None

    def page(self, mosaics: Iterable[Mosaic | None], position: SearchPosition | None) -> FoundPage:
        last = position
        for count, mosaic in enumerate(mosaics, start=-1 if position else 0):
            if count == MAX_MOSAICS or self.queries > MAX_QUERIES:
                return self._cut(last)
            if mosaic is None or not self.search.may_meet(mosaic):
                continue
            here = position if position and position.mosaic == mosaic.id else None
            for met in self._walk(mosaic, here):
                if self._is_full(met):
                    return self._cut(last)
                last = met.position
                self._take(mosaic, met.scene)
            last = SearchPosition(mosaic.id, "end", "")
        return self._end(position)

    def _is_full(self, met: _Met) -> bool:
        """Whether the page ends before a scene."""
        is_next = met.scene is not None and len(self.found) == self.limit
        return is_next or self.examined == MAX_SCENES or self.vertices > MAX_VERTICES

    def _take(self, mosaic: Mosaic, scene: Scene | None) -> None:
        self.examined += 1
        if scene is not None:
            self.found.append(Found(mosaic, scene))
            self.vertices += shapely.get_num_coordinates(scene.footprint)

    def _cut(self, following: SearchPosition | None) -> FoundPage:
        if not self.found:
            raise InvalidRequestError(
                f"none of the first {self.examined:,} scenes is one that was asked for, and a page "
                "examines no more; narrow the search by collections, ids, bbox or intersects"
            )
        return FoundPage(self.found, following)

    def _end(self, position: SearchPosition | None) -> FoundPage:
        if position is None and not self.found:
            if self.refused and not self.selections:
                raise self.refused
            if len(self.selections) == 1:
                self.selections[0].check_kinds()
        return FoundPage(self.found, None)

    def _walk(self, mosaic: Mosaic, position: SearchPosition | None) -> Iterator[_Met]:
        """Yields the scenes of a mosaic that are examined; none of one that the filter cannot
        be evaluated in."""
        own = replace(mosaic, rules=replace(mosaic.rules, default={}))
        try:
            selection = Selection.of(rule_of(self.search.rule, own))
        except InvalidRequestError as error:
            self.refused = error
            return
        self.selections.append(selection)
        walk = _Walk(self.search, self.index, mosaic, selection)
        way, after = (position.way, position.after) if position else (walk.way(), "")
        if way == "ids":
            yield from walk.by_ids(after)
        elif way == "heads":
            yield from walk.by_heads(after)
        elif way == "cells" and (area := walk.area()):
            self.queries += len(partitions(mosaic, area))
            yield from walk.by_cells(area, after)


@dataclass(frozen=True, slots=True)
class _Walk:
    """The scenes of one mosaic, in the three ways."""

    search: SceneSearch
    index: SceneReader
    mosaic: Mosaic
    selection: Selection

    def way(self) -> str:
        if self.search.ids:
            return "ids"
        return "cells" if self.area() else "heads"

    def area(self) -> Area | None:
        """The area of the place in index cells; None without a place, and if it takes too many."""
        if self.search.place is None:
            return None
        try:
            area = area_of(self.mosaic, extent(self.search.place))
            partitions(self.mosaic, area)
        except InvalidRequestError:
            return None
        return area

    def by_ids(self, after: str) -> Iterator[_Met]:
        for scene in named_scenes(self.index, self.mosaic, self.search.ids):
            if scene.key > after:
                yield self._met("ids", scene.key, scene)

    def by_cells(self, area: Area, after: str) -> Iterator[_Met]:
        for batch in _batches(self.index.find(self.mosaic, area, after)):
            keys = [s.key for s in batch if not s.is_left_out and self._may_want(s)]
            heads = {scene.key: scene for scene in self.index.scenes(self.mosaic, keys)}
            for each in batch:
                scene = None if each.is_left_out else heads.get(each.key)
                is_other = scene is not None and scene.source != each.source  # met with that one
                yield self._met("cells", each.position, None if is_other else scene)

    def by_heads(self, after: str) -> Iterator[_Met]:
        token: str | None = after
        while token is not None:
            scenes, token = self.index.list_scenes(self.mosaic, limit=_LISTED, token=token)
            for scene in scenes:
                yield self._met("heads", self.index.token_after(self.mosaic, scene), scene)
            if token is not None:  # scenes that the mosaic does not show were examined, too
                for _ in range(_LISTED - len(scenes)):
                    yield self._met("heads", token, None)

    def _met(self, way: str, after: str, scene: Scene | None) -> _Met:
        wanted = scene if scene is not None and self._wants(scene) else None
        return _Met(SearchPosition(self.mosaic.id, way, after), wanted)

    def _may_want(self, scene: IndexedScene) -> bool:
        member = replace(scene, key=scene_key(self.mosaic.id, scene.id))
        return self.selection.takes(member)

    def _wants(self, scene: Scene) -> bool:
        member = replace(scene, collection=self.mosaic.id)
        place = self.search.place
        return self.selection.takes(member) and (place is None or scene.footprint.intersects(place))


def _batches(scenes: Iterator[IndexedScene]) -> Iterator[list[IndexedScene]]:
    """Yields groups of scenes, each scene once but for ones that are left out."""
    seen: set[str] = set()
    batch: list[IndexedScene] = []
    for scene in scenes:
        if scene.is_left_out:
            batch.append(scene)
        elif scene.key not in seen:
            seen.add(scene.key)
            batch.append(scene)
        if len(batch) == _BATCH:
            yield batch
            batch = []
    yield batch
