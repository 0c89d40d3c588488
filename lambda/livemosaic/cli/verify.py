"""`livemosaic verify`: checks the rows of a mosaic, and compares it with a STAC API."""

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from typing import Annotated

import typer

from livemosaic.cli.session import clear_errors, console, progress, without_api
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.index.bounds.check import BoundsCheck
from livemosaic.index.verify import Checked, Difference, Rows
from livemosaic.ingest.catalogue import Comparison
from livemosaic.ingest.events.message import Message
from livemosaic.model.mosaic import ANY_COLLECTION, FORMAT, Mosaic
from livemosaic.overviews.check import OverviewCheck
from livemosaic.services import Services, building, running
from livemosaic.table.open import open_table


@dataclass
class _VerifyReport:
    """Differences found so far."""

    limit: int
    checked: int = 0
    found: Counter[str] = field(default_factory=Counter)
    mended: int = 0
    recent: int = 0
    """Scenes that changed too recently to be compared with the API."""
    shown: list[Difference] = field(default_factory=list)

    def add(self, checked: Checked) -> None:
        self.checked += checked.count
        self.recent += checked.recent
        for difference in checked.differences:
            self.found[difference.kind] += 1
            self.mended += difference.mended
            if len(self.shown) < self.limit:
                self.shown.append(difference)

    @property
    def left(self) -> int:
        """Number of differences that were not repaired."""
        return self.found.total() - self.mended


def verify(
    context: typer.Context,
    mosaic: str,
    repair: Annotated[bool, typer.Option("--repair", help="Repair differences.")] = False,
    stac: Annotated[
        str | None, typer.Option(metavar="URL", help="Compare with this STAC API too.")
    ] = None,
    collection: Annotated[
        list[str] | None,
        typer.Option(help="Collection of the API, by default all of the mosaic; may be repeated."),
    ] = None,
    overviews: Annotated[
        bool,
        typer.Option("--overviews", help="Check the overviews too, and their objects."),
    ] = False,
    lag: Annotated[
        float,
        typer.Option(
            min=0,
            metavar="SECONDS",
            help="How far the API may be behind its own events: scenes that changed here since "
            "then are not judged.",
        ),
    ] = 120,
    limit: Annotated[int, typer.Option(help="Differences to list; all are counted.")] = 20,
    as_json: AsJson = False,
) -> None:
    """Check the rows of a mosaic against its scenes, and its scenes against a STAC API.

    Safe while events arrive, with `--repair` too: changes by events are no differences. The exit
    code is 1 if differences are left.

    With `--stac` a scene that the API does not have is `gone`, an Item that is not shown `absent`
    (with its deletion or truncation, if there was one), and one with other content `older` or
    `differs`: other assets, footprint, times, stored properties, encodings or place in the order.
    Each is fetched once more on its own before it counts. `--repair` makes the mosaic as the API
    is, at `--lag` before now: later events still win.

    With `--overviews` an overview is `outdated` if it is made of other scenes than there are, with
    no change waiting to be built, and `lost` if its object is, or is damaged. `--repair` marks it,
    so that the next `livemosaic overviews build` or `watch` makes it anew. An extent is `outdated`
    if it lacks a scene, which tiles at edges may miss then; `--repair` adds it at once.

    Bounds are `outdated` if they lack a scene, or are too large although no change says so.
    `--repair` fits them to the scenes at once.

    Reads the whole table once, of all its mosaics and headers:
    in DynamoDB that is half a read unit for each 4 KB of it, about 0.03 $ a GB on demand.

    Examples:

    `livemosaic verify alps`

    `livemosaic --index dynamodb://eu-central-1/maps verify alps --repair`

    `livemosaic verify alps --overviews`

    `livemosaic verify alps --stac https://earth-search.aws.element84.com/v1 --repair`
    """
    settings = without_api(context, "livemosaic verify")
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        found = services.mosaics.get(mosaic)
        found.check_own_scenes()
        checks = [
            Rows(services.index, found, repair).check(),
            BoundsCheck(services.index, found, repair).check(),
        ]
        if stac:
            settled = datetime.now(UTC) - timedelta(seconds=lag)
            checks.append(_against(stac, collection or (), services, found, settled, repair))
        with ExitStack() as stack:
            if overviews:
                builder = stack.enter_context(building(services))
                checks.append(OverviewCheck(builder, found, repair).check())
            report = _report(chain.from_iterable(checks), limit)
    _print(mosaic, report, as_json=as_json)
    if found.format < FORMAT:
        console.print(f"stored by an earlier release: run `livemosaic migrate {found.id}`")
    if report.left:
        raise typer.Exit(1)


def _against(
    url: str,
    given: Sequence[str],
    services: Services,
    mosaic: Mosaic,
    settled: datetime,
    repair: bool,
) -> Iterator[Checked]:
    collections = given or mosaic.collections
    if ANY_COLLECTION in collections:
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} takes any collection: name some of {url} with --collection"
        )
    catalogue = _RemoteIndex(url, collections)
    return Comparison(services.ingest, mosaic, catalogue, collections, settled, repair).check()


class _RemoteIndex:
    """`Catalogue`."""

    def __init__(self, url: str, collections: Sequence[str]) -> None:
        from livemosaic.ingest.sources.stac_api import Search, item, slices

        (self._search,), _ = slices(Search(url, collections))
        self._item = item

    def items(self) -> Iterator[Message]:
        """See `Catalogue`."""
        return (entry.message for entry in self._search.read(datetime.now(UTC), None))

    def item(self, collection: str, item_id: str) -> Message | None:
        """See `Catalogue`."""
        found = self._item(self._search, collection, item_id)
        return None if found is None else Message(item_id, found, datetime.now(UTC), {})


def _report(checks: Iterable[Checked], limit: int) -> _VerifyReport:
    report = _VerifyReport(limit)
    with progress() as bar:
        task = bar.add_task("checking", total=None)
        for checked in checks:
            report.add(checked)
            bar.update(task, description=f"{report.checked:,} rows and Items checked")
    return report


def _print(mosaic: str, report: _VerifyReport, *, as_json: bool) -> None:
    if as_json:
        document = {
            "mosaic": mosaic,
            "checked": report.checked,
            "found": dict(report.found),
            "mended": report.mended,
            "recent": report.recent,
            "differences": report.shown,
        }
        print_json(document)
        return
    for one in report.shown:
        end = " (mended)" if one.mended else ""
        console.print(f"{one.kind}: {one.scene} {one.detail}{end}", markup=False, highlight=False)
    counts = ", ".join(f"{count} {kind}" for kind, count in sorted(report.found.items()))
    mended = f"; {report.mended} mended" if report.mended else ""
    console.print(f"{report.checked:,} rows and Items checked: {counts or 'all well'}{mended}")
    if report.recent:
        scenes = "1 scene" if report.recent == 1 else f"{report.recent:,} scenes"
        text = "changed within --lag, or later than now: not compared with the API, run it again"
        console.print(f"{scenes} {text}", style="yellow")
