"""Ingestion as a Lambda function of an SQS queue with `ReportBatchItemFailures`.

What Lambda makes of an answer (Lambda Developer Guide, "Handling errors for an SQS event source"):
with an empty list every message is deleted; with a list of ids those messages come again; with an
error, or an id that is null, empty or not of this batch, all of them do.
"""

import logging
from collections.abc import Callable, Collection, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any, Final

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.batch import Deadline, Ingest, Outcome
from livemosaic.ingest.dead_letters import DeadLetter
from livemosaic.ingest.events.message import sqs_messages

log = logging.getLogger(__name__)

_FOR_THE_REST: Final = 0.2
"""The share of its time that a run keeps for ending what it has begun."""

Handler = Callable[[Any, Any], dict[str, Any]]

SendToDeadLetters = Callable[[Sequence[DeadLetter]], Collection[str]]
"""Puts dead letters where they are kept; the ids of those that are."""


def handler(
    ingest: Ingest, pool: Executor, send_to_dead_letters: SendToDeadLetters | None = None
) -> Handler:
    """The function that Lambda calls with batches; `InvalidRequestError` to what is none.

    A message that can never succeed is buried at once, where that can be done; else it has failed,
    as have those that time ran out for.
    """

    def handle(event: Any, context: Any) -> dict[str, Any]:
        records = {record["messageId"]: record for record in _records(event)}  # some come twice
        undone = _undone(ingest, list(records.values()), pool, _deadline(context))
        letters = [
            DeadLetter(records[name], outcome.reason)
            for name, outcome in undone.items()
            if outcome.status == "rejected" and records[name].get("body")
        ]
        buried = send_to_dead_letters(letters) if send_to_dead_letters and letters else ()
        failed = [name for name in undone if name not in buried]
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    return handle


def _undone(
    ingest: Ingest, records: Sequence[Mapping[str, Any]], pool: Executor, deadline: Deadline | None
) -> dict[str, Outcome]:
    """The outcomes of messages that cannot be forgotten yet, by their ids."""
    messages = sqs_messages({"Records": records})
    try:
        outcomes = ingest.batch(messages, pool=pool, deadline=deadline)
    except LivemosaicError as error:  # the table is away: not one message could be tried
        log.exception("batch failed", extra={"messages": len(messages)})
        outcomes = [Outcome(message.id, "failed", reason=str(error)) for message in messages]
    return {outcome.message_id: outcome for outcome in outcomes if not outcome.ok}


def _deadline(context: Any) -> Deadline | None:
    """When most of the time is gone that Lambda gives this run; None outside of Lambda."""
    if context is None:
        return None
    kept = context.get_remaining_time_in_millis() * _FOR_THE_REST
    return lambda: context.get_remaining_time_in_millis() < kept


def _records(event: Any) -> list[Mapping[str, Any]]:
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
                "let that send to the queue"
            )
        if not record.get("messageId"):  # no answer could name it, so all have to come again
            raise InvalidRequestError(
                "this function takes batches from SQS: a record has no 'messageId'"
            )
    return records
