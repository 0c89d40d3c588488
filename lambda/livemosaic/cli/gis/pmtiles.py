"""PMTiles of `livemosaic export`: what is asked for, progress, and what is missing in them."""

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Final, Self

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from livemosaic.cli.session import console, progress
from livemosaic.cli.terminal.results import print_json
from livemosaic.client.target import Local, Target
from livemosaic.errors import InvalidRequestError
from livemosaic.export.schedule.status import images_of, vectors_of
from livemosaic.export.tiles.archive import ExportTally
from livemosaic.export.tiles.lacks import foreseen, lacks
from livemosaic.export.tiles.publishing import ArchivePlace, ArchiveRequest, WantedArchive
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.export.vectors.publishing import VectorArchive
from livemosaic.model.mosaic import Mosaic, ScheduledExport
from livemosaic.model.render import TileFormat
from livemosaic.services import Services
from livemosaic.vector.layers import layers_of

_ZOOMS: Final = re.compile(r"(\d{1,2})(?:-(\d{1,2}))?")


@dataclass(frozen=True, slots=True)
class ArchiveOptions:
    """Options of the command; ones that are not given are None, and an empty name is the place
    from which the API serves archives."""

    to: str
    render: str
    zooms: tuple[int, int] | None
    """The first and the last one."""
    tiles: TileFormat | None
    keep: int | None

    @classmethod
    def of(
        cls, to: str, render: str, zooms: str | None, tiles: TileFormat | None, keep: int | None
    ) -> Self:
        """Raises `InvalidRequestError` for zooms that are none."""
        found = _ZOOMS.fullmatch(zooms) if zooms else None
        if zooms and found is None:
            raise InvalidRequestError(f"--zooms {zooms[:20]!r} must be two zooms like 0-12, or one")
        span = (int(found[1]), int(found[2] or found[1])) if found else None
        if span and span[0] > span[1]:
            raise InvalidRequestError(f"--zooms {zooms}: {span[0]} is deeper than {span[1]}")
        return cls(to, render, span, tiles, keep)

    def request(self, services: Services, mosaic: Mosaic) -> ArchiveRequest:
        """Returns what is asked for: where the API serves it, as `exports` of the mosaic has it."""
        to = self.to or _served(_store(services), mosaic, self.render)
        usual = ArchiveRequest(place=ArchivePlace(to), render=self.render)
        if (export := self._scheduled(mosaic, lambda each: each.name == self.render)) is not None:
            usual = images_of(export, to)
        first, last = self.zooms or (usual.minzoom, usual.maxzoom)
        tiles, place = self.tiles or usual.format, self._place(usual.place)
        return replace(usual, place=place, format=tiles, minzoom=first, maxzoom=last)

    def vectors(self, services: Services, mosaic: Mosaic, layers: str) -> VectorArchive:
        """Returns what is asked for of vector tiles, as `request`; `layers` may be empty."""
        to = self.to or _served(_store(services).of_vectors, mosaic, "")
        usual = VectorArchive(place=ArchivePlace(to))
        if (export := self._scheduled(mosaic, lambda each: bool(each.layers))) is not None:
            usual = vectors_of(export, to)
        first, last = self.zooms or (usual.minzoom, usual.maxzoom)
        chosen, place = layers_of(layers) if layers else usual.layers, self._place(usual.place)
        return replace(usual, place=place, layers=chosen, minzoom=first, maxzoom=last)

    def _scheduled(
        self, mosaic: Mosaic, is_it: Callable[[ScheduledExport], bool]
    ) -> ScheduledExport | None:
        """Returns the setting of an archive that the API serves; None for another place."""
        return None if self.to else next(filter(is_it, mosaic.exports), None)

    def _place(self, usual: ArchivePlace) -> ArchivePlace:
        return usual if self.keep is None else replace(usual, keep=self.keep)


