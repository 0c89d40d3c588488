"""The first step of an export by jobs: cuts it into regions that a function can draw.

A region is a tile and the tiles of four zooms below it, 341 at most. Regions begin at zooms that
are counted from the deepest one of the archive, so that most tiles are in whole regions.
"""

from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.export.jobs.work import UNITS, ExportPlan, ExportWork, Region
from livemosaic.export.pmtiles.numbering import numbers_below
from livemosaic.export.schedule.status import ScheduledArchive, request_of, scheduled
from livemosaic.export.tiles.lacks import foreseen, incomplete
from livemosaic.export.tiles.ledger import TileLedger
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher, opened
from livemosaic.export.tiles.pyramid import TilePyramid
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.geo.cells import Cell
from livemosaic.index.mosaics import Mosaics

DEEP: Final = 4
"""Zooms of a region below its first."""


def plan(
    work: ExportWork,
    mosaics: Mosaics,
    publisher: ArchivePublisher,
    store: ArchiveStore,
    mosaic_id: str,
    name: str,
) -> None:
    """Writes plan and regions of a mosaic's scheduled archive, by the name of its export.

    Raises `InvalidRequestError` where none can be made now, `NotFoundError` where none is asked for
    any more.
    """
    mosaic = mosaics.get(mosaic_id)
    archive = _archive(store, mosaics, mosaic_id, name)
    wanted = request_of(archive.export, archive.place)
    if wanted.has_pixels and (texts := incomplete(publisher.tiler, mosaic)):
        raise InvalidRequestError(texts[0])
    design = wanted.design(publisher, mosaic)
    zooms = design.zooms
    made = ExportPlan(
        mosaic=mosaic_id,
        export=archive.export,
        place=archive.place,
        minzoom=zooms[0],
        maxzoom=zooms[-1],
        rescale=design.rescale,
        settings=design.settings,
        content=design.content,
        warnings=foreseen(publisher.tiler, mosaic, has_pixels=wanted.has_pixels),
    )
    work.put_json("plan.json", made.to_json())
    ledger = _ledger(wanted.place, design.settings)
    pyramid = TilePyramid(publisher.tiler.index, mosaic, zooms)
    units = (
        Region(top, last, ledger.spans(_numbers(top, last)))
        for first, last in bands(zooms)
        for top in pyramid.tops(first)
    )
    work.put_json(UNITS, [unit.to_json() for unit in units])


def bands(zooms: range) -> Iterator[tuple[int, int]]:
    """Yields first and last zooms of regions, the deepest ones first."""
    last = zooms[-1]
    while last >= zooms[0]:
        first = max(zooms[0], last - DEEP)
        yield first, last
        last = first - 1


def _archive(store: ArchiveStore, mosaics: Mosaics, mosaic_id: str, name: str) -> ScheduledArchive:
    found = scheduled(store, mosaics.get(mosaic_id))
    archive = next((each for each in found if each.export.name == name), None)
    if archive is None:
        raise NotFoundError(f"mosaic {mosaic_id!r} has no export {name!r} any more")
    return archive


def _ledger(place: ArchivePlace, settings: str) -> TileLedger:
    with opened(place.ledger) as read:
        return TileLedger.from_bytes(read(0, -1) if read else b"", settings)


def _numbers(top: Cell, last: int) -> Iterator[tuple[int, int]]:
    for zoom in range(top.zoom, last + 1):
        yield numbers_below(top.zoom, top.x, top.y, zoom)
