"""Scheduled archives by many functions: equal to the archive of one process, byte for byte."""

import json
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest

from api.overviews import build, document, make_scenes, publish, with_overviews
from api.served import Server
from cli.archives import delete, opened, put
from conftest import REGION, dummy_credentials
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.export.jobs.draw import UnfinishedError
from livemosaic.export.jobs.parts import DrawnPart
from livemosaic.export.jobs.steps import ExportStarter, ExportSteps
from livemosaic.export.jobs.work import PIECES, UNITS, ExportWork
from livemosaic.export.schedule.status import ScheduledArchive, request_of, scheduled
from livemosaic.export.tiles.archive import ExportTally
from livemosaic.export.tiles.ledger import TileLedger
from livemosaic.export.tiles.publishing import ArchivePlace
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.model.mosaic import ScheduledExport
from livemosaic.model.render import LayerName
from livemosaic.model.rule import RulePolicy
from livemosaic.storage.folder import Folder
from livemosaic.storage.stores import Bucket

pytestmark = [pytest.mark.timeout(600)]
NOW = datetime(2026, 11, 30, 12, tzinfo=UTC)


@dataclass
class Cloud:
    """A mosaic with overviews, a bucket of archives, and the functions on them."""

    server: Server
    steps: ExportSteps
    client: Any
    runs: int = 0

    @property
    def archive(self) -> ScheduledArchive:
        mosaic = self.server.services.mosaics.get("m")
        (found,) = scheduled(self.steps.store, mosaic)
        return found

    def run(self, render: str = "auto") -> ExportWork:
        """Run the steps as the state machine does, and of one of each kind twice, as it may."""
        self.runs += 1
        url = f"s3://work/exports/{self.runs}"
        work = ExportWork(Folder(url))
        of = {"mosaic": "m", "render": render}
        try:
            self(url, "plan", **of)
            units = work.get_json(UNITS)
            for unit in [*units, units[0]]:
                self(url, "draw", unit=unit)
            self(url, "lay out")
            pieces = work.get_json(PIECES)
            for piece in [*reversed(pieces), pieces[0]]:
                self(url, "upload", piece=piece)
            self(url, "finish")
            self(url, "finish")
        except InvalidRequestError:
            self(url, "fail", **of)
        return work

    def __call__(self, url: str, step: str, **given: Any) -> None:
        assert self.steps(json.loads(json.dumps({"work": url, "step": step, **given})), None) == {}

    def body(self, suffix: str = "") -> bytes:
        where = self.archive.place.removeprefix("s3://archives/")
        return Bucket("archives").read(where + suffix)


@pytest.fixture
def cloud(
    tmp_path: Path, dynamodb_endpoint: str | None, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Cloud]:
    if dynamodb_endpoint is None:
        pytest.skip("makes buckets, which is left to an emulator")
    dummy_credentials(monkeypatch)
    monkeypatch.setenv("AWS_ENDPOINT_URL", dynamodb_endpoint)
    monkeypatch.setenv("AWS_REGION", REGION)

    def client(service: str) -> Any:
        return boto3.client(service, region_name=REGION, endpoint_url=dynamodb_endpoint)

    s3 = client("s3")
    for bucket in ("archives", "work"):
        with suppress(s3.exceptions.BucketAlreadyOwnedByYou):
            where = {"LocationConstraint": REGION}
            s3.create_bucket(Bucket=bucket, CreateBucketConfiguration=where)
        for found in s3.list_objects_v2(Bucket=bucket).get("Contents", ()):
            s3.delete_object(Bucket=bucket, Key=found["Key"])
    export = ScheduledExport(render="auto", maxzoom=13, keep=1)
    renders = {"auto": {"rescale": "auto"}}
    with with_overviews(tmp_path, renders=renders, exports=(export,)) as server:
        scenes = make_scenes(server.folder, 6)
        publish(server, scenes)
        build(server)
        services = server.services
        store = ArchiveStore("s3://archives/of/maps")
        steps = ExportSteps(
            services.mosaics, services.publisher(), store, s3, lambda: NOW, piece=3_000
        )
        yield Cloud(server, steps, client)
    s3.close()


def at_once(cloud: Cloud, folder: Path) -> tuple[bytes, bytes]:
    """The archive of one process, drawn anew, and its ledger."""
    to = folder / f"own{cloud.runs}.pmtiles"
    services = cloud.server.services
    request = request_of(cloud.archive.export, str(to))
    publisher = services.publisher()
    publisher.publish(services.mosaics.get("m"), request, NOW.date())
    return to.read_bytes(), Path(ArchivePlace(str(to)).ledger).read_bytes()


