"""`livemosaic ingest`: puts STAC Items into the mosaics that subscribe to them."""

import time
from collections.abc import Mapping
from contextlib import closing
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Annotated, Any, Final, Literal

import typer
from rich.progress import Progress, TaskID

from livemosaic.cli.backfill.journal import Done
from livemosaic.cli.backfill.ledger import Ledger
from livemosaic.cli.session import Session, console, progress, target
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.client.preview import Preview
from livemosaic.client.target import EntryOutcome, Local, Older, Target
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.sources.cogs import Making
from livemosaic.ingest.sources.open import Reading, open_names, open_search
from livemosaic.ingest.sources.prefetch import read_ahead
from livemosaic.model.time import parse_time
from livemosaic.storage.allowlist import OUTSIDE, AllowList

_MAX_REASONS: Final = 20
_MAX_OLDER: Final = 3
Footprint = Literal["image", "data"]
_READ_AT_ONCE: Final = 4
"""Sources read in parallel."""


def ingest(
    context: typer.Context,
    source: Annotated[
        list[str] | None,
        typer.Argument(
            help="Files of STAC Items, ItemCollections or ndjson, or `-`; stac-geoparquet "
            "(`*.parquet`, of s3:// too); `s3://BUCKET/PREFIX/` for every *.json below. COGs "
            "without Items: `*.tif`, of s3:// and https:// too, a folder, or "
            "`s3://BUCKET/PREFIX/*.tif` for every TIFF below. MosaicJSON of cogeo-mosaic: a file "
            "or URL, `dynamodb://REGION/TABLE:NAME` or `sqlite:///FILE.db:NAME`."
        ),
    ] = None,
    mosaic: Annotated[
        str | None,
        typer.Option(help="Change this mosaic only; by default all that subscribe to the Item."),
    ] = None,
    stac: Annotated[
        str | None, typer.Option(metavar="URL", help="Search this STAC API instead.")
    ] = None,
    collections: Annotated[
        str | None, typer.Option(metavar="A,B", help="Collections of --stac.")
    ] = None,
    bbox: Annotated[
        str | None, typer.Option(metavar="W,S,E,N", help="Box of --stac, in degrees.")
    ] = None,
    intersects: Annotated[
        str | None,
        typer.Option(
            metavar="AREA",
            help="Area of --stac that Items intersect, in place of a box: a file of GeoJSON or "
            "WKT, or either of them as text. In degrees.",
        ),
    ] = None,
    max_items: Annotated[
        int | None,
        typer.Option(
            min=1,
            help="Items of --stac at most: the newest, or the first that are listed by an API "
            "that does not sort.",
        ),
    ] = None,
    datetime_: Annotated[
        str | None,
        typer.Option(
            "--datetime",
            metavar="A/B",
            help="Times of --stac: `2025-07`, `2025-01-01/..`. A closed range is read in several "
            "parts in parallel. With COGs, the datetime of all of them; by default the date in "
            "each file's name, else when it was written.",
        ),
    ] = None,
    collection: Annotated[
        str | None, typer.Option(metavar="NAME", help="Collection that COGs are put into.")
    ] = None,
    asset: Annotated[
        str | None,
        typer.Option(
            metavar="NAME", help="Asset key of COGs; by default `visual` or `data`, by their bands."
        ),
    ] = None,
    footprint: Annotated[
        Footprint,
        typer.Option(
            help="Footprints of COGs: the outline of the whole image, which needs its header "
            "only, or of its valid pixels, for which a small overview is read."
        ),
    ] = "image",
    filter_: Annotated[
        str | None, typer.Option("--filter", metavar="CQL2", help="Filter of --stac.")
    ] = None,
    limit: Annotated[
        int, typer.Option(min=1, max=10_000, help="Items a page of --stac; fewer where it fails.")
    ] = 100,
    errors: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Write rejected Items here: source, line, id, reason, item."
        ),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Record progress here; where the file exists, resume from it."
        ),
    ] = None,
    force: Annotated[
        bool,
        typer.Option(
            "--force",
            help="Make what is given newer than all that is there, whatever its times are. A "
            "version that an event brings later replaces it as usual.",
        ),
    ] = False,
    dry_run: Annotated[
        bool,
        typer.Option(
            help="Change nothing: check all Items, and say into which mosaics they would be put."
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Put STAC Items into the mosaics that subscribe to them.

    A rejected Item is named with the reason; the others are ingested, and the exit code is 1. So is
    an asset that may not be read; its Item is shown without it, and the exit code stays 0. It stays
    0 for Items that are older than what a mosaic has, too: they change nothing there, as when a
    backfill runs beside events, but they are counted as outdated, and some are named with what is
    newer. `--force` shows them nevertheless.

    Events may arrive meanwhile, and the command may be repeated: the newest change of an Item
    stays. Files are as old as they were last modified, objects in S3 as they were written, and what
    an API or stac-geoparquet lists is as old as its `updated`, so that events since then win; see
    docs/order.md.

    Examples:

    `livemosaic ingest items.ndjson`

    `livemosaic --allow /data/scenes ingest /data/scenes/*.json`

    `curl -s …/search | livemosaic ingest --mosaic alps -`

    `livemosaic --api https://HOST --profile prod ingest items.ndjson`

    `livemosaic ingest --stac https://earth-search.aws.element84.com/v1 --collections
    sentinel-2-c1-l2a --bbox 5,44,17,48 --datetime 2025-06/2025-08 --filter "eo:cloud_cover < 20"
    --resume alps.state --errors alps-errors.ndjson`

    `livemosaic ingest --stac https://stac.astrogeology.usgs.gov/api/ --collections
    mro_ctx_controlled_usgs_dtms --intersects jezero.geojson --max-items 20`

    `livemosaic ingest --stac URL --intersects "POLYGON ((6 45, 8 45, 7 47, 6 45))"`

    `livemosaic ingest s3://BUCKET/items/ items.parquet --resume backfill.state`

    `jq -c .item errors.ndjson | livemosaic ingest -`

    `livemosaic ingest --dry-run items.ndjson`

    `livemosaic ingest --force rolled-back.json`

    `livemosaic --allow /data/drone ingest /data/drone/*.tif --footprint data`

    `livemosaic ingest "s3://BUCKET/scenes/*.tif" --collection scenes`

    `livemosaic ingest --mosaic alps s3://BUCKET/alps.json.gz`
    """
    search = {
        "collections": collections,
        "bbox": bbox,
        "intersects": intersects,
        "datetime": datetime_,
        "filter": filter_,
        "max_items": max_items,
    }
    with target(context) as mosaics:
        session: Session = context.obj
        allow = AllowList(session.settings.allowed_prefixes)
        making = Making(collection, None, footprint == "data", asset)
        reading = _reading(source or [], stac, search, limit, allow, making)
        if dry_run and resume:
            raise InvalidRequestError("--dry-run does nothing that --resume could go on with")
        run = _run(context, mosaic, errors, reading, force=force) if resume else {}
        with Ledger(resume, errors, run) as ledger:
            into = Preview(mosaics, allow) if dry_run else mosaics
            put_in(into, reading, ledger, mosaic, force=force, resumable=resume is not None)
    if dry_run:
        console.print("a dry run: nothing was changed")
    if as_json:
        print_json(_counts(ledger.done))
    if ledger.done.refused:
        raise typer.Exit(1)


def _counts(done: Done) -> dict[str, Any]:
    """Returns the numbers of Items: all, the refused and outdated ones, and each kind of change."""
    numbers = {"items": done.items, "refused": done.refused, "outdated": done.older}
    return {**numbers, "counts": dict(sorted(done.counts.items()))}


def put_in(
    mosaics: Target | Preview,
    reading: Reading,
    ledger: Ledger,
    mosaic: str | None,
    *,
    force: bool = False,
    resumable: bool = False,
) -> None:
    """Ingests all entries of some sources, with a progress bar, the reasons and a summary."""
    with progress() as bar:
        shown = _IngestReport(bar, reading, ledger, is_local=isinstance(mosaics, Local))
        places = ledger.done.places
        readings = [s.read(ledger.done.began, places.get(s.name)) for s in reading.sources]
        with closing(read_ahead(readings, _READ_AT_ONCE)) as entries:
            try:
                for outcome in mosaics.ingest(entries, mosaic, force=force):
                    ledger.add(outcome)
                    shown.add(outcome)
            except LivemosaicError:
                shown.broken_off(resumable=resumable)
                raise
    shown.summary()


def _reading(
    names: list[str],
    stac: str | None,
    search: Mapping[str, Any],
    limit: int,
    allow: AllowList,
    making: Making,
) -> Reading:
    if stac is not None:
        if names:
            raise InvalidRequestError(f"--stac and {names[0]!r} exclude each other: run it twice")
        if making != Making():
            raise InvalidRequestError(
                "--collection, --asset and --footprint are for COGs, not for --stac"
            )
        return open_search(stac, limit=limit, **search)
    given = [name for name, value in search.items() if value and name != "datetime"]
    if given:
        option = given[0].replace("_", "-")
        raise InvalidRequestError(f"--{option} is for a STAC API: --stac names its URL")
    if not names:
        raise InvalidRequestError("nothing to read: name files, s3://BUCKET/PREFIX/ or --stac")
    making = replace(making, moment=_moment(search["datetime"]))
    return open_names(names, allow, making if making != Making() else None)


def _moment(text: str | None) -> datetime | None:
    """Returns the datetime of COGs."""
    try:
        return parse_time(text) if text is not None else None
    except ValueError as error:
        raise InvalidRequestError(
            f"--datetime {text!r} is no time, such as 2025-07-01T10:25:59Z; without --stac it is "
            "the datetime of COGs"
        ) from error


def _run(
    context: typer.Context,
    mosaic: str | None,
    errors: Path | None,
    reading: Reading,
    *,
    force: bool,
) -> Mapping[str, Any]:
    """Returns the identity of a run, which must be equal for it to be resumed."""
    session: Session = context.obj
    return {
        "target": session.api or session.settings.index,
        "mosaic": mosaic,
        "errors": str(errors) if errors else None,
        "sources": {source.name: source.identity for source in reading.sources},
        "force": force or None,  # which states of earlier releases do not have
    }


class _IngestReport:
    """The progress bar, errors and summary of a run."""

    def __init__(self, bar: Progress, reading: Reading, ledger: Ledger, *, is_local: bool) -> None:
        self._bar = bar
        self._reading = reading
        self._ledger = ledger
        self._is_local = is_local
        self._task: TaskID = bar.add_task("", total=reading.total, completed=ledger.done.weight)
        self._begun = time.monotonic()
        self._reasons = 0
        self._incomplete = 0
        self._older: dict[Older, None] = {}
        self._outside = False
        if ledger.resumed:
            console.print(f"resuming after {ledger.resumed:,} Items")

    def add(self, outcome: EntryOutcome) -> None:
        """Shows the outcome of one entry."""
        count, total = self._ledger.done.items, self._reading.total
        of = f" of {total:,}" if total and not self._reading.in_bytes else ""
        text = f"{count:,}{of} Items, {self._rate():,.0f}/s"
        self._bar.update(self._task, advance=outcome.entry.weight, description=text)
        if not outcome.ok:
            self._reasons += 1
            self._outside |= self._is_local and OUTSIDE in outcome.reason
            if self._reasons <= _MAX_REASONS:
                line = f"{outcome.entry.message.id}: {outcome.reason}"
                console.print(line, style="red", markup=False)
        if warnings := [*outcome.entry.notes, *outcome.warnings]:
            self._incomplete += 1
            if self._incomplete <= _MAX_REASONS:
                line = f"{outcome.entry.message.id}: {'; '.join(warnings)}"
                console.print(line, style="yellow", markup=False)

        if len(self._older) < _MAX_OLDER:
            self._older |= dict.fromkeys(outcome.older)

    def broken_off(self, *, resumable: bool) -> None:
        """Prints the counts of what was done before an error, and how to go on."""
        if text := self._counts():
            again = "goes on from there" if resumable else "changes nothing of it a second time"
            console.print(f"broken off after {text}; the same command {again}", style="yellow")

    def summary(self) -> None:
        """Prints the counts of all outcomes."""
        text = self._counts()
        console.print(f"{text}; {self._rate():,.0f} Items/s" if text else "no Items found")
        if self._reasons > _MAX_REASONS:
            console.print(f"{self._reasons - _MAX_REASONS} more were rejected", style="red")
        if failed := self._ledger.done.counts["failed"]:
            console.print(_failed_text(failed), style="yellow")
        if self._outside:
            console.print(
                "to allow a folder: livemosaic --allow FOLDER ingest …; `serve` needs it too",
                style="yellow",
                markup=False,
            )
        if self._incomplete:
            text = f"shown, with warnings: {self._incomplete:,}"
            console.print(text, style="yellow")
        if self._ledger.done.older:
            console.print(self._older_text(), style="yellow", markup=False)

    def _counts(self) -> str:
        counts = sorted(self._ledger.done.counts.items())
        return ", ".join(f"{count} {label}" for label, count in counts)

    def _older_text(self) -> str:
        """Returns a sentence about the Items that changed nothing, as something newer is there."""
        named = list(self._older)[:_MAX_OLDER]
        some = "; ".join(f"{one.id!r} in {one.mosaic!r} ({one.newer})" for one in named)
        count = self._ledger.done.older
        subject = "1 Item is" if count == 1 else f"{count:,} Items are"
        return (
            f"{subject} older than what the mosaics have, and changed nothing there"
            f"{f', e.g. {some}' if some else ''}; --force makes what is given the newest"
        )

    def _rate(self) -> float:
        count = self._ledger.done.items - self._ledger.resumed
        return count / max(time.monotonic() - self._begun, 1e-3)


def _failed_text(count: int) -> str:
    items, them = ("1 Item", "it") if count == 1 else (f"{count:,} Items", "them")
    return (
        f"{items} failed, and may succeed later: ingest {them} again, from the file of --errors "
        "or from the source; --resume passes over what it has read"
    )
