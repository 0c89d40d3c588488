"""Dead letters for operators: listing them, and sending them back to be ingested again.

No letter is lost: it is deleted after it was sent, and one that is sent twice is an Item that is
ingested twice, which changes nothing.
"""

import re
from collections.abc import Callable, Generator, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from itertools import islice
from typing import Any, Final, TypeAlias

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

from livemosaic.auth.credentials import CredentialsError, advice
from livemosaic.errors import InvalidRequestError, LivemosaicError
from livemosaic.ingest.dead_letters import REASON, fits
from livemosaic.ingest.events.message import SENT, Message, sqs_messages

_EVENTBRIDGE: Final = ("ERROR_CODE", "ERROR_MESSAGE")
"""Attributes of events that EventBridge could not deliver (EventBridge User Guide, "Using
dead-letter queues to process undelivered events")."""
_HIDDEN_S: Final = 120
"""How long a letter stays hidden from other consumers if this process is killed."""
_BATCH: Final = 10
"""Limit of SQS for one request."""
_URL: Final = re.compile(r"https?://(?:sqs\.)?(?:(?P<region>[a-z]{2}(?:-[a-z]+)+-\d)\.)?[^/]+/.+")


class QueueError(LivemosaicError):
    """A queue cannot be used; the message names it and quotes SQS."""


@dataclass(frozen=True, slots=True)
class ReceivedDeadLetter:
    """A message that could not be ingested."""

    message: Message
    """The message as ingestion reads it, with the time at which it was first sent."""
    body: str
    attributes: Mapping[str, Any]
    """Message attributes, in the format of SQS."""
    received: int
    """How often it was received by any consumer, this time included."""

    @property
    def id(self) -> str:
        """Id of the message in the dead-letter queue."""
        return self.message.id

    @property
    def reason(self) -> str:
        """Reason of the failure; empty if the message only failed too often."""
        texts = self.message.attributes
        of_eventbridge = (texts.get(name) for name in _EVENTBRIDGE)
        return texts.get(REASON) or ": ".join(filter(None, of_eventbridge))

    @property
    def again(self) -> Mapping[str, Any]:
        """Arguments of SendMessage (SQS API Reference): the original message, and when it was sent.

        Without that time it would become the newest of its Item.
        """
        added = (REASON, *_EVENTBRIDGE)
        theirs = {name: value for name, value in self.attributes.items() if name not in added}
        ms = str(round(self.message.time.timestamp() * 1000))
        attributes = theirs | {SENT: {"DataType": "Number", "StringValue": ms}}
        more = {"MessageBody": self.body, "MessageAttributes": attributes}
        return more if fits(more) else more | {"MessageAttributes": theirs}

    @property
    def content(self) -> int:
        """Hash that is equal for letters that are sent back alike."""
        again = self.again
        return hash((again["MessageBody"], repr(sorted(again["MessageAttributes"].items()))))


ReceivedDeadLetters: TypeAlias = Generator[ReceivedDeadLetter, None, None]
"""A generator to be closed by a caller that does not exhaust it."""


