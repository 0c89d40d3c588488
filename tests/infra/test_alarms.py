"""Faults raise an alarm of the template: of what the handlers log, and of what AWS measures.

The handlers run as on Lambda, on stores and tables that fail. A fault lasts a quarter of an hour,
in which the same requests come each minute.
"""

import json
import re
import shutil
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import pytest

from api.overviews import document, make_scenes
from api.served import raster, scene, tile_url
from handlers.cloudwatch import CloudWatch, Datapoint, metric, of_log
from handlers.faulty import faulty
from handlers.gateway import SIGNED, HttpApi
from handlers.runtime import Function, FunctionError, function
from items import item, sqs_event
from livemosaic.errors import Reason
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.table.sqlite import SqliteTable

ROOT = Path(__file__).parents[2]
TILE = tile_url(".png")
LASTS_S = 900
KEYS = {"AWS_ACCESS_KEY_ID": "nobody", "AWS_SECRET_ACCESS_KEY": "SECRET"}
BY_AWS = {
    "AWS/ApiGateway": ({"ApiId"}, {"4xx", "5xx", "Count", "DataProcessed", "Latency"}),
    "AWS/DynamoDB": ({"TableName"}, {"ReadThrottleEvents", "WriteThrottleEvents"}),
    "AWS/Lambda": ({"FunctionName"}, {"Duration", "Errors", "Throttles"}),
    "AWS/SQS": (
        {"QueueName"},
        {"ApproximateAgeOfOldestMessage", "ApproximateNumberOfMessagesVisible"},
    ),
}
"""Dimensions and metrics of AWS, as the guide of each service lists them."""


def alarms(made: Any) -> dict[str, dict[str, Any]]:
    """By the name that the runbook has them by."""
    found = made.of_type("AWS::CloudWatch::Alarm")
    return {name.removeprefix("Alarms")[:-8]: alarm for name, alarm in found.items()}


def raised(made: Any, points: Iterable[Datapoint], lasts_s: float = LASTS_S) -> set[str]:
    """The alarms that go off while a fault lasts whose traffic of a minute made the points."""
    watching = CloudWatch()
    watching.repeat(points, every_s=60, for_s=lasts_s)
    return {
        name
        for name, alarm in alarms(made).items()
        if watching.raised_after(alarm, lasts_s) is not None
    }


def by_aws(made: Any, resource: str, name: str, value: float) -> list[Datapoint]:
    """A metric that AWS measures of a resource whose logical id begins so."""
    of_kind = {
        "Function": ("AWS/Lambda", "FunctionName", lambda id_: {"Ref": id_}),
        "Api": ("AWS/ApiGateway", "ApiId", lambda id_: {"Ref": id_}),
        "Queue": ("AWS/SQS", "QueueName", lambda id_: {"Fn::GetAtt": [id_, "QueueName"]}),
    }
    types = {
        "Function": "AWS::Lambda::Function",
        "Api": "AWS::ApiGatewayV2::Api",
        "Queue": "AWS::SQS::Queue",
    }
    [(id_, kind)] = (
        (id_, kind)
        for id_, each in made.resources.items()
        for kind, type_ in types.items()
        if each["Type"] == type_ and id_.startswith(resource)
    )
    namespace, dimension, reference = of_kind[kind]
    return [Datapoint(metric(namespace, name, {dimension: reference(id_)}), value, 0)]


def by_table(made: Any, name: str, value: float) -> list[Datapoint]:
    [table] = {
        json.dumps(each["Value"], sort_keys=True)
        for alarm in alarms(made).values()
        for each in alarm["Dimensions"]
        if each["Name"] == "TableName"
    }
    assert "livemosaic-data" in table
    return [Datapoint(metric("AWS/DynamoDB", name, {"TableName": json.loads(table)}), value, 0)]


class Tiles:
    """The tiler function as deployed, with one scene, and what it logged."""

    def __init__(self, tiler: Function) -> None:
        self._tiler = tiler
        self.api = HttpApi(tiler.invoke)

    def ask(self, count: int = 3) -> list[Any]:
        return [self.api.get(f"{TILE}?fresh={n}") for n in range(count)]

    def points(self) -> list[Datapoint]:
        return of_log(self._tiler.logged())

    def skips(self) -> list[dict[str, Any]]:
        return [line for line in self._tiler.logged() if "SkippedScenes" in line]


