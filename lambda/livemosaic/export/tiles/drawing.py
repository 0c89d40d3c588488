"""Draws tiles as the tile route does, or takes them over from the archive before."""

import asyncio
import hashlib
from collections.abc import Collection
from contextlib import suppress
from dataclasses import dataclass, field, replace
from threading import Lock
from typing import Final

from cachetools import TTLCache

from livemosaic.errors import InvalidRequestError
from livemosaic.export.pmtiles.numbering import tile_number
from livemosaic.export.pmtiles.reader import Archive
from livemosaic.export.pmtiles.writer import digest_of_tile
from livemosaic.export.tiles.basis import TileBasis, is_bare
from livemosaic.export.tiles.ledger import EMPTY, NO_FLAWS, Flaws, Recorded, TileLedger
from livemosaic.export.tiles.look import TMS, TileLook
from livemosaic.geo.cells import Cell
from livemosaic.index.overviews import KEPT_S, OverviewCell, OverviewRows
from livemosaic.model.mosaic import Mosaic, OverviewSet
from livemosaic.render.encode import encode
from livemosaic.render.stack.bands import check_drawn
from livemosaic.render.style import without_margin
from livemosaic.storage.objects import ObjectError
from livemosaic.tiler.picture import Draft, Picture, Tiler
from livemosaic.tiler.views import TileAddress, View

SIZE: Final = 256
"""Pixels of the edge of a tile."""
_CELLS: Final = 4096


@dataclass(frozen=True, slots=True)
class ExportedTile:
    """A tile of an archive."""

    at: Cell
    basis: TileBasis | None
    """None where no scene was met."""
    body: bytes = b""
    """Empty where no pixel is valid."""
    digest: bytes = EMPTY
    """Of the body."""
    flaws: Flaws = NO_FLAWS
    is_copy: bool = False
    """Whether it was taken over from the archive before."""
    skipped: tuple[tuple[str, str], ...] = ()
    """Ids of scenes that it lacks, and why; of a copy they are not known."""

    @property
    def number(self) -> int:
        """Its number in an archive."""
        return tile_number(self.at.zoom, self.at.x, self.at.y)

    @property
    def recorded(self) -> Recorded | None:
        """What the ledger has of it."""
        return None if self.basis is None else Recorded(self.basis, self.flaws, self.digest)


@dataclass(frozen=True, slots=True)
class Before:
    """The archive of the last export, and what it was drawn from."""

    ledger: TileLedger = field(default_factory=TileLedger)
    archive: Archive | None = None

    def empty_or_body(self, tile: Cell, digest: bytes) -> bytes | None:
        """Returns the bytes of a tile, empty for `EMPTY`; None where they have another digest."""
        if digest == EMPTY:
            return b""
        body = None
        with suppress(OSError, ObjectError, ValueError):
            body = self.archive and self.archive.tile(tile.zoom, tile.x, tile.y)
        return body if body and digest_of_tile(body) == digest else None


