"""Rejected messages are sent to a dead-letter queue, with the reason, at the first attempt.

SQS alone would deliver each again for an hour, and then move it without a reason.
"""

import base64
import logging
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from livemosaic.ingest.events.message import SENT

log = logging.getLogger(__name__)

REASON: Final = "livemosaic.reason"
"""Message attribute: the reason of a dead letter."""
MAX_REASON: Final = 1000
MAX_ATTRIBUTES: Final = 10
MAX_ENTRIES: Final = 10
MAX_BYTES: Final = 1024 * 1024
"""Limit of one message and of all messages of a request (SQS API Reference, SendMessageBatch)."""
_NOT_TEXT: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters that SQS does not accept."""


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """A message of an SQS event, in Lambda's format, and why it can never succeed."""

    record: Mapping[str, Any]
    reason: str

    @property
    def id(self) -> str:
        """Id of the message."""
        return str(self.record["messageId"])

    def entry(self, entry_id: str) -> dict[str, Any]:
        """Returns the letter as an entry of SendMessageBatch.

        The sender's attributes are kept; where SQS has no room for ours beside them, only the log
        has the reason.
        """
        theirs = {
            name: _sendable(attribute)
            for name, attribute in self.record.get("messageAttributes", {}).items()
            if name not in (REASON, SENT)
        }
        entry = {"Id": entry_id, "MessageBody": self.record["body"], "MessageAttributes": theirs}
        full = entry | {"MessageAttributes": theirs | self._ours()}
        return full if fits(full) else entry

    def _ours(self) -> dict[str, Any]:
        reason = _NOT_TEXT.sub("\ufffd", self.reason)[:MAX_REASON]
        given = self.record.get("messageAttributes", {}).get(SENT, {}).get("stringValue")
        sent = given or self.record["attributes"]["SentTimestamp"]
        return {
            REASON: {"DataType": "String", "StringValue": reason},
            SENT: {"DataType": "Number", "StringValue": sent},
        }


class DeadLetterQueue:
    """The SQS queue of dead letters, for sending."""

    def __init__(self, client: Any, url: str) -> None:
        self._client = client
        self._url = url

    @classmethod
    def open(cls, url: str, region: str) -> Self:
        """Returns the queue at a URL, with its own client."""
        config = Config(
            connect_timeout=2,
            read_timeout=5,
            tcp_keepalive=True,
            retries={"mode": "standard", "total_max_attempts": 3},
        )
        return cls(boto3.Session(region_name=region).client("sqs", config=config), url)

    def send(self, letters: Iterable[DeadLetter]) -> set[str]:
        """Sends dead letters; returns the ids of the messages that arrived in the queue."""
        named = {str(n): letter for n, letter in enumerate(letters)}
        entries = [letter.entry(entry_id) for entry_id, letter in named.items()]
        return {named[i].id for group in _groups(entries) for i in self._send(group)}

    def _send(self, entries: Sequence[Mapping[str, Any]]) -> list[str]:
        try:
            answer = self._client.send_message_batch(QueueUrl=self._url, Entries=entries)
        except (ClientError, BotoCoreError):
            log.exception("dead letters not sent", extra={"count": len(entries)})
            return []
        for failed in answer.get("Failed", ()):
            log.error("dead letter not sent", extra={"reason": failed.get("Message", "")})
        return [sent["Id"] for sent in answer.get("Successful", ())]


def _groups(entries: Iterable[dict[str, Any]]) -> Iterator[list[dict[str, Any]]]:
    """Groups entries by the limits of one request."""
    group: list[dict[str, Any]] = []
    for entry in entries:
        if group and (len(group) == MAX_ENTRIES or sum(map(_size, [*group, entry])) > MAX_BYTES):
            yield group
            group = []
        group.append(entry)
    if group:
        yield group


def fits(entry: Mapping[str, Any]) -> bool:
    """Returns whether an entry is within the limits of SQS."""
    return len(entry["MessageAttributes"]) <= MAX_ATTRIBUTES and _size(entry) <= MAX_BYTES


def _size(entry: Mapping[str, Any]) -> int:
    """Returns the bytes that SQS counts: the body, and names, types and values of attributes."""
    total = len(entry["MessageBody"].encode())
    for name, attribute in entry["MessageAttributes"].items():
        value = attribute.get("BinaryValue", b"") or attribute["StringValue"].encode()
        total += len(name.encode()) + len(attribute["DataType"].encode()) + len(value)
    return total


def _sendable(attribute: Mapping[str, Any]) -> dict[str, Any]:
    """Converts a message attribute from Lambda's format to that of SQS."""
    kind = attribute["dataType"]
    if attribute.get("binaryValue") is not None:
        return {"DataType": kind, "BinaryValue": base64.b64decode(attribute["binaryValue"])}
    return {"DataType": kind, "StringValue": attribute["stringValue"]}