class DeadLetterReader:
    """The dead-letter queue of a deployment, for reading and redriving."""

    def __init__(self, client: Any, queue: str) -> None:
        """`client` is an SQS client of boto3, `queue` the URL."""
        self._client = client
        self._queue = queue
        self._receipts: dict[str, str] = {}
        """Receipt handles of the letters that this reader hides, by id."""

    def count(self) -> int:
        """Returns the approximate number of letters, hidden ones included."""
        names = ["ApproximateNumberOfMessages", "ApproximateNumberOfMessagesNotVisible"]
        with self._clear_errors():
            answer = self._client.get_queue_attributes(QueueUrl=self._queue, AttributeNames=names)
        return sum(int(answer["Attributes"][name]) for name in names)

    def source(self) -> str:
        """Returns the URL of the one source queue; `QueueError` if there is none or several."""
        with self._clear_errors():
            pages = self._client.get_paginator("list_dead_letter_source_queues")
            listed = [page["queueUrls"] for page in pages.paginate(QueueUrl=self._queue)]
        found: list[str] = [url for urls in listed for url in urls]
        if len(found) != 1:
            raise QueueError(
                f"{self._queue} is the dead-letter queue of {', '.join(found) or 'no queue'}: name "
                "the queue to send its letters to with --to"
            )
        return found[0]

    def letters(self) -> ReceivedDeadLetters:
        """Yields every letter once; they are hidden from other consumers while this is iterated."""
        for batch in self._batches():
            yield from batch

    def redrive(self, to: str, wanted: Callable[[ReceivedDeadLetter], bool]) -> ReceivedDeadLetters:
        """Sends the wanted letters to a queue, and yields each one after it was sent.

        A message that fails again comes back meanwhile, as another one of equal content. So of
        letters with equal content one is sent, and the others stay.
        """
        sent: set[int] = set()
        with closing(self._batches()) as batches, ThreadPoolExecutor(_BATCH) as pool:
            for batch in batches:
                chosen = {letter.content: letter for letter in batch if wanted(letter)}
                new = [letter for content, letter in chosen.items() if content not in sent]
                sent.update(chosen)
                for future in [pool.submit(self._send, to, letter) for letter in new]:
                    yield future.result()

    def _send(self, to: str, letter: ReceivedDeadLetter) -> ReceivedDeadLetter:
        with self._clear_errors(to):
            self._client.send_message(QueueUrl=to, **letter.again)
        with self._clear_errors():
            receipt = self._receipts.pop(letter.id)
            self._client.delete_message(QueueUrl=self._queue, ReceiptHandle=receipt)
        return letter

    def _batches(self) -> Generator[list[ReceivedDeadLetter], None, None]:
        try:
            while batch := self._receive():
                yield batch
        finally:
            self._show()

    def _receive(self) -> list[ReceivedDeadLetter]:
        """Receives letters that were not received before; none if only others are left."""
        with self._clear_errors():
            found = self._client.receive_message(
                QueueUrl=self._queue,
                MaxNumberOfMessages=_BATCH,
                MessageAttributeNames=["All"],
                MessageSystemAttributeNames=["ApproximateReceiveCount", "SentTimestamp"],
                VisibilityTimeout=_HIDDEN_S,
                WaitTimeSeconds=1,  # without, SQS asks only some of its servers
            ).get("Messages", [])
        new = [message for message in found if message["MessageId"] not in self._receipts]
        self._receipts |= {message["MessageId"]: message["ReceiptHandle"] for message in found}
        return [_letter(message) for message in new]

    def _show(self) -> None:
        """Makes the remaining letters visible to other consumers again."""
        receipts = iter(self._receipts.values())
        while batch := list(islice(receipts, _BATCH)):
            entries = [
                {"Id": str(n), "ReceiptHandle": receipt, "VisibilityTimeout": 0}
                for n, receipt in enumerate(batch)
            ]
            with self._clear_errors():
                self._client.change_message_visibility_batch(QueueUrl=self._queue, Entries=entries)
        self._receipts.clear()

    @contextmanager
    def _clear_errors(self, queue: str | None = None) -> Iterator[None]:
        try:
            yield
        except (BotoCoreError, ClientError) as error:
            code = type(error).__name__
            if isinstance(error, ClientError):
                code = error.response["Error"]["Code"]
            if hint := advice(code):
                raise CredentialsError(hint) from error
            raise QueueError(f"SQS queue {queue or self._queue}: {error}") from error


def _letter(received: Mapping[str, Any]) -> ReceivedDeadLetter:
    """Converts a message from ReceiveMessage, which has other names than Lambda."""
    attributes = received.get("MessageAttributes", {})
    record = {
        "messageId": received["MessageId"],
        "body": received["Body"],
        "attributes": received["Attributes"],
        "messageAttributes": {
            name: {"stringValue": attribute.get("StringValue", "")}
            for name, attribute in attributes.items()
        },
    }
    [message] = sqs_messages({"Records": [record]})
    times = int(received["Attributes"]["ApproximateReceiveCount"])
    return ReceivedDeadLetter(message, received["Body"], attributes, times)


def open_queue(url: str) -> DeadLetterReader:
    """Returns the dead-letter queue at a URL, with the AWS CLI's credentials."""
    found = _URL.fullmatch(url)
    if not found:
        raise InvalidRequestError(
            f"{url!r} is not the URL of an SQS queue, like https://sqs.REGION.amazonaws.com/ACCOUNT/NAME"
        )
    retries: Any = {"mode": "standard", "total_max_attempts": 4}
    try:
        session: Any = boto3.Session(region_name=found["region"])
        config = Config(retries=retries, max_pool_connections=_BATCH)
        return DeadLetterReader(session.client("sqs", config=config), url)
    except BotoCoreError as error:
        hint = advice(type(error).__name__)
        raise QueueError(f"no client for the queue {url}: {hint or error}") from error