@dataclass(frozen=True, slots=True)
class TileArtist:
    """Draws the tiles of one archive."""

    tiler: Tiler
    mosaic: Mosaic
    look: TileLook
    before: Before

    @classmethod
    def of(cls, tiler: Tiler, mosaic: Mosaic, look: TileLook, before: Before) -> "TileArtist":
        """Returns one that reads the row of each overview cell once, for all tiles of the cell."""
        overviews = tiler.overviews
        if overviews is not None:
            overviews = replace(overviews, rows=_KeptRows(overviews.rows.table))
        return cls(replace(tiler, overviews=overviews), mosaic, look, before)

    async def tile(self, at: Cell) -> ExportedTile:
        """Draws a tile, or takes it over; raises `InvalidRequestError` where the look suits not."""
        view = TileAddress(TMS, at.zoom, at.x, at.y).view(self.mosaic, SIZE)
        draft = await self.tiler.prepare(self.mosaic, view, self.look.read, self.look.rule)
        if await asyncio.to_thread(is_bare, at, draft):
            return ExportedTile(at, None)
        if self.look.render.margin:
            return await self._beyond(at, view)
        known = self.before.ledger.find(tile_number(at.zoom, at.x, at.y))
        if known is not None and await asyncio.to_thread(known.basis.holds, at, draft):
            body = await asyncio.to_thread(self.before.empty_or_body, at, known.body)
            if body is not None:
                return ExportedTile(at, known.basis, body, known.body, known.flaws, is_copy=True)
        made = await self.tiler.make(draft)
        return await asyncio.to_thread(self._drawn, at, draft, made)

    async def _beyond(self, at: Cell, view: View) -> ExportedTile:
        """Draws a tile for which an algorithm reads beyond it: anew, whatever has changed."""
        wide = view.widened(self.mosaic, self.look.render.margin)
        draft = await self.tiler.prepare(self.mosaic, wide, self.look.read, self.look.rule)
        made = await self.tiler.make(draft)
        drawn = await asyncio.to_thread(self._drawn, at, draft, made)
        return replace(drawn, basis=drawn.basis and TileBasis.unknown())

    def _drawn(self, at: Cell, draft: Draft, made: Picture) -> ExportedTile:
        skipped = (*made.skipped, *made.left_out, *made.lost)
        flaws = Flaws(is_cut=bool(made.truncated), is_lacking=bool(skipped))
        basis = TileBasis.of(at, draft, made) if made.seen.scenes or skipped else None
        own, _ = without_margin(made.pixels, made.grid, self.look.render)
        if not own.valid.any():
            return ExportedTile(at, basis, flaws=flaws, skipped=skipped)
        check_drawn(draft.read, made.pixels.names, self.look.render)
        try:
            body = encode(made.pixels, self.look.render, made.grid).body
        except InvalidRequestError as error:
            raise InvalidRequestError(f"tile {at.zoom}/{at.x}/{at.y}: {error}") from error
        digest = digest_of_tile(body)
        return ExportedTile(at, basis, body, digest, flaws, skipped=skipped)


def settings_digest(
    tiler: Tiler, mosaic: Mosaic, look: TileLook, pixel_version: str, allowed: tuple[str, ...]
) -> str:
    """Returns a digest of all that determines the tiles of a mosaic besides their scenes."""
    read, _ = tiler.of_scenes(mosaic, look.read, look.rule)
    limits = tiler.limits.max_scenes, tiler.limits.max_rows
    values = (
        (pixel_version, mosaic.identity, mosaic.missing, mosaic.shown_assets),
        (read, look.render, look.rule, limits, allowed),
        *([mosaic.clip_to_boundary] if mosaic.clip_to_boundary else []),
        *mosaic.sources_of_classes,
    )
    return hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()


_TTL_S: Final = KEPT_S / 2
"""How long rows of cells are used: their objects stay longer."""


@dataclass(frozen=True, slots=True)
class _KeptRows(OverviewRows):
    """Rows of overview cells that are read once for several tiles."""

    kept: TTLCache[tuple[str, str], OverviewCell | None] = field(
        default_factory=lambda: TTLCache(_CELLS, _TTL_S)
    )
    lock: Lock = field(default_factory=Lock)

    def standing(
        self, mosaic: Mosaic, cells: OverviewSet, quadkeys: Collection[str]
    ) -> dict[str, OverviewCell]:
        """See `OverviewRows`."""
        with self.lock:
            found = {
                key: self.kept[cells.id, key] for key in quadkeys if (cells.id, key) in self.kept
            }
        missing = set(quadkeys) - found.keys()
        if missing:
            read = OverviewRows.standing(self, mosaic, cells, missing)
            found |= {key: read.get(key) for key in missing}
            with self.lock:
                self.kept.update({(cells.id, key): found[key] for key in missing})
        return {key: cell for key, cell in found.items() if cell is not None}
