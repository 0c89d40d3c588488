"""Use case: a PMTiles archive of a mosaic, of which only what changed is drawn anew."""

import asyncio
from collections import deque
from collections.abc import AsyncGenerator, Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import IO, Final, Protocol

from livemosaic.errors import InvalidRequestError
from livemosaic.export.pmtiles.numbering import tile_number
from livemosaic.export.pmtiles.writer import ArchiveContent, ArchiveWriter
from livemosaic.export.tiles.drawing import Before, ExportedTile
from livemosaic.export.tiles.ledger import EMPTY, LedgerWriter
from livemosaic.export.tiles.pyramid import WORLD, TilePyramid
from livemosaic.geo.cells import Cell
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.picture import Tiler

_AT_ONCE: Final = 8
_NAMED: Final = 5


@dataclass(slots=True)
class ExportTally:
    """What an export has done so far."""

    drawn: int = 0
    """Tiles with pixels that were encoded."""
    drawn_bytes: int = 0
    copied: int = 0
    """Tiles with pixels that were taken over from the archive before."""
    copied_bytes: int = 0
    looked: int = 0
    """All tiles that were asked for, with pixels or without."""
    cut: int = 0
    """Tiles in which a limit left scenes out."""
    lacking: int = 0
    """Tiles without a scene that could not be read, or lacks an asset."""
    reasons: dict[str, str] = field(default_factory=dict)
    """Some of these scenes, and why."""

    def count(self, tile: ExportedTile) -> None:
        """Counts one more tile."""
        self.looked += 1
        self.cut += tile.flaws.is_cut
        self.lacking += tile.flaws.is_lacking
        if tile.is_copy:
            self.copied += bool(tile.body)
            self.copied_bytes += len(tile.body)
        else:
            self.drawn += bool(tile.body)
            self.drawn_bytes += len(tile.body)
        self.add_reasons(tile.skipped[:_NAMED])

    def add_reasons(self, found: Iterable[tuple[str, str]]) -> None:
        """Adds scenes that a tile lacks, and why, as long as they are few."""
        for name, why in found:
            if len(self.reasons) < _NAMED:
                self.reasons.setdefault(name, why)


def zooms_of(mosaic: Mosaic, first: int, last: int) -> range:
    """Returns the zooms of an archive, as far as the mosaic has tiles of them.

    Raises `InvalidRequestError` where none is left.
    """
    least, most = max(first, mosaic.minzoom), min(last, mosaic.deepest_zoom)
    if least > most:
        raise InvalidRequestError(
            f"there are no tiles of zooms {first} to {last}: mosaic {mosaic.id!r} has zooms "
            f"{mosaic.minzoom} to {mosaic.deepest_zoom}"
        )
    return range(least, most + 1)


class Look(Protocol):
    """How all tiles of an archive are made."""

    def about(self, mosaic: Mosaic) -> ArchiveContent:
        """Returns what an archive of such tiles states."""


class Artist(Protocol):
    """Makes the tiles of one archive."""

    @property
    def tiler(self) -> Tiler:
        """Finds scenes, and draws."""

    @property
    def mosaic(self) -> Mosaic:
        """The mosaic whose tiles they are."""

    @property
    def look(self) -> Look:
        """How all of them are made."""

    async def tile(self, at: Cell) -> ExportedTile:
        """Makes a tile, or takes it over from the archive before."""


@dataclass(frozen=True, slots=True)
class ArchiveDesign:
    """How all tiles of an archive are made, by whichever process makes them."""

    zooms: range
    settings: str
    """Digest of what determines tiles besides scenes."""
    content: ArchiveContent
    """What the archive states."""
    artist: Callable[[Before], Artist]
    """Returns who makes tiles, or takes them over from an archive before."""
    rescale: Sequence[Sequence[float]] | None = None
    """Ranges of images, which may have been `rescale=auto`."""


@dataclass(frozen=True, slots=True)
class ArchiveExport:
    """One export of a mosaic."""

    artist: Artist
    zooms: range
    settings: str
    """See `ArchiveDesign.settings`."""
    report: Callable[[ExportTally], None] = lambda _: None
    at_once: int = _AT_ONCE

    def write(self, out: IO[bytes], spool: IO[bytes]) -> tuple[ExportTally, bytes]:
        """Writes the archive, and returns what was done, and the ledger for the next export.

        `spool` is an empty file for the tiles meanwhile. Raises `InvalidRequestError` where no tile
        has a pixel.
        """
        mosaic, tally = self.artist.mosaic, ExportTally()
        writer, ledger = ArchiveWriter(spool), LedgerWriter(self.settings)
        asyncio.run(self._collect(writer, ledger, tally))
        if not len(writer):
            raise InvalidRequestError(
                f"mosaic {mosaic.id!r} shows nothing at zooms {self.zooms[0]} to {self.zooms[-1]}: "
                "an archive needs a tile"
            )
        for piece in writer.pieces(self.artist.look.about(mosaic)):
            out.write(piece)
        return tally, ledger.to_bytes()

    async def _collect(
        self, writer: ArchiveWriter, ledger: LedgerWriter, tally: ExportTally
    ) -> None:
        async for tile in self.tiles():
            at = tile.at
            tally.count(tile)
            ledger.add(tile.number, tile.recorded)
            if tile.digest != EMPTY:
                writer.add(at.zoom, at.x, at.y, tile.body, tile.digest)
            self.report(tally)

    async def tiles(
        self, top: Cell = WORLD, done: Collection[int] = ()
    ) -> AsyncGenerator[ExportedTile]:
        """Yields the tiles within one in the order of the pyramid, some of them drawn at once.

        All but the ones that are `done`, by their numbers.
        """
        pyramid = TilePyramid(self.artist.tiler.index, self.artist.mosaic, self.zooms)
        groups = pyramid.groups(top)
        running: deque[asyncio.Task[ExportedTile]] = deque()
        try:
            while (tiles := await asyncio.to_thread(_next, groups)) is not None:
                for at in tiles:
                    if done and tile_number(at.zoom, at.x, at.y) in done:
                        continue
                    running.append(asyncio.create_task(self.artist.tile(at)))
                    if len(running) > self.at_once:
                        yield await running.popleft()
            while running:
                yield await running.popleft()
        finally:
            for task in running:
                task.cancel()
            await asyncio.gather(*running, return_exceptions=True)


def _next(groups: Iterator[list[Cell]]) -> list[Cell] | None:
    return next(groups, None)
