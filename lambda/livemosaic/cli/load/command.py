"""`livemosaic load`: stac-geoparquet becomes a new table of DynamoDB at once."""

import json
import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.table import Table

from livemosaic.cli.load.estimate import LoadEstimate, estimated
from livemosaic.cli.load.run import LoadRun, LoadTarget
from livemosaic.cli.session import clear_errors, console, stop, without_api
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidRequestError
from livemosaic.index.mosaics import FIXED
from livemosaic.index_url import DYNAMODB
from livemosaic.load.plan import ItemFile, LoadPlan
from livemosaic.load.work import Work
from livemosaic.load.write import REJECTED
from livemosaic.model.mosaic import Mosaic
from livemosaic.services import allow_list, running
from livemosaic.settings import Settings
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.storage.hrefs import bucket_and_key
from livemosaic.storage.objects import ObjectError
from livemosaic.storage.stores import Bucket
from livemosaic.table.open import open_table


def load(
    context: typer.Context,
    source: Annotated[
        list[str],
        typer.Argument(
            help="stac-geoparquet: `s3://BUCKET/KEY.parquet`, `s3://BUCKET/PREFIX/` for every "
            "*.parquet below, or files of this machine."
        ),
    ],
    into: Annotated[
        str, typer.Option(metavar="URL", help="The new table: `dynamodb://REGION/TABLE`.")
    ],
    work: Annotated[
        str,
        typer.Option(
            metavar="URL",
            help="Where the files of the import go: `s3://BUCKET/PREFIX` in that region; the "
            "output LoadFolder of a deployment.",
        ),
    ],
    machine: Annotated[
        str | None,
        typer.Option(
            metavar="ARN",
            help="State machine that does the work on AWS: the output LoadMachineArn of a "
            "deployment with `-c load=true`. Without it, this machine does.",
        ),
    ] = None,
    mosaic: Annotated[
        list[str] | None,
        typer.Option(help="Mosaics of the index to make anew there; by default all."),
    ] = None,
    changed: Annotated[
        list[str] | None,
        typer.Option(
            "--set",
            metavar="NAME=VALUE",
            help=f"A setting that they have there instead: {', '.join(FIXED)}.",
        ),
    ] = None,
    key: Annotated[
        str | None, typer.Option(metavar="ARN", help="KMS key that encrypts the new table.")
    ] = None,
    processes: Annotated[
        int | None, typer.Option(min=1, help="Processes without --machine; default: as processors.")
    ] = None,
    errors: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Write rejected Items here, as `ingest` does."),
    ] = None,
    yes: Annotated[bool, typer.Option("--yes", help="Do not ask before it costs.")] = False,
    as_json: AsJson = False,
) -> None:
    """Load an archive of stac-geoparquet into a new table of DynamoDB at once.

    The mosaics of the index are made anew in the new table, with the Items of the archive that
    they subscribe to. The rows are the ones that `livemosaic ingest` of these files makes, for a
    fraction of the price and in hours: functions write them to S3, and DynamoDB imports them.
    Headers of COGs are not read; tiles read them from the COGs then. The index does not change.

    What it costs is computed first, and asked for. Where it is cut off, the same command goes on.
    Rejected Items are counted, and named in the file of --errors; the exit code is 1 then.

    In the end, deploy with `-c table=TABLE` to adopt the new table (docs/load.md). Changes that
    came meanwhile are in the old one: stop ingestion before, or ingest them again.

    With --set it makes an index anew that needs other cells, of the same Items.

    Examples:

    `livemosaic --index dynamodb://eu-central-1/maps load s3://archive/items.parquet --into
    dynamodb://eu-central-1/maps-2 --machine ARN --work s3://BUCKET/loads`

    `livemosaic --index dynamodb://eu-central-1/maps load s3://archive/2025/ --mosaic alps --set
    quadkey_zoom=12 --into dynamodb://eu-central-1/maps-2 --machine ARN --work s3://BUCKET/loads
    --errors rejected.ndjson`

    `livemosaic --index sqlite:///maps.db load items.parquet --into dynamodb://eu-central-1/maps
    --work s3://BUCKET/loads --yes`
    """
    settings = without_api(context, "livemosaic load")
    with clear_errors(), _naming(work):
        target = _target(into)
        folder = Folder(f"{work.rstrip('/')}/{target.table}")
        allow = allow_list(settings)
        run = LoadRun(target, Work(folder, allow), machine, processes or os.cpu_count() or 1)
        run.find_or_begin(lambda: _planned(settings, allow, source, mosaic, changed))
        if not run.has_import:
            _agree(estimated(run.work.plan, allow), yes=yes)
        report = run.make_rows()
        refused = _summary(report, run.work, errors)
        if not report["scenes"]:
            stop("no Item is a scene of these mosaics: nothing is imported")
        run.import_rows(report, key)
        console.print(
            f"the table {target.table} is there: deploy with -c table={target.table}, or use it "
            f"with --index {into}",
            highlight=False,
        )
    if as_json:
        print_json({"table": target.table, "region": target.region, **report})
    if refused:
        raise typer.Exit(1)