def test_it_equals_the_archive_of_one_process(cloud: Cloud, tmp_path: Path) -> None:
    work = cloud.run()
    assert len(work.get_json(UNITS)) > 2
    assert len(work.get_json(PIECES)) > 2
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    assert cloud.archive.error == ""
    assert cloud.archive.warnings == ()
    copies = [each.key for each in Bucket("archives").listed("of/maps") if "2026-11-30" in each.key]
    assert len(copies) == 1
    assert Bucket("archives").read(copies[0]) == cloud.body()
    uploads = cloud.client("s3").list_multipart_uploads(Bucket="archives")
    assert not uploads.get("Uploads")

    server = cloud.server
    scenes = make_scenes(server.folder, 6)
    delete(server, scenes[0].name)
    put(server, document(replace(scenes[8], day=28)))
    build(server)
    again = cloud.run()
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    drawn = {name: drawn_by(work) for name, work in (("all", work), ("changed", again))}
    assert 0 < drawn["changed"] < drawn["all"], "what did not change is taken over"


@pytest.mark.parametrize(
    "layers", [("footprints",), ("density", "coverage")], ids=lambda names: "+".join(names)
)
def test_vector_tiles_equal_the_archive_of_one_process(
    cloud: Cloud, tmp_path: Path, layers: tuple[LayerName, ...]
) -> None:
    export = ScheduledExport(layers=layers, format=None, maxzoom=12, keep=1)
    mosaics = cloud.server.services.mosaics
    mosaics.update("m", {"exports": (export,)})
    work = cloud.run("vector tiles")
    assert len(work.get_json(UNITS)) > 2
    assert cloud.archive.place.startswith("s3://archives/of/maps/vector/m.")
    assert (cloud.archive.error, cloud.archive.warnings) == ("", ())
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    found = opened(tmp_path / f"own{cloud.runs}.pmtiles").header
    assert (found.kind, found.is_gzipped, found.minzoom) == ("mvt", True, 0)

    server = cloud.server
    scenes = make_scenes(server.folder, 6)
    delete(server, scenes[0].name)
    put(server, document(replace(scenes[8], day=28)))
    build(server)
    again = cloud.run("vector tiles")
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    if "coverage" not in layers:
        assert 0 < drawn_by(again) < drawn_by(work), "what did not change is taken over"
    mosaics.update("m", {"exports": ()})
    with pytest.raises(NotFoundError, match="no export 'vector tiles' any more"):
        cloud("s3://work/exports/none", "plan", mosaic="m", render="vector tiles")


def test_vector_tiles_are_not_mixed_of_two_settings(cloud: Cloud) -> None:
    mosaics = cloud.server.services.mosaics
    layers: tuple[LayerName, ...] = ("footprints", "coverage")
    exports = (ScheduledExport(layers=layers, format=None, maxzoom=13),)
    before: dict[str, Any] = {"exports": exports, "properties": ("gsd", "platform")}
    mosaics.update("m", before)
    url = "s3://work/exports/mixed"
    cloud(url, "plan", mosaic="m", render="vector tiles")
    unit = ExportWork(Folder(url)).get_json(UNITS)[0]
    mosaics.update("m", {"rules": RulePolicy(fields=("gsd",))})
    with pytest.raises(InvalidRequestError, match="changed while its archive was made"):
        cloud(url, "draw", unit=unit)
    cloud(url, "fail", mosaic="m", render="vector tiles")
    assert "changed while its archive was made" in cloud.archive.error


def tallies(work: ExportWork) -> list[ExportTally]:
    """What each run of a job did."""
    lasts = [DrawnPart.from_bytes(work.get(f"{region.name}.index")) for region in work.units]
    earlier = [DrawnPart.from_bytes(work.get(name)) for last in lasts for name in last.earlier]
    return [part.tally for part in (*lasts, *earlier)]


def drawn_by(work: ExportWork) -> int:
    return sum(tally.drawn for tally in tallies(work))


