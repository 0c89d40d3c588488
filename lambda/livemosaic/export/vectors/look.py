"""Which layers the vector tiles of an archive have, and what the archive states of them."""

import hashlib
from dataclasses import dataclass, replace
from typing import Self

from livemosaic.export.pmtiles.writer import ArchiveContent
from livemosaic.export.tiles.archive import zooms_of
from livemosaic.export.tiles.look import check_grid, content_of
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import LayerName, Read
from livemosaic.model.rule import Rule
from livemosaic.render.parameters import Parameters
from livemosaic.tiler.picture import Tiler
from livemosaic.tiler.rules.parameters import rule_of
from livemosaic.vector.layers import vector_layers


@dataclass(frozen=True, slots=True)
class VectorLook:
    """Parameters of every vector tile of an archive: as of a request that names layers alone."""

    layers: tuple[LayerName, ...]
    zooms: range
    read: Read
    rule: Rule
    content: ArchiveContent
    """What the archive states."""

    @classmethod
    def of(cls, mosaic: Mosaic, layers: tuple[LayerName, ...], first: int, last: int) -> Self:
        """Raises `InvalidRequestError` for another tile grid, and where no zoom is left."""
        check_grid(mosaic)
        is_of_images = layers == ("coverage",)
        zooms = zooms_of(mosaic if is_of_images else replace(mosaic, minzoom=0), first, last)
        about = content_of(mosaic, "mvt", "scenes")
        fields = vector_layers(mosaic, layers, (zooms[0], zooms[-1]), mosaic.minzoom)
        metadata = {**about.metadata, "vector_layers": fields}
        content = replace(about, metadata=metadata, is_gzipped=True)
        return cls(layers, zooms, Parameters().read(), rule_of({}, mosaic), content)

    def about(self, _: Mosaic) -> ArchiveContent:
        """Returns what an archive of such tiles states."""
        return self.content

    def digest(self, tiler: Tiler, mosaic: Mosaic, version: str, allowed: tuple[str, ...]) -> str:
        """Returns a digest of all that determines tiles besides scenes.

        `version` is of code and libraries, and `allowed` the prefixes of hrefs that may be read.
        """
        read, _ = tiler.of_scenes(mosaic, self.read, self.rule)
        limits = tiler.limits.max_scenes, tiler.limits.max_rows
        values = (
            ("vector", version, mosaic.identity, mosaic.missing, mosaic.shown_assets),
            (self.layers, read, self.rule, limits, allowed, mosaic.fields),
            (mosaic.minzoom, mosaic.clip_to_boundary),
        )
        return hashlib.blake2b(repr(values).encode(), digest_size=16).hexdigest()
