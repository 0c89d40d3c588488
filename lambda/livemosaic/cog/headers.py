"""Headers of COGs cached in the table: opening a COG takes no request to its store.

Ingestion stores the leading bytes of each COG that it learns of, and their edition. A missing
header costs a plain open; a stale one, of an object overwritten since, is noticed with the first
pixels read by it (`objects.Pin`) and costs a request.

Nothing deletes headers, as scenes share hrefs, and they never expire, as scenes do not: one that
no scene needs any more costs a millionth of a dollar a month. Headers of earlier releases expire a
year after their last event, unless another one comes before.
"""

import asyncio
import logging
import time
import zlib
from collections.abc import Collection, Iterable
from concurrent.futures import Executor
from dataclasses import dataclass
from threading import Lock
from typing import Any, Final, Self
from weakref import WeakKeyDictionary

from cachetools import TTLCache

from livemosaic.cog.geotiff import TiffRaster, leading_bytes
from livemosaic.cog.raster import AssetLimits, UnsupportedError, decoding
from livemosaic.errors import LivemosaicError
from livemosaic.geo.frame import Frame
from livemosaic.storage.adapters import InMemoryObject
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import parse, redact
from livemosaic.storage.http import CONCURRENT_REQUESTS
from livemosaic.storage.objects import Edition, ObjectError, Pin, UnreachableError
from livemosaic.storage.stores import Stores
from livemosaic.table import Item, Put, Table
from livemosaic.table.keys import header_key

log = logging.getLogger(__name__)

MAX_ROW_BYTES: Final = 64 * 1024
"""Compressed. Each 1,024 cost a write unit; a plain open is cheaper than many of them."""
MAX_BYTES: Final = 1024 * 1024
"""Limit of what ingestion reads, and of what a row may decompress to."""
LOOK_UP_S: Final = 2.0
"""The longest that a tile waits for headers."""
ABSENT_S: Final = 300.0
"""How long an href without a header is not looked up again."""
OBJECT_S: Final = 3.0
BATCH_S: Final = 10.0
"""The longest that ingestion waits for one COG, and for all of a batch."""
REST_S: Final = 60.0
"""How long ingestion avoids a host that did not answer."""


@dataclass(frozen=True, slots=True)
class Header:
    """The leading bytes of a COG, with all its directories, and the edition they belong to."""

    body: bytes
    edition: Edition

    def to_item(self) -> dict[str, Any]:
        """Returns the header's row in the table."""
        return {
            "bytes": zlib.compress(self.body, 9),
            "length": self.edition.length,
            "etag": self.edition.etag,
            "modified": self.edition.modified,
        }

    @classmethod
    def from_item(cls, item: Item) -> Self:
        """Returns the header in a row of the table."""
        body = zlib.decompressobj().decompress(item["bytes"], MAX_BYTES)
        return cls(body, Edition(int(item["length"]), item["etag"], item["modified"]))


class Headers:
    """Finds headers in the table. For one thread, with any event loops in turn."""

    def __init__(self, table: Table) -> None:
        self._table = table
        self._absent: TTLCache[str, None] = TTLCache(4096, ABSENT_S)
        self._next: WeakKeyDictionary[asyncio.AbstractEventLoop, _LookUp] = WeakKeyDictionary()

    async def get(self, href: str) -> Header | None:
        """Returns the header of an href, if stored; concurrent calls share one look-up."""
        if href in self._absent:
            return None
        loop = asyncio.get_running_loop()
        if loop not in self._next:
            hrefs: set[str] = set()
            self._next[loop] = _LookUp(hrefs, loop.create_task(self._look_up(loop, hrefs)))
        look_up = self._next[loop]
        look_up.hrefs.add(href)
        return (await asyncio.shield(look_up.task)).get(href)

    def forget(self, href: str) -> None:
        """Treats an href as having no header for a while, as the stored one is out of date."""
        self._absent[href] = None

    async def _look_up(self, loop: asyncio.AbstractEventLoop, hrefs: set[str]) -> dict[str, Header]:
        await asyncio.sleep(0)  # every task ready in this turn of the loop adds its href first
        del self._next[loop]
        found: dict[str, Header] = {}
        try:
            async with asyncio.timeout(LOOK_UP_S):
                found = await asyncio.to_thread(self._fetch, sorted(hrefs))
        except (LivemosaicError, TimeoutError) as error:
            log.warning("headers not looked up", extra={"reason": str(error) or "took too long"})
        self._absent.update(dict.fromkeys(hrefs - found.keys()))
        return found

    def _fetch(self, hrefs: Collection[str]) -> dict[str, Header]:
        return stored_headers(self._table, hrefs)


@dataclass(frozen=True, slots=True)
class _LookUp:
    hrefs: set[str]
    task: "asyncio.Task[dict[str, Header]]"


