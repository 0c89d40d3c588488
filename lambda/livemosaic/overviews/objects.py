"""The objects of overview cells: one COG per asset, written block by block, never overwritten.

An object is named by its digest and by the revision of the row that names it first: so none is
written twice with other bytes, and one that was replaced may be deleted, even where later pixels
are equal to it.
"""

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np
from affine import Affine

from livemosaic.cog.write.cell import CellWriter
from livemosaic.cog.write.profile import CellProfile
from livemosaic.cog.write.stored import open_cell
from livemosaic.geo.cells import Cell, cell_grid
from livemosaic.geo.frame import Frame
from livemosaic.index.overviews import OverviewCell
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.overviews.blocks import Block, Kind, fitted
from livemosaic.overviews.places import place_of

_DIGEST_BYTES: Final = 16
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


@dataclass(frozen=True, slots=True)
class Made:
    """The objects of a cell, not yet written."""

    digest: str
    """Empty where no pixel is valid."""
    bodies: Sequence[bytes]
    """One per asset."""


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
        kind: Kind,
        changed: Mapping[str, Block | None],
        *,
        anew: bool,
    ) -> Made:
        """Makes the objects of a cell in which some blocks changed, by the last digits of each.

        `anew`: the others are empty, instead of as they are in the objects of `before`. Raises
        UnusableCellError where these are of another kind, and ObjectError where unreadable.
        """
        profiles = self._profiles(mosaic, cells, before.quadkey, kind)
        bodies = []
        for number, (asset, profile) in enumerate(zip(cells.policy.assets, profiles, strict=True)):
            old = None if anew else self.folder.read(before.assets[asset])
            first = sum(kind.counts[:number])
            bodies.append(_rewritten(profile, old, changed, slice(first, first + profile.count)))
        if not any(next(open_cell(body).places(), None) for body in bodies):
            return Made("", ())
        digest = hashlib.blake2b(digest_size=_DIGEST_BYTES)
        for body in bodies:
            digest.update(body)
        return Made(digest.hexdigest(), bodies)

    def put(
        self, mosaic: Mosaic, cells: OverviewSet, before: OverviewCell, made: Made
    ) -> dict[str, str]:
        """Writes the objects of the next revision of a cell; returns href by asset."""
        hrefs = {}
        for number, (asset, body) in enumerate(zip(cells.policy.assets, made.bodies, strict=False)):
            name = self._name(mosaic, cells, before, number, made.digest)
            self.folder.put(name, body)
            hrefs[asset] = self.folder.href(name)
        return hrefs

    def _name(
        self, mosaic: Mosaic, cells: OverviewSet, before: OverviewCell, number: int, digest: str
    ) -> str:
        file = f"{before.quadkey or 'world'}.{before.revision + 1}.{digest}.tif"
        return f"{prefix_of(mosaic, cells)}{number}/{before.zoom}/{file}"

    def smallest(self, cells: OverviewSet, cell: OverviewCell) -> Block | None:
        """Returns the coarsest overview of a cell, of all assets; None where no pixel is valid."""
        hrefs = [cell.assets[asset] for asset in cells.policy.assets if asset in cell.assets]
        blocks = [self._smallest(href) for href in hrefs]
        if not blocks:
            return None
        return np.concatenate([data for data, _ in blocks]), blocks[0][1]

    def _smallest(self, href: str) -> Block:
        """Reads just the leading bytes of an object, where its coarsest overview is."""
        leading = open_cell(self.folder.read(href, _LEADING))
        if (end := leading.end(leading.levels - 1)) > _LEADING:
            leading = open_cell(self.folder.read(href, end))
        return leading.smallest()

    def _profiles(
        self, mosaic: Mosaic, cells: OverviewSet, quadkey: str, kind: Kind
    ) -> Iterator[CellProfile]:
        frame = self._frame(mosaic, quadkey)
        first = 0
        for asset, count in zip(cells.policy.assets, kind.counts, strict=True):
            scaling = (kind.scaling or ())[first : first + count]
            first += count
            yield CellProfile(
                frame=frame,
                dtype=np.dtype(kind.dtype),
                count=count,
                resampling=(cells.policy.reduction(asset),),
                block=self.edge,
                scales=tuple(scale for scale, _ in scaling),
                offsets=tuple(offset for _, offset in scaling),
            )

    def _frame(self, mosaic: Mosaic, quadkey: str) -> Frame:
        grid, size = cell_grid(mosaic.tms), self.edge << self.step
        left, bottom, right, top = grid.bounds(Cell.of(quadkey))
        transform = Affine((right - left) / size, 0, left, 0, (bottom - top) / size, top)
        return Frame(grid.crs, transform, size, size)


def _rewritten(
    profile: CellProfile, old: bytes | None, changed: Mapping[str, Block | None], bands: slice
) -> bytes:
    writer = CellWriter(profile, old)
    for suffix, block in changed.items():
        own = None if block is None else (block[0][bands], block[1])
        writer.put(place_of(suffix), own)
    return writer.finish()


def prefix_of(mosaic: Mosaic, cells: OverviewSet) -> str:
    """Returns the path of all objects of a set, within their folder."""
    return f"{mosaic.id}.{mosaic.generation}/{cells.id}/"


def stacked(block: Block, own: Kind, kind: Kind) -> Block:
    """Returns a block of its own kind as one of the kind of its cell."""
    if (own.dtype, own.counts) == (kind.dtype, kind.counts) and block[0].dtype.name == kind.dtype:
        return block
    data, valid = block
    parts, first = [], 0
    for count, wanted in zip(own.counts, kind.counts, strict=True):
        parts.append(fitted((data[first : first + count], valid), wanted, kind.dtype)[0])
        first += count
    return np.concatenate(parts), valid
