"""Traces of tiles and events, as functions that Lambda's runtime runs send them to a collector."""

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from api.served import raster, scene, serving, tile_url
from handlers.collector import Collector, collector
from handlers.gateway import HttpApi
from handlers.runtime import Function, function
from handlers.test_start import loaded
from items import item, sqs_event
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.events.message import sqs_messages
from livemosaic.model.mosaic import Mosaic
from livemosaic.storage.allowlist import AllowList
from livemosaic.table.sqlite import SqliteTable
from livemosaic.telemetry.otlp import Collector as Sender
from livemosaic.telemetry.otlp import document
from livemosaic.traces import MAX_SPANS, Trace, recording, span

JSON = {"Content-Type": "application/json"}
SAMPLED = "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=53995c3f42cd8ad8;Sampled=1"
OURS = "5bef4de7ad49b0e87f6ef6c87fc2e700"


@dataclass
class Traced:
    """Both functions, and what takes their traces."""

    collector: Collector
    tiler: Function
    ingest: Function

    @property
    def api(self) -> HttpApi:
        return HttpApi(self.tiler.invoke)


Start = Callable[..., Traced]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    """Starts both functions with settings, and puts a scene into mosaic `m`."""
    with ExitStack() as stack:

        def started(status: int = 200, **settings: str) -> Traced:
            made = stack.enter_context(collector(status))
            environment = {
                "LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db",
                "LIVEMOSAIC_ALLOWED_PREFIXES": f"{tmp_path}/",
                "LIVEMOSAIC_TRACES": made.url,
                "LIVEMOSAIC_TRACE_SHARE": "1",
                "LIVEMOSAIC_METRICS": "maps",
                "AWS_REGION": "eu-central-1",
                **settings,
            }
            table = SqliteTable(tmp_path / "index.db")
            Mosaics(table).create(Mosaic(id="m", collections=("m",)))
            table.close()
            tiler, ingest = (
                stack.enter_context(function(f"{name}.handler", tmp_path, **environment))
                for name in ("tiler", "ingest")
            )
            return Traced(made, tiler, ingest)

        yield started


def put(traced: Traced, folder: Path) -> Any:
    found = scene("a", str(raster(folder / "a.tif", 7)), collection="m")
    return traced.ingest.invoke(sqs_event(json.dumps(found), "rubbish"))


def by_name(spans: Sequence[Mapping[str, Any]]) -> dict[str, Mapping[str, Any]]:
    return {one["name"]: one for one in spans}


def is_in(inner: Mapping[str, Any], outer: Mapping[str, Any]) -> bool:
    """Whether a span is part of another one, and within its time."""
    slack = 5_000_000  # clocks: a step's beginning is computed from its end
    return (
        inner["parentSpanId"] == outer["spanId"]
        and int(inner["startTimeUnixNano"]) >= int(outer["startTimeUnixNano"]) - slack
        and int(inner["endTimeUnixNano"]) <= int(outer["endTimeUnixNano"]) + slack
    )


def test_a_tile_and_an_event_are_traced_step_by_step(start: Start, tmp_path: Path) -> None:
    traced = start()
    put(traced, tmp_path)
    url = f"{tile_url()}?access_token=hidden&unknown=hidden"
    assert traced.api.get(url).status in (200, 401)
    assert traced.api.get(tile_url()).status == 200
    [events, _, tile] = traced.collector.traces()
    assert b"hidden" not in b"".join(traced.collector.bodies)

    found, root = by_name(events), events[-1]
    assert root["name"] == "process events"
    assert root["kind"] == 5
    assert root["attributes"]["messaging.batch.message_count"] == 2
    outcomes = [s["attributes"]["livemosaic.outcome"] for s in events if s["name"] == "message"]
    assert sorted(outcomes) == ["done", "rejected"]
    assert all(is_in(one, root) for one in events if one["name"] in ("message", "headers"))
    message = next(s for s in events if s["spanId"] == found["write"]["parentSpanId"])
    assert message["attributes"]["livemosaic.outcome"] == "done"
    assert found["write"]["attributes"] == {"mosaic": "m"}
    assert is_in(found["parse"], message)

    found, root = by_name(tile), tile[-1]
    assert root["name"].startswith("GET /mosaics/{mosaic}/tiles/")
    assert root["kind"] == 2
    assert "parentSpanId" not in root
    assert root["attributes"]["http.response.status_code"] == 200
    assert root["attributes"]["url.path"] == tile_url()
    for step in ("index", "read", "compose", "encode"):
        assert is_in(found[step], root), step
    assert is_in(found["scene"], found["read"])
    assert found["scene"]["attributes"] == {"scene": "m#a"}
    assert len({one["traceId"] for one in tile}) == 1


def test_a_request_belongs_to_the_trace_of_its_invocation(start: Start) -> None:
    traced = start(LIVEMOSAIC_TRACE_SHARE="0")
    theirs = {"traceparent": f"00-{'a' * 32}-{'b' * 16}-01", "X-Amzn-Trace-Id": SAMPLED}
    assert traced.api.ask("GET", tile_url(), headers=theirs).status in (200, 204)
    assert traced.collector.bodies == []
    traced.tiler.trace = SAMPLED
    assert traced.api.get("/health").status == 200
    [spans] = traced.collector.traces()
    [root] = spans
    assert (root["name"], root["traceId"], root["parentSpanId"]) == ("GET", OURS, SAMPLED[48:64])


