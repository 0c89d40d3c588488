"""`livemosaic migrate`: brings mosaics of earlier releases to the format of this one."""

from dataclasses import dataclass
from typing import Annotated

import typer

from livemosaic.cli.session import clear_errors, console, progress, without_api
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.index.formats.migrate import Migration
from livemosaic.model.mosaic import FORMAT, Mosaic
from livemosaic.services import Services, running
from livemosaic.table.open import open_table


def migrate(
    context: typer.Context,
    mosaic: Annotated[list[str] | None, typer.Argument(help="Mosaics to migrate.")] = None,
    all_: Annotated[bool, typer.Option("--all", help="Every mosaic that awaits it.")] = False,
    as_json: AsJson = False,
) -> None:
    """Bring mosaics that an earlier release stored to the format of this one.

    Safe while events arrive and tiles are read: upgrade all that write first. Where it is cut off,
    run it again; what is done is passed over. Reads one row of each scene, and writes the scenes
    that differ.

    Examples:

    `livemosaic migrate alps`

    `livemosaic --index dynamodb://eu-central-1/maps migrate --all`
    """
    settings = without_api(context, "livemosaic migrate")
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        chosen = _chosen(services, mosaic or [], every=all_)
        for found in chosen:
            found.check_format()
        done = [_migrate(services, found) for found in chosen]
    if not done:
        console.print("nothing to do: there is no mosaic")
    if as_json:
        print_json(done)


def _chosen(services: Services, names: list[str], *, every: bool) -> list[Mosaic]:
    if every == bool(names):
        raise InvalidRequestError("name the mosaics to migrate, or give --all")
    return services.mosaics.all() if every else [services.mosaics.get(name) for name in names]


@dataclass(frozen=True, slots=True)
class MigratedMosaic:
    """What a migration did to one mosaic."""

    mosaic: str
    scenes: int
    """Scenes that were compared; 0 where the rows are of today's format."""
    rewritten: int
    format: int


def _migrate(services: Services, mosaic: Mosaic) -> MigratedMosaic:
    count = changed = 0
    if mosaic.format == FORMAT:
        console.print(f"{mosaic.id}: nothing to do, its rows are of format {mosaic.format}")
        return MigratedMosaic(mosaic.id, count, changed, FORMAT)
    with progress() as bar:
        task = bar.add_task(mosaic.id, total=None)
        for one in Migration(services.index, mosaic).run():
            count += 1
            changed += one.changed
            bar.update(task, description=f"{mosaic.id}: {count:,} scenes, {changed:,} rewritten")
    console.print(f"{mosaic.id}: {count:,} scenes, {changed:,} rewritten; now of format {FORMAT}")
    return MigratedMosaic(mosaic.id, count, changed, FORMAT)
