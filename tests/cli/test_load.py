"""`livemosaic load` on an emulated AWS, with the work done on this machine."""

import json
import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import boto3
import pytest
from pyarrow.parquet import read_table
from typer.testing import CliRunner

from items import box, item
from livemosaic.cli import app
from livemosaic.model.mosaic import FORMAT
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable
from sources.parquet import write

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(180)]
REGION = "eu-central-1"
Run = Callable[..., str]


@pytest.fixture
def endpoint(
    tmp_path: Path,
    dynamodb_endpoint: str | None,
    aws_credentials: None,
    monkeypatch: pytest.MonkeyPatch,
) -> str:
    if dynamodb_endpoint is None:
        pytest.skip("makes tables, which is left to an emulator")
    for name in [*os.environ]:
        if name.startswith("LIVEMOSAIC_"):
            monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("COLUMNS", "300")
    return dynamodb_endpoint


@pytest.fixture
def aws(endpoint: str) -> Iterator[Callable[[str], Any]]:
    """Clients of services."""
    made = []

    def client(service: str) -> Any:
        made.append(boto3.Session().client(service, region_name=REGION, endpoint_url=endpoint))
        return made[-1]

    yield client
    for each in made:
        each.close()


@pytest.fixture
def run(endpoint: str) -> Run:
    def command(*words: str, text: str = "", code: int = 0) -> str:
        done = CliRunner().invoke(app, words, input=text)
        assert done.exit_code == code, done.output
        assert isinstance(done.exception, SystemExit | None), done.exc_info
        return done.output

    return command


@pytest.fixture
def place(aws: Callable[[str], Any]) -> tuple[str, ...]:
    """Options for a new table, and for a bucket of the work."""
    name = f"load-{uuid4()}"
    where = {"LocationConstraint": REGION}
    aws("s3").create_bucket(Bucket=name, CreateBucketConfiguration=where)
    own = ("--into", f"dynamodb://{REGION}/{name}", "--work", f"s3://{name}/loads")
    return (*own, "--processes", "1")


def index_of(place: tuple[str, ...]) -> str:
    return place[1]


def archive(path: Path, *more: dict[str, Any]) -> str:
    places = [box(7 + n / 10, 45, 7.05 + n / 10, 45.05) for n in range(20)]
    return str(write(path, [*(item(f"{n}", place) for n, place in enumerate(places)), *more]))


def test_an_archive_becomes_a_table_that_is_ready_to_be_adopted(
    run: Run, place: tuple[str, ...], aws: Callable[[str], Any], tmp_path: Path
) -> None:
    run("mosaics", "create", "m")
    run("mosaics", "create", "other", "--collection", "landsat")
    bad = item("bad", href="http://example.com/a.tif")
    path, errors = archive(tmp_path / "items.parquet", bad), tmp_path / "errors.ndjson"
    given = ("load", path, *place, "--set", "quadkey_zoom=9", "--set", "max_cells=4")

    refused = run(*given, text="n\n", code=1)
    assert "all of it" in refused and "the same rows by events: $" in refused
    assert "nothing was begun" in refused
    dynamodb, name = aws("dynamodb"), index_of(place).rpartition("/")[2]
    assert name not in dynamodb.list_tables()["TableNames"]

    made = run(*given, "--yes", "--errors", str(errors), code=1)  # one Item is rejected
    assert "21 Items, 20 scenes, 1 rejected" in made
    [line] = errors.read_text().splitlines()
    assert json.loads(line)["id"] == "bad"
    assert "http://example.com/a.tif" in json.loads(line)["reason"]
    found = dynamodb.describe_table(TableName=name)["Table"]
    assert found["DeletionProtectionEnabled"] is True
    ttl = dynamodb.describe_time_to_live(TableName=name)["TimeToLiveDescription"]
    assert (ttl["TimeToLiveStatus"], ttl["AttributeName"]) == ("ENABLED", "expires")
    backups = dynamodb.describe_continuous_backups(TableName=name)["ContinuousBackupsDescription"]
    recovery = backups["PointInTimeRecoveryDescription"]["PointInTimeRecoveryStatus"]
    assert recovery == "ENABLED"

    new = ("--index", index_of(place))
    shown = json.loads(run(*new, "mosaics", "show", "m"))
    assert shown["bounds"] == [7, 45, 8.95, 45.05]
    assert (shown["quadkey_zoom"], shown["max_cells"]) == (9, 4)
    assert "rows and Items checked: all well" in run(*new, "verify", "m")
    assert "1 applied" in run(*new, "ingest", "--mosaic", "m", "-", text=json.dumps(item("new")))
    assert json.loads(run("mosaics", "show", "m"))["bounds"] is None  # the index is as it was

    again = run(*given, "--yes", "--json", code=1)  # all is done: nothing is made or imported again
    assert "going on with the load" in again
    assert '"scenes": 20' in again and '"rejected": 1' in again
    assert len(dynamodb.list_imports(TableArn=found["TableArn"])["ImportSummaryList"]) == 1


