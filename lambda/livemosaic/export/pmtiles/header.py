"""The header of an archive: 127 bytes that say where everything else is. Pure."""

import struct
from dataclasses import astuple, dataclass
from typing import Final, Literal, Self, get_args

from livemosaic.model.raster import BBox

TileKind = Literal["unknown", "mvt", "png", "jpeg", "webp", "avif"]
"""What tiles are; their place in the list is their number in an archive."""
HEADER_SIZE: Final = 127
_MAGIC: Final = b"PMTiles\x03"
_LAYOUT: Final = struct.Struct("<8s11Q6B4iB2i")
_NONE: Final = 1
_GZIP: Final = 2
_DEGREE: Final = 10_000_000


@dataclass(frozen=True, slots=True)
class ByteSpan:
    """Bytes of an archive."""

    offset: int
    length: int


@dataclass(frozen=True, slots=True, kw_only=True)
class ArchiveHeader:
    """What an archive states of itself before its metadata."""

    root: ByteSpan
    metadata: ByteSpan
    leaves: ByteSpan
    tiles: ByteSpan
    addressed: int
    """Tiles that have bytes."""
    entries: int
    """Entries of all directories that name tiles."""
    contents: int
    """Contents of tiles that differ from each other."""
    kind: TileKind
    is_gzipped: bool
    """Whether the bytes of tiles are compressed by gzip."""
    minzoom: int
    maxzoom: int
    bounds: BBox
    """West, south, east, north in degrees."""
    center: tuple[float, float, int]
    """Longitude, latitude and zoom at which maps begin."""

    def to_bytes(self) -> bytes:
        """Returns the header of an archive whose tiles are in the order of their numbers."""
        sections = (self.root, self.metadata, self.leaves, self.tiles)
        lon, lat, zoom = self.center
        return _LAYOUT.pack(
            _MAGIC,
            *(number for section in sections for number in astuple(section)),
            *(self.addressed, self.entries, self.contents),
            1,
            _GZIP,
            _GZIP if self.is_gzipped else _NONE,
            get_args(TileKind).index(self.kind),
            *(self.minzoom, self.maxzoom),
            *map(_fixed, self.bounds),
            zoom,
            *map(_fixed, (lon, lat)),
        )

    @classmethod
    def from_bytes(cls, stored: bytes) -> Self:
        """Reads a header; raises `ValueError` where it is none that `to_bytes` makes."""
        if len(stored) < HEADER_SIZE or not stored.startswith(_MAGIC):
            raise ValueError("no PMTiles archive of version 3")
        _, *found = _LAYOUT.unpack(stored[:HEADER_SIZE])
        kinds = get_args(TileKind)
        clustered, directories, tiles, kind = found[11:15]
        if not clustered or directories != _GZIP or kind >= len(kinds):
            raise ValueError("a PMTiles archive that livemosaic did not write")
        west, south, east, north, zoom, lon, lat = found[17:]
        return cls(
            **{
                name: ByteSpan(*found[2 * n : 2 * n + 2])
                for n, name in enumerate(("root", "metadata", "leaves", "tiles"))
            },
            addressed=found[8],
            entries=found[9],
            contents=found[10],
            kind=kinds[kind],
            is_gzipped=tiles == _GZIP,
            minzoom=found[15],
            maxzoom=found[16],
            bounds=(west / _DEGREE, south / _DEGREE, east / _DEGREE, north / _DEGREE),
            center=(lon / _DEGREE, lat / _DEGREE, zoom),
        )


def _fixed(degrees: float) -> int:
    return round(degrees * _DEGREE)
