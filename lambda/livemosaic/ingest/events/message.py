"""Messages from a queue, a file or a request, before their body is read."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.model.order import Order

SENT: Final = "livemosaic.sent"
"""Attribute of a dead letter: when it was first sent, in milliseconds since 1970. That orders a
message without a time of its own, and a redrive must not make it the newest."""


@dataclass(frozen=True, slots=True)
class Message:
    """A message from a queue, a file or a request, or out of the envelope of another message."""

    id: str
    body: str | bytes | Mapping[str, Any]
    time: datetime
    """Time of sending, or of reading where it comes from a file or a catalogue; aware."""
    attributes: Mapping[str, str]
    base: str | None = None
    """URL of the document; relative hrefs are resolved against it."""
    received: datetime | None = None
    """When its queue delivered it first, aware; None where it does not come from a queue."""
    is_first: bool = False
    """Whether its queue has never delivered it before: nobody can have died of it."""
    stated: Order | None = None
    """The order of its changes, where they are not of the time of sending."""

    @property
    def order(self) -> Order:
        """The order of its changes."""
        return self.stated or Order(self.time)


def sqs_messages(event: Mapping[str, Any]) -> list[Message]:
    """Returns the messages of an SQS event in Lambda's format (`Records`, `messageId`, `body`)."""
    return [_sqs_message(record) for record in event["Records"]]


def _sqs_message(record: Mapping[str, Any]) -> Message:
    attributes = {
        name: str(attribute.get("stringValue", ""))
        for name, attribute in record.get("messageAttributes", {}).items()
    }
    sent_ms = _sent_ms(record, attributes)
    time = datetime.fromtimestamp(sent_ms / 1000, UTC) if sent_ms else datetime.now(UTC)
    first_ms = int(record.get("attributes", {}).get("ApproximateFirstReceiveTimestamp", 0))
    received = datetime.fromtimestamp(first_ms / 1000, UTC) if first_ms else None
    is_first = record.get("attributes", {}).get("ApproximateReceiveCount") == "1"
    body = record.get("body", "")
    return Message(record["messageId"], body, time, attributes, None, received, is_first)


def _sent_ms(record: Mapping[str, Any], attributes: Mapping[str, str]) -> int:
    last = int(record.get("attributes", {}).get("SentTimestamp", 0))
    first = attributes.get(SENT, "")
    return min(int(first), last) if re.fullmatch("[0-9]{1,15}", first) else last
