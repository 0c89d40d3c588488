"""The Lambda handlers, fed recorded events."""

import asyncio
import base64
import importlib.util
import json
import logging
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from cogs import write_cog
from items import box, item, sqs_event
from livemosaic.model import Mosaic
from livemosaic.mosaics import Mosaics
from livemosaic.table.sqlite import SqliteTable

Load = Callable[[str], ModuleType]
Ask = Callable[[dict[str, Any]], dict[str, Any]]
HANDLERS = Path(__file__).parents[2] / "lambda"


@pytest.fixture
def environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A mosaic `m` in an index that the handlers' environment names."""
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")
    monkeypatch.setenv("LIVEMOSAIC_ALLOWED_PREFIXES", f"https://example.com/, {tmp_path}/")
    table = SqliteTable(tmp_path / "index.db")
    Mosaics(table).create(Mosaic(id="m"))
    table.close()
    return tmp_path


@pytest.fixture
def load(environment: Path) -> Iterator[Load]:
    """Handlers by name, started in that environment and ended after the test."""
    loaded: list[ModuleType] = []

    def start(name: str) -> ModuleType:
        loaded.append(imported(name))
        return loaded[-1]

    yield start
    for module in loaded:
        module.services.index.pool.shutdown()
        module.services.index.table.close()


def imported(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(f"handler_{name}", HANDLERS / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(autouse=True)
def quiet_again() -> Iterator[None]:
    """Take back what a handler's start does to logging."""
    logger = logging.getLogger("livemosaic")
    handlers, level, propagate = logger.handlers[:], logger.level, logger.propagate
    yield
    logger.handlers[:], logger.propagate = handlers, propagate
    logger.setLevel(level)


def image(body: bytes) -> Any:
    """The bands of an image file."""
    with warnings.catch_warnings(), MemoryFile(body) as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as dataset:
            return dataset.read()


def get(path: str, query: str = "") -> dict[str, Any]:
    """A GET as an HTTP API hands it over, payload format 2.0 (API Gateway Developer Guide)."""
    return {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": path,
        "rawQueryString": query,
        "headers": {
            "accept": "*/*",
            "host": "abc123.execute-api.eu-central-1.amazonaws.com",
            "x-forwarded-for": "205.255.255.176",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "domainName": "abc123.execute-api.eu-central-1.amazonaws.com",
            "http": {
                "method": "GET",
                "path": path,
                "protocol": "HTTP/1.1",
                "sourceIp": "205.255.255.176",
                "userAgent": "curl/8",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2020:05:16:23 +0000",
            "timeEpoch": 1583817383220,
        },
        "isBase64Encoded": False,
    }


class TestIngest:
    def test_only_what_failed_is_answered(self, load: Load) -> None:
        handler = load("ingest").handler
        bad = item("b") | {"geometry": None}
        event = sqs_event(json.dumps(item("a")), json.dumps(bad), "rubbish", json.dumps(item("d")))
        ids = [record["messageId"] for record in event["Records"]]
        assert handler(event, None) == {
            "batchItemFailures": [{"itemIdentifier": ids[1]}, {"itemIdentifier": ids[2]}]
        }

    def test_a_batch_that_succeeds_answers_an_empty_list(self, load: Load) -> None:
        handler = load("ingest").handler
        event = sqs_event(json.dumps(item("a")), json.dumps(item("a")))
        assert handler(event, None) == {"batchItemFailures": []}

    def test_why_a_message_failed_is_a_json_log_line(
        self, load: Load, capsys: pytest.CaptureFixture[str]
    ) -> None:
        handler = load("ingest").handler
        handler(sqs_event(json.dumps(item("b", box(0, 88, 1, 91)))), None)
        (line,) = map(json.loads, capsys.readouterr().err.splitlines())
        assert line["level"] == "WARNING"
        assert line["message_id"] == "059f36b4-87a3-44ab-83d2-661970000000"
        assert "latitude 91" in line["reason"]


@pytest.fixture
def ask(load: Load) -> Iterator[Ask]:
    """The tiler's handler."""
    module = load("tiler")
    yield lambda event: module.handler(event, {})
    module.loop.close()
    asyncio.set_event_loop(None)


class TestTiler:
    def test_a_tile_of_what_the_ingest_handler_took(
        self, environment: Path, load: Load, ask: Ask
    ) -> None:
        data = np.zeros((3, 256, 256), np.uint8) + np.array([[[10]], [[200]], [[30]]], np.uint8)
        path = environment / "a.tif"
        write_cog(path, data, crs="EPSG:4326", bounds=(7, 45, 8, 46))
        event = sqs_event(json.dumps(item("a", href=str(path))))
        assert load("ingest").handler(event, None) == {"batchItemFailures": []}
        answer = ask(get("/mosaics/m/tiles/WebMercatorQuad/12/2133/1462.png"))
        assert answer["statusCode"] == 200
        assert answer["headers"]["content-type"] == "image/png"
        assert answer["isBase64Encoded"] is True
        assert image(base64.b64decode(answer["body"]))[:, 128, 128].tolist() == [10, 200, 30, 255]

    def test_links_name_the_address_that_was_asked(self, ask: Ask) -> None:
        path = "/mosaics/m/tiles/WebMercatorQuad/tilejson.json"
        answer = ask(get(path, "rescale=0,255"))
        assert json.loads(answer["body"])["tiles"] == [
            "https://abc123.execute-api.eu-central-1.amazonaws.com"
            "/mosaics/m/tiles/WebMercatorQuad/{z}/{x}/{y}?rescale=0%2C255"
        ]

    def test_what_is_not_there_is_a_404(self, ask: Ask) -> None:
        answer = ask(get("/mosaics/x/info"))
        assert (answer["statusCode"], json.loads(answer["body"])) == (
            404,
            {"detail": "there is no mosaic 'x'"},
        )
