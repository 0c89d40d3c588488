"""The source of the scenes that a MosaicJSON lists: COGs, in the order of its lists."""

import asyncio
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from functools import cached_property
from itertools import islice
from pathlib import PurePosixPath
from typing import Any, Final, TypeAlias
from urllib.parse import unquote, urlsplit

from livemosaic.cog.reader import CogReader
from livemosaic.errors import LivemosaicError
from livemosaic.geo.crs import NoTransformError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.ingest.sources.cogs import Making, is_tiff
from livemosaic.ingest.sources.cogs.item import item_of_times
from livemosaic.ingest.sources.mosaic_json.cut import Overlaps, cut_to_cells, footprint_of
from livemosaic.ingest.sources.mosaic_json.document import MosaicDocument, read_document
from livemosaic.ingest.sources.mosaic_json.order import Levels, contested, levels
from livemosaic.model.order import Order
from livemosaic.model.time import utc_text
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import redact
from livemosaic.storage.objects import ObjectError

_AT_ONCE: Final = 16
"""Files opened in parallel."""
_BOTTOM: Final = datetime(1970, 1, 1, 0, 0, 1, tzinfo=UTC)
_NAMED: Final = 3
"""Cells that a note names."""

_Made: TypeAlias = Mapping[str, Any] | str
"""A STAC Item, or why there is none."""


@dataclass(frozen=True)
class MosaicScenes:
    """The assets of a MosaicJSON, each of which is an Item; the bottom ones come first.

    Items have no `datetime`, so that in the order of time they lie below all that have one; and
    `created` is their place among each other: a second of 1970 for each level.
    """

    place: str
    """Path, URL, `dynamodb://{region}/{table}:{mosaic}` or `sqlite:///{path}:{mosaic}`."""
    allow: AllowList = field(default_factory=AllowList)
    making: Making = field(default_factory=Making)

    @property
    def name(self) -> str:
        """See `Source`."""
        return redact(self.place)

    @property
    def total(self) -> int:
        """The number of assets."""
        return len(self._cells_of)

    @property
    def identity(self) -> Any:
        """The name, the lists, and how Items are made."""
        how = self.making
        return [self.name, self._document.digest, how.collection, how.of_data, how.asset]

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. The moment of an Item is when the document was written.

        An asset that cannot be opened is an entry with a problem.
        """
        reader = CogReader(self.allow)
        with asyncio.Runner() as runner:
            order = self._levels(runner, reader)
            sorted_hrefs = sorted(self._cells_of, key=lambda href: (order.of[href], href))
            numbered = islice(enumerate(sorted_hrefs, 1), place or 0, None)
            while some := list(islice(numbered, _AT_ONCE)):
                hrefs = [href for _, href in some]
                made = runner.run(self._made(reader, hrefs, order.of))
                for (count, href), one in zip(some, made, strict=True):
                    yield self._entry(href, one, count, began, order)

    def _entry(self, href: str, made: _Made, count: int, began: datetime, order: Levels) -> Entry:
        body, problem = (b"", made) if isinstance(made, str) else (made, "")
        moment = min(self._document.written or began, began)
        listed = Order.listed(moment, began, count, snapshot=True)
        message = Message(redact(href), body, began, {}, stated=listed)
        mark = Mark(self.name, count)
        notes = _notes(order.broken.get(href, ()))
        return Entry(message, self.name, count, problem=problem, mark=mark, notes=notes)

    @cached_property
    def _document(self) -> MosaicDocument:
        return read_document(self.place, self.allow)

    @cached_property
    def _cells_of(self) -> Mapping[str, Sequence[str]]:
        """Quadkeys by the href of an asset."""
        found: defaultdict[str, list[str]] = defaultdict(list)
        for quadkey, hrefs in self._document.cells.items():
            for href in hrefs:
                found[href].append(quadkey)
        return found

    @cached_property
    def _ids(self) -> Mapping[str, str]:
        """Ids by href: the name of the file; of files of one name the whole path."""
        paths = {href: _path(href) for href in self._cells_of}
        count = Counter(path.stem for path in paths.values())
        return {
            href: path.stem if count[path.stem] == 1 else str(path.with_suffix(""))
            for href, path in paths.items()
        }

    def _levels(self, runner: asyncio.Runner, reader: CogReader) -> Levels:
        """Returns the order; where lists disagree, by the footprints of what is disputed."""
        lists = self._document.cells
        disputed = contested(lists)
        hrefs = sorted(disputed)
        shapes = {}
        for start in range(0, len(hrefs), _AT_ONCE):
            some = hrefs[start : start + _AT_ONCE]
            for href, made in zip(some, runner.run(self._made(reader, some, {})), strict=True):
                if not isinstance(made, str):
                    shapes[href] = self._document.grid.project(footprint_of(made))
        return levels(lists, disputed, Overlaps(self._document.grid, shapes))

    async def _made(
        self, reader: CogReader, hrefs: Sequence[str], order: Mapping[str, int]
    ) -> list[_Made]:
        return await asyncio.gather(
            *(self._item(reader, href, order.get(href, 0)) for href in hrefs)
        )

    async def _item(self, reader: CogReader, href: str, level: int) -> _Made:
        created = utc_text(_BOTTOM + timedelta(seconds=level))
        times = {"datetime": None, "created": created}
        try:
            made = await item_of_times(reader, href, self._ids[href], times, self.making)
            return cut_to_cells(made, self._document.grid, self._cells_of[href])
        except (LivemosaicError, ObjectError, NoTransformError) as error:
            return str(error)


def _path(href: str) -> PurePosixPath:
    """Returns the host or bucket of an asset, and its path there, without the suffix of TIFFs."""
    if href.startswith("/"):
        path = href
    elif href.startswith("s3://"):
        path = href.removeprefix("s3:/")
    else:
        parts = urlsplit(href)
        path = f"{parts.netloc}/{unquote(parts.path)}"
    found = PurePosixPath(path.lstrip("/"))
    return found if is_tiff(path) else found.with_name(f"{found.name}.tif")


def _notes(cells: Sequence[str]) -> Sequence[str]:
    if not cells:
        return ()
    more = f" and {len(cells) - _NAMED:,} more" if len(cells) > _NAMED else ""
    some = ", ".join(cells[:_NAMED])
    count = "cell" if len(cells) == 1 else "cells"
    return [
        f"{count} {some}{more} of the MosaicJSON list it above scenes that other cells list above "
        "it: no order of whole scenes has both, and it lies below them"
    ]