def test_what_was_cut_off_goes_on_and_other_arguments_are_refused(
    run: Run, place: tuple[str, ...], aws: Callable[[str], Any], tmp_path: Path
) -> None:
    run("mosaics", "create", "m")
    path = archive(tmp_path / "items.parquet")
    run("load", path, *place, text="n\n", code=1)  # ends after the plan
    s3, name = aws("s3"), index_of(place).rpartition("/")[2]
    plan = s3.get_object(Bucket=name, Key=f"loads/{name}/plan.json")["Body"].read()
    made = run("load", path, *place, "--yes")
    assert "going on with the load" in made and "20 scenes" in made
    assert s3.get_object(Bucket=name, Key=f"loads/{name}/plan.json")["Body"].read() == plan
    other = archive(tmp_path / "others.parquet", item("more"))
    assert "other files or mosaics" in run("load", other, *place, "--yes", code=1)


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("nothing.parquet",), "cannot read"),
        (("items.parquet", "--set", "title=x"), "--set 'title=x' is none of tms=…"),
        (("items.parquet", "--set", "max_cells=many"), "is no number"),
        (("items.parquet", "--set", "max_cells=1000"), "max_cells 1000 must be"),
        (("items.parquet", "--mosaic", "nope"), "no mosaic 'nope'"),
    ],
)
def test_what_cannot_be_loaded_is_named(
    words: tuple[str, ...], says: str, run: Run, place: tuple[str, ...], tmp_path: Path
) -> None:
    run("mosaics", "create", "m")
    archive(tmp_path / "items.parquet")
    path = str(tmp_path / words[0])
    assert says in run("load", path, *words[1:], *place, "--yes", code=1)


def test_an_index_is_made_anew_of_its_own_scenes(
    run: Run, place: tuple[str, ...], tmp_path: Path
) -> None:
    """The archive need not be there any more: what the mosaic kept is all that it needs."""
    own = ("--collection", "s2", "--property", "cloud", "--sortby", "cloud", "--quadkey-zoom", "6")
    run("mosaics", "create", "m", *own)
    bands = {
        name: {"href": f"https://example.com/a/{name}.tif", "nodata": 0, "type": "image/tiff"}
        for name in ("visual", "nir", "scl")
    }
    more = item("many", box(6, 44, 8, 46), assets=bands, properties={"cloud": 7})
    path = archive(tmp_path / "items.parquet", more, item("gone", properties={"cloud": 1}))
    run("ingest", path)
    run("ingest", "-", text=json.dumps({"op": "delete", "collection": "s2", "id": "gone"}))
    run("mosaics", "default-assets", "m", "nir")
    kept = str(tmp_path / "m.parquet")
    assert "wrote 21 scenes" in run("export", "m", kept)
    anew = ("--set", "quadkey_zoom=12", "--set", "max_cells=32")
    assert "21 scenes" in run("load", kept, "--mosaic", "m", *anew, *place, "--yes")

    new = ("--index", index_of(place))
    before, after = (json.loads(run(*words, "mosaics", "show", "m")) for words in ((), new))
    differ = {name for name in before if before[name] != after[name]}
    assert differ <= {"quadkey_zoom", "max_cells", "levels", "revision", "generation"}
    assert max(after["levels"]) > max(before["levels"])
    assert scenes_of(run, tmp_path / "before.parquet") == scenes_of(
        run, tmp_path / "after.parquet", *new
    )
    assert "rows and Items checked: all well" in run(*new, "verify", "m")


def scenes_of(run: Run, path: Path, *index: str) -> list[dict[str, Any]]:
    """The Items that a mosaic has, apart from their versions: a load is another change."""
    run(*index, "export", "m", str(path))
    rows = read_table(path).to_pylist()
    return sorted(
        ({n: v for n, v in row.items() if n != "version"} for row in rows),
        key=lambda row: str(row["id"]),
    )


@pytest.mark.parametrize("words", [(), ("--mosaic", "later")], ids=["all", "by name"])
def test_a_mosaic_of_a_later_release_is_not_made_anew_without_its_settings(
    words: tuple[str, ...], run: Run, place: tuple[str, ...], tmp_path: Path
) -> None:
    run("mosaics", "create", "m")
    run("mosaics", "create", "later", "--asset", "red")
    table, key = SqliteTable(tmp_path / "index.db"), Key("mosaics", "later")
    table.transact([Put(key, {**(table.get(key) or {}), "format": FORMAT + 1})])
    table.close()
    path = archive(tmp_path / "items.parquet")
    said = run("load", path, *words, *place, "--yes", code=1)
    assert f"mosaic 'later' is of format {FORMAT + 1}, which a later release stored" in said
    if not words:
        assert "20 scenes" in run("load", path, "--mosaic", "m", *place, "--yes")


def test_a_table_that_is_there_is_left_alone(
    run: Run, place: tuple[str, ...], tmp_path: Path
) -> None:
    run("--index", index_of(place), "mosaics", "create", "m", "--create-table")
    run("mosaics", "create", "m")
    path = archive(tmp_path / "items.parquet")
    assert "already: an import makes a new one" in run("load", path, *place, "--yes", code=1)
