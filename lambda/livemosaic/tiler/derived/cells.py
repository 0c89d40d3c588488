"""Overview cells of a derived mosaic: of its sources, one over the other by z-order.

A layer of a single source shows the cells of that source, where they keep what is asked for; a
layer of several sources, or of one with a filter, shows scenes, as cells say nothing of these.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property, partial
from itertools import chain, groupby

from livemosaic.index.cells.notes import Remarks
from livemosaic.index.scenes import Index
from livemosaic.model.derived.sources import Member
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Runs
from livemosaic.model.render import Read
from livemosaic.model.rule import DEFAULT, Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.tiler.candidates import Candidates
from livemosaic.tiler.overviews import Overviews, ShownCells, wanted_cells
from livemosaic.tiler.plan import Needs
from livemosaic.tiler.views import View


@dataclass(frozen=True, slots=True)
class ShownLayer:
    """The cells that show a layer of a single source."""

    member: Member
    shown: ShownCells

    @property
    def cells(self) -> list[IndexedScene]:
        """The cells as scenes of the derived mosaic."""
        return [self.member.met(scene) for scene in self.shown.scenes]

    @property
    def otherwise(self) -> "ShownLayer":
        """What shows the layer without the scenes of its rest, if anything can."""
        return replace(self, shown=self.shown.otherwise or self.shown)

    def rest(self, index: Index) -> Iterator[IndexedScene]:
        """The scenes of places without a cell, as they are taken."""
        if self.shown.rest is not None:
            yield from map(self.member.met, index.find(self.member.mosaic, self.shown.rest))


@dataclass(frozen=True)
class StackedCells(ShownCells):
    """The overview cells that show a view of a derived mosaic."""

    layers: Mapping[int, ShownLayer] = field(default_factory=dict)
    """By layer; the other layers show scenes."""

    @classmethod
    def of(cls, layers: Mapping[int, ShownLayer]) -> "StackedCells":
        """The cells of some layers."""
        every = [layer.shown for layer in layers.values()]
        remarks = [shown.remarks for shown in every]
        otherwise = {n: layer.otherwise for n, layer in layers.items()}
        return cls(
            cells=[cell for shown in every for cell in shown.cells],
            zoom=min(shown.zoom for shown in every),
            is_coarse=any(shown.is_coarse for shown in every),
            cut={quadkey: tiles for shown in every for quadkey, tiles in shown.cut.items()},
            otherwise=cls.of(otherwise) if any(shown.otherwise for shown in every) else None,
            remarks=Remarks(
                left_out=[*chain.from_iterable(each.left_out for each in remarks)],
                gray=[*chain.from_iterable(each.gray for each in remarks)],
                truncated=next((each.truncated for each in remarks if each.truncated), ""),
            ),
            layers=layers,
        )

    @cached_property
    def scenes(self) -> Sequence[IndexedScene]:
        """The cells as scenes, but for cells in which nothing shows."""
        return [cell for layer in self.layers.values() for cell in layer.cells]

    def numbers(self, scene: IndexedScene) -> Mapping[str, tuple[int, ...]]:
        """The numbers of bands in the files of scenes, by asset, of a cell that is shown."""
        layer = self.layers[scene.layer]
        return layer.member.renamed(layer.shown.numbers(scene))


@dataclass(frozen=True, slots=True, eq=False)
class StackedCandidates:
    """Gives a plan the cells or the scenes of each layer, the layer on top first."""

    candidates: Candidates
    """Of the view, by the default rule."""
    shown: StackedCells

    in_stored_order = True

    def scenes(self, needs: Needs) -> Iterator[IndexedScene]:
        """Cells, and scenes as they are taken; each scene is of one layer."""
        del needs
        given: dict[str, int] = {}
        for number, members in _layers(self.candidates.mosaic):
            layer = self.shown.layers.get(number)
            if layer is None:
                found = self._live(members)
            else:
                yield from layer.cells
                found = layer.rest(self.candidates.index)
            for scene in found:
                if scene.is_left_out or given.setdefault(scene.key, number) == number:
                    yield scene

    def _live(self, members: tuple[Member, ...]) -> Iterator[IndexedScene]:
        own = replace(self.candidates.mosaic, members=members)
        return self.candidates.index.find(own, self.candidates.view.area)

    def arranged(self, scenes: Sequence[IndexedScene]) -> Sequence[IndexedScene]:
        """Scenes as they are: the default rule has no other order."""
        return scenes

    def claim(self, scene: IndexedScene) -> Runs | str | None:
        """The pixels that a cell or a scene claims; see `Candidates.claim`."""
        return self.candidates.claim(scene)


def stacked_cells(
    overviews: Overviews, index: Index, mosaic: Mosaic, view: View, read: Read, rule: Rule
) -> StackedCells | None:
    """The cells that show a view of a derived mosaic, read side by side; None where none does.

    `read` names the assets of its expression.
    """
    if rule != DEFAULT or not read.overviews or mosaic.rules.scale:
        return None
    single = [
        members[0]
        for _, members in _layers(mosaic)
        if len(members) == 1 and members[0].is_in_scale(view.area.scale)
    ]
    found = index.pool.map(partial(_cells_of, overviews, mosaic, view, read), single)
    layers = {m.layer: ShownLayer(m, s) for m, s in zip(single, found, strict=True) if s}
    return StackedCells.of(layers) if layers else None


def _cells_of(
    overviews: Overviews, mosaic: Mosaic, view: View, read: Read, member: Member
) -> ShownCells | None:
    """The cells of one source; None where its scenes must be read."""
    cells = member.mosaic.shown_overviews
    assets = read.assets or mosaic.shown_assets
    if cells is None or member.filters or not set(assets).isdisjoint(member.other_kinds):
        return None
    if dict(cells.rule) != dict(member.mosaic.rules.default):  # the set that follows it is made yet
        return None
    names = member.renamed({name: name for name in cells.policy.assets})
    if not names.keys() >= set(assets) or (member.renames and read.bidx_of):
        return None
    own = tuple(names[name] for name in assets)
    read = read.unmixed if member.mosaic.is_thematic else read
    wanted = wanted_cells(member.mosaic, view, replace(read, assets=own), DEFAULT)
    if wanted is None:
        return None
    if not read.assets:  # then scenes that lack one are named
        wanted = replace(wanted, read=replace(wanted.read, assets=()))
    return overviews.find(member.mosaic, view, wanted)


def _layers(mosaic: Mosaic) -> Iterator[tuple[int, tuple[Member, ...]]]:
    """The members of each layer, the one on top first."""
    ordered = sorted(mosaic.members, key=lambda member: member.layer)
    for number, members in groupby(ordered, key=lambda member: member.layer):
        yield number, tuple(members)
