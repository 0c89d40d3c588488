"""The deployed stack on an emulated AWS, as tests use it."""

import json
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any, TypeVar
from urllib.parse import urlsplit

import urllib3

from livemosaic_cdk.tools.local import BUCKET, Account

T = TypeVar("T")


@dataclass
class Steps:
    """What was done, and the seconds it took."""

    done: list[tuple[str, float]] = field(default_factory=list)

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        started = time.monotonic()
        yield
        self.done.append((name, time.monotonic() - started))


@dataclass
class Cloud:
    """A deployment, asked and driven from outside."""

    account: Account
    step: Steps
    _http: urllib3.PoolManager = field(init=False)

    def __post_init__(self) -> None:
        trusted = str(self.account.aws.certificate)
        self._http = urllib3.PoolManager(retries=False, ca_certs=trusted)

    @property
    def url(self) -> str:
        """Of the API."""
        return self.account.outputs.ApiUrl

    def request(
        self, method: str, path: str, headers: Mapping[str, str] | None = None, **how: Any
    ) -> urllib3.BaseHTTPResponse:
        """Ask the API, whose name below `localhost` not every system resolves."""
        host = urlsplit(self.url).netloc
        url = f"{self.account.aws.url}{path}"
        return self._http.request(method, url, headers={"Host": host, **(headers or {})}, **how)

    def get(self, path: str) -> bytes:
        """The body of an answer that must be a 200 or 204."""
        answer = self.request("GET", path)
        assert answer.status in (200, 204), (answer.status, answer.data[:500])
        return answer.data

    def livemosaic(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        """The command as its user runs it, with the account's credentials in the environment."""
        return subprocess.run(
            [sys.executable, "-m", "livemosaic", *arguments],
            env=dict(self.account.aws.environment),
            capture_output=True,
            text=True,
        )

    def put(self, key: str, item: Any) -> None:
        """Put an Item into the bucket."""
        s3 = self.account.aws.client("s3")
        s3.put_object(Bucket=BUCKET, Key=key, Body=json.dumps(item).encode())

    def notify(self, **configuration: Any) -> None:
        """What the bucket's owner turns on (S3, PutBucketNotificationConfiguration)."""
        self.account.aws.client("s3").put_bucket_notification_configuration(
            Bucket=BUCKET, NotificationConfiguration=configuration
        )

    def dead_letters(self) -> list[dict[str, Any]]:
        """As the command lists them."""
        done = self.livemosaic(
            "dlq", "list", "--json", "--queue", self.account.outputs.DeadLetterQueueUrl
        )
        assert done.returncode == 0, done.stderr
        found: list[dict[str, Any]] = json.loads(done.stdout)
        return found

    def waiting(self, queue: str) -> int:
        """Messages in a queue, those that are hidden included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        sqs = self.account.aws.client("sqs")
        found = sqs.get_queue_attributes(QueueUrl=queue, AttributeNames=names)["Attributes"]
        return sum(int(found[name]) for name in names)

    def logged(self, function: str) -> list[dict[str, Any]]:
        """JSON lines that a function of the service logged, oldest first."""
        name = self._function(function)["LoggingConfig"]["LogGroup"]
        logs = self.account.aws.client("logs")
        found = logs.filter_log_events(logGroupName=name)["events"]
        messages = [event["message"] for event in sorted(found, key=lambda e: e["timestamp"])]
        return [json.loads(message) for message in messages if message.startswith("{")]

    def invoke(self, function: str) -> None:
        """Run a function of the service now, as its schedule does; it must not fail."""
        name = self._function(function)["FunctionName"]
        answer = self.account.aws.client("lambda").invoke(FunctionName=name, Payload=b"{}")
        assert "FunctionError" not in answer, answer["Payload"].read()

    def _function(self, name: str) -> dict[str, Any]:
        made = self.account.aws.client("lambda").list_functions()["Functions"]
        [found] = (each for each in made if f"-{name}Function" in each["FunctionName"])
        described: dict[str, Any] = found
        return described

    def alarm(self, name: str) -> dict[str, Any]:
        """An alarm as CloudWatch has it, by the name that the runbook has it by."""
        found = self.account.aws.client("cloudwatch").describe_alarms()["MetricAlarms"]
        [alarm] = (each for each in found if f"Alarms{name}" in each["AlarmName"])
        described: dict[str, Any] = alarm
        return described

    def stack_output(self, name: str) -> str:
        """An output of the service."""
        found = self.account.aws.client("cloudformation").describe_stacks()["Stacks"]
        [value] = (
            each["OutputValue"]
            for stack in found
            for each in stack.get("Outputs", ())
            if each["OutputKey"] == name
        )
        text: str = value
        return text

    def stacks(self) -> set[str]:
        found = self.account.aws.client("cloudformation").describe_stacks()["Stacks"]
        return {stack["StackName"] for stack in found}


def eventually(check: Callable[[], T], what: str, seconds: float = 60, every_s: float = 0.1) -> T:
    """Wait until it holds; what it gives then."""
    until = time.monotonic() + seconds
    while not (found := check()):
        assert time.monotonic() < until, f"not within {seconds:.0f} s: {what}"
        time.sleep(every_s)
    return found