def test_a_failure_is_reported_and_leaves_nothing(cloud: Cloud) -> None:
    cloud.run()
    before = cloud.body()
    url = "s3://work/exports/failing"
    cloud(url, "plan", mosaic="m", render="auto")
    for unit in ExportWork(Folder(url)).get_json(UNITS):
        cloud(url, "draw", unit=unit)
    cloud(url, "lay out")
    services = cloud.server.services
    changed = {"auto": {"rescale": [[0, 99]]}}
    services.mosaics.update("m", {"renders": changed})
    unit = ExportWork(Folder(url)).get_json(UNITS)[0]
    with pytest.raises(InvalidRequestError, match="changed while its archive was made"):
        cloud(url, "draw", unit=unit)
    later = replace(cloud.steps, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    later({"work": url, "step": "fail", "mosaic": "m", "render": "auto"}, None)
    assert "changed while its archive was made" in cloud.archive.error
    assert cloud.body() == before
    uploads = cloud.client("s3").list_multipart_uploads(Bucket="archives")
    assert not uploads.get("Uploads")
    server = cloud.server
    for scene in make_scenes(server.folder, 6):
        delete(server, scene.name)
    build(server)
    cloud.steps = later
    cloud.run()
    assert "shows nothing at zooms 0 to 13" in cloud.archive.error


def laid_out(cloud: Cloud, name: str) -> tuple[str, ExportWork]:
    """An export of which all pieces are uploaded."""
    url = f"s3://work/exports/{name}"
    work = ExportWork(Folder(url))
    cloud(url, "plan", mosaic="m", render="auto")
    for unit in work.get_json(UNITS):
        cloud(url, "draw", unit=unit)
    cloud(url, "lay out")
    for piece in work.get_json(PIECES):
        cloud(url, "upload", piece=piece)
    return url, work


def test_a_step_that_ended_after_it_had_published_is_gone_on_with(
    cloud: Cloud, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    url, work = laid_out(cloud, "cut")
    upload = work.get_json("upload.json")
    bucket, _, key = cloud.archive.place.removeprefix("s3://").partition("/")
    tags = [work.get_json(f"etags/{n}.json") for n in range(len(work.get_json(PIECES)))]
    parts = [{"PartNumber": n, "ETag": tag} for n, tag in enumerate(tags, 1)]
    cloud.client("s3").complete_multipart_upload(
        Bucket=bucket, Key=key, UploadId=upload, MultipartUpload={"Parts": parts}
    )
    s3 = cloud.steps.s3

    def complete(**_: Any) -> None:
        """As S3 does after a while; the emulator completes an upload again."""
        raise s3.exceptions.NoSuchUpload({"Error": {"Code": "NoSuchUpload"}}, "Complete")

    monkeypatch.setattr(s3, "complete_multipart_upload", complete)
    cloud(url, "finish")
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    assert cloud.archive.error == ""


def test_an_upload_that_is_gone_is_reported(cloud: Cloud) -> None:
    cloud.run()
    before = cloud.body()
    url, work = laid_out(cloud, "gone")
    bucket, _, key = cloud.archive.place.removeprefix("s3://").partition("/")
    s3 = cloud.client("s3")
    s3.abort_multipart_upload(Bucket=bucket, Key=key, UploadId=work.get_json("upload.json"))
    with pytest.raises(s3.exceptions.ClientError, match="NoSuchUpload"):
        cloud(url, "finish")
    later = replace(cloud.steps, clock=lambda: datetime.now(UTC) + timedelta(minutes=1))
    later({"work": url, "step": "fail", "mosaic": "m", "render": "auto"}, None)
    assert cloud.archive.error
    assert cloud.body() == before


def test_settings_that_change_before_the_last_step_publish_nothing(cloud: Cloud) -> None:
    url, _ = laid_out(cloud, "late")
    cloud.server.services.mosaics.update("m", {"renders": {"auto": {"rescale": [[0, 99]]}}})
    with pytest.raises(InvalidRequestError, match="changed while its archive was made"):
        cloud(url, "finish")
    assert cloud.archive.made is None


def test_a_region_that_is_drawn_twice_at_once_keeps_bytes_and_index_together(
    cloud: Cloud, tmp_path: Path
) -> None:
    """The second run, of other scenes, writes its bytes; the first one writes its index last."""
    url = "s3://work/exports/twice"
    work = ExportWork(Folder(url))
    cloud(url, "plan", mosaic="m", render="auto")
    units = work.get_json(UNITS)
    for unit in units:
        cloud(url, "draw", unit=unit)
    expected = at_once(cloud, tmp_path)[0]
    first = {unit.name: work.get(f"{unit.name}.index") for unit in work.units}
    server = cloud.server
    put(server, document(replace(make_scenes(server.folder, 6)[8], day=28)))
    build(server)
    for unit in units:
        cloud(url, "draw", unit=unit)
    assert any(work.get(f"{name}.index") != index for name, index in first.items())
    for name, index in first.items():
        work.put(f"{name}.index", index)
    cloud(url, "lay out")
    for piece in work.get_json(PIECES):
        cloud(url, "upload", piece=piece)
    cloud(url, "finish")
    assert cloud.body() == expected


@dataclass
class Hurried:
    """The context of a run of Lambda in which there is time for some tiles."""

    tiles: int
    looks: int = 0

    def get_remaining_time_in_millis(self) -> int:
        self.looks += 1
        return 900_000 if self.looks <= self.tiles else 1_000


@pytest.mark.parametrize("tiles", [1, 7])
def test_a_region_that_takes_longer_than_a_run_goes_on_in_the_next(
    cloud: Cloud, tmp_path: Path, tiles: int
) -> None:
    renders = {"auto": {"rescale": "auto"}, "shade": {"algorithm": "hillshade", "bidx": [1]}}
    exports = (ScheduledExport(render="shade", maxzoom=13),)
    cloud.server.services.mosaics.update("m", {"renders": renders, "exports": exports})
    url = f"s3://work/exports/long{tiles}"
    cloud(url, "plan", mosaic="m", render="shade")
    work, runs = ExportWork(Folder(url)), 0
    units = work.get_json(UNITS)
    for unit in units:
        event = {"work": url, "step": "draw", "unit": unit}
        while True:
            runs += 1
            try:
                cloud.steps(event, Hurried(tiles))
                break
            except UnfinishedError as error:
                z, x, y = unit["z"], unit["x"], unit["y"]
                assert f"tile {z}/{x}/{y}, down to zoom {unit['last']}," in str(error)
    looked = sum(tally.looked for tally in tallies(work))
    assert looked / tiles <= runs <= looked / tiles + 2 * len(units), "each run draws its tiles"
    cloud(url, "lay out")
    for piece in work.get_json(PIECES):
        cloud(url, "upload", piece=piece)
    cloud(url, "finish")
    assert (cloud.body(), cloud.body(".ledger")) == at_once(cloud, tmp_path)
    assert sum(tally.drawn for tally in tallies(work)) > 10


def test_a_mosaic_that_changes_between_runs_of_a_region_has_each_tile_once(cloud: Cloud) -> None:
    url = "s3://work/exports/changing"
    cloud(url, "plan", mosaic="m", render="auto")
    work, server = ExportWork(Folder(url)), cloud.server
    scenes = iter(make_scenes(server.folder, 6))
    for unit in work.get_json(UNITS):
        with suppress(UnfinishedError):
            cloud.steps({"work": url, "step": "draw", "unit": unit}, Hurried(2))
        delete(server, next(scenes).name)
        build(server)
        cloud(url, "draw", unit=unit)
    cloud(url, "lay out")
    for piece in work.get_json(PIECES):
        cloud(url, "upload", piece=piece)
    cloud(url, "finish")
    records = TileLedger.from_bytes(cloud.body(".ledger"), work.plan.settings).records["number"]
    assert len(records) == len({*records.tolist()}) > 10
    cloud.run()


def starter(cloud: Cloud, client: Any, name: str) -> tuple[str, ExportStarter]:
    """A state machine that does nothing, by its ARN, and the function that starts it."""
    machine = client.create_state_machine(
        name=name,
        definition=json.dumps({"StartAt": "A", "States": {"A": {"Type": "Succeed"}}}),
        roleArn="arn:aws:iam::000000000000:role/export",
    )["stateMachineArn"]
    of = cloud.server.services.mosaics, cloud.steps.store
    return machine, ExportStarter(*of, machine, "s3://work/exports", client, "maps")


def test_the_schedule_starts_vector_tiles(cloud: Cloud) -> None:
    export = ScheduledExport(layers=("footprints",), format=None)
    cloud.server.services.mosaics.update("m", {"exports": (export,)})
    client = cloud.client("stepfunctions")
    machine, start = starter(cloud, client, "vectors")
    assert start({}, None)["due"] == 1
    (only,) = client.list_executions(stateMachineArn=machine)["executions"]
    given = json.loads(client.describe_execution(executionArn=only["executionArn"])["input"])
    assert (given["mosaic"], given["render"]) == ("m", "vector tiles")
    cloud.run(given["render"])
    assert start({}, None)["due"] == 0


def test_the_schedule_starts_what_is_due_once(
    cloud: Cloud, caplog: pytest.LogCaptureFixture
) -> None:
    client = cloud.client("stepfunctions")
    machine, start = starter(cloud, client, "export")
    assert start({}, None) == {"due": 1, "late": 0, "failed": 0}
    assert start({}, None) == {"due": 1, "late": 0, "failed": 0}
    (only,) = client.list_executions(stateMachineArn=machine)["executions"]
    found = client.describe_execution(executionArn=only["executionArn"])
    given = json.loads(found["input"])
    assert (given["mosaic"], given["render"]) == ("m", "auto")
    assert given["work"] == f"s3://work/{given['key']}"
    cloud.run()
    assert start({}, None)["due"] == 0
    tomorrow = replace(start, clock=lambda: datetime.now(UTC) + timedelta(hours=31))
    with caplog.at_level("INFO"):
        assert tomorrow({}, None) == {"due": 1, "late": 1, "failed": 0}
    assert len(client.list_executions(stateMachineArn=machine)["executions"]) == 2
    assert caplog.records[-1].__dict__["LateExports"] == 1