@contextmanager
def _naming(work: str) -> Iterator[None]:
    """Names the folder of a load in errors of its objects."""
    try:
        yield
    except ObjectError as error:
        raise InvalidRequestError(f"an object in {work} {error}") from error


def _target(url: str) -> LoadTarget:
    found = DYNAMODB.fullmatch(url)
    if not found:
        raise InvalidRequestError(f"--into {url!r} is no new table: write dynamodb://REGION/TABLE")
    return LoadTarget(found["region"], found["name"])


def _planned(
    settings: Settings,
    allow: AllowList,
    sources: Sequence[str],
    chosen: Sequence[str] | None,
    changed: Sequence[str] | None,
) -> LoadPlan:
    with running(settings, open_table(settings.index)) as services:
        found = [one for one in services.mosaics.all() if not one.sources]
        if chosen:
            found = [services.mosaics.get(name) for name in chosen]
        check = services.mosaics.check
    for one in found:
        one.check_format()
        one.check_own_scenes()
    if not found:
        raise InvalidRequestError(f"there is no mosaic in {settings.index}: create one first")
    mosaics = [replace(one, **_settings(changed or ())) for one in found]
    for one in mosaics:
        check(one)
    names = dict.fromkeys(name for source in sources for name in _files(source, allow))
    return LoadPlan.of(datetime.now(UTC), [_item_file(name, allow) for name in names], mosaics)


def _settings(changed: Sequence[str]) -> dict[str, Any]:
    """Returns settings of a mosaic from `NAME=VALUE`."""
    given = {}
    for text in changed:
        name, equals, value = text.partition("=")
        if name not in FIXED or not equals:
            raise InvalidRequestError(
                f"--set {text!r} is none of {', '.join(f'{name}=…' for name in FIXED)}"
            )
        is_text = isinstance(getattr(Mosaic(id="m"), name), str)
        try:
            given[name] = value if is_text else int(value)
        except ValueError as error:
            raise InvalidRequestError(f"--set {text!r} is no number") from error
    return given


def _files(source: str, allow: AllowList) -> Iterator[str]:
    """Yields the names of the files of a source."""
    found = bucket_and_key(source)
    if found is None or not source.endswith("/"):
        yield source if found else str(Path(source).resolve())
        return
    bucket, prefix = found
    listed = Bucket(bucket, allow.way_to_bucket(bucket, prefix)).listed(prefix)
    names = [one.key for one in listed if one.key.endswith(".parquet")]
    if not names:
        raise InvalidRequestError(f"there is no *.parquet below {source}")
    yield from (f"s3://{bucket}/{key}" for key in names)


def _item_file(name: str, allow: AllowList) -> ItemFile:
    from livemosaic.ingest.sources.geoparquet import Parquet

    parquet = Parquet(name, allow)
    written = parquet.written().isoformat()
    return ItemFile(name, parquet.identity, written, parquet.groups())


def _agree(estimate: LoadEstimate, *, yes: bool) -> None:
    """Shows what a load will cost, and asks whether to go on."""
    table = Table("part", "dollars")
    table.columns[1].justify = "right"
    for name, dollars in estimate.dollars.items():
        table.add_row(name, f"{dollars:,.2f}")
    table.add_section()
    table.add_row("all of it", f"{estimate.total:,.2f}")
    console.print(table)
    console.print(
        f"{estimate.items:,} Items, about {estimate.rows:,} rows and "
        f"{estimate.bytes / 1024**3:,.2f} GB of files; the same rows by events: "
        f"${estimate.by_events:,.2f} of write units",
        highlight=False,
    )
    if not yes and not typer.confirm("Begin?", err=True):
        stop("nothing was begun")


def _summary(report: Mapping[str, int], work: Work, errors: Path | None) -> int:
    """Prints the counts, writes the rejected Items; returns how many there are."""
    words = {
        "items": "Items",
        "scenes": "scenes",
        "removed": "removed (they do not pass a filter)",
        "older": "older than another in the files",
        "truncated": "truncated since",
        "unwanted": "of no mosaic",
        "incomplete": "without an asset that may not be read",
        "rejected": "rejected",
    }
    counts = [f"{report[name]:,} {text}" for name, text in words.items() if report[name]]
    console.print(", ".join(counts), highlight=False)
    if not report["rejected"]:
        return 0
    names = list(work.names(REJECTED))
    if errors:
        with errors.open("wb") as file:
            file.writelines(work.get(name) for name in names)
        return report["rejected"]
    for line in work.get(names[0]).splitlines()[:3]:
        refused = json.loads(line)
        console.print(f"{refused['source']}:{refused['line']}: {refused['reason']}", style="red")
    console.print(f"all of them with their reasons: --errors FILE, or {work.folder.url}/{REJECTED}")
    return report["rejected"]
