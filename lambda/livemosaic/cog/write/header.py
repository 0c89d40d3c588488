"""The directories of a cell, all of them before the first block."""

import struct
from collections.abc import Iterable, Mapping, Sequence
from itertools import accumulate
from typing import Final
from xml.sax.saxutils import escape

import numpy as np

from livemosaic.cog.tiff import support as tag
from livemosaic.cog.tiff.palette import BITS, COLORS
from livemosaic.cog.tiff.written import Value, longs, shorts
from livemosaic.cog.write.codec import NO_PREDICTOR, predictor_of
from livemosaic.cog.write.keys import doubles, geo_tags
from livemosaic.cog.write.profile import FORMAT, CellProfile, one_per_band

EXTRA, METADATA = 338, 42112
_SCALE, _TIE = 33550, 33922
DEFLATE: Final = 8
_REDUCED, _MASK_OF = 1, 4
_UNSPECIFIED: Final = 0
_ASCII: Final = 2
_FORMATS: Final = {"u": 1, "i": 2, "f": 3}
_FIRST: Final = 8
"""Offset of the first directory."""
_INLINE: Final = 4
"""Bytes of a value that fit into its directory's entry."""
_ENTRY: Final = struct.Struct("<HHII")

Tags = dict[int, Value]
Lengths = Sequence[int]
"""Bytes of each block of an image, row by row; 0 for one that is not stored."""


def header(profile: CellProfile, levels: Sequence[tuple[Lengths, Lengths]]) -> bytes:
    """Returns all that precedes the blocks; its size depends on the profile alone.

    `levels`, full resolution first, has the lengths of the blocks of each image and of its mask.
    The blocks follow from the coarsest level on, row by row, each before that of its mask.
    """
    images = [tags for level in range(len(levels)) for tags in _images(profile, level)]
    starts = list(accumulate(map(_size, images), initial=_FIRST))
    values, at = _places((body for tags in images for _, _, body in tags.values()), starts[-1])
    tables = _tables(levels, at + sum(_size_of_tables(pair[0]) for pair in levels))
    directories, bodies = [], [*values]
    for tags, table, follows in zip(images, tables, [*starts[1:-1], 0], strict=True):
        offsets, lengths = (longs(*numbers) for numbers in table)
        own = {tag.OFFSETS: at, tag.COUNTS: at + len(offsets[2])}
        every = tags | {tag.OFFSETS: offsets, tag.COUNTS: lengths}
        directories.append(_directory(every, values, own, follows))
        if len(table[0]) > 1:
            bodies += [offsets[2], lengths[2]]
            at = own[tag.COUNTS] + len(lengths[2])
    start = b"II*\0" + struct.pack("<I", _FIRST)
    return b"".join([start, *directories, *map(_padded, bodies)])


def _images(profile: CellProfile, level: int) -> tuple[Tags, Tags]:
    """Returns the tags, but for tables of blocks, of a level's image and of its mask."""
    edge = profile.edge >> level
    square = {tag.WIDTH: longs(edge), tag.HEIGHT: longs(edge), tag.COMPRESSION: shorts(DEFLATE)}
    square |= {tag.TILE_WIDTH: longs(profile.block), tag.TILE_HEIGHT: longs(profile.block)}
    square |= {tag.PLANAR: shorts(1)}
    reduced = _REDUCED if level else 0
    image = square | _sample_tags(profile) | {tag.SUBFILE: longs(reduced)}
    if not level:
        image |= _place_tags(profile) | _text_tags(profile)
    mask = square | {
        tag.SUBFILE: longs(reduced | _MASK_OF),
        tag.PHOTOMETRIC: shorts(tag.MASK),
        BITS: shorts(1),
        tag.SAMPLES: shorts(1),
        tag.FORMAT: shorts(1),
    }
    return image, mask


def _sample_tags(profile: CellProfile) -> Tags:
    count, dtype, palette = profile.count, profile.dtype, profile.palette
    # As GDAL's driver: three bands of bytes are red, green and blue.
    rgb = count == 3 and dtype == np.uint8
    colors = tag.RGB if rgb else tag.GRAY if palette is None else tag.PALETTE
    tags = {
        BITS: shorts(*[8 * dtype.itemsize] * count),
        tag.PHOTOMETRIC: shorts(colors),
        tag.SAMPLES: shorts(count),
        tag.FORMAT: shorts(*[_FORMATS[dtype.kind]] * count),
    }
    predictor = predictor_of(dtype, palette is not None)
    if predictor != NO_PREDICTOR:
        tags[tag.PREDICTOR] = shorts(predictor)
    if count > 1 and not rgb:
        tags[EXTRA] = shorts(*[_UNSPECIFIED] * (count - 1))
    if palette is not None:
        table = np.zeros((1 << 8 * dtype.itemsize, 3), "<u2")
        table[: len(palette)] = palette
        body = (table * 257).astype("<u2").T.tobytes()
        tags[COLORS] = (3, table.size, body)
    return tags


