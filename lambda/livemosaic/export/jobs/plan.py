"""The first step of an export by jobs: cuts it into regions that a function can draw.

A region is a tile and the tiles of four zooms below it, 341 at most. Regions begin at zooms that
are counted from the deepest one of the archive, so that most tiles are in whole regions.
"""

from collections.abc import Iterator
from typing import Final

from livemosaic.errors import NotFoundError
from livemosaic.export.jobs.work import UNITS, ExportPlan, ExportWork, Region
from livemosaic.export.pmtiles.numbering import numbers_below
from livemosaic.export.schedule.status import request_of, scheduled_as
from livemosaic.export.tiles.lacks import foreseen_of_complete
from livemosaic.export.tiles.publishing import ArchivePublisher
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
    archive = scheduled_as(store, mosaic, name)
    if archive is None:
        raise NotFoundError(f"mosaic {mosaic_id!r} has no export {name!r} any more")
    wanted = request_of(archive.export, archive.place)
    warnings = foreseen_of_complete(publisher.tiler, mosaic, has_pixels=wanted.has_pixels)
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
        warnings=warnings,
    )
    work.put_json("plan.json", made.to_json())
    ledger = wanted.place.known(design.settings)
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


def _numbers(top: Cell, last: int) -> Iterator[tuple[int, int]]:
    for zoom in range(top.zoom, last + 1):
        yield numbers_below(top.zoom, top.x, top.y, zoom)
