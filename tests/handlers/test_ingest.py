"""The ingestion function, fed batches as Lambda hands them over."""

import json
from pathlib import Path
from typing import Any

import pytest

from handlers.conftest import Deployed
from handlers.gateway import SIGNED
from handlers.runtime import FunctionError, function
from items import box, deletion, item, notification, sqs_event
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic
from livemosaic.table.sqlite import SqliteTable

BAD = json.dumps(item("bad") | {"geometry": None})


@pytest.fixture(scope="module", autouse=True)
def mosaic(deployed: Deployed) -> None:
    body = json.dumps({"id": "m"}).encode()
    headers = {"content-type": "application/json"}
    answer = deployed.api.ask("POST", "/mosaics", headers=headers, body=body, authorizer=SIGNED)
    assert answer.status == 201


def ids(event: dict[str, Any], *which: int) -> list[dict[str, str]]:
    return [{"itemIdentifier": event["Records"][n]["messageId"]} for n in which]


class TestBatch:
    def test_only_what_failed_is_answered(self, deployed: Deployed) -> None:
        event = sqs_event(json.dumps(item("a")), BAD, "rubbish", json.dumps(item("d")))
        assert deployed.ingest.invoke(event) == {"batchItemFailures": ids(event, 1, 2)}

    def test_a_batch_that_succeeds_answers_an_empty_list(self, deployed: Deployed) -> None:
        event = sqs_event(json.dumps(item("a")), json.dumps(item("a")))
        assert deployed.ingest.invoke(event) == {"batchItemFailures": []}

    def test_a_message_delivered_twice_is_named_once(self, deployed: Deployed) -> None:
        event = sqs_event(BAD, json.dumps(item("a")))
        event["Records"].append(event["Records"][0])
        assert deployed.ingest.invoke(event) == {"batchItemFailures": ids(event, 0)}

    def test_a_message_without_a_body_fails_alone(self, deployed: Deployed) -> None:
        event = sqs_event(json.dumps(item("a")), "", json.dumps(item("c")))
        del event["Records"][1]["body"]
        assert deployed.ingest.invoke(event) == {"batchItemFailures": ids(event, 1)}

    def test_why_a_message_failed_is_one_json_log_line(self, deployed: Deployed) -> None:
        event = sqs_event(json.dumps(item("b", box(0, 88, 1, 91))))
        event["Records"][0]["messageId"] = "this-one"
        deployed.ingest.invoke(event)
        (line,) = (x for x in deployed.ingest.logged() if x.get("message_id") == "this-one")
        assert line["level"] == "WARNING"
        assert "latitude 91" in line["reason"]


class TestOtherEvents:
    @pytest.mark.parametrize(
        ("event", "says"),
        [
            pytest.param({"key1": "value1"}, "with 'Records'; this event is", id="console's test"),
            pytest.param([], "with 'Records'; this event is", id="a list, as of a pipe"),
            pytest.param(
                {"Records": [{"EventSource": "aws:sns", "Sns": {"Message": "{}"}}]},
                "not from 'aws:sns': send that to the queue",
                id="sns without a queue",
            ),
            pytest.param(
                {"Records": [{"eventSource": "aws:s3", "s3": {}}]},
                "not from 'aws:s3': send that to the queue",
                id="s3 without a queue",
            ),
            pytest.param(
                {"Records": [{"eventSource": "aws:sqs", "messageId": "", "body": "{}"}]},
                "this function takes batches from SQS: a record has no 'messageId'",
                id="a message that no answer can name",
            ),
        ],
    )
    def test_what_is_no_batch_of_a_queue_is_an_error(
        self, deployed: Deployed, event: Any, says: str
    ) -> None:
        """An answer would be read by nobody, and the event be lost."""
        with pytest.raises(FunctionError, match="this function takes batches from SQS") as error:
            deployed.ingest.invoke(event)
        assert error.value.kind == "InvalidRequestError"
        assert says in error.value.message

    def test_the_next_batch_goes_well(self, deployed: Deployed) -> None:
        event = sqs_event(json.dumps(item("a")))
        assert deployed.ingest.invoke(event) == {"batchItemFailures": []}


class TestBrokenTable:
    def test_every_message_is_answered_as_failed(self, tmp_path: Path) -> None:
        index = tmp_path / "index.db"
        with function("ingest.handler", tmp_path, LIVEMOSAIC_INDEX=f"sqlite:///{index}") as ingest:
            table = SqliteTable(index)
            Mosaics(table).create(Mosaic(id="m"))
            table.close()
            assert ingest.invoke(sqs_event()) == {"batchItemFailures": []}  # it has started
            for file in tmp_path.glob("index.db*"):
                file.write_bytes(b"not a database" * 1000)
            event = sqs_event(json.dumps(item("a")), json.dumps(item("b")))
            assert ingest.invoke(event) == {"batchItemFailures": ids(event, 0, 1)}
            assert "index.db" in str(ingest.logged()[-1])

    def test_an_index_that_cannot_be_is_said_at_the_start(self, tmp_path: Path) -> None:
        with (
            function("ingest.handler", tmp_path, LIVEMOSAIC_INDEX="postgres://x") as ingest,
            pytest.raises(FunctionError) as error,
        ):
            ingest.invoke(sqs_event())
        assert error.value.kind == "InvalidRequestError"
        assert error.value.message.startswith("no table at 'postgres://x': use sqlite:///FILE")


class TestForce:
    def test_no_message_of_a_queue_can_insist(self, deployed: Deployed) -> None:
        """Whatever it is named: only a user of the API or the command may."""
        gone = json.dumps(deletion("x", time="2026-03-01T13:00:00Z"))
        deployed.ingest.invoke(sqs_event(gone))
        one = item("x")
        bodies = [
            {**one, "force": True},
            {**one, "properties": {**one["properties"], "force": "true"}},
            {"type": "FeatureCollection", "features": [one], "force": True},
            {**notification(one, "2026-03-01T12:00:00Z"), "force": True},
        ]
        attributes = [{"force": "true", "op": "force"}] * len(bodies)
        event = sqs_event(*map(json.dumps, bodies), attributes=attributes)
        assert deployed.ingest.invoke(event) == {"batchItemFailures": []}
        assert deployed.api.ask("GET", "/mosaics/m/items/x?collection=s2").status == 404
