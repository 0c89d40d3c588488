"""`livemosaic dlq`, on queues of an emulated SQS."""

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from botocore.awsrequest import AWSResponse
from botocore.client import BaseClient
from click.testing import Result
from typer.testing import CliRunner

from items import deletion, item
from livemosaic.cli import app
from livemosaic.ingest.redrive import DeadLetterReader, QueueError
from livemosaic_cdk.tools.emulator import REGION, Emulator, emulator

pytestmark = pytest.mark.emulator

Run = Callable[..., Result]


@pytest.fixture(scope="module")
def aws() -> Iterator[Emulator]:
    with emulator() as running:
        yield running


@pytest.fixture(autouse=True)
def wait_for_no_other_server(monkeypatch: pytest.MonkeyPatch) -> None:
    """Readers wait a second, as SQS is many servers; the emulator is one."""
    call = BaseClient._make_api_call

    def at_once(client: BaseClient, operation: str, given: dict[str, Any]) -> Any:
        wait = {"WaitTimeSeconds": 0} if operation == "ReceiveMessage" else {}
        return call(client, operation, given | wait)

    monkeypatch.setattr(BaseClient, "_make_api_call", at_once)


def texts(message: dict[str, Any]) -> dict[str, str]:
    """Its attributes."""
    given = message.get("MessageAttributes", {})
    return {name: attribute["StringValue"] for name, attribute in given.items()}


class Queues:
    """A queue and the one of its dead letters, both empty at first."""

    def __init__(self, client: Any) -> None:
        self.client = client
        self.main, self.dead = (
            client.create_queue(QueueName=f"{kind}-{uuid4()}")["QueueUrl"]
            for kind in ("main", "dead")
        )

    def bury(self, body: Any, reason: str | None = None, **attributes: str) -> None:
        """A dead letter, as ingestion leaves it, or SQS where there is no reason."""
        told = attributes | ({"livemosaic.reason": reason} if reason else {})
        self.client.send_message(
            QueueUrl=self.dead,
            MessageBody=body if isinstance(body, str) else json.dumps(body),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": text} for name, text in told.items()
            },
        )

    def received(self, queue: str) -> list[dict[str, Any]]:
        """All that a consumer finds now."""
        found: list[dict[str, Any]] = []
        while batch := self.client.receive_message(
            QueueUrl=queue, MaxNumberOfMessages=10, MessageAttributeNames=["All"]
        ).get("Messages"):
            found += batch
        return found

    def bodies(self, queue: str) -> list[Any]:
        return sorted(message["Body"] for message in self.received(queue))

    def failing(self, operation: str) -> None:
        """Let every call of one operation be refused."""
        body = {"__type": "com.amazonaws.sqs#AccessDeniedException", "message": "not today"}
        self._answer(operation, 403, body)

    def fed_by(self, *queues: str) -> None:
        """Answer what the emulator does not know (SQS API, ListDeadLetterSourceQueues)."""
        self._answer("ListDeadLetterSourceQueues", 200, {"queueUrls": queues})

    def _answer(self, operation: str, status: int, body: Any) -> None:
        raw = json.dumps(body).encode()

        def answer(request: Any, **_: Any) -> AWSResponse:
            headers = {"content-type": "application/x-amz-json-1.0"}
            response = AWSResponse(request.url, status, headers, None)
            response._content = raw
            return response

        self.client.meta.events.register(f"before-send.sqs.{operation}", answer)


@pytest.fixture
def queues(aws: Emulator) -> Iterator[Queues]:
    with closing(aws.client("sqs")) as client:
        yield Queues(client)


@pytest.fixture
def run(aws: Emulator, queues: Queues, monkeypatch: pytest.MonkeyPatch) -> Run:
    monkeypatch.setenv("AWS_ENDPOINT_URL_SQS", aws.url)
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "test")
    monkeypatch.setenv("AWS_REGION", REGION)
    monkeypatch.setenv("AWS_DEFAULT_REGION", REGION)
    monkeypatch.setenv("LIVEMOSAIC_DEAD_LETTERS", queues.dead)
    monkeypatch.setenv("COLUMNS", "250")

    def command(*words: str, code: int = 0) -> Result:
        result = CliRunner().invoke(app, ["dlq", *words])
        assert result.exit_code == code, result.output
        assert "Traceback" not in result.output
        return result

    return command


