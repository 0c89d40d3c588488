"""The objects of overview cells: one COG per asset, written block by block, never overwritten.

An object is named by its digest and by the revision of the row that names it first: so none is
written twice with other bytes, and one that was replaced may be deleted, even where later pixels
are equal to it.
"""

import hashlib
from collections import deque
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, Protocol

import numpy as np
from affine import Affine

from livemosaic.cog.write.cell import CellWriter
from livemosaic.cog.write.codec import UnusableCellError
from livemosaic.cog.write.profile import CellProfile
from livemosaic.cog.write.stored import open_cell
from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.geo.frame import Frame
from livemosaic.index.overviews import CellImage, OverviewCell
from livemosaic.model.mosaic import Mosaic, OverviewSet, Reduction
from livemosaic.overviews.blocks import Block, Drawn
from livemosaic.overviews.places import place_of
from livemosaic.overviews.together.combinations import Assets, Combination, Kind

_DIGEST_BYTES: Final = 16
_WORLD: Final = "world"
"""In the name of an object, the quadkey of the cell at zoom 0."""
_OF_ORDER: Final = ("mode", "min", "max")
"""Reductions that choose a value by band; a color is one of them as a whole."""
_LEADING: Final = 512 * 1024
"""Bytes that hold the header and the coarsest overview of most cells: a block of 256 × 256 px."""


class ObjectFolder(Protocol):
    """Keeps objects; see `storage.folder.Folder`."""

    def href(self, name: str) -> str:
        """Returns the href of an object by its name."""
        ...

    def put(self, name: str, body: bytes) -> None:
        """Writes an object, whole or not at all."""
        ...

    def read(self, href: str, stop: int | None = None) -> bytes:
        """Returns all bytes of an object, or the ones up to an offset."""
        ...

    def delete(self, href: str) -> None:
        """Deletes an object; succeeds where there is none."""
        ...

    def names(self, folder: str) -> Iterator[str]:
        """Yields the names of all objects in a folder; none where there is no such folder."""
        ...


@dataclass(frozen=True, slots=True)
class Made:
    """The objects of a cell, not yet written."""

    digest: str = ""
    """Empty where no pixel is valid."""
    bodies: Mapping[Assets, Sequence[bytes]] = field(default_factory=dict)
    """One per asset, by combination."""

    @property
    def size(self) -> int:
        """Bytes of all objects."""
        return sum(len(body) for bodies in self.bodies.values() for body in bodies)


Changes = Mapping[str, Block | None]
"""Blocks of a combination that changed, by the last digits of each; None: no valid pixel."""