def stored_headers(table: Table, hrefs: Collection[str]) -> dict[str, Header]:
    """Returns the headers that the table has of some hrefs."""
    keys = {href: header_key(href) for href in hrefs}
    rows = table.batch_get(list(keys.values()))
    return {href: Header.from_item(rows[key]) for href, key in keys.items() if key in rows}


def stored_frames(table: Table, hrefs: Collection[str]) -> dict[str, Frame]:
    """Returns where the pixels of COGs lie, as far as the table has their headers.

    No COG is opened: one that was overwritten since has the frame that it had. For threads without
    an event loop.
    """
    headers = stored_headers(table, hrefs)
    return asyncio.run(_frames(headers)) if headers else {}


async def _frames(headers: dict[str, Header]) -> dict[str, Frame]:
    found = {href: await _frame(header) for href, header in headers.items()}
    return {href: frame for href, frame in found.items() if frame is not None}


async def _frame(header: Header) -> Frame | None:
    """Returns the frame in a header; None where another release kept one that this cannot read."""
    limits = AssetLimits(header_bytes=MAX_BYTES)
    try:
        with decoding():
            raster = await TiffRaster.open(InMemoryObject(header.body), limits, header.body)
    except (ObjectError, LivemosaicError, UnsupportedError):
        return None
    return raster.profile.frame


class HeaderKeeper:
    """Reads the headers of COGs and writes them to the table. Thread-safe."""

    def __init__(
        self,
        table: Table,
        allow: AllowList,
    ) -> None:
        self._table = table
        self._allow = allow
        self._limits = AssetLimits(header_bytes=MAX_BYTES)
        self._lock = Lock()
        self._stores: Stores | None = None
        self._resting: dict[str, float] = {}

    def keep(self, hrefs: Collection[str], pool: Executor | None = None) -> None:
        """Stores the headers of the COGs at some hrefs; failures are only logged."""
        if not hrefs:
            return
        try:
            headers = asyncio.run(self._read_all(hrefs))
            run = pool.map if pool else map
            list(run(self._table.transact, [[put] for put in self._changed(headers)]))
        except LivemosaicError as error:
            log.warning("headers not kept", extra={"reason": str(error)})
        except Exception:
            log.exception("headers not kept")

    def _changed(self, headers: dict[str, Header]) -> Iterable[Put]:
        """Yields rows to write, each in its own request: a transaction would cost twice as much."""
        stored = self._table.batch_get([header_key(href) for href in headers])
        for href, header in headers.items():
            key = header_key(href)
            row = header.to_item()
            if len(row["bytes"]) <= MAX_ROW_BYTES and not _still_good(stored.get(key, {}), row):
                yield Put(key, row)

    async def _read_all(self, hrefs: Collection[str]) -> dict[str, Header]:
        turns = asyncio.Semaphore(CONCURRENT_REQUESTS)
        tasks = {href: asyncio.create_task(self._read(href, turns)) for href in hrefs}
        _, late = await asyncio.wait(tasks.values(), timeout=BATCH_S)
        for task in late:
            task.cancel()
        results = {href: task.result() for href, task in tasks.items() if task not in late}
        failed = {redact(href): r for href, r in results.items() if isinstance(r, str)}
        failed |= {redact(href): "took too long" for href, task in tasks.items() if task in late}
        if failed:
            some = dict(list(failed.items())[:5])
            log.info("headers not kept", extra={"count": len(failed), "reasons": some})
        return {href: r for href, r in results.items() if isinstance(r, Header)}

    async def _read(self, href: str, turns: asyncio.Semaphore) -> Header | str:
        """Returns a header, or the reason why there is none."""
        location = parse(href)
        origin = f"{location.scheme}://{location.host}"
        async with turns:
            if self._resting.get(origin, 0) > time.monotonic():
                return "its host did not answer a moment ago"
            pin = Pin()
            try:
                async with asyncio.timeout(OBJECT_S):
                    body = await self._leading_bytes(href, pin)
            except (UnreachableError, TimeoutError) as error:
                self._resting[origin] = time.monotonic() + REST_S
                return str(error) or "took too long"
            except (ObjectError, LivemosaicError) as error:
                return str(error)
        if body is None or pin.edition is None:
            return "its header is not one piece at its start, or GDAL has to read it"
        return Header(body, pin.edition)

    async def _leading_bytes(self, href: str, pin: Pin) -> bytes | None:
        with self._lock:
            self._stores = self._stores or Stores(self._allow)
            source = self._stores.open(href, pin)
        with decoding():
            return await leading_bytes(source, self._limits)


def _still_good(old: Item, new: Item) -> bool:
    same = all(old.get(name) == new[name] for name in ("length", "etag", "modified"))
    return same and "expires" not in old