class TestList:
    def test_letters_are_listed_with_the_item_and_the_reason(
        self, run: Run, queues: Queues
    ) -> None:
        queues.bury(item("a"), "geometry [/nothing] is null")
        queues.bury(deletion("b"))
        queues.bury("garbage", "not JSON")
        result = run("list")
        assert "s2/a " in result.stdout
        assert "geometry [/nothing] is null" in result.stdout
        assert "deletion of s2/b" in result.stdout
        assert "kept failing: the log of ingestion says why" in result.stdout
        assert "unreadable parts" in result.stdout
        assert "0 min" in result.stdout
        assert result.stderr == "3 dead letters\n"

    def test_letters_are_there_for_others_at_once_after_they_were_listed(
        self, run: Run, queues: Queues
    ) -> None:
        bodies = [f"{n:02}" for n in range(25)]
        for body in bodies:
            queues.bury(body)
        assert run("list").stderr == "25 dead letters\n"
        assert queues.bodies(queues.dead) == bodies

    def test_programs_get_json(self, run: Run, queues: Queues) -> None:
        queues.bury(item("a"), "no geometry")
        [letter] = json.loads(run("list", "--json").stdout)
        assert letter.keys() == {"id", "sent", "received", "about", "reason", "body"}
        assert (letter["about"], letter["reason"], letter["received"]) == ("s2/a", "no geometry", 1)
        assert json.loads(letter["body"]) == item("a")

    def test_what_is_not_shown_is_counted(self, run: Run, queues: Queues) -> None:
        for n in range(5):
            queues.bury(f"{n}")
        result = run("list", "--limit", "2")
        assert result.stderr == "2 dead letters, 3 more with --limit\n"
        assert len(queues.received(queues.dead)) == 5

    def test_no_letter_is_no_table(self, run: Run) -> None:
        result = run("list")
        assert (result.stdout, result.stderr) == ("", "0 dead letters\n")

    def test_what_eventbridge_could_not_deliver_says_so_itself(
        self, run: Run, queues: Queues
    ) -> None:
        queues.bury(item("a"), ERROR_CODE="NO_PERMISSIONS", ERROR_MESSAGE="Lack of permissions")
        [letter] = json.loads(run("list", "--json").stdout)
        assert letter["reason"] == "NO_PERMISSIONS: Lack of permissions"

    def test_many_items_of_one_letter_are_counted(self, run: Run, queues: Queues) -> None:
        features = [item(name) for name in "abcde"]
        queues.bury({"type": "FeatureCollection", "features": features})
        [letter] = json.loads(run("list", "--json").stdout)
        assert letter["about"] == "s2/a, s2/b, s2/c and 2 more"


class TestRedrive:
    def test_a_letter_goes_back_as_it_first_came(self, run: Run, queues: Queues) -> None:
        queues.bury(item("a"), "no geometry", status="deleted")
        assert run("redrive", "--to", queues.main).stderr == "1 dead letter sent back\n"
        [message] = queues.received(queues.main)
        assert json.loads(message["Body"]) == item("a")
        attributes = texts(message)
        assert attributes.pop("livemosaic.sent")
        assert attributes == {"status": "deleted"}
        assert queues.received(queues.dead) == []

    def test_a_letter_is_no_newer_for_being_sent_back(self, run: Run, queues: Queues) -> None:
        """Its time is that at which it was first sent: by itself, or as ingestion noted."""
        queues.bury("x")
        queues.bury("y", **{"livemosaic.sent": "1767225600000"})
        listed = json.loads(run("list", "--json").stdout)
        assert listed[0]["sent"] == "2026-01-01T00:00:00+00:00"
        run("redrive", "--to", queues.main)
        sent = {m["Body"]: texts(m)["livemosaic.sent"] for m in queues.received(queues.main)}
        [x] = (letter["sent"] for letter in listed if letter["body"] == "x")
        assert int(sent["x"]) == round(datetime.fromisoformat(x).timestamp() * 1000)
        assert sent["y"] == "1767225600000"

    @pytest.mark.parametrize("sent", ["soon", "-1", "9" * 40])
    def test_a_time_that_is_none_is_not_believed(self, run: Run, queues: Queues, sent: str) -> None:
        queues.bury("x", **{"livemosaic.sent": sent})
        [letter] = json.loads(run("list", "--json").stdout)
        assert letter["sent"] > "2026"

    def test_attributes_that_leave_no_room_for_one_of_ours_are_kept(
        self, run: Run, queues: Queues
    ) -> None:
        queues.bury("x", **{f"a{n}": "1" for n in range(10)})
        run("redrive", "--to", queues.main)
        [message] = queues.received(queues.main)
        assert set(texts(message)) == {f"a{n}" for n in range(10)}

    def test_all_of_many_go(self, run: Run, queues: Queues) -> None:
        bodies = [f"{n:02}" for n in range(25)]
        for body in bodies:
            queues.bury(body)
        assert run("redrive", "--to", queues.main).stderr == "25 dead letters sent back\n"
        assert queues.bodies(queues.main) == bodies
        assert queues.received(queues.dead) == []

    def test_only_those_of_a_reason_go_and_the_others_stay_for_others_to_see(
        self, run: Run, queues: Queues
    ) -> None:
        queues.bury("x", "outside the allowed prefixes")
        queues.bury("y", "no geometry")
        queues.bury("z")
        run("redrive", "--to", queues.main, "--reason", "allowed")
        assert queues.bodies(queues.main) == ["x"]
        assert queues.bodies(queues.dead) == ["y", "z"]

    def test_only_those_that_are_named_go(self, run: Run, queues: Queues) -> None:
        for body in "xyz":
            queues.bury(body)
        ids = {letter["body"]: letter["id"] for letter in json.loads(run("list", "--json").stdout)}
        run("redrive", "--to", queues.main, "--id", ids["x"], "--id", ids["z"])
        assert queues.bodies(queues.main) == ["x", "z"]

    def test_a_dry_run_says_which_and_moves_none(self, run: Run, queues: Queues) -> None:
        queues.bury(item("a"), "no geometry")
        queues.bury(item("b"), "no assets")
        result = run("redrive", "--dry-run", "--reason", "assets", "--json")
        assert [letter["about"] for letter in json.loads(result.stdout)] == ["s2/b"]
        result = run("redrive", "--dry-run", "--reason", "assets")
        assert "s2/b: no assets" in result.stdout
        assert "s2/a" not in result.stdout
        assert result.stderr == "1 dead letter would be sent back\n"
        assert len(queues.received(queues.dead)) == 2

    def test_one_that_fails_again_at_once_is_left_for_the_next_run(
        self, run: Run, queues: Queues
    ) -> None:
        """Here it comes back before the next one is looked at."""
        for body in ("x", "y"):
            queues.bury(body, "bad")
        assert run("redrive", "--to", queues.dead).stderr == "2 dead letters sent back\n"
        assert queues.bodies(queues.dead) == ["x", "y"]

    def test_copies_that_differ_in_nothing_but_when_they_were_sent_all_go(
        self, run: Run, queues: Queues
    ) -> None:
        for sent in ("1767225600000", "1767225600001"):
            queues.bury("x", **{"livemosaic.sent": sent})
        assert run("redrive", "--to", queues.main).stderr == "2 dead letters sent back\n"