@contextmanager
def tiles(made: Any, folder: Path, href: str, prefixes: str, **environment: str) -> Iterator[Tiles]:
    """One scene at a href that was allowed at ingestion."""
    index = {"LIVEMOSAIC_INDEX": f"sqlite:///{folder}/index.db", **KEYS}
    own = {"LIVEMOSAIC_ALLOWED_PREFIXES": prefixes, "LIVEMOSAIC_METRICS": made.name, **index}
    anything = {**own, "LIVEMOSAIC_ALLOWED_PREFIXES": f"s3://,https://,{folder}/"}
    with function("tiler.handler", folder, **anything) as writer:
        api = HttpApi(writer.invoke)
        headers = {"Content-Type": "application/json"}
        for path, document in (("/mosaics", {"id": "m"}), ("/mosaics/m/items", scene("a", href))):
            body = json.dumps(document).encode()
            answer = api.ask("POST", path, headers=headers, body=body, authorizer=SIGNED)
            assert answer.status in (200, 201), answer.content
    with function("tiler.handler", folder, **(own | environment)) as tiler:
        yield Tiles(tiler)


def test_a_healthy_map_raises_no_alarm(default: Any, tmp_path: Path) -> None:
    with tiles(default, tmp_path, str(raster(tmp_path / "a.tif", 9)), f"{tmp_path}/") as shown:
        assert [answer.headers["x-scenes"] for answer in shown.ask()] == ["a"] * 3
        assert not shown.skips()
        names = {point.metric[1] for point in shown.points()}
        assert names == {"Images", "TruncatedImages", "UnreadableScenes", "UnreadablePercent"}
        assert raised(default, shown.points()) == set()


def test_all_objects_gone_raises_an_alarm(default: Any, tmp_path: Path) -> None:
    where = raster(tmp_path / "a.tif", 9)
    with tiles(default, tmp_path, str(where), f"{tmp_path}/") as shown:
        where.unlink()
        answers = shown.ask()
        assert {answer.status for answer in answers} == {200}, "the map itself shows nothing"
        assert "is missing" in answers[0].headers["x-skipped-scenes"]
        assert [line["reason"] for line in shown.skips()] == ["missing"]
        assert raised(default, shown.points()) == {"UnreadableScenes"}


@pytest.mark.parametrize(
    ("status", "hangs_s", "reason"),
    [(403, 0, "denied"), (404, 0, "missing"), (503, 0, "unavailable"), (200, 30, "timeout")],
    ids=["a grant lost", "objects gone", "a store that fails", "a store that hangs"],
)
def test_a_bucket_that_gives_nothing_raises_an_alarm(
    default: Any, tmp_path: Path, status: int, hangs_s: float, reason: str
) -> None:
    with faulty(status, hangs_s=hangs_s) as store:
        own = {"AWS_ENDPOINT_URL_S3": store.url, "LIVEMOSAIC_MAX_PICTURE_S": "2"}
        if reason == "unavailable":
            own["LIVEMOSAIC_MAX_PICTURE_S"] = "25"
        with tiles(default, tmp_path, "s3://scenes/a.tif", "s3://scenes/", **own) as shown:
            assert {answer.status for answer in shown.ask(1)} == {200}
            [line] = shown.skips()
            assert (line["reason"], line["mosaics"]) == (reason, {"m": 1})
            if reason != "timeout":
                assert line["hosts"] == {"scenes": 1}
            assert raised(default, shown.points()) == {"UnreadableScenes"}


def test_an_allow_list_that_became_narrower_raises_an_alarm(default: Any, tmp_path: Path) -> None:
    with tiles(default, tmp_path, "s3://scenes/a.tif", "s3://others/") as shown:
        shown.ask(1)
        assert [line["reason"] for line in shown.skips()] == ["not_allowed"]
        assert raised(default, shown.points()) == {"UnreadableScenes"}


def test_damaged_files_raise_an_alarm(default: Any, tmp_path: Path) -> None:
    where = tmp_path / "a.tif"
    where.write_bytes(b"II*\0" + b"\xff" * 5000)
    with tiles(default, tmp_path, str(where), f"{tmp_path}/") as shown:
        shown.ask(1)
        assert [line["reason"] for line in shown.skips()] == ["unreadable"]
        assert raised(default, shown.points()) == {"UnreadableScenes"}


