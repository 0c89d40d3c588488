"""Wiring: builds the services that handlers, the CLI and tests start from."""

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cache
from typing import TYPE_CHECKING

from livemosaic import pixel_version
from livemosaic.auth.keys import KeyRing, open_keys
from livemosaic.auth.tokens import Tokens
from livemosaic.cog.headers import HeaderKeeper, Headers
from livemosaic.cog.raster import AssetLimits
from livemosaic.cog.reader import CogReader
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.tms import add_folder, remove_folder
from livemosaic.index.mosaics import MosaicCache, Mosaics
from livemosaic.index.overviews import OverviewRows
from livemosaic.index.scenes import Index
from livemosaic.index_url import DYNAMODB
from livemosaic.ingest.batch import Ingest
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import Read, Render
from livemosaic.model.rule import Rule
from livemosaic.overviews.sets import by_default, check_overviews
from livemosaic.render.expression import Bounds
from livemosaic.settings import Settings
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.cache import Recent
from livemosaic.storage.fetch import Fetcher
from livemosaic.storage.probe import LoginProbe
from livemosaic.table import Table
from livemosaic.table.open import open_table
from livemosaic.tiler.kept.kind import ValueKinds
from livemosaic.tiler.kept.tiffs import KeptTiffs
from livemosaic.tiler.overviews import Overviews
from livemosaic.tiler.picture import PictureLimits, Tiler
from livemosaic.tiler.rules.checks import check_settings
from livemosaic.tiler.watch import Watch
from livemosaic.tiler.whole.stretch import Stretches

if TYPE_CHECKING:
    from livemosaic.export.tiles.publishing import ArchivePublisher
    from livemosaic.overviews.builder import OverviewBuilder
    from livemosaic.overviews.cells.maker import BuildTally
    from livemosaic.overviews.hints import HintQueue

_QUERIES_AT_ONCE = 8
_BUILDING_BYTES = 96 * 1024 * 1024
"""Decoded at once by a builder of overviews, so that all of it fits into 512 MB."""


@dataclass(frozen=True, slots=True)
class Services:
    """The services behind requests and events. Thread-safe."""

    settings: Settings
    mosaics: Mosaics
    cache: MosaicCache
    index: Index
    ingest: Ingest
    tiler: Tiler
    tokens: Tokens
    kinds: ValueKinds
    tiffs: KeptTiffs
    stretches: Stretches
    pixel_version: Callable[[], str]
    """Part of every ETag; a function, because most commands never need it (`pixel_version`)."""

    hints: Callable[[], "HintQueue"] | None = None
    """Opens the queue of hints for builders; None where none is known."""

    async def stretched(self, mosaic: Mosaic, read: Read, render: Render, rule: Rule) -> Render:
        """Returns a render with ranges in place of `rescale=auto`; see `Stretches.applied`."""
        return await self.stretches.applied(self.tiler, mosaic, read, render, rule)

    def publisher(self) -> "ArchivePublisher":
        """Returns what publishes archives of tiles (`export.tiles`)."""
        from livemosaic.export.tiles.publishing import ArchivePublisher

        allowed = self.settings.allowed_prefixes
        return ArchivePublisher(self.tiler, self.stretches, self.pixel_version, allowed)

    def create(self, mosaic: Mosaic, *, is_overviews_open: bool) -> Mosaic:
        """Adds a mosaic; AlreadyExistsError if its id is taken.

        With `is_overviews_open` nobody decided on overviews: it has them if there is a place for
        their objects, and its settings can have them.
        """
        is_default = is_overviews_open and bool(self.settings.overviews)
        return self.mosaics.create(by_default(mosaic) if is_default else mosaic)