class TestFaults:
    def test_a_letter_that_cannot_be_sent_stays(self, queues: Queues) -> None:
        queues.bury("x")
        queues.bury("y")
        queues.failing("SendMessage")
        with pytest.raises(QueueError, match=f"{queues.main}.*not today"):
            list(DeadLetterReader(queues.client, queues.dead).redrive(queues.main, lambda _: True))
        assert queues.bodies(queues.main) == []
        assert DeadLetterReader(queues.client, queues.dead).count() == 2

    def test_a_letter_that_cannot_be_deleted_was_sent_and_stays(self, queues: Queues) -> None:
        """Twice is once to ingestion; never is never."""
        queues.bury("x")
        queues.failing("DeleteMessage")
        with pytest.raises(QueueError, match="not today"):
            list(DeadLetterReader(queues.client, queues.dead).redrive(queues.main, lambda _: True))
        assert queues.bodies(queues.main) == ["x"]
        assert DeadLetterReader(queues.client, queues.dead).count() == 1

    def test_who_stops_looking_leaves_every_letter_to_be_seen(self, queues: Queues) -> None:
        for body in "xyz":
            queues.bury(body)
        with closing(DeadLetterReader(queues.client, queues.dead).letters()) as letters:
            next(letters)
            assert queues.bodies(queues.dead) == []
        assert queues.bodies(queues.dead) == ["x", "y", "z"]

    def test_letters_go_by_default_to_the_queue_that_they_came_from(self, queues: Queues) -> None:
        queues.fed_by(queues.main)
        assert DeadLetterReader(queues.client, queues.dead).source() == queues.main

    @pytest.mark.parametrize("sources", [[], ["https://a/1", "https://a/2"]], ids=["none", "two"])
    def test_where_that_is_not_one_queue_it_must_be_said(
        self, queues: Queues, sources: list[str]
    ) -> None:
        queues.fed_by(*sources)
        named = ", ".join(sources) or "no queue"
        with pytest.raises(QueueError, match=f"{named}: name the queue to .* with --to"):
            DeadLetterReader(queues.client, queues.dead).source()

    def test_a_queue_that_is_not_there_is_named(self, run: Run) -> None:
        gone = "https://sqs.eu-central-1.amazonaws.com/000000000000/gone"
        result = run("list", "--queue", gone, code=1)
        assert f"SQS queue {gone}: " in result.stderr
        assert "does not exist" in result.stderr

    def test_what_is_no_url_is_refused_with_what_one_looks_like(self, run: Run) -> None:
        result = run("list", "--queue", "dead-letters", code=1)
        assert "'dead-letters' is not the URL of an SQS queue, like https://sqs." in result.stderr

    def test_the_region_is_that_of_the_queue(
        self, run: Run, queues: Queues, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in ("AWS_REGION", "AWS_DEFAULT_REGION"):
            monkeypatch.setenv(name, "us-east-1")
        assert "does not exist" in run("list", code=1).stderr
        path = urlsplit(queues.dead).path
        assert run("list", "--queue", f"https://sqs.{REGION}.amazonaws.com{path}").exit_code == 0
