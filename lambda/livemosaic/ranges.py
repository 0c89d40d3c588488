"""One object as two libraries want it: async-tiff as an obspec store, GDAL as a file."""

import os
from collections import OrderedDict
from collections.abc import Callable, Sequence
from typing import Final, NoReturn

from livemosaic.stores import Buffer, Object, ObjectError, too_short


class RangeSource:
    """An object as async-tiff reads it (obspec GetRangeAsync, GetRangesAsync).

    While the header is read, each request counts against `header_bytes`. Afterwards a range must be
    had in full: a tile that is cut short is said to be so, not decoded.
    """

    def __init__(self, source: Object, *, header_bytes: int) -> None:
        self._source = source
        self._header_bytes = header_bytes
        self._header_left: int | None = header_bytes

    def header_done(self) -> None:
        """Stop counting: what follows are tiles, whose sizes the caller has checked."""
        self._header_left = None

    async def get_range_async(
        self, path: str, *, start: int, end: int | None = None, length: int | None = None
    ) -> Buffer:
        """Bytes of one range; `path` is ignored, there is one object."""
        del path
        stop = start + (length or 0) if end is None else end
        self._count(stop - start)
        got = await self._source.read(start, stop)
        if start == 0:
            _refuse_what_is_no_tiff(bytes(memoryview(got)[:16]))
        return got

    async def get_ranges_async(
        self,
        path: str,
        *,
        starts: Sequence[int],
        ends: Sequence[int] | None = None,
        lengths: Sequence[int] | None = None,
    ) -> Sequence[Buffer]:
        """Bytes of several ranges, each in full."""
        del path
        stops = ends or [a + n for a, n in zip(starts, lengths or (), strict=True)]
        self._count(sum(stops) - sum(starts))
        got = await self._source.read_many(starts, stops)
        for start, stop, body in zip(starts, stops, got, strict=True):
            if memoryview(body).nbytes != stop - start:
                raise ObjectError(too_short(stop))
        return got

    def _count(self, size: int) -> None:
        if self._header_left is None:
            return
        self._header_left -= size
        if self._header_left < 0:
            raise ObjectError(
                f"has a header of more than {self._header_bytes:,} bytes, the most that is read"
            )


def _refuse_what_is_no_tiff(head: bytes) -> None:
    if not head:
        raise ObjectError("is empty")
    if head[:4] not in (b"II*\0", b"MM\0*", b"II+\0", b"MM\0+"):
        raise ObjectError(f"is not a TIFF: it starts with {head!r}")


class RangeFile:
    """An object as a read-only Python file, for GDAL; keeps the last blocks that it fetched."""

    _BLOCK: Final = 128 * 1024
    _KEPT: Final = 64

    def __init__(self, fetch: Callable[[int, int], bytes], size: int, *, budget: int) -> None:
        self._fetch = fetch
        self._size = size
        self._budget = budget
        self._position = 0
        self._blocks: OrderedDict[int, bytes] = OrderedDict()
        self.failure: ObjectError | None = None
        """What GDAL was told is a failed read, without the reason."""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """Move, as `io.IOBase.seek`."""
        origin = {os.SEEK_SET: 0, os.SEEK_CUR: self._position, os.SEEK_END: self._size}[whence]
        self._position = origin + offset
        return self._position

    def tell(self) -> int:
        """Position in bytes."""
        return self._position

    def read(self, size: int = -1) -> bytes:
        """Bytes from the position on; fewer at the end."""
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
        self._budget -= last - first
        try:
            got = self._fetch(first, last) if self._budget >= 0 else _refuse_to_fetch_more()
        except ObjectError as e:
            self.failure = e
            raise
        for i in range(missing[0], missing[-1] + 1):
            self._blocks[i] = got[i * self._BLOCK - first : (i + 1) * self._BLOCK - first]

    def close(self) -> None:
        """Nothing to close: the connection belongs to the store."""

    def __enter__(self) -> "RangeFile":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _refuse_to_fetch_more() -> NoReturn:
    raise ObjectError("needs more bytes than one read may take")