def test_no_credential_is_logged(default: Any, tmp_path: Path) -> None:
    host = "https://scenes.example.invalid/"
    href = f"{host}a.tif?X-Amz-Signature=SECRET&sig=SECRET"
    own = {"LIVEMOSAIC_MAX_PICTURE_S": "3"}
    with tiles(default, tmp_path, href, host, **own) as shown:
        shown.ask(1)
        [line] = shown.skips()
        assert line["reason"] in ("unavailable", "timeout")
        assert "SECRET" not in json.dumps(line)


# The table


THROTTLED = "ProvisionedThroughputExceededException"
NO_GRANT = "AccessDeniedException"


@pytest.mark.parametrize("error", [THROTTLED, NO_GRANT], ids=["throttled", "grant lost"])
def test_a_table_that_refuses_raises_alarms_of_reads_and_of_events(
    default: Any, tmp_path: Path, error: str
) -> None:
    body = json.dumps({"__type": f"com.amazonaws.dynamodb.v20120810#{error}", "message": "no"})
    with faulty(400, body.encode()) as table:
        own = {
            "LIVEMOSAIC_INDEX": "dynamodb://eu-central-1/table",
            "AWS_ENDPOINT_URL_DYNAMODB": table.url,
            "LIVEMOSAIC_METRICS": default.name,
            **KEYS,
        }
        with function("tiler.handler", tmp_path, **own) as tiler:
            assert HttpApi(tiler.invoke).get(TILE).status == 503
        with function("ingest.handler", tmp_path, **own) as ingest:
            failed = ingest.invoke(sqs_event(json.dumps(item("a"))))["batchItemFailures"]
            assert len(failed) == 1
            logged = of_log(ingest.logged())
    of_api = by_aws(default, "Api", "5xx", 3)
    points = [*logged, *of_api]
    if error == THROTTLED:
        points += by_table(default, "ReadThrottleEvents", 9)
    expected = {"FailedEvents", "ApiErrors"}
    assert raised(default, points) == expected | (
        {"TableReadThrottles"} if error == THROTTLED else set()
    )


def test_writes_that_the_table_throttles_raise_an_alarm(default: Any) -> None:
    points = by_table(default, "WriteThrottleEvents", 1)
    assert raised(default, points) == {"TableWriteThrottles"}


# Events


