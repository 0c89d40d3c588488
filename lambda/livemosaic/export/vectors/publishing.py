"""Use case: a PMTiles archive of vector tiles, of which only what changed is made anew."""

from collections.abc import Callable
from dataclasses import dataclass
from datetime import date

from livemosaic.export.tiles.archive import ArchiveExport, ExportTally
from livemosaic.export.tiles.publishing import ArchivePlace
from livemosaic.export.vectors.drawing import VectorArtist
from livemosaic.export.vectors.look import VectorLook
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.picture import Tiler
from livemosaic.vector.layers import USUAL, LayerName


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorArchive:
    """An archive of vector tiles that is asked for."""

    place: ArchivePlace
    layers: tuple[LayerName, ...] = USUAL
    minzoom: int = 0
    maxzoom: int = 14


@dataclass(frozen=True, slots=True)
class VectorPublisher:
    """Publishes archives of mosaics of one index."""

    tiler: Tiler
    pixel_version: Callable[[], str]
    allowed: tuple[str, ...]
    """Prefixes of the hrefs that may be read."""

    def publish(
        self,
        mosaic: Mosaic,
        asked: VectorArchive,
        today: date,
        report: Callable[[ExportTally], None] = lambda _: None,
    ) -> ExportTally:
        """Makes and publishes an archive; raises `InvalidRequestError` where that cannot be."""
        look = VectorLook.of(mosaic, asked.layers, asked.minzoom, asked.maxzoom)
        settings = look.digest(self.tiler, mosaic, self.pixel_version(), self.allowed)
        with asked.place.before(settings) as before:
            artist = VectorArtist(self.tiler, mosaic, look, before)
            return asked.place.publish(ArchiveExport(artist, look.zooms, settings, report), today)