def test_a_log_line_names_the_trace_that_it_is_of(start: Start, tmp_path: Path) -> None:
    traced = start()
    put(traced, tmp_path)
    [rejected] = [line for line in traced.ingest.logged() if line["message"] == "message rejected"]
    [spans] = traced.collector.traces()
    assert rejected["trace_id"] == spans[0]["traceId"]


@pytest.mark.parametrize("status", [403, 500, 307])
def test_a_collector_that_refuses_costs_one_request_and_no_response(
    start: Start, tmp_path: Path, status: int
) -> None:
    traced = start(status)
    assert put(traced, tmp_path)["batchItemFailures"] != []
    for _ in range(3):
        assert traced.api.get(tile_url()).status == 200
    assert len(traced.collector.bodies) == 2, "one a function"
    [line] = [one for one in traced.tiler.logged() if one["message"] == "a trace was not sent"]
    assert line["status"] == status


def test_a_trace_that_is_not_understood_says_nothing_of_the_next(start: Start) -> None:
    traced = start(400)
    for _ in range(3):
        traced.api.get("/health")
    assert len(traced.collector.bodies) == 3


def test_a_collector_that_is_not_there_costs_no_response(start: Start) -> None:
    traced = start(LIVEMOSAIC_TRACES="http://127.0.0.1:1/v1/traces")
    assert traced.api.get("/health").status == 200
    [line] = [one for one in traced.tiler.logged() if one["message"] == "a trace was not sent"]
    assert line["level"] == "WARNING"


def test_nothing_of_it_is_loaded_where_it_is_off(tmp_path: Path) -> None:
    index = {"LIVEMOSAIC_INDEX": f"sqlite:///{tmp_path}/index.db", "AWS_REGION": "eu-central-1"}
    for name in ("tiler", "ingest"):
        modules = loaded(f"import {name}", **index)
        assert "livemosaic.telemetry.otlp" not in modules
        assert not [each for each in modules if each.startswith("opentelemetry.sdk")]
        on = loaded(f"import {name}", LIVEMOSAIC_TRACES="http://127.0.0.1:1/v1/traces", **index)
        assert "livemosaic.telemetry.otlp" in on


def test_a_server_traces_too(sqlite_table: SqliteTable, tmp_path: Path) -> None:
    with (
        collector() as taken,
        serving(sqlite_table, tmp_path, traces=taken.url, trace_share=1) as server,
    ):
        assert server.client.get("/mosaics").status_code == 200
        [[root]] = taken.traces()
        assert root["attributes"]["url.path"] == "/mosaics"


def test_an_error_is_one_of_its_span(sqlite_table: SqliteTable, tmp_path: Path) -> None:
    trace = Trace("a" * 32)
    with pytest.raises(KeyError), recording(trace, "outer", "internal"), span("inner"):
        raise KeyError("secret")
    spans = by_name(document(trace, "maps")["resourceSpans"][0]["scopeSpans"][0]["spans"])
    assert spans["inner"]["status"] == {"code": 2, "message": "KeyError"}
    assert "secret" not in json.dumps(spans)


def test_a_trace_is_of_a_bounded_size() -> None:
    trace = Trace("a" * 32)
    with recording(trace, "outer", "internal"):
        for _ in range(MAX_SPANS + 10):
            with span("one"):
                pass
    assert len(trace.spans) <= MAX_SPANS + 1
    assert trace.spans[-1].name == "outer", "the root is never dropped"
    assert "livemosaic.dropped_spans" in json.dumps(document(trace, "maps"))


def test_an_event_of_an_object_is_fetched_and_claimed(sqlite_table: SqliteTable) -> None:
    mosaics = Mosaics(sqlite_table)
    mosaics.create(Mosaic(id="m", collections=("s2",)))
    pool = ThreadPoolExecutor(2)
    index = Index(sqlite_table, mosaics, pool)
    ingest = Ingest(index, AllowList(("https://",)), fetch=lambda href: json.dumps(item()).encode())
    created = json.loads(
        (Path(__file__).parents[1] / "events/payloads/s3-created.json").read_text()
    )
    trace = Trace("a" * 32)
    with recording(trace, "batch", "consumer"):
        [outcome] = ingest.batch(sqs_messages(sqs_event(json.dumps(created["body"]))), pool=pool)
    pool.shutdown()
    assert outcome.status == "done", outcome
    names = [each.name for each in trace.spans]
    assert names == ["fetch", "parse", "claim", "write", "message", "batch"]


def test_requests_to_x_ray_are_signed_and_others_are_not(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "AKIDEXAMPLE")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "secret")
    monkeypatch.delenv("AWS_PROFILE", raising=False)
    ours = Sender("https://xray.eu-central-1.amazonaws.com/v1/traces", "maps").headers(b"{}")
    assert "/eu-central-1/xray/aws4_request" in ours["Authorization"]
    for host in ("collector.example.com", "xray.eu-central-1.amazonaws.com.evil.example"):
        assert set(Sender(f"https://{host}/v1/traces", "maps").headers(b"{}")) == {"Content-Type"}
