"""Archives of vector tiles that are asked for."""

from dataclasses import dataclass
from functools import partial

from livemosaic.export.tiles.archive import ArchiveDesign
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher
from livemosaic.export.vectors.drawing import VectorArtist
from livemosaic.export.vectors.look import VectorLook
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import LayerName
from livemosaic.vector.layers import USUAL


@dataclass(frozen=True, slots=True, kw_only=True)
class VectorArchive:
    """An archive of vector tiles that is asked for; see `WantedArchive`."""

    place: ArchivePlace
    layers: tuple[LayerName, ...] = USUAL
    minzoom: int = 0
    maxzoom: int = 14

    @property
    def has_pixels(self) -> bool:
        """Whether pixels are read for it."""
        return "coverage" in self.layers

    def design(self, publisher: ArchivePublisher, mosaic: Mosaic) -> ArchiveDesign:
        """Returns how tiles are made; raises `InvalidRequestError` where that cannot be."""
        look = VectorLook.of(mosaic, self.layers, self.minzoom, self.maxzoom)
        tiler = publisher.tiler
        settings = look.digest(tiler, mosaic, publisher.pixel_version(), publisher.allowed)
        artist = partial(VectorArtist, tiler, mosaic, look)
        return ArchiveDesign(look.zooms, settings, look.content, artist)
