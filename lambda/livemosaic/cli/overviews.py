"""`livemosaic overviews`: makes the overviews of mosaics, and keeps them up to date."""

import time
from dataclasses import dataclass
from typing import Annotated

import typer
from rich.console import Console
from rich.table import Table

from livemosaic.cli.serve.upkeep import Upkeep, passes
from livemosaic.cli.session import clear_errors, console, progress, without_api
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.index.overviews import REGIONS, OverviewRows
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.overviews.cells.maker import BuildTally
from livemosaic.process import working
from livemosaic.services import Services, running
from livemosaic.table.open import open_table

app = typer.Typer(no_args_is_help=True, help="Make overviews, and keep them up to date.")


@app.command()
def build(
    context: typer.Context,
    mosaic: str,
    enable: Annotated[
        bool, typer.Option("--enable", help="Turn overviews on where the mosaic has none.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Bring the overviews of a mosaic up to date, and make them where there are none.

    Only what changed is made anew. Where this was interrupted, run it again: it goes on with what
    is left. Any number of builders may work at once, on this machine or others.

    Examples:

    `livemosaic overviews build alps`

    `livemosaic overviews build alps --enable`
    """
    settings = without_api(context, "livemosaic overviews build")
    working()
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        if enable and services.mosaics.get(mosaic).overviews is None:
            services.mosaics.update(mosaic, {"overviews": OverviewPolicy()})
        _check_has_overviews(services.mosaics.get(mosaic))
        done = _built(services, mosaic)
    if as_json:
        print_json(done)
        return
    console.print(_summary(done))
    for scene, reason in done.unread.items():
        console.print(f"{scene} {reason}", markup=False, highlight=False)


@app.command()
def disable(context: typer.Context, mosaic: str) -> None:
    """Turn the overviews of a mosaic off: tiles are of scenes from now on.

    Their rows and objects stay for ten minutes, for readers of this moment. Then `serve`,
    `overviews watch` or the builder on AWS deletes them.

    Example: `livemosaic overviews disable alps`
    """
    settings = without_api(context, "livemosaic overviews disable")
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        services.mosaics.update(mosaic, {"overviews": None})
    console.print(f"overviews of [bold]{mosaic}[/bold] are off")


@app.command()
def watch(
    context: typer.Context,
    mosaic: Annotated[
        list[str] | None, typer.Argument(help="Mosaics; without any, all that have overviews.")
    ] = None,
    every: Annotated[
        float, typer.Option(min=0.1, max=86_400, help="Seconds between two looks.")
    ] = 2.0,
) -> None:
    """Keep overviews up to date until Ctrl-C ends it.

    Example: `livemosaic overviews watch`
    """
    settings = without_api(context, "livemosaic overviews watch")
    working()
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        for name in mosaic or ():
            _check_has_overviews(services.mosaics.get(name))
        console.print("watching; Ctrl-C ends it")
        upkeep = Upkeep(services, mosaic or (), built=_print_built, failed=_print_failed)
        while True:
            upkeep.look()
            time.sleep(every)


@app.command()
def status(
    context: typer.Context,
    mosaic: Annotated[list[str] | None, typer.Argument(help="Mosaics; without any, all.")] = None,
    as_json: AsJson = False,
) -> None:
    """Show whether overviews are complete, and how many changes wait to be built.

    Example: `livemosaic overviews status`
    """
    settings = without_api(context, "livemosaic overviews status")
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        named = [services.mosaics.get(name) for name in mosaic or ()]
        found = [_status(services, one) for one in named or services.mosaics.all()]
    if as_json:
        print_json(found)
        return
    table = Table("mosaic", "overviews", "zooms", "waiting", "oldest", "tried again")
    for one in found:
        oldest = f"{one.oldest_s:.0f} s" if one.waiting else ""
        zooms = "" if one.maxzoom is None else f"0–{one.maxzoom}"
        again = str(one.tried_again or "")
        table.add_row(one.mosaic, one.state, zooms, str(one.waiting or ""), oldest, again)
    Console().print(table)


@dataclass(frozen=True, slots=True)
class OverviewStatus:
    """The state of a mosaic's overviews."""

    mosaic: str
    state: str
    """`off`, `off, to be deleted`, `none yet`, `building`, `ready`, or `ready, another set
    building`."""
    maxzoom: int | None
    """The deepest zoom of tiles that are made from overviews somewhere; None before."""
    waiting: int
    """Changes that are not built yet."""
    oldest_s: float
    """How long the oldest of them has been waiting, in seconds."""
    tried_again: int
    """Blocks that wait for a scene that could not be read."""


def _status(services: Services, mosaic: Mosaic) -> OverviewStatus:
    rows = OverviewRows(services.index.table)
    now = time.time()
    stale = [row for region in REGIONS for row in rows.stale(mosaic, region)]
    due = [row.due for row in stale if not row.tries]
    shown = mosaic.shown_overviews
    return OverviewStatus(
        mosaic.id,
        _state(mosaic),
        None if shown is None else shown.reach + 3,
        len(due),
        max(0.0, now - min(due, default=now)),
        len(stale) - len(due),
    )


def _state(mosaic: Mosaic) -> str:
    if mosaic.overviews is None:
        return "off, to be deleted" if mosaic.overview_sets else "off"
    states = {cells.state for cells in mosaic.overview_sets} - {"replaced"}
    if states == {"ready", "building"}:
        return "ready, another set building"
    return states.pop() if states else "none yet"


def _check_has_overviews(mosaic: Mosaic) -> None:
    mosaic.check_own_scenes()
    if mosaic.overviews is None:
        raise InvalidRequestError(
            f"mosaic {mosaic.id!r} has no overviews: "
            f"`livemosaic overviews build {mosaic.id} --enable` turns them on"
        )


def _built(services: Services, mosaic: str) -> BuildTally:
    """Passes until nothing is due."""
    with progress() as bar:
        task = bar.add_task("looking for changes", total=None)

        def report(tally: BuildTally) -> None:
            bar.update(task, description=_summary(tally))

        return passes(services, mosaic, report)


def _print_built(mosaic: str, done: BuildTally) -> None:
    console.print(f"{mosaic}: {_summary(done)}", markup=False, highlight=False)


def _print_failed(mosaic: str, error: Exception) -> None:
    console.print(f"{mosaic}: {error}", markup=False, highlight=False)


def _summary(tally: BuildTally) -> str:
    unread = f", {len(tally.unread)} scenes unreadable" if tally.unread else ""
    return (
        f"{tally.taken:,} changes, {tally.looked:,} cells looked at, {tally.drawn:,} blocks drawn, "
        f"{tally.written:,} cells written ({tally.bytes / 1e6:,.1f} MB){unread}"
    )
