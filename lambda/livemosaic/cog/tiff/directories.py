"""Directories of a TIFF (TIFF 6.0, section 2; BigTIFF): their tags, undecoded."""

import struct
from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass
from typing import Any, Final

from livemosaic.storage.objects import Buffer, ObjectError, too_short

_FORMATS: Final = {
    1: "B", 2: "B", 3: "H", 4: "I", 5: "II", 6: "b", 7: "B", 8: "h", 9: "i", 10: "ii", 11: "f",
    12: "d", 13: "I", 16: "Q", 17: "q", 18: "Q",
}  # fmt: skip
"""struct's codes of each type of tag."""
_SIZES: Final = {kind: struct.calcsize(f"={codes}") for kind, codes in _FORMATS.items()}
_TEXT: Final = 2
_BYTES: Final = frozenset({1, 2, 6, 7})
"""Types of tags of one byte a value."""
_INTEGERS: Final = frozenset({3, 4, 8, 9, 16, 17})
_SHORT: Final = 3
_MOST_DIRECTORIES: Final = 256
"""More than any image has levels and masks; also ends a chain that loops."""
_MOST_NUMBERS: Final = 256 * 1024
"""More than a palette of 16 bits has, the longest value that is needed here."""
_AHEAD: Final = 8 * 1024
"""Read beyond the start of a directory, which most of them, and all after them, need less than."""
_LONG: Final = 64 * 1024
"""Longer values, such as tables of tiles, are not needed here."""

Fetch = Callable[[int, int], Buffer]
"""Returns the bytes of a half-open range of the file; BrokenHeaderError where it has none."""


class BrokenHeaderError(ValueError):
    """The header is damaged, or cut short."""


class BeyondError(BrokenHeaderError):
    """The header goes on beyond the bytes at hand."""

    def __init__(self, stop: int) -> None:
        super().__init__(f"cut short at byte {stop}")
        self.stop = stop


Field = tuple[int, int, int]
"""A tag's type and count, and the offset of its values in the file."""


@dataclass(frozen=True, slots=True, eq=False)
class Directory:
    """One image of a TIFF, by the numbers of its tags."""

    order: str
    """struct's code of the byte order: `<` or `>`."""
    fields: dict[int, Field]
    _shorts: dict[int, int]
    """Single 16-bit integers, which most tags are, by tag."""
    end: int
    """Offset of the end of the values that are needed here: all but long tables."""
    _fetch: Fetch

    def numbers(self, tag: int, default: tuple[Any, ...] = ()) -> tuple[Any, ...]:
        """Returns a tag's values, numerator and denominator of rationals; the default if absent.

        BrokenHeaderError if they are of an unknown type, or cannot be fetched.
        """
        field = self.fields.get(tag)
        if field is None:
            return default
        return self._unpack(tag, *field)

    def number(self, tag: int, default: int) -> int:
        """Returns a tag's first value as an integer; the default if absent or empty."""
        if tag in self._shorts:
            return self._shorts[tag]
        kind, count, at = self.fields.get(tag, (_SHORT, 0, 0))
        return int(self._unpack(tag, kind, 1, at)[0]) if count else default

    def _unpack(self, tag: int, kind: int, count: int, at: int) -> tuple[Any, ...]:
        if kind not in _FORMATS or count > _MOST_NUMBERS:
            raise BrokenHeaderError(f"tag {tag} of type {kind} with {count:,} values")
        each = _FORMATS[kind]
        code = f"{self.order}{count * len(each)}{each[0]}"
        return struct.unpack(code, self._fetch(at, at + count * _SIZES[kind]))

    def body(self, tag: int) -> bytes:
        """Returns the bytes of a text, or of numbers as they are written; none if absent."""
        kind, count, at = self.fields.get(tag, (_TEXT, 0, 0))
        return bytes(self._fetch(at, at + count * _SIZES.get(kind, 1)))

    def text(self, tag: int) -> bytes:
        """Returns a text up to its first NUL, as libtiff has it: numbers are its bytes.

        Empty if absent, or of numbers that are no bytes.
        """
        kind = self.fields.get(tag, (_TEXT, 0, 0))[0]
        if kind in _BYTES:
            return self.body(tag).split(b"\0")[0]
        numbers = self.numbers(tag) if kind in _INTEGERS else ()
        return bytes(numbers).split(b"\0")[0] if all(0 <= n < 256 for n in numbers) else b""


def iterate_directories(fetch: Fetch) -> Iterator[Directory]:
    """Yields the directories in the file's order; BrokenHeaderError if it is damaged."""
    order = "<" if bytes(fetch(0, 1)) == b"I" else ">"
    big = struct.unpack(f"{order}H", fetch(2, 4))[0] == 43
    count, entry, pointer = (struct.Struct(order + code) for code in (_BIG if big else _CLASSIC))
    (at,) = pointer.unpack(fetch(pointer.size, 2 * pointer.size))
    if not at:
        raise BrokenHeaderError("no directory")
    seen: set[int] = set()
    while at and at not in seen and len(seen) < _MOST_DIRECTORIES:
        seen.add(at)
        start = at + count.size
        stop = start + count.unpack(fetch(at, start))[0] * entry.size
        yield Directory(order, *_fields(entry, pointer, fetch(start, stop), start), fetch)
        (at,) = pointer.unpack(fetch(stop, stop + pointer.size))


_CLASSIC: Final = ("H", "HHI4s", "I")
_BIG: Final = ("Q", "HHQ8s", "Q")
"""struct's codes of a directory's count of entries, of an entry, and of a pointer."""


def _fields(
    entry: struct.Struct, pointer: struct.Struct, entries: Buffer, start: int
) -> tuple[dict[int, Field], dict[int, int], int]:
    """Returns the fields of a directory, its single shorts, and where the last value ends."""
    fields: dict[int, Field] = {}
    singles: dict[int, int] = {}
    inline, end = pointer.size, 0
    first = 0 if entry.format[0] == "<" else 1
    at = start + entry.size - inline
    for tag, kind, count, place in entry.iter_unpack(entries):
        size = count * _SIZES.get(kind, 1)
        if size <= inline:
            fields[tag] = kind, count, at
            if kind == _SHORT and count == 1:
                singles[tag] = place[first] | place[1 - first] << 8
        else:
            (where,) = pointer.unpack(place)
            fields[tag] = kind, count, where
            if where + size > end and (size <= _LONG or kind == _TEXT):
                end = where + size
        at += entry.size
    return fields, singles, end


async def read_directories(
    leading: Callable[[int], Awaitable[Buffer]], first: int
) -> list[Directory]:
    """Reads all directories of a TIFF from its leading bytes, as many as they take.

    `leading` returns the bytes up to an offset or farther, fewer only where the file ends; `first`
    of them suffice for most files. BrokenHeaderError if the header is damaged, ObjectError if the
    file ends before a directory does.
    """
    head = await leading(first)
    while True:
        try:
            found = list(iterate_directories(_within(head)))
            break
        except BeyondError as e:
            head = await leading(e.stop + _AHEAD)
            if len(head) < e.stop:
                raise ObjectError(too_short(e.stop)) from e
    end = max(directory.end for directory in found)
    if end > len(head):
        head = await leading(end)
        found = list(iterate_directories(_within(head)))
    if end > len(head):
        raise BeyondError(end)
    return found


def _within(head: Buffer) -> Fetch:
    def fetch(start: int, stop: int) -> bytes:
        if stop > len(head):
            raise BeyondError(stop)
        return bytes(head[start:stop])

    return fetch
