"""Ingestion as a Lambda function of an SQS queue with `ReportBatchItemFailures`.

Lambda deletes every message where the answer lists no failures, and delivers the listed ones again;
after an error, or with an id that is null, empty or not of the batch, it delivers all of them again
(Lambda Developer Guide, "Handling errors for an SQS event source").
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Final

from livemosaic import logs
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.batch import Deadline, Ingest, Outcome
from livemosaic.ingest.dead_letters import DeadLetter
from livemosaic.ingest.events.message import sqs_messages
from livemosaic.ingest.subscriptions import Applied

log = logging.getLogger(__name__)

_RESERVED: Final = 0.2
"""Share of a run's time in which it begins no more messages."""

FAILED_EVENTS: Final = "FailedEvents"
"""Metric: deliveries that failed, and that are no wait for a document to appear."""

Handler = Callable[[Any, Any], dict[str, Any]]

SendToDeadLetters = Callable[[Sequence[DeadLetter]], Collection[str]]
"""Sends dead letters to their queue; returns the ids of the messages that arrived there."""


ShowSoon = Callable[[Mapping[str, Any]], None]
"""Makes the queue deliver a message again within minutes; never raises."""

Announce = Callable[[Sequence[Applied]], None]
"""Lets the builder of overviews know of changes; never raises."""


def handler(
    ingest: Ingest,
    pool: Executor,
    send_to_dead_letters: SendToDeadLetters | None = None,
    show_soon: ShowSoon | None = None,
    deployment: str = "",
    announce: Announce | None = None,
) -> Handler:
    """Returns the function that Lambda calls; it raises `InvalidRequestError` for other events.

    A rejected message goes to the dead letters at once, if there are any; else it fails, like the
    messages that time ran out for. One that waits for a document to appear is shown again soon.
    The other failed ones are a metric of the deployment, if it is named.
    """

    def handle(event: Any, context: Any) -> dict[str, Any]:
        records = {record["messageId"]: record for record in records_of(event)}  # some come twice
        outcomes = _outcomes(ingest, list(records.values()), pool, deadline_of(context))
        if announce:  # of what fails, too: some of it may be done
            announce([change for outcome in outcomes for change in outcome.changes])
        unfinished = {outcome.message_id: outcome for outcome in outcomes if not outcome.ok}
        letters = [
            DeadLetter(records[name], outcome.reason)
            for name, outcome in unfinished.items()
            if outcome.status == "rejected" and records[name].get("body")
        ]
        sent = send_to_dead_letters(letters) if send_to_dead_letters and letters else ()
        failed = [name for name in unfinished if name not in sent]
        for name in failed:
            if show_soon and unfinished[name].soon:
                show_soon(records[name])
        _count_failed(sum(not unfinished[name].soon for name in failed), deployment)
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    return handle


def _count_failed(failed: int, deployment: str) -> None:
    if failed and deployment:
        counted = logs.metrics(deployment, {FAILED_EVENTS: failed})
        log.warning("%d events failed and will be delivered again", failed, extra=counted)


def _outcomes(
    ingest: Ingest, records: Sequence[Mapping[str, Any]], pool: Executor, deadline: Deadline | None
) -> Sequence[Outcome]:
    messages = sqs_messages({"Records": records})
    try:
        return ingest.batch(messages, pool=pool, deadline=deadline)
    except LivemosaicError as error:  # the table is unavailable: no message could be tried
        log.exception("batch failed", extra={"messages": len(messages)})
        return [Outcome(message.id, "failed", reason=str(error)) for message in messages]


def deadline_of(context: Any, reserved: float = _RESERVED) -> Deadline | None:
    """Returns a deadline that leaves a share of the time that Lambda gives a run.

    None outside Lambda.
    """
    if context is None:
        return None
    reserved_ms = context.get_remaining_time_in_millis() * reserved
    return lambda: context.get_remaining_time_in_millis() < reserved_ms


def records_of(event: Any) -> list[Mapping[str, Any]]:
    """Returns the messages of an event of SQS; `InvalidRequestError` for any other event."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        raise InvalidRequestError(
            f"this function takes batches from SQS, with 'Records'; this event is {str(event)[:80]}"
        )
    for record in records:
        source = record.get("eventSource", record.get("EventSource"))
        if source != "aws:sqs":
            raise InvalidRequestError(
                f"this function takes batches from SQS, not from {str(source)[:80]!r}: "
                "send that to the queue"
            )
        if not record.get("messageId"):  # no answer can name it, so Lambda must deliver all again
            raise InvalidRequestError(
                "this function takes batches from SQS: a record has no 'messageId'"
            )
    return records