def build(settings: Settings, table: Table | None = None) -> Services:
    """Builds the services on the table that the settings name, or on a given one."""
    if settings.tile_matrix_sets is not None:
        add_folder(settings.tile_matrix_sets)
    table = table or open_table(settings.index)
    allow = allow_list(settings)
    mosaics = Mosaics(table, _check)
    pool = ThreadPoolExecutor(_QUERIES_AT_ONCE, thread_name_prefix="index")
    index = Index(table, mosaics, pool)
    limits = PictureLimits(
        max_scenes=settings.max_scenes,
        max_rows=settings.max_rows,
        seconds=settings.max_picture_s,
        bytes=settings.max_picture_bytes,
        assets=settings.max_assets,
        bands=settings.max_bands,
        expression=Bounds(settings.max_expression_length, settings.max_expression_depth),
    )
    asset_limits = AssetLimits(gap=settings.coalesce_gap_bytes)
    reader = CogReader(allow, Headers(table), limits=asset_limits, recent=Recent())
    return Services(
        settings=settings,
        mosaics=mosaics,
        cache=MosaicCache(mosaics, settings.mosaic_max_age_s),
        index=index,
        ingest=Ingest(
            index,
            replace(allow, probe=LoginProbe(allow).check),
            HeaderKeeper(table, allow).keep,
            Fetcher(allow),
        ),
        tiler=Tiler(index, reader, limits, Watch(settings.metrics), _overviews(settings, table)),
        tokens=Tokens(
            KeyRing(open_keys(settings.signing_keys, settings.index)), settings.max_token_age_s
        ),
        kinds=ValueKinds(),
        tiffs=KeptTiffs(),
        stretches=Stretches(),
        pixel_version=pixel_version.current,
        hints=_hints(settings) if settings.overview_hints else None,
    )


def _hints(settings: Settings) -> "Callable[[], HintQueue]":
    @cache
    def opened() -> "HintQueue":
        from livemosaic.overviews.hints import HintQueue

        found = DYNAMODB.fullmatch(settings.index)
        return HintQueue.open(settings.overview_hints, found["region"] if found else "")

    return opened


def allow_list(settings: Settings) -> AllowList:
    """Returns which hrefs of Items may be read: never objects of overviews."""
    closed = (settings.overviews,) if settings.overviews else ()
    return AllowList(settings.allowed_prefixes, closed=closed)


def _overviews(settings: Settings, table: Table) -> Overviews | None:
    if not settings.overviews:
        return None
    own = AllowList((settings.overviews,))
    limits = AssetLimits(gap=settings.coalesce_gap_bytes)
    return Overviews(OverviewRows(table), CogReader(own, limits=limits, recent=Recent()))


def _check(mosaic: Mosaic) -> None:
    check_settings(mosaic)
    check_overviews(mosaic)
    if mosaic.exports:
        from livemosaic.export.schedule.setting import check_exports

        check_exports(mosaic)


@contextmanager
def building(
    services: Services, report: "Callable[[BuildTally], None]" = lambda _: None
) -> "Iterator[OverviewBuilder]":
    """Yields a builder of overviews, with a reader of its own, for one thread.

    Raises `InvalidRequestError` where no place for overviews is known.
    """
    from livemosaic.index.overviews import BLOCK, RUNG
    from livemosaic.overviews.base import Bases
    from livemosaic.overviews.builder import OverviewBuilder
    from livemosaic.overviews.objects import CellObjects
    from livemosaic.storage.folder import Folder

    settings = services.settings
    if not settings.overviews:
        raise InvalidRequestError(
            "there is no place for overviews: set LIVEMOSAIC_OVERVIEW_STORE to s3://BUCKET/PREFIX"
        )
    index = services.index
    limits = AssetLimits(gap=settings.coalesce_gap_bytes, bytes_at_once=_BUILDING_BYTES)
    allow = allow_list(settings)
    reader = CogReader(allow, Headers(index.table), limits=limits, recent=Recent())
    bases = Bases(index, reader, reader, edge=BLOCK)
    try:
        objects = CellObjects(Folder(settings.overviews), BLOCK, RUNG)
        yield OverviewBuilder(index, bases, objects, report=report)
    finally:
        bases.close()


@contextmanager
def running(settings: Settings, table: Table | None = None) -> Iterator[Services]:
    """Yields services; ends their threads and closes their table afterwards."""
    services = build(settings, table)
    try:
        yield services
    finally:
        services.index.pool.shutdown(wait=True, cancel_futures=True)
        services.index.table.close()
        if settings.tile_matrix_sets is not None:
            remove_folder(settings.tile_matrix_sets)
