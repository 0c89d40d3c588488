"""The state machine of a deployment, which runs the steps of a load in functions of AWS."""

import json
import secrets
import time
from collections.abc import Callable
from typing import Any, Final

import boto3
from botocore.exceptions import BotoCoreError, ClientError

from livemosaic.auth.credentials import advice
from livemosaic.errors import LivemosaicError
from livemosaic.load.steps import STEPS

Done = Callable[[str, int, int], None]
"""Called with a step, and how many of its units are done of how many."""
_POLL_S: Final = 2.0


class LoadError(LivemosaicError):
    """A step or the import of a load failed; the message quotes AWS, and says what to do."""


class LoadMachine:
    """A state machine, by its ARN."""

    def __init__(self, arn: str, client: Any = None) -> None:
        """`client` is a client of boto3 for Step Functions."""
        self.arn = arn
        region = arn.split(":")[3] if arn.count(":") == 6 else None
        self._client = client or boto3.Session(region_name=region).client("stepfunctions")

    def start(self, work: str) -> str:
        """Starts an execution for the load whose objects are at an S3 URL; returns its ARN."""
        given = {"work": work, "key": work.removeprefix("s3://").partition("/")[2]}
        name = f"load-{secrets.token_hex(6)}"
        answer = self._call(
            "start_execution", stateMachineArn=self.arn, name=name, input=json.dumps(given)
        )
        execution: str = answer["executionArn"]
        return execution

    def runs(self, execution: str) -> bool:
        """Returns whether an execution has not ended, or has done all of its work."""
        status = self._call("describe_execution", executionArn=execution)["status"]
        return status in ("RUNNING", "PENDING_REDRIVE", "SUCCEEDED")

    def follow(self, execution: str, done: Done) -> None:
        """Waits for an execution to end. Raises `LoadError` where it fails."""
        while (state := self._call("describe_execution", executionArn=execution))[
            "status"
        ] == "RUNNING":
            self._report(execution, done)
            time.sleep(_POLL_S)
        self._report(execution, done)
        if state["status"] != "SUCCEEDED":
            reason = self._reason(execution) or state.get("cause") or state.get("error") or ""
            raise LoadError(
                f"the state machine ended as {state['status']}: {str(reason)[:600]}; its steps can "
                f"be repeated: the same command goes on ({execution})"
            )

    def _report(self, execution: str, done: Done) -> None:
        """Reports how far the last map is."""
        runs = self._call("list_map_runs", executionArn=execution)["mapRuns"]
        order = {name: place for place, name in enumerate(STEPS)}
        steps = {_label(run["mapRunArn"]): run["mapRunArn"] for run in runs}
        for step in sorted(steps, key=lambda name: order.get(name, 0))[-1:]:
            counts = self._call("describe_map_run", mapRunArn=steps[step])["itemCounts"]
            done(step, counts["succeeded"], counts["total"])

    def _reason(self, execution: str) -> str:
        """Returns what the first unit that failed says; empty where none did."""
        for run in self._call("list_map_runs", executionArn=execution)["mapRuns"]:
            failed = self._call(
                "list_executions", mapRunArn=run["mapRunArn"], statusFilter="FAILED"
            )["executions"]
            for one in failed[:1]:
                found = self._call("describe_execution", executionArn=one["executionArn"])
                return _message(found.get("cause", ""))
        return ""

    def _call(self, operation: str, **given: Any) -> Any:
        return call(self._client, operation, **given)


def call(client: Any, operation: str, **given: Any) -> Any:
    """Returns the response of AWS to a request. Raises `LoadError`."""
    try:
        return getattr(client, operation)(**given)
    except (ClientError, BotoCoreError) as error:
        code = type(error).__name__
        if isinstance(error, ClientError):
            code = str(error.response.get("Error", {}).get("Code", code))
        what_to_do = advice(code)
        raise LoadError(f"{operation}: {what_to_do or error}") from error


def _label(map_run: str) -> str:
    """Returns the step of a map run: `…:mapRun:{machine}/{label}:{id}`."""
    return map_run.split(":")[6].partition("/")[2]


def _message(cause: str) -> str:
    """Returns the message of a function's error, which Lambda gives as JSON."""
    try:
        return str(json.loads(cause)["errorMessage"])
    except (ValueError, KeyError, TypeError):
        return cause
