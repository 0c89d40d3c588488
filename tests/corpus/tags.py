"""Tags of TIFFs, read and replaced byte by byte: for what no writer offers."""

import struct
from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

_FORMATS: Final = {
    1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 6: "b", 7: "s", 8: "h", 9: "i", 10: "ii", 11: "f",
    12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
ASCII, SHORT, LONG, RATIONAL, FLOAT, DOUBLE = 2, 3, 4, 5, 11, 12


class Tag(NamedTuple):
    """A tag's type (TIFF 6.0, section 2) and its values; bytes for ASCII and UNDEFINED."""

    kind: int
    values: Any

    def encode(self, order: str) -> bytes:
        if isinstance(self.values, bytes):
            return self.values
        flat = [n for v in self.values for n in (v if isinstance(v, tuple) else (v,))]
        return struct.pack(f"{order}{_FORMATS[self.kind] * len(self.values)}", *flat)

    @property
    def count(self) -> int:
        return len(self.values)

    @property
    def about(self) -> tuple[int, int]:
        return self.kind, self.count


class Layout(NamedTuple):
    order: str
    count: str
    entry: str
    pointer: str
    first: int
    inline: int


def layout(body: bytes) -> Layout:
    order = "<" if body[:2] == b"II" else ">"
    big = struct.unpack_from(f"{order}H", body, 2)[0] == 43
    return Layout(order, *(("Q", "HHQ8s", "Q", 8, 8) if big else ("H", "HHI4s", "I", 4, 4)))


def entries(body: bytes, index: int = 0) -> tuple[int, int, dict[int, tuple[int, int, bytes]]]:
    """Where the pointer to a directory stands, where its pointer to the next one stands, and its
    entries: type, count and the four or eight bytes of value or offset."""
    form = layout(body)
    pointer = form.first
    for _ in range(index + 1):
        (at,) = struct.unpack_from(form.order + form.pointer, body, pointer)
        assert at, f"no directory {index}"
        (count,) = struct.unpack_from(form.order + form.count, body, at)
        here, start = pointer, at + struct.calcsize(form.order + form.count)
        size = struct.calcsize(form.order + form.entry)
        pointer = start + count * size
    found = struct.iter_unpack(form.order + form.entry, body[start:pointer])
    return here, pointer, {tag: (kind, n, value) for tag, kind, n, value in found}


def retag(body: bytes, tags: Mapping[int, Tag | None], index: int = 0) -> bytes:
    """The file with some tags of a directory replaced, added or (None) removed: written anew at
    its end, as updates in place are."""
    form = layout(body)
    pointer, after, found = entries(body, index)
    out = bytearray(body)
    for tag, new in tags.items():
        found.pop(tag, None)
        if new is None:
            continue
        value = new.encode(form.order)
        if len(value) > form.inline:
            out += bytes(len(out) % 2)
            place = struct.pack(form.order + form.pointer, len(out))
            out += value
        else:
            place = value.ljust(form.inline, b"\0")
        found[tag] = new.kind, new.count, place
    out += bytes(len(out) % 2)
    struct.pack_into(form.order + form.pointer, out, pointer, len(out))
    out += struct.pack(form.order + form.count, len(found))
    for tag, (kind, count, place) in sorted(found.items()):
        out += struct.pack(form.order + form.entry, tag, kind, count, place)
    out += body[after : after + form.inline]
    return bytes(out)


def assembled(
    directories: Sequence[tuple[Mapping[int, Tag | None], Sequence[bytes]]],
    order: str = "<",
    big: bool = False,
) -> bytes:
    """A TIFF of directories, each of tags and tiles; tables of tiles are made where none are given.

    An empty tile is a sparse one.
    """
    mark = b"II" if order == "<" else b"MM"
    out = bytearray(mark + struct.pack(order + ("HHHQ" if big else "HI"), 43 if big else 42,
                                       *((8, 0, 0) if big else (0,))))  # fmt: skip
    form = layout(bytes(out))
    pointer = form.first
    for tags, tiles in directories:
        places = []
        for tile in tiles:
            out += bytes(len(out) % 2)
            places.append(len(out) if tile else 0)
            out += tile
        tables = {324: Tag(LONG, tuple(places)), 325: Tag(LONG, tuple(map(len, tiles)))}
        kept = {tag: value for tag, value in (tables | dict(tags)).items() if value is not None}
        rows = []
        for tag, value in sorted(kept.items()):
            body = value.encode(order)
            if len(body) > form.inline:
                out += bytes(len(out) % 2)
                rows.append((tag, *value.about, struct.pack(order + form.pointer, len(out))))
                out += body
            else:
                rows.append((tag, *value.about, body.ljust(form.inline, b"\0")))
        out += bytes(len(out) % 2)
        struct.pack_into(order + form.pointer, out, pointer, len(out))
        out += struct.pack(order + form.count, len(rows))
        for row in rows:
            out += struct.pack(order + form.entry, *row)
        pointer = len(out)
        out += bytes(form.inline)
    return bytes(out)


def shorts(*values: int) -> Tag:
    return Tag(SHORT, values)


def doubles(*values: float) -> Tag:
    return Tag(DOUBLE, values)


def text(value: str) -> Tag:
    return Tag(ASCII, value.encode() + b"\0")


def geokeys(keys: Mapping[int, int | float | str], minor: int = 0) -> dict[int, Tag | None]:
    """The three tags of a GeoTIFF's keys (OGC 19-008r4, 7.1)."""
    rows: list[Sequence[int]] = []
    numbers: list[float] = []
    letters = ""
    for key, value in sorted(keys.items()):
        if isinstance(value, int):
            rows.append((key, 0, 1, value))
        elif isinstance(value, float):
            rows.append((key, 34736, 1, len(numbers)))
            numbers.append(value)
        else:
            rows.append((key, 34737, len(value) + 1, len(letters)))
            letters += value + "|"
    flat = [1, 1, minor, len(rows), *(n for row in rows for n in row)]
    return {
        34735: shorts(*flat),
        34736: doubles(*numbers) if numbers else None,
        34737: text(letters) if letters else None,
    }