@dataclass(frozen=True, slots=True)
class CellObjects:
    """Makes, writes and reads the objects of cells."""

    folder: ObjectFolder
    edge: int
    """Pixels of the edge of a block."""
    step: int
    """Zooms from a cell to its blocks."""

    def make(
        self,
        mosaic: Mosaic,
        cells: OverviewSet,
        before: OverviewCell,
        changed: Mapping[Combination, Changes],
        *,
        anew: bool,
    ) -> Made:
        """Makes the objects of a cell in which some blocks changed, by combination.

        `anew`: the others are empty, instead of as they are in the objects of `before`. Raises
        UnusableCellError where these are of another kind, or not as they were written, and
        ObjectError where unreadable.
        """
        bodies: dict[Assets, Sequence[bytes]] = {}
        copied = _Digest()
        for combination, changes in changed.items():
            old = {} if anew else self.hrefs(cells, before).get(combination.assets, {})
            read = copied.of(combination.assets, self._stored(cells, combination.assets, old))
            made = self._bodies(mosaic, cells, before, combination, changes, read)
            if any(next(open_cell(body).places(), None) for body in made):
                bodies[combination.assets] = made
        if copied.text not in ("", before.digest):
            raise UnusableCellError("is not as it was written")
        written = _Digest()
        for assets, each in bodies.items():
            deque(written.of(assets, each), maxlen=0)
        return Made(written.text, bodies)

    def is_whole(self, cells: OverviewSet, cell: OverviewCell) -> bool:
        """Returns whether the objects of a cell are as they were written, to the last byte.

        Reads all of them, one at a time. Raises ObjectError where one is missing or unreadable.
        """
        stored = _Digest()
        for assets, hrefs in self.hrefs(cells, cell).items():
            deque(stored.of(assets, self._stored(cells, assets, hrefs)), maxlen=0)
        return stored.text == cell.digest

    def _stored(
        self, cells: OverviewSet, assets: Assets, hrefs: Mapping[str, str]
    ) -> Iterator[bytes]:
        """Yields the objects of a combination in the order of its assets; none without hrefs."""
        if hrefs:
            yield from (self.folder.read(hrefs[cells.policy.assets[asset]]) for asset in assets)

    def _bodies(
        self,
        mosaic: Mosaic,
        cells: OverviewSet,
        before: OverviewCell,
        combination: Combination,
        changes: Changes,
        old: Iterator[bytes],
    ) -> list[bytes]:
        """Returns the new objects of a combination, by the old ones if there are any."""
        frame, kind = self._frame(mosaic, before.quadkey), combination.kind
        if kind is None:
            return []
        bodies = []
        for place, asset in enumerate(combination.assets):
            name = cells.policy.assets[asset]
            profile = self._profile(frame, kind.only([place]), cells.policy.reduction(name))
            bodies.append(_rewritten(profile, next(old, None), changes, kind.bands(place)))
        return bodies

    def put(
        self, mosaic: Mosaic, cells: OverviewSet, before: OverviewCell, made: Made
    ) -> dict[Assets, dict[str, str]]:
        """Writes the objects of the next revision of a cell; returns href by asset."""
        hrefs: dict[Assets, dict[str, str]] = {}
        for assets, bodies in made.bodies.items():
            hrefs[assets] = {}
            for asset, body in zip(assets, bodies, strict=True):
                name = self._name(mosaic, cells, before, assets, asset, made.digest)
                self.folder.put(name, body)
                hrefs[assets][cells.policy.assets[asset]] = self.folder.href(name)
        return hrefs

    def hrefs(self, cells: OverviewSet, cell: OverviewCell) -> dict[Assets, Mapping[str, str]]:
        """Returns the hrefs of the objects of a cell by asset, by combination."""
        return {_places(cells, image): image.assets for image in cell.images}

    def _name(
        self,
        mosaic: Mosaic,
        cells: OverviewSet,
        before: OverviewCell,
        assets: Assets,
        asset: int,
        digest: str,
    ) -> str:
        file = f"{before.quadkey or _WORLD}.{before.revision + 1}.{digest}.tif"
        every = len(assets) == len(cells.policy.assets)
        folder = f"{asset}" if every else f"{asset}of{'-'.join(map(str, assets))}"
        return f"{prefix_of(mosaic, cells)}{folder}/{before.zoom}/{file}"

    def listed(self, mosaic: Mosaic, cells: OverviewSet | None = None) -> Iterator[tuple[str, str]]:
        """Yields all objects of a set, or of a mosaic, as the quadkey and the href of each.

        Also objects that no row names: their builder died before it wrote the row.
        """
        for name in self.folder.names(prefix_of(mosaic, cells)):
            first = name.rpartition("/")[2].partition(".")[0]
            yield "" if first == _WORLD else first, self.folder.href(name)

    def smallest(self, cells: OverviewSet, cell: OverviewCell) -> Drawn:
        """Returns the coarsest overview of a cell, by combination."""
        drawn: dict[Assets, Block] = {}
        for image in cell.images:
            if image.assets:
                blocks = [self._smallest(image.assets[name]) for name in image.names]
                data = np.concatenate([data for data, _ in blocks])
                drawn[_places(cells, image)] = data, blocks[0][1]
        return drawn

    def _smallest(self, href: str) -> Block:
        """Reads just the leading bytes of an object, where its coarsest overview is."""
        leading = open_cell(self.folder.read(href, _LEADING))
        if (end := leading.end(leading.levels - 1)) > _LEADING:
            leading = open_cell(self.folder.read(href, end))
        return leading.smallest()

    def _profile(self, frame: Frame, kind: Kind, reduction: Reduction) -> CellProfile:
        """Returns the header of an object, by the kind of its asset alone."""
        return CellProfile(
            frame=frame,
            dtype=np.dtype(kind.dtype),
            count=sum(kind.counts),
            resampling=("color" if kind.colors and reduction in _OF_ORDER else reduction,),
            block=self.edge,
            scales=tuple(scale for scale, _ in kind.scaling or ()),
            offsets=tuple(offset for _, offset in kind.scaling or ()),
            descriptions=tuple(f"b{number}" for number in kind.numbers),
        )

    def _frame(self, mosaic: Mosaic, quadkey: str) -> Frame:
        grid, size = cell_grid(mosaic.tms), self.edge << self.step
        left, bottom, right, top = grid.bounds(Cell.of(quadkey))
        transform = Affine((right - left) / size, 0, left, 0, (bottom - top) / size, top)
        return Frame(grid.crs, transform, size, size)


class _Digest:
    """Of the objects of a cell, in their order."""

    def __init__(self) -> None:
        self._hash = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        self._is_empty = True

    def of(self, assets: Assets, bodies: Iterable[bytes]) -> Iterator[bytes]:
        """Yields the objects of a combination, each of which counts when it is yielded."""
        for number, body in enumerate(bodies):
            self._is_empty = False
            self._hash.update(b"" if number else repr(assets).encode())
            self._hash.update(body)
            yield body

    @property
    def text(self) -> str:
        """Hexadecimal digits; empty of no objects."""
        return "" if self._is_empty else self._hash.hexdigest()


def _places(cells: OverviewSet, image: CellImage) -> Assets:
    """Returns the places of the assets of an image among all assets of the set."""
    return tuple(map(cells.policy.assets.index, image.names))


def _rewritten(profile: CellProfile, old: bytes | None, changes: Changes, bands: slice) -> bytes:
    writer = CellWriter(profile, old)
    for suffix, block in changes.items():
        own = None if block is None else (block[0][bands], block[1])
        writer.put(place_of(suffix), own)
    return writer.finish()


def prefix_of(mosaic: Mosaic, cells: OverviewSet | None) -> str:
    """Returns the path of all objects of a set, or of a mosaic, within their folder."""
    own = f"{mosaic.id}.{mosaic.generation}/"
    return own if cells is None else f"{own}{cells.id}/"
