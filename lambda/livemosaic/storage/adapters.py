"""Objects as libraries want them: async-tiff as an obspec store, GDAL and pyarrow as a file."""

import asyncio
import io
import os
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Coroutine, Generator, Sequence
from typing import Any, Final, Generic, Literal, Protocol, TypeVar

from livemosaic.storage.objects import Buffer, ObjectError, too_short

T = TypeVar("T")

_HEAD: Final = 4096
"""Leading bytes in which the first directory is looked for."""


class LongHeaderError(Exception):
    """The header is too long, or spread over the file; GDAL may read it."""


class Readable(Protocol):
    """An `Object` as an event loop reads it."""

    async def read(self, start: int, stop: int) -> Buffer:
        """Returns bytes of a half-open range, for an event loop; fewer where the object ends."""
        ...


class RangeSource:
    """An object as async-tiff reads it (obspec GetRangeAsync, GetRangesAsync).

    While the header is read, each request counts against `header_bytes`. Afterwards every range
    must be complete: a truncated tile is an ObjectError, and is not decoded.
    """

    def __init__(self, source: Readable, *, header_bytes: int) -> None:
        self._source = source
        self._header_bytes = header_bytes
        self._header_left: int | None = header_bytes
        self._whole = False
        self.head = bytearray()
        """The leading bytes of the object, as far as they were read for its header."""

    async def leading(self, stop: int) -> bytearray:
        """Returns the leading bytes up to an offset or farther, or all of a shorter object.

        Each request doubles what was read before: later ones, of async-tiff, are answered from it.
        """
        while len(self.head) < stop and not self._whole:
            start = len(self.head)
            await self._read(start, max(stop, 2 * start))
        return self.head

    def header_done(self, source: Readable) -> None:
        """Reads tiles of `source` from now on, uncounted: the caller has checked their sizes."""
        self._source = source
        self._header_left = None
        self.head = bytearray()

    def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Awaitable[Buffer]:
        """Returns one range; `path` is ignored, as there is one object."""
        del path
        stop = start + (length or 0) if end is None else end
        return _OnAwait(lambda: self._read(start, stop))

    async def _read(self, start: int, stop: int) -> Buffer:
        if self.head and (stop <= len(self.head) or self._whole):
            return bytes(memoryview(self.head)[start:stop])
        self._count(stop - start)
        got = await self._source.read(start, stop)
        if start == 0:
            head = bytes(memoryview(got)[:_HEAD])
            _refuse_what_is_no_tiff(head)
            if second_directory(head) > self._header_bytes:
                raise LongHeaderError
        if start == len(self.head) and self._header_left is not None:
            self.head += memoryview(got)
            self._whole = len(self.head) < stop
        return got

    def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Awaitable[Sequence[Buffer]]:
        """Returns several ranges, each complete."""
        del path
        stops = ends or [a + n for a, n in zip(starts, lengths or (), strict=True)]
        return _OnAwait(lambda: self._read_all(starts, stops))

    async def _read_all(self, starts: Sequence[int], stops: Sequence[int]) -> Sequence[Buffer]:
        self._count(sum(stops) - sum(starts))
        got = await asyncio.gather(*map(self._source.read, starts, stops))
        for start, stop, body in zip(starts, stops, got, strict=True):
            if memoryview(body).nbytes != stop - start:
                raise ObjectError(too_short(stop))
        return got

    def _count(self, size: int) -> None:
        if self._header_left is None:
            return
        self._header_left -= size
        if self._header_left < 0:
            raise LongHeaderError


class _OnAwait(Generic[T]):
    """An awaitable that makes its coroutine only when it is awaited.

    async-tiff asks for a range and awaits it later, on the event loop; a read that ends before that
    would leave a coroutine of which Python warns that it was never awaited.
    """

    def __init__(self, make: Callable[[], Coroutine[Any, Any, T]]) -> None:
        self._make = make

    def __await__(self) -> Generator[Any, Any, T]:
        return self._make().__await__()


class InMemoryObject:
    """Bytes in memory as an `Object`."""

    def __init__(self, body: bytes) -> None:
        self._body = body

    async def read(self, start: int, stop: int) -> Buffer:
        """Returns bytes of a half-open range, for an event loop; fewer where the object ends."""
        return self._body[start:stop]

    def read_blocking(self, start: int, stop: int) -> bytes:
        """Returns bytes of a half-open range, for a thread; fewer where the object ends."""
        return self._body[start:stop]

    def size_blocking(self) -> int:
        """Returns the object's length in bytes, for a thread."""
        return len(self._body)


def _refuse_what_is_no_tiff(head: bytes) -> None:
    if not head:
        raise ObjectError("is empty")
    if not head.startswith((b"II*\0", b"MM\0*", b"II+\0", b"MM\0+")):
        raise ObjectError(f"is not a TIFF: it starts with {head[:16]!r}")


def second_directory(head: bytes) -> int:
    """Returns the offset of a TIFF's second directory (overview or mask); 0 if `head` names none.

    async-tiff reads a header from its first byte to its last, with all that lies between. Overviews
    that were added later are at the file's end: it would be fetched whole.
    """
    order: Literal["little", "big"] = "little" if head[:1] == b"I" else "big"

    def number(at: int, size: int) -> int:
        return int.from_bytes(head[at : at + size], order)

    big = number(2, 2) == 43
    first, count_size, entry, pointer = (
        (number(8, 8), 8, 20, 8) if big else (number(4, 4), 2, 12, 4)
    )
    if first > len(head):
        return first
    return number(first + count_size + number(first, count_size) * entry, pointer)


class RangeFile(io.RawIOBase):
    """An object as a read-only binary file; ObjectError where a range cannot be read.

    Fetches whole blocks, adjacent ones in one request, and keeps the last ones.
    """

    _BLOCK: Final = 128 * 1024
    _KEPT: Final = 64

    def __init__(self, fetch: Callable[[int, int], bytes], size: int) -> None:
        self._fetch = fetch
        self._size = size
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()

    def readable(self) -> bool:
        """Always."""
        return True

    def seekable(self) -> bool:
        """Always."""
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Moves to an offset in bytes from the start, the position or the end, and returns it."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Returns the bytes from the position on; fewer than `size` at the end."""
        start = self._position
        stop = self._size if size < 0 else min(start + size, self._size)
        if stop <= start:
            return b""
        blocks = range(start // self._BLOCK, (stop - 1) // self._BLOCK + 1)
        self._fetch_missing(blocks)
        joined = b"".join(self._blocks[i] for i in blocks)
        self._position = stop
        while len(self._blocks) > self._KEPT:
            self._blocks.popitem(last=False)
        first = blocks[0] * self._BLOCK
        return joined[start - first : stop - first]

    def _fetch_missing(self, blocks: range) -> None:
        missing = [i for i in blocks if i not in self._blocks]
        if not missing:
            return
        first, last = missing[0] * self._BLOCK, min((missing[-1] + 1) * self._BLOCK, self._size)
        got = self._fetch(first, last)
        for i in range(missing[0], missing[-1] + 1):
            self._blocks[i] = got[i * self._BLOCK - first : (i + 1) * self._BLOCK - first]
