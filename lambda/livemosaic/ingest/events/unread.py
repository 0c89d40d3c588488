"""Messages that are known and not read: each is rejected by its name, so that nobody has to guess.

Sources: Pub/Sub push messages and notifications of Cloud Storage (Google Cloud documentation); the
schema of Azure Event Grid; Cloud Notification Mechanism 1.6 (podaac/cloud-notification-message-
schema); Planet Orders and Subscriptions API, "Notifications"; subscriptions of the Copernicus Data
Space Ecosystem; Lambda event formats of DynamoDB, Kinesis, SNS and SQS; sentinel-s2-l1c on AWS.
"""

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final, NamedTuple, NoReturn

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_object, is_text
from livemosaic.ingest.events.kinds import MessageKind
from livemosaic.ingest.events.message import Message

_CLOUDEVENTS: Final = {
    "google.": "a CloudEvent of Google Cloud",
    "Microsoft.": "a CloudEvent of Azure Event Grid",
    "aws.": "a CloudEvent of AWS",
    "com.amazonaws.": "a CloudEvent of AWS",
    "com.planet.": "a CloudEvent of Planet",
}
"""Producers of CloudEvents by the start of their types."""
_PLANET: Final = ("delivery.", "status.")
"""Topics of Planet's Subscriptions API."""


def refuse(name: str) -> NoReturn:
    """Raises `InvalidItemError` for a message of a kind that is known and not read."""
    raise InvalidItemError(
        f"{name}, which livemosaic does not read: publish the STAC Item itself, or "
        '{"href": its URL}'
    )


def refuse_cloudevent(kind: str) -> None:
    """Raises `InvalidItemError` for a CloudEvent of a producer that is known by its type."""
    for start, name in _CLOUDEVENTS.items():
        if kind.startswith(start):
            refuse(f"{name} of type {kind[:80]!r}")


def refuse_list(values: list[Any]) -> None:
    """Raises `InvalidItemError` for a list of messages that are known; Event Grid sends lists."""
    first: Body = values[0] if values and isinstance(values[0], Mapping) else {}
    for kind in _KNOWN:
        if kind.fits(first):
            refuse(f"a list of messages, the first of them {kind.name}")


class _Known(NamedTuple):
    name: str
    fits: Callable[[Body], bool]


def _has_records(source: str) -> Callable[[Body], bool]:
    """Recognizes a batch of records from an AWS service, as a Lambda function gets it."""

    def fits(body: Body) -> bool:
        records = body.get("Records")
        first = records[0] if isinstance(records, list) and records else body
        return (
            isinstance(first, Mapping)
            and "s3" not in first
            and source in (first.get("eventSource"), first.get("EventSource"))
        )

    return fits


def _is_pubsub(body: Body) -> bool:
    message = body.get("message")
    return (
        is_text(body, "subscription")
        and isinstance(message, Mapping)
        and not message.keys().isdisjoint(("data", "attributes"))
    )


def _is_planet_order(body: Body) -> bool:
    return is_text(body, "id", "state") and isinstance(body.get("products"), list)


def _is_planet_subscription(body: Body) -> bool:
    topic = body.get("topic") or body.get("event")
    return isinstance(topic, str) and topic.startswith(_PLANET) and "specversion" not in body


_KNOWN: Final = (
    _Known("a Pub/Sub message of Google Cloud", _is_pubsub),
    _Known(
        "a notification of Google Cloud Storage",
        lambda body: body.get("kind") == "storage#object" and is_text(body, "bucket", "name"),
    ),
    _Known(
        "an event of Azure Event Grid",
        lambda body: is_text(body, "eventType", "subject", "eventTime") and "data" in body,
    ),
    _Known(
        "a CNM message (NASA's Cloud Notification Mechanism)",
        lambda body: (
            is_text(body, "identifier", "submissionTime")
            and not body.keys().isdisjoint(("product", "response"))
        ),
    ),
    _Known("an order of Planet", _is_planet_order),
    _Known("a notification of Planet's Subscriptions API", _is_planet_subscription),
    _Known(
        "a notification of the Copernicus Data Space Ecosystem",
        lambda body: is_text(body, "SubscriptionEvent", "ProductName"),
    ),
    _Known("a batch of DynamoDB Streams", _has_records("aws:dynamodb")),
    _Known("a batch of Kinesis", _has_records("aws:kinesis")),
    _Known("a batch of SNS for a Lambda function", _has_records("aws:sns")),
    _Known("a batch of SQS for a Lambda function", _has_records("aws:sqs")),
    _Known(
        "a notification of sentinel-s2-l1c or sentinel-s2-l2a",
        lambda body: is_text(body, "name", "path") and isinstance(body.get("tiles"), list),
    ),
    _Known(
        "a notification of sentinel-s1-l1c",
        lambda body: is_text(body, "path", "missionId") or is_object(body, "filenameMap"),
    ),
)


def _kind(known: _Known) -> MessageKind:
    def read(_: Body, __: Message) -> Iterator[Message]:
        refuse(known.name)

    return MessageKind(known.name, known.fits, read)


KINDS: Final = tuple(map(_kind, _KNOWN))
