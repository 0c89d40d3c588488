"""Ingestion as a Lambda function of an SQS queue with `ReportBatchItemFailures`.

What Lambda makes of an answer (Lambda Developer Guide, "Handling errors for an SQS event source"):
with an empty list every message is deleted; with a list of ids those messages come again; with an
error, or an id that is null, empty or not of this batch, all of them do.
"""

import logging
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Executor
from typing import Any

from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.events import Message, sqs_messages
from livemosaic.ingest import Ingest

log = logging.getLogger(__name__)

Handler = Callable[[Any, Any], dict[str, Any]]


def handler(ingest: Ingest, pool: Executor) -> Handler:
    """The function that Lambda calls with batches; `InvalidRequestError` to what is none."""

    def handle(event: Any, _context: Any) -> dict[str, Any]:
        messages = sqs_messages({"Records": _records(event)})
        failed = dict.fromkeys(_failed(ingest, messages, pool))  # a queue may deliver one twice
        return {"batchItemFailures": [{"itemIdentifier": name} for name in failed]}

    return handle


def _failed(ingest: Ingest, messages: Sequence[Message], pool: Executor) -> list[str]:
    try:
        outcomes = ingest.batch(messages, pool=pool)
    except LivemosaicError:  # the table is away: not one message could be tried
        log.exception("batch failed", extra={"messages": len(messages)})
        return [message.id for message in messages]
    return [outcome.message_id for outcome in outcomes if not outcome.ok]


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
    return records