def _place_tags(profile: CellProfile) -> Tags:
    to = profile.frame.transform
    place = {_SCALE: doubles(to.a, -to.e, 0), _TIE: doubles(0, 0, 0, to.c, to.f, 0)}
    return place | dict(geo_tags(profile.frame.crs))


def _text_tags(profile: CellProfile) -> Tags:
    """Returns GDAL's metadata: its words for bands, and what else the pixels follow from."""
    items = [f'<Item name="LIVEMOSAIC_CELL">{FORMAT}</Item>']
    items += [f'<Item name="LIVEMOSAIC_RESAMPLING">{",".join(profile.resampling)}</Item>']
    if one_per_band(profile.scales, 1) or one_per_band(profile.offsets, 0):
        items += _items("OFFSET", "offset", map(_text, profile.offsets or [0.0] * profile.count))
        items += _items("SCALE", "scale", map(_text, profile.scales or [1.0] * profile.count))
    items += _items("UNITTYPE", "unittype", profile.units)
    items += _items("DESCRIPTION", "description", profile.descriptions)
    lines = "".join(f"  {item}\n" for item in items)
    # ASCII, as async-tiff wants: other characters by their numbers.
    body = f"<GDALMetadata>\n{lines}</GDALMetadata>\n".encode("ascii", "xmlcharrefreplace") + b"\0"
    return {METADATA: (_ASCII, len(body), body)}


def _items(name: str, role: str, texts: Iterable[str]) -> list[str]:
    """Returns an element per band; GDAL, which escapes texts twice, reads them so."""
    return [
        f'<Item name="{name}" sample="{band}" role="{role}">{escape(escape(text))}</Item>'
        for band, text in enumerate(texts)
        if text
    ]


def _text(number: float) -> str:
    return repr(float(number))


def _tables(
    levels: Sequence[tuple[Lengths, Lengths]], at: int
) -> list[tuple[list[int], list[int]]]:
    """Returns offsets and lengths of the blocks of each image and mask, from an offset on."""
    found: list[list[tuple[list[int], list[int]]]] = []
    for pair in reversed(levels):
        offsets: tuple[list[int], list[int]] = [], []
        for sizes in zip(*pair, strict=True):
            for places, size in zip(offsets, sizes, strict=True):
                places.append(at if size else 0)
                at += size
        found.append([(offsets[0], list(pair[0])), (offsets[1], list(pair[1]))])
    return [table for level in reversed(found) for table in level]


def _size_of_tables(lengths: Lengths) -> int:
    """Returns the bytes of the tables of an image and of its mask; single numbers need none."""
    return 2 * 8 * len(lengths) if len(lengths) > 1 else 0


def _size(tags: Tags) -> int:
    """Returns the bytes of a directory, its two tables of blocks included, without values."""
    return 2 + (len(tags) + 2) * _ENTRY.size + 4


def _places(bodies: Iterable[bytes], at: int) -> tuple[dict[bytes, int], int]:
    """Returns the offset of each long value from an offset on, and the end of the last.

    Equal ones are written once: images of all levels share their palette.
    """
    places: dict[bytes, int] = {}
    for body in bodies:
        if len(body) > _INLINE and body not in places:
            places[body] = at
            at += len(_padded(body))
    return places, at


def _padded(body: bytes) -> bytes:
    return body + bytes(len(body) % 2)


def _directory(
    tags: Tags, values: Mapping[bytes, int], tables: Mapping[int, int], follows: int
) -> bytes:
    """Returns a directory: offsets of values by their bytes, and of tables of blocks by tag."""
    entries = struct.pack("<H", len(tags))
    for number, (kind, count, body) in sorted(tags.items()):
        if len(body) <= _INLINE:
            place = int.from_bytes(body, "little")
        else:
            place = tables[number] if number in tables else values[body]
        entries += _ENTRY.pack(number, kind, count, place)
    return entries + struct.pack("<I", follows)
