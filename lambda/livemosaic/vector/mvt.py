"""Encodes polygons as a Mapbox Vector Tile, version 2.1.

Geometries of a layer become one array of integers, which is written as varints all at once; only
messages around them are put together one by one.
https://github.com/mapbox/vector-tile-spec/tree/master/2.1
"""

import json
import struct
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, Final

import numpy as np
import shapely
from numpy.typing import NDArray

MEDIA_TYPE: Final = "application/vnd.mapbox-vector-tile"
EXTENT: Final = 4096
"""Units along the edge of a tile."""
Shapes = NDArray[np.object_]
"""Shape (n,): polygons or multipolygons of shapely."""

_MOVE_TO: Final = 1 << 3 | 1
_LINE_TO: Final = 2
_CLOSE_PATH: Final = 1 << 3 | 7
_POLYGON: Final = 3
_BYTES: Final = (1 << 7, 1 << 14, 1 << 21, 1 << 28)
"""Values from which on a varint of 32 bits takes one byte more."""


@dataclass(frozen=True, slots=True)
class TileLayer:
    """Features of one kind."""

    name: str
    shapes: Shapes
    """In units of the tile from its upper left corner, y downwards: integers, valid, not empty,
    without repeated vertices; exterior rings counterclockwise where y points upwards."""
    properties: Sequence[Mapping[str, Any]]
    """Of each shape. Null is left out; lists and objects become JSON."""


def encode(layers: Iterable[TileLayer]) -> bytes:
    """Returns a tile; layers without features are left out, as the specification says."""
    messages = (_layer(layer) for layer in layers if len(layer.shapes))
    return b"".join(_field(3, message) for message in messages)


def _layer(layer: TileLayer) -> bytes:
    keys, values = _Terms(), _Terms()
    features = [
        _field(2, _feature(geometry, properties, keys, values))
        for geometry, properties in zip(_geometries(layer.shapes), layer.properties, strict=True)
    ]
    return b"".join(
        [
            b"\x78\x02",  # version
            _field(1, layer.name.encode()),
            *features,
            *(_field(3, key) for key in keys.messages),
            *(_field(4, value) for value in values.messages),
            b"\x28" + _varint(EXTENT),
        ]
    )


class _Terms:
    """Keys or values of a layer, each once."""

    def __init__(self) -> None:
        self._places: dict[bytes, int] = {}

    def place(self, message: bytes) -> bytes:
        """Returns the place of a key or a value as a varint."""
        return _varint(self._places.setdefault(message, len(self._places)))

    @property
    def messages(self) -> Iterable[bytes]:
        """All of them, in order."""
        return self._places


def _feature(geometry: bytes, properties: Mapping[str, Any], keys: _Terms, values: _Terms) -> bytes:
    tags = b"".join(
        keys.place(name.encode()) + values.place(_value(value))
        for name, value in properties.items()
        if value is not None
    )
    return (_field(2, tags) if tags else b"") + bytes((3 << 3, _POLYGON)) + _field(4, geometry)


def _value(value: Any) -> bytes:
    """Returns a message `Value`: text, a number or a boolean."""
    if isinstance(value, bool):
        return b"\x38" + _varint(value)
    if isinstance(value, int) and -(2**63) <= value < 2**63:
        return b"\x30" + _varint(_zigzag(value))
    if isinstance(value, float):
        return b"\x19" + struct.pack("<d", value)
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)
    return _field(1, text.encode())


def _field(number: int, content: bytes) -> bytes:
    return bytes((number << 3 | 2,)) + _varint(len(content)) + content


def _zigzag(value: int) -> int:
    return value << 1 if value >= 0 else (-value << 1) - 1


def _varint(value: int) -> bytes:
    if value < 128:
        return bytes((value,))
    found = bytearray()
    while value >= 128:
        found.append(value & 127 | 128)
        value >>= 7
    found.append(value)
    return bytes(found)


def _geometries(shapes: Shapes) -> Iterator[bytes]:
    """Yields the commands of each shape (4.3), as packed varints."""
    polygons, of_shape = shapely.get_parts(shapes, return_index=True)
    rings, of_polygon = shapely.get_rings(polygons, return_index=True)
    commands, starts = _commands(rings, of_shape[of_polygon])
    written, ends = _varints(commands)
    offsets = np.append(np.append(0, ends)[starts], len(written)).tolist()
    return (written[start:end] for start, end in pairwise(offsets))


def _commands(
    rings: Shapes, of_shape: NDArray[np.int64]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Returns the integers of all shapes, and where each shape begins among them."""
    xy, of_ring = shapely.get_coordinates(rings, return_index=True)
    closing = np.append(of_ring[1:] != of_ring[:-1], True)
    xy, of_ring = np.rint(xy[~closing]).astype(np.int64), of_ring[~closing]
    counts = np.bincount(of_ring, minlength=len(rings))
    first = np.cumsum(counts) - counts
    begins = np.append(True, of_shape[1:] != of_shape[:-1])
    steps = np.diff(xy, axis=0, prepend=0)
    steps[first[begins]] = xy[first[begins]]  # the cursor is at 0, 0 where a feature begins
    sizes = 2 * counts + 3
    start = np.cumsum(sizes) - sizes
    found = np.zeros(sizes.sum(), np.int64)
    found[start] = _MOVE_TO
    found[start + 3] = (counts - 1) << 3 | _LINE_TO
    found[start + sizes - 1] = _CLOSE_PATH
    nth = np.arange(len(xy)) - first[of_ring]
    at = start[of_ring] + 2 * nth + np.where(nth == 0, 1, 2)
    for axis in (0, 1):
        found[at + axis] = (steps[:, axis] << 1) ^ (steps[:, axis] >> 63)
    return found, start[begins]


def _varints(values: NDArray[np.int64]) -> tuple[bytes, NDArray[np.int64]]:
    """Returns integers of up to 32 bits as varints, and where each of them ends."""
    sizes = np.searchsorted(_BYTES, values, side="right") + 1
    ends = np.cumsum(sizes)
    found = np.zeros(ends[-1], np.uint8)
    for nth in range(int(sizes.max())):
        here = sizes > nth
        more = np.where(sizes[here] > nth + 1, 128, 0)
        found[(ends - sizes)[here] + nth] = (values[here] >> 7 * nth) & 127 | more
    return found.tobytes(), ends