def test_an_event_that_can_never_succeed_raises_an_alarm_within_a_minute(
    default: Any, tmp_path: Path
) -> None:
    """The dead-letter queue's own metric; the function reports it as no failure to repeat."""
    own = {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db", "LIVEMOSAIC_METRICS": default.name}
    with function("ingest.handler", tmp_path, **own) as ingest:
        ingest.invoke(sqs_event("rubbish"))
        assert "rejected" in json.dumps(ingest.logged())
    letters = by_aws(default, "InboxDeadLetters", "ApproximateNumberOfMessagesVisible", 1)
    assert raised(default, letters, lasts_s=60) == {"DeadLetters"}


def test_dead_letters_that_nobody_handles_raise_another_alarm(default: Any) -> None:
    age = by_aws(default, "InboxDeadLetters", "ApproximateAgeOfOldestMessage", 8 * 86400)
    assert raised(default, age) == {"OldestDeadLetter"}


def test_ingestion_that_stopped_raises_an_alarm(default: Any) -> None:
    age = by_aws(default, "InboxQueue", "ApproximateAgeOfOldestMessage", 2 * 3600)
    assert raised(default, age) == {"OldestMessage"}


# Functions and the API


def test_a_function_that_cannot_start_raises_an_alarm(default: Any, tmp_path: Path) -> None:
    with (
        function("tiler.handler", tmp_path, LIVEMOSAIC_INDEX="nonsense://") as tiler,
        pytest.raises(FunctionError),
    ):
        tiler.invoke({})
    points = by_aws(default, "TilerFunction", "Errors", 1) + by_aws(default, "Api", "5xx", 1)
    assert raised(default, points) == {"TilerErrors", "ApiErrors"}


@pytest.mark.parametrize("title", ["Tiler", "Manager", "Ingest"])
@pytest.mark.parametrize(("name", "value"), [("Errors", 1), ("Throttles", 1), ("Duration", 55_000)])
def test_each_function_is_watched(default: Any, title: str, name: str, value: float) -> None:
    points = by_aws(default, f"{title}Function", name, value)
    assert raised(default, points) == {f"{title}{name}"}


# Overviews


@pytest.mark.parametrize(
    ("name", "value", "alarm"),
    [("OldestStaleSeconds", 1000, "OldestStale"), ("FailedBuilds", 1, "FailedBuilds")],
)
def test_overviews_that_are_behind_or_fail_raise_an_alarm(
    overviews: Any, name: str, value: float, alarm: str
) -> None:
    ours = metric("livemosaic", name, {"Deployment": overviews.name})
    assert raised(overviews, [Datapoint(ours, value, 0)]) == {alarm}


@dataclass
class LowZooms:
    """The functions of a deployment with overviews, on an index with 25 scenes."""

    folder: Path
    environment: Mapping[str, str]

    def publish(self) -> None:
        table = SqliteTable(self.folder / "index.db")
        Mosaics(table).create(Mosaic(id="m", overviews=OverviewPolicy()))
        table.close()
        event = sqs_event(*map(json.dumps, map(document, make_scenes(self.folder, 5))))
        with function("ingest.handler", self.folder, **self.environment) as ingest:
            assert ingest.invoke(event) == {"batchItemFailures": []}

    def build(self, **store: str) -> tuple[bool, list[Datapoint]]:
        """Whether the hint of the mosaic is done with, and the metrics of the builder."""
        with function("overviews.handler", self.folder, **self.environment, **store) as builder:
            event = sqs_event(json.dumps({"mosaic": "m", "region": ""}))
            failed = builder.invoke(event)["batchItemFailures"]
            return not failed, of_log(builder.logged())


@pytest.fixture
def low_zooms(overviews: Any, tmp_path: Path) -> LowZooms:
    environment = {
        "LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db",
        "LIVEMOSAIC_ALLOWED_PREFIXES": f"{tmp_path}/",
        "LIVEMOSAIC_METRICS": overviews.name,
        "AWS_ENDPOINT_URL": "http://127.0.0.1:9",
        **KEYS,
    }
    made = LowZooms(tmp_path, environment)
    made.publish()
    return made


@pytest.mark.parametrize(
    "status", [404, 403], ids=["the bucket is gone", "a grant on bucket or key is lost"]
)
def test_a_bucket_of_overviews_that_takes_nothing_raises_an_alarm(
    overviews: Any, low_zooms: LowZooms, status: int
) -> None:
    with faulty(status) as store:
        own = {"AWS_ENDPOINT_URL_S3": store.url, "LIVEMOSAIC_OVERVIEW_STORE": "s3://overviews"}
        is_done, points = low_zooms.build(**own)
    assert not is_done, "it will be tried again"
    assert raised(overviews, points) == {"FailedBuilds"}


def test_objects_of_overviews_that_are_gone_raise_an_alarm(
    overviews: Any, low_zooms: LowZooms
) -> None:
    is_done, points = low_zooms.build()
    assert is_done
    assert raised(overviews, points) == set()
    shutil.rmtree(low_zooms.folder / "index.db.overviews")
    with function("tiler.handler", low_zooms.folder, **low_zooms.environment) as tiler:
        answer = HttpApi(tiler.invoke).get("/mosaics/m/tiles/WebMercatorQuad/3/4/2.png")
        assert answer.status == 200
        assert "overview" in answer.headers["x-skipped-scenes"]
        assert raised(overviews, of_log(tiler.logged())) == {"UnreadableScenes"}


def test_hints_that_failed_for_good_raise_an_alarm(overviews: Any) -> None:
    letters = "OverviewsHintsDeadLetters"
    points = by_aws(overviews, letters, "ApproximateNumberOfMessagesVisible", 1)
    assert raised(overviews, points) == {"HintDeadLetters"}


@pytest.mark.parametrize("title", ["Builder", "Sweep"])
@pytest.mark.parametrize(
    ("name", "value"), [("Errors", 1), ("Throttles", 1), ("Duration", 890_000)]
)
def test_each_function_of_overviews_is_watched(
    overviews: Any, title: str, name: str, value: float
) -> None:
    points = by_aws(overviews, f"{title}Function", name, value)
    assert raised(overviews, points) == {f"{title}{name}"}


def test_the_dashboard_shows_how_far_overviews_are_behind(overviews: Any) -> None:
    [page] = overviews.of_type("AWS::CloudWatch::Dashboard").values()
    body = json.dumps(page["DashboardBody"])
    assert "OldestStaleSeconds" in body
    assert "FailedBuilds" in body


def test_an_api_that_is_slow_raises_an_alarm(default: Any) -> None:
    assert raised(default, by_aws(default, "Api", "Latency", 9000)) == {"ApiLatency"}


def test_traffic_at_the_throttle_raises_an_alarm(default: Any) -> None:
    requests = by_aws(default, "Api", "Count", 60 * 200)
    assert raised(default, requests) == {"ApiRequests"}
    tiles = by_aws(default, "Api", "DataProcessed", 60 * 20 * 4_700_000)
    assert raised(default, tiles) == {"ApiTraffic"}, "the largest images, at a tenth of it"


@pytest.mark.parametrize("alarm", ["ApiErrors", "TableReadThrottles", "UnreadableScenes"])
def test_one_bad_period_is_not_enough(default: Any, alarm: str) -> None:
    found = alarms(default)[alarm]
    dimensions = {each["Name"]: each["Value"] for each in found["Dimensions"]}
    once = Datapoint(metric(found["Namespace"], found["MetricName"], dimensions), 100, 0)
    assert raised(default, [once], lasts_s=60) == set()


# All of them


@pytest.mark.parametrize("name", ["default", "everything", "adopted", "overviews", "canary"])
def test_each_alarm_watches_a_metric_that_somebody_writes(deployment: Any, name: str) -> None:
    ours = {"UnreadablePercent", "FailedEvents", "FailedBuilds", "OldestStaleSeconds"}
    for alarm in alarms(deployment(name)).values():
        namespace, dimensions = alarm["Namespace"], {d["Name"] for d in alarm["Dimensions"]}
        if namespace == "livemosaic":
            assert (dimensions, alarm["MetricName"] in ours) == ({"Deployment"}, True)
            continue
        of_aws, names = BY_AWS[namespace]
        assert (dimensions, alarm["MetricName"] in names) == (of_aws, True)


@pytest.mark.parametrize("name", ["default", "everything", "adopted", "overviews"])
def test_each_alarm_goes_to_the_topic_and_so_does_its_end(deployment: Any, name: str) -> None:
    made = deployment(name)
    topic = made.outputs["AlarmTopicArn"]["Value"]
    for alarm in alarms(made).values():
        assert alarm["AlarmActions"] == alarm["OKActions"] == [topic]


def test_the_runbook_has_a_chapter_for_each_alarm_and_no_other(deployment: Any) -> None:
    every = alarms(deployment("canary")) | alarms(deployment("exports"))
    text = (ROOT / "docs" / "runbook.md").read_text()
    chapters = re.findall(r"^### (.+)$", text, re.MULTILINE)
    named = [name for chapter in chapters for name in re.findall(r"`(\w+)`", chapter)]
    assert sorted(named) == sorted(every)
    for name, alarm in every.items():
        assert alarm["AlarmDescription"].endswith(f"Runbook: {name}.")


def test_the_runbook_names_each_reason_for_which_scenes_are_skipped() -> None:
    text = (ROOT / "docs" / "runbook.md").read_text()
    chapter = text.partition("### `UnreadableScenes`")[2].partition("### ")[0]
    rows = re.findall(r"^\| `(\w+)` \|", chapter, re.MULTILINE)
    assert sorted(rows) == sorted(get_args(Reason))


def test_the_functions_log_in_json_and_lambda_itself_only_what_is_wrong(
    default: Any, everything: Any
) -> None:
    for name in ("Tiler", "Manager", "Ingest"):
        usual, chosen = (made.function(name)["LoggingConfig"] for made in (default, everything))
        assert usual["LogFormat"] == "JSON"
        assert (usual["ApplicationLogLevel"], usual["SystemLogLevel"]) == ("INFO", "WARN")
        assert (chosen["ApplicationLogLevel"], chosen["SystemLogLevel"]) == ("DEBUG", "INFO")
