"""The source of STAC Items in the objects below a prefix in S3."""

import io
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.events.s3 import ITEM_SUFFIXES, NOT_ITEMS
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.ingest.sources.cogs import is_tiff
from livemosaic.ingest.sources.files import bodies
from livemosaic.model.order import Order
from livemosaic.storage.access.way import Way
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket, Listed

_AT_ONCE: Final = 32
"""Requests in parallel; the first byte from S3 takes some 30 ms."""
_MAX_BYTES: Final = 50_000_000


@dataclass(frozen=True, slots=True)
class Prefix:
    """All `*.json` and `*.geojson` below `s3://{bucket}/{prefix}`, in the order of their keys."""

    bucket: str
    prefix: str
    """Prefix of the keys: empty, or with a slash at its end."""
    way: Way = field(default_factory=Way)
    """The way in to the bucket."""

    @property
    def name(self) -> str:
        """See `Source`."""
        return f"s3://{self.bucket}/{self.prefix}"

    @property
    def identity(self) -> Any:
        """The name only, as objects may be added and removed."""
        return self.name

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. The moment of an Item is when its object was written.

        `InvalidRequestError` where there are TIFFs instead, which need another name.
        """
        bucket = Bucket(self.bucket, self.way)
        running: deque[tuple[Listed, Future[bytes]]] = deque()
        pool = ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="objects")
        try:
            for found in self._items(bucket, place):
                running.append((found, pool.submit(_body, bucket, found)))
                if len(running) > 2 * _AT_ONCE:
                    yield from self._entries(*running.popleft(), began)
            while running:
                yield from self._entries(*running.popleft(), began)
        except ObjectError as error:
            raise InvalidRequestError(f"{self.name} {error}") from error
        finally:
            pool.shutdown(cancel_futures=True)

    def _items(self, bucket: Bucket, after: str | None) -> Iterator[Listed]:
        tiffs = items = 0
        for found in bucket.listed(self.prefix, after):
            name = found.key.rpartition("/")[2]
            tiffs += is_tiff(name)
            if name.endswith(ITEM_SUFFIXES) and name not in NOT_ITEMS:
                items += 1
                yield found
        if tiffs and not items and after is None:
            raise InvalidRequestError(
                f"{self.name} has no STAC Items, and {tiffs:,} TIFFs: {self.name}*.tif makes Items "
                "of them"
            )

    def _entries(self, found: Listed, body: "Future[bytes]", began: datetime) -> Iterator[Entry]:
        href = f"s3://{self.bucket}/{found.key}"
        mark = Mark(self.name, found.key)
        try:
            items = [item for item, _ in bodies(io.BytesIO(body.result()))]
        except ObjectError as error:
            empty = Message(href, b"", found.modified, {}, href)
            yield Entry(empty, href, 1, problem=f"{href} {error}", mark=mark)
            return
        for line, item in enumerate(items, 1):
            order = Order.listed(found.modified, began, line)
            message = Message(f"{href}:{line}", item, datetime.now(UTC), {}, href, stated=order)
            yield Entry(message, href, line, mark=mark if line == len(items) else None)


def _body(bucket: Bucket, found: Listed) -> bytes:
    if found.size > _MAX_BYTES:
        raise ObjectError(f"has {found.size:,} bytes; at most {_MAX_BYTES:,} are read")
    return bucket.read(found.key)
