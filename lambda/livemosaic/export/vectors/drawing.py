"""Makes vector tiles as the route does, or takes them over from the archive before."""

import asyncio
import gzip
import hashlib
from dataclasses import dataclass, field
from typing import Final

from livemosaic.export.pmtiles.numbering import tile_number
from livemosaic.export.pmtiles.writer import digest_of_tile
from livemosaic.export.tiles.basis import TileBasis
from livemosaic.export.tiles.drawing import Before, ExportedTile
from livemosaic.export.tiles.ledger import Flaws
from livemosaic.export.tiles.look import TMS
from livemosaic.export.vectors.look import VectorLook
from livemosaic.geo.cells import Cell
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.picture import Tiler
from livemosaic.tiler.views import TileAddress
from livemosaic.vector.footprints import properties_of
from livemosaic.vector.tiles import FoundScenes, VectorRequest, draw_scenes, find_scenes
from livemosaic.vector.whole import WholeTiles

_LISTED: Final = b"v"
"""Kind of a basis that is a list of scenes; see `TileBasis.kind`."""


@dataclass(frozen=True, slots=True)
class VectorArtist:
    """Makes the vector tiles of one archive, compressed by gzip."""

    tiler: Tiler
    mosaic: Mosaic
    look: VectorLook
    before: Before
    whole: WholeTiles = field(default_factory=WholeTiles)

    async def tile(self, at: Cell) -> ExportedTile:
        """Makes a tile, or takes it over where its scenes are the same and no pixel is read."""
        address = TileAddress(TMS, at.zoom, at.x, at.y)
        look = self.look
        request = VectorRequest(self.mosaic, address, look.layers, look.read, look.rule)
        found = await asyncio.to_thread(find_scenes, self.tiler, request)
        found = await asyncio.to_thread(self.whole.completed, self.tiler, request, found)
        if not (found.scenes or found.counts) and not request.has_coverage:
            return ExportedTile(at, None)
        basis = None if request.has_coverage else self._basis(found)
        known = self.before.ledger.find(tile_number(at.zoom, at.x, at.y))
        if known is not None and known.basis == basis:
            body = await asyncio.to_thread(self.before.empty_or_body, at, known.body)
            if body:
                return ExportedTile(at, basis, body, known.body, known.flaws, is_copy=True)
        made = await draw_scenes(self.tiler, request, found)
        image = made.image
        skipped = (*image.skipped, *image.left_out, *image.lost) if image else ()
        flaws = Flaws(is_cut=bool(made.truncated), is_lacking=bool(skipped))
        body = gzip.compress(made.body, mtime=0) if made.body else b""
        if not body:  # without a record: jobs do not ask for all of the tiles that have none
            return ExportedTile(at, None, flaws=flaws, skipped=skipped)
        return ExportedTile(at, basis, body, digest_of_tile(body), flaws, skipped=skipped)

    def _basis(self, found: FoundScenes) -> TileBasis:
        scenes = [
            (each.key, each.version, each.source, properties_of(self.mosaic, each))
            for each in found.scenes
        ]
        counts = sorted((found.counts or {}).items())
        text = repr((found.truncated, scenes, *counts))
        digest = hashlib.blake2b(text.encode(), digest_size=12).digest()
        return TileBasis(digest, len(scenes) or len(counts), _LISTED)
