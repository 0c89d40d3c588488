"""PMTiles of `livemosaic export`: what is asked for, progress, and what is missing in them."""

import re
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from livemosaic.cli.session import console, progress
from livemosaic.client.target import Local, Target
from livemosaic.errors import InvalidRequestError
from livemosaic.export.tiles.archive import ExportTally
from livemosaic.export.tiles.look import TileFormat
from livemosaic.export.tiles.publishing import ArchivePlace, ArchivePublisher, ArchiveRequest
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import Services

_ZOOMS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")
_MOST_COUNTED: Final = 100


def request_of(
    place: ArchivePlace, render: str, zooms: str | None, tiles: TileFormat | None
) -> ArchiveRequest:
    """Returns what options ask for; raises `InvalidRequestError` for zooms that are none."""
    usual = ArchiveRequest(place=place)
    found = _ZOOMS.fullmatch(zooms) if zooms else None
    if zooms and found is None:
        raise InvalidRequestError(f"--zooms {zooms[:20]!r} must be two zooms like 0-12, or one")
    first = int(found[1]) if found else usual.minzoom
    last = int(found[2] or found[1]) if found else usual.maxzoom
    if first > last:
        raise InvalidRequestError(f"--zooms {zooms}: {first} is deeper than {last}")
    return ArchiveRequest(
        place=place, render=render, format=tiles or usual.format, minzoom=first, maxzoom=last
    )


def export_tiles(target: Target, name: str, request: ArchiveRequest) -> None:
    """Writes an archive of a mosaic of an index, and says what it lacks."""
    if not isinstance(target, Local):
        raise InvalidRequestError(
            "PMTiles are drawn by the command itself, from an index: leave out --api, and name the "
            "index with --index (dynamodb://REGION/TABLE of a deployment)"
        )
    services = target.services
    mosaic = services.mosaics.get(name)
    if not request.place.to:
        request = replace(request, place=_served(services, mosaic, request))
    publisher = ArchivePublisher(
        services.tiler,
        services.stretches,
        services.pixel_version,
        services.settings.allowed_prefixes,
    )
    behind = [
        f"source {each.id}: {text}" if mosaic.sources else text
        for each in {each.id: each for each in mosaic.stored}.values()
        for text in _behind(services, each)
    ]
    with progress() as bar:
        task = bar.add_task("looking for tiles", total=None)

        def report(tally: ExportTally) -> None:
            done = f"{tally.drawn:,} tiles drawn, {tally.copied:,} as before"
            bar.update(task, description=done)

        tally = publisher.publish(mosaic, request, datetime.now(UTC).date(), report)
    count, size = tally.drawn + tally.copied, tally.drawn_bytes + tally.copied_bytes
    console.print(
        f"wrote {count:,} tiles ({size / 1e6:,.1f} MB) of [bold]{name}[/bold] to "
        f"{request.place.to}: {tally.drawn:,} drawn, {tally.copied:,} as before"
    )
    missing = (f"source {source} is missing: {why}" for source, why in mosaic.missing)
    for warning in (*missing, *behind, *_lacks(tally)):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)


def _served(services: Services, mosaic: Mosaic, request: ArchiveRequest) -> ArchivePlace:
    """Returns the place from which the API serves an archive."""
    if not services.settings.archives:
        raise InvalidRequestError(
            "name a file or an s3:// URL: there is no place from which the API serves archives, "
            "unless LIVEMOSAIC_ARCHIVE_STORE is set to s3://BUCKET/PREFIX"
        )
    store = ArchiveStore(services.settings.archives)
    store.make_folder()
    return replace(request.place, to=store.place_of(mosaic, request.render))


def _behind(services: Services, mosaic: Mosaic) -> list[str]:
    """Returns whether low zooms lack changes that overviews do not show yet."""
    if mosaic.overviews is None or not services.settings.overviews:
        return []
    if mosaic.shown_overviews is None:
        return ["overviews are not complete, so low zooms may lack scenes: run `overviews build`"]
    rows = OverviewRows(services.index.table)
    found = (row for region in REGIONS for row in rows.waiting(mosaic, region, _MOST_COUNTED))
    waiting = sum(not row.tries for row in found)
    more = "at least " if waiting >= _MOST_COUNTED else ""
    text = f"overviews are {more}{waiting} changes behind: run `overviews build` before an export"
    return [text] if waiting else []


def _lacks(tally: ExportTally) -> list[str]:
    """Returns what tiles do not show."""
    found = []
    if tally.cut:
        found.append(
            f"{tally.cut:,} tiles lack scenes, as a limit ended the search for them: overviews "
            "show all at low zooms (docs/overviews.md), else see docs/limits.md"
        )
    if tally.lacking:
        found.append(f"{tally.lacking:,} tiles lack scenes that could not be shown")
        found += [f"{name} {why}" for name, why in tally.reasons.items()]
    return found
