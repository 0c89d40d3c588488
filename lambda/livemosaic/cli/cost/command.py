"""`livemosaic cost`: what a mosaic costs a month on AWS."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Final

import typer
from rich.console import Console
from rich.table import Table

from livemosaic.cli.cost.dollars import SceneUnits, million_items, million_tiles, month_of_storage
from livemosaic.cli.cost.sample import Sample, sample
from livemosaic.cli.session import clear_errors, without_api
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.model.time import utc_text
from livemosaic.services import running
from livemosaic.table.open import open_table

_MONTH: Final = timedelta(days=30)
_MILLION: Final = 1_000_000


@dataclass(frozen=True, slots=True)
class MonthlyCost:
    """What a mosaic costs a month, in dollars by part."""

    mosaic: str
    scenes: int
    scenes_are: str
    """`counted`, `estimated`, `at least` or `given`."""
    items: int
    """New or changed Items a month."""
    tiles: int
    units: SceneUnits
    storage: dict[str, float]
    ingestion: dict[str, float]
    images: dict[str, float]
    total: float


def cost(
    context: typer.Context,
    mosaic: Annotated[str, typer.Argument(help="The mosaic.")],
    items: Annotated[
        int | None,
        typer.Option(min=0, help="New or changed Items a month; default: as in the last 30 days."),
    ] = None,
    tiles: Annotated[int, typer.Option(min=0, help="Tiles a month that no cache serves.")] = 0,
    scenes: Annotated[
        int | None, typer.Option(min=0, help="Scenes of the mosaic; default: counted or estimated.")
    ] = None,
    memory: Annotated[
        int, typer.Option(min=128, help="Memory of the tiler, `tiler_memory` of the deployment.")
    ] = 1769,
    size: Annotated[int, typer.Option("--sample", min=1, help="Scenes that are measured.")] = 200,
    as_json: AsJson = False,
) -> None:
    """Show what a mosaic costs a month on AWS, at list prices of us-east-1.

    Measures the rows of some of its scenes, on SQLite, too. In it: storage and backup of the table,
    ingestion with its queue, images with their traffic. Not in it: what runs whether there are
    scenes or not, overviews, and storage of the scenes themselves (docs/costs.md).

    Examples:

    `livemosaic cost alps`

    `livemosaic --index dynamodb://eu-central-1/maps cost alps --tiles 5000000`

    `livemosaic cost alps --scenes 100000000 --items 300000 --json`
    """
    settings = without_api(context, "livemosaic cost")
    with clear_errors(), running(settings, open_table(settings.index)) as services:
        found = services.mosaics.get(mosaic)
        found.check_own_scenes()
        since = utc_text(datetime.now(UTC) - _MONTH)
        measured = sample(services.index, found, size, since)
        if not measured.scenes and (scenes or items):
            raise InvalidRequestError(
                f"mosaic {mosaic!r} has no scene yet, so nothing says what one of it costs: put "
                "some in, or ask about a mosaic of similar scenes"
            )
    month = _month(mosaic, measured, scenes, items, tiles, memory)
    if as_json:
        print_json(month)
    else:
        _print(month)


def _month(
    mosaic: str,
    measured: Sample,
    scenes: int | None,
    items: int | None,
    tiles: int,
    memory: int,
) -> MonthlyCost:
    count = measured.scenes if scenes is None else scenes
    arriving = round(count * measured.recent) if items is None else items
    storage = month_of_storage(count * measured.units.stored_bytes)
    ingestion = _share(million_items(measured.units), arriving)
    images = _share(million_tiles(memory), tiles)
    total = sum(sum(part.values()) for part in (storage, ingestion, images))
    source = "given" if scenes is not None else _source(measured)
    return MonthlyCost(
        mosaic, count, source, arriving, tiles, measured.units, storage, ingestion, images, total
    )


def _source(measured: Sample) -> str:
    if measured.is_capped:
        return "at least"
    return "counted" if measured.is_exact else "estimated"


def _share(million: dict[str, float], count: int) -> dict[str, float]:
    return {name: dollars * count / _MILLION for name, dollars in million.items()}


def _print(month: MonthlyCost) -> None:
    table = Table("a month", "of what", "dollars")
    table.columns[2].justify = "right"
    groups: list[tuple[str, dict[str, Any]]] = [
        (f"{month.scenes:,} scenes ({month.scenes_are})", month.storage),
        (f"{month.items:,} new or changed Items", month.ingestion),
        (f"{month.tiles:,} tiles", month.images),
    ]
    for title, parts in groups:
        for name, dollars in parts.items():
            table.add_row(title, name, f"{dollars:,.2f}")
            title = ""
        table.add_section()
    table.add_row("all of it", "", f"{month.total:,.2f}")
    console = Console()
    console.print(table)
    units = month.units
    if month.scenes:
        console.print(
            f"A scene takes {units.write_units:.1f} write units, {units.header_units:.1f} for its "
            f"headers, {units.read_units:.1f} read units and {units.stored_bytes / 1024:.1f} kB.",
            highlight=False,
        )
