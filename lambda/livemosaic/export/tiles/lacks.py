"""What tiles of an archive do not show, in words."""

from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidRequestError
from livemosaic.export.tiles.archive import ExportTally
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.model.mosaic import Mosaic
from livemosaic.tiler.picture import Tiler

_MOST_COUNTED: Final = 100


def incomplete(tiler: Tiler, mosaic: Mosaic) -> list[str]:
    """Returns the overviews that are in the making, so that low zooms may lack scenes."""
    text = "overviews are not complete, so low zooms may lack scenes: run `overviews build`"
    kept = (each for each in _kept(tiler, mosaic) if each.shown_overviews is None)
    return [_of(mosaic, each, text) for each in kept]


def foreseen(tiler: Tiler, mosaic: Mosaic, *, has_pixels: bool) -> list[str]:
    """Returns what an archive that is begun now will lack, before a tile is drawn.

    Overviews count where it `has_pixels`.
    """
    missing = [f"source {source} is missing: {why}" for source, why in mosaic.missing]
    if not has_pixels:
        return missing
    behind = (
        _of(mosaic, each, text)
        for each in _kept(tiler, mosaic)
        if each.shown_overviews and (text := _waiting(tiler, each))
    )
    return [*missing, *incomplete(tiler, mosaic), *behind]


def foreseen_of_complete(tiler: Tiler, mosaic: Mosaic, *, has_pixels: bool) -> list[str]:
    """Returns what is `foreseen`, of an archive that could be whole.

    Raises `InvalidRequestError` while overviews are in the making, if it `has_pixels`: its low
    zooms would lack scenes until the next one is made.
    """
    if has_pixels and (texts := incomplete(tiler, mosaic)):
        raise InvalidRequestError(texts[0])
    return foreseen(tiler, mosaic, has_pixels=has_pixels)


def lacks(tally: ExportTally) -> Iterator[str]:
    """Yields what tiles of an archive lacked when they were drawn."""
    if tally.cut:
        yield (
            f"{tally.cut:,} tiles lack scenes, as a limit ended the search for them: overviews "
            "show all at low zooms (docs/overviews.md), else see docs/limits.md"
        )
    if tally.lacking:
        yield f"{tally.lacking:,} tiles lack scenes that could not be shown"
        yield from (f"{name} {why}" for name, why in tally.reasons.items())


def _kept(tiler: Tiler, mosaic: Mosaic) -> list[Mosaic]:
    """Returns the mosaics with scenes of their own that have overviews."""
    every = {each.id: each for each in mosaic.stored}.values()
    return [each for each in every if each.overviews is not None and tiler.overviews is not None]


def _of(mosaic: Mosaic, stored: Mosaic, text: str) -> str:
    return f"source {stored.id}: {text}" if mosaic.sources else text


def _waiting(tiler: Tiler, mosaic: Mosaic) -> str:
    rows = OverviewRows(tiler.index.table)
    found = (row for region in REGIONS for row in rows.waiting(mosaic, region, _MOST_COUNTED))
    waiting = sum(not row.tries for row in found)
    more = "at least " if waiting >= _MOST_COUNTED else ""
    text = f"overviews are {more}{waiting} changes behind: run `overviews build` before an export"
    return text if waiting else ""