def export_tiles(target: Target, name: str, options: ArchiveOptions) -> None:
    """Writes an archive of images of a mosaic of an index, and says what it lacks."""
    services = _services(target)
    mosaic = services.mosaics.get(name)
    _export(services, mosaic, options.request(services, mosaic))


def export_vectors(target: Target, name: str, options: ArchiveOptions, layers: str) -> None:
    """Writes an archive of vector tiles of a mosaic of an index, and says what it lacks.

    `layers` are names with commas between, or empty.
    """
    services = _services(target)
    mosaic = services.mosaics.get(name)
    _export(services, mosaic, options.vectors(services, mosaic, layers))


def _export(services: Services, mosaic: Mosaic, wanted: WantedArchive) -> None:
    behind = foreseen(services.tiler, mosaic, has_pixels=wanted.has_pixels)
    publisher, today = services.publisher(), datetime.now(UTC).date()
    tally = _made(lambda report: publisher.publish(mosaic, wanted, today, report))
    _say(mosaic, wanted.place, tally, behind)


def _services(target: Target) -> Services:
    if not isinstance(target, Local):
        raise InvalidRequestError(
            "PMTiles are drawn by the command itself, from an index: leave out --api, and name the "
            "index with --index (dynamodb://REGION/TABLE of a deployment)"
        )
    return target.services


def _made(publish: Callable[[Callable[[ExportTally], None]], ExportTally]) -> ExportTally:
    """Makes an archive behind a progress bar."""
    with progress() as bar:
        task = bar.add_task("looking for tiles", total=None)

        def report(tally: ExportTally) -> None:
            done = f"{tally.drawn:,} tiles drawn, {tally.copied:,} as before"
            bar.update(task, description=done)

        return publish(report)


def _say(mosaic: Mosaic, place: ArchivePlace, tally: ExportTally, behind: Sequence[str]) -> None:
    count, size = tally.drawn + tally.copied, tally.drawn_bytes + tally.copied_bytes
    console.print(
        f"wrote {count:,} tiles ({size / 1e6:,.1f} MB) of [bold]{mosaic.id}[/bold] to "
        f"{place.to}: {tally.drawn:,} drawn, {tally.copied:,} as before"
    )
    for warning in (*behind, *lacks(tally)):
        console.print(f"warning: {warning}", style="yellow", markup=False, highlight=False)


def _served(store: ArchiveStore, mosaic: Mosaic, render: str) -> str:
    """Returns the place from which the API serves an archive."""
    store.make_folder()
    return store.place_of(mosaic, render)


def _store(services: Services) -> ArchiveStore:
    """Returns the archives that the API serves."""
    if not services.settings.archives:
        raise InvalidRequestError(
            "name a file or an s3:// URL: there is no place from which the API serves archives, "
            "unless LIVEMOSAIC_ARCHIVE_STORE is set to s3://BUCKET/PREFIX"
        )
    return ArchiveStore(services.settings.archives)


def show_status(target: Target, name: str, as_json: bool) -> None:
    """Prints where the scheduled archives of a mosaic stand."""
    found = target.exports(name)
    if as_json:
        print_json(found)
        return
    table = Table(
        "render or layers", "zooms", "format", "every", "made", "MB", "next", "last error"
    )
    for each in found.exports:
        table.add_row(
            "\n".join(each.layers) or each.render,
            f"{each.minzoom}-{each.maxzoom}",
            each.format or "mvt",
            f"{each.every_h} h",
            _time(each.made) if each.made else "never",
            f"{each.size / 1e6:,.1f}",
            _time(each.due) if each.due and each.due > datetime.now(UTC) else "now",
            escape(each.error),
        )
    Console().print(table)
    for each in found.exports:
        for warning in each.warnings:
            text = f"warning: {', '.join(each.layers) or each.render or name}: {warning}"
            console.print(text, style="yellow", markup=False, highlight=False)


def _time(at: datetime) -> str:
    return at.astimezone(UTC).strftime("%Y-%m-%d %H:%M UTC")
