"""PMTiles archives, read by PyPI's `pmtiles`, the reference, and by our own reader."""

import io
import random
from typing import Any

import numpy as np
import pytest

from livemosaic.export.pmtiles.directory import (
    MOST_OF_ROOT,
    TileDirectory,
    from_varints,
    to_varints,
)
from livemosaic.export.pmtiles.header import HEADER_SIZE, ArchiveHeader
from livemosaic.export.pmtiles.numbering import first_number, tile_number, zoom_of_number
from livemosaic.export.pmtiles.reader import Archive
from livemosaic.export.pmtiles.writer import ArchiveContent, ArchiveWriter

pytestmark = pytest.mark.slow

reader = pytest.importorskip("pmtiles.reader", reason="requirements.txt has pmtiles")
reference = pytest.importorskip("pmtiles.tile")

Place = tuple[int, int, int]
ABOUT = ArchiveContent(
    kind="webp",
    bounds=(-10.5, -20.25, 30.125, 40.0),
    metadata={"name": "Ä mosaic", "attribution": "© someone", "type": "overlay"},
)


def archive(tiles: dict[Place, bytes], about: ArchiveContent = ABOUT) -> bytes:
    writer = ArchiveWriter(io.BytesIO())
    for place, body in tiles.items():
        writer.add(*place, body)
    return b"".join(writer.pieces(about))


def ranges(body: bytes) -> Any:
    return lambda start, stop: body[start:stop]


def some(rng: random.Random, count: int, zooms: range, bodies: int) -> dict[Place, bytes]:
    """Tiles of random places; the fewer different bodies, the more of them are equal."""
    pool = [rng.randbytes(rng.randrange(1, 60)) for _ in range(bodies)]
    found = {}
    while len(found) < count:
        zoom = rng.choice(zooms)
        place = zoom, rng.randrange(1 << zoom), rng.randrange(1 << zoom)
        found[place] = rng.choice(pool)
    return found


def block(zoom: int) -> dict[Place, bytes]:
    """All tiles of a zoom, which are equal in its western half."""
    every = range(1 << zoom)
    return {
        (zoom, x, y): b"same" if x < len(every) // 2 else f"{x}/{y}".encode()
        for x in every
        for y in every
    }


SETS = {
    "one": {(0, 0, 0): b"world"},
    "few": some(random.Random(1), 50, range(12), 50),
    "equal": some(random.Random(2), 3000, range(6, 12), 3),
    "runs": block(6),
    "thousands": some(random.Random(3), 30_000, range(8, 20), 30_000),
    "deep": some(random.Random(4), 500, range(25, 32), 400),
    "neighbours": block(7) | {(0, 0, 0): b"a", (1, 1, 0): b"b"},
}


@pytest.mark.parametrize("tiles", SETS.values(), ids=SETS)
def test_the_reference_reader_finds_every_tile(tiles: dict[Place, bytes]) -> None:
    body = archive(tiles)
    there = reader.Reader(lambda offset, length: body[offset : offset + length])
    found = dict(reader.all_tiles(there.get_bytes))
    assert found == tiles
    rng = random.Random(5)
    for place in rng.sample(sorted(tiles), min(50, len(tiles))):
        assert there.get(*place) == tiles[place]
    for place in some(rng, 30, range(4, 12), 1):
        assert there.get(*place) == tiles.get(place)


@pytest.mark.parametrize("tiles", SETS.values(), ids=SETS)
def test_the_header_says_what_is_there(tiles: dict[Place, bytes]) -> None:
    body = archive(tiles)
    there = reader.Reader(lambda offset, length: body[offset : offset + length])
    header = there.header()
    assert header["version"] == 3
    assert header["clustered"]
    assert header["tile_type"] == reference.TileType.WEBP
    assert header["tile_compression"] == reference.Compression.NONE
    assert header["addressed_tiles_count"] == len(tiles)
    assert header["tile_contents_count"] == len({*tiles.values()})
    assert header["root_length"] <= MOST_OF_ROOT
    assert header["min_zoom"] == min(zoom for zoom, _, _ in tiles)
    assert header["max_zoom"] == max(zoom for zoom, _, _ in tiles)
    assert (header["min_lon_e7"], header["max_lat_e7"]) == (-105_000_000, 400_000_000)
    assert there.metadata() == ABOUT.metadata
    assert header["tile_data_offset"] + header["tile_data_length"] == len(body)
    assert header["tile_data_length"] == sum(map(len, {*tiles.values()}))


@pytest.mark.parametrize("tiles", SETS.values(), ids=SETS)
def test_it_is_clustered(tiles: dict[Place, bytes]) -> None:
    """Bytes come in the order of tiles, each once, and equal neighbours are one entry."""
    own = Archive.open(ranges(archive(tiles)))
    entries, reached = own.entries, 0
    for n in range(len(entries)):
        offset, length = int(entries.offsets[n]), int(entries.lengths[n])
        assert offset <= reached
        reached = max(reached, offset + length)
        if n and int(entries.numbers[n - 1] + entries.runs[n - 1]) == int(entries.numbers[n]):
            assert entries.offsets[n] != entries.offsets[n - 1]
    assert own.header.entries == len(entries)


@pytest.mark.parametrize("tiles", SETS.values(), ids=SETS)
def test_our_reader_finds_every_tile(tiles: dict[Place, bytes]) -> None:
    own = Archive.open(ranges(archive(tiles)))
    rng = random.Random(6)
    for place in rng.sample(sorted(tiles), min(500, len(tiles))):
        assert own.tile(*place) == tiles[place]
    for place in some(rng, 200, range(4, 12), 1):
        assert own.tile(*place) == tiles.get(place)
    assert own.metadata() == ABOUT.metadata


def test_the_order_of_tiles_does_not_matter() -> None:
    tiles = SETS["equal"] | SETS["few"]
    mixed = [*tiles.items()]
    random.Random(7).shuffle(mixed)
    assert archive(tiles) == archive(dict(mixed))


def test_numbers_are_those_of_the_reference() -> None:
    rng = random.Random(8)
    for zoom in range(32):
        for _ in range(50):
            place = zoom, rng.randrange(1 << zoom), rng.randrange(1 << zoom)
            number = tile_number(*place)
            assert number == reference.zxy_to_tileid(*place)
            assert zoom_of_number(number) == zoom
        assert zoom_of_number(first_number(zoom)) == zoom
        assert zoom_of_number(first_number(zoom + 1) - 1) == zoom


@pytest.mark.parametrize("place", [(0, 1, 0), (3, 8, 0), (3, 0, -1), (32, 0, 0), (-1, 0, 0)])
def test_places_that_do_not_exist(place: Place) -> None:
    with pytest.raises(ValueError, match="there is no tile"):
        tile_number(*place)


def test_kinds_of_tiles() -> None:
    for kind in ("mvt", "png", "jpeg", "webp", "avif"):
        about = ArchiveContent(kind=kind, bounds=(0, 0, 1, 1), is_gzipped=kind == "mvt")  # type: ignore[arg-type]
        body = archive({(0, 0, 0): b"x"}, about)
        header = reader.Reader(lambda o, n, body=body: body[o : o + n]).header()
        assert header["tile_type"].name.lower() == kind
        assert (header["tile_compression"].name == "GZIP") == about.is_gzipped
        own = ArchiveHeader.from_bytes(body)
        assert (own.kind, own.is_gzipped, own.bounds) == (kind, about.is_gzipped, (0, 0, 1, 1))


def test_numbers_of_all_widths() -> None:
    rng = random.Random(9)
    values = [rng.getrandbits(bits) for bits in range(65) for _ in range(5)] + [0, 2**64 - 1]
    stored = to_varints(np.array(values, np.uint64))
    stream = io.BytesIO(stored)
    assert [reference.read_varint(stream) for _ in values] == values
    assert from_varints(stored).tolist() == values


def test_no_tile_and_one_twice() -> None:
    with pytest.raises(ValueError, match="needs a tile"):
        archive({})
    writer = ArchiveWriter(io.BytesIO())
    writer.add(1, 0, 0, b"a")
    writer.add(1, 0, 0, b"b")
    with pytest.raises(ValueError, match="twice"):
        b"".join(writer.pieces(ABOUT))


def test_damaged_archives_are_refused() -> None:
    """Cut or changed bytes of header and directories raise one kind of error, or give a reading."""
    body = archive(SETS["thousands"])
    for stop in (0, 6, HEADER_SIZE - 1, HEADER_SIZE, HEADER_SIZE + 40):
        with pytest.raises(ValueError):
            Archive.open(ranges(body[:stop]))
    rng = random.Random(10)
    refused = 0
    for _ in range(300):
        at = rng.randrange(len(body) // 20)
        changed = body[:at] + bytes([body[at] ^ 1 << rng.randrange(8)]) + body[at + 1 :]
        try:
            assert Archive.open(ranges(changed)).entries is not None
        except ValueError:
            refused += 1
    assert refused > 200
    with pytest.raises(ValueError, match="livemosaic did not write"):
        Archive.open(ranges(body[:96] + b"\0" + body[97:]))
    assert (
        TileDirectory.from_bytes(TileDirectory.from_bytes(_root(body)).to_bytes()).runs.sum() == 0
    )


def _root(body: bytes) -> bytes:
    at = ArchiveHeader.from_bytes(body).root
    return body[at.offset : at.offset + at.length]
