"""Envelopes: SNS notifications and EventBridge events, which may contain any other message.

And pointers of the extended clients of SQS and SNS to bodies in S3. Sources: SNS Developer Guide,
"HTTP/HTTPS notification JSON format"; EventBridge User Guide, "Event structure reference";
awslabs/amazon-sqs-java-extended-client-lib, and -python-.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_object, is_text, order_member, text
from livemosaic.ingest.events.kinds import MessageKind, is_deletion
from livemosaic.ingest.events.message import Message

_POINTERS: Final = (
    "software.amazon.payloadoffloading.PayloadS3Pointer",
    "com.amazon.sqs.javamessaging.MessageS3Pointer",
)
"""Java classes that begin a pointer; the second is that of version 1."""


def pointer(body: list[Any]) -> str | None:
    """Returns the href of the body that an extended client put into S3; None for another list.

    Raises `InvalidItemError` for a pointer without bucket or key.
    """
    if len(body) != 2 or body[0] not in _POINTERS:
        return None
    at = body[1] if isinstance(body[1], Mapping) else {}
    return f"s3://{text(at, 's3BucketName')}/{text(at, 's3Key')}"


def is_eventbridge(body: Body) -> bool:
    """Returns whether a body is an event from an EventBridge bus."""
    return is_text(body, "detail-type", "source") and is_object(body, "detail")


def _notification(body: Body, message: Message) -> Iterator[Message]:
    """Yields the message inside, with its attributes and its time of publication."""
    given = body.get("MessageAttributes") or {}
    if not isinstance(given, Mapping):
        raise InvalidItemError(f"MessageAttributes is {type(given).__name__}, not an object")
    attributes = {
        name: str(attribute.get("Value", ""))
        for name, attribute in given.items()
        if isinstance(attribute, Mapping)
    }
    order = order_member(body, "Timestamp", message.order)
    yield replace(message, body=body["Message"], stated=order, attributes=attributes)


def _confirmation(body: Body, _: Message) -> Iterator[Message]:
    raise InvalidItemError(
        f"topic {str(body.get('TopicArn'))[:200]!r} does not send yet: confirm the subscription "
        "with the token in this message"
    )


def _event(body: Body, message: Message) -> Iterator[Message]:
    """Yields the detail; the last word of the event's type may mark it as deleted."""
    gone = is_deletion(body["detail-type"], "detail-type")
    attributes = {"operation": "deleted"} if gone else {}
    order = order_member(body, "time", message.order)
    yield replace(message, body=body["detail"], stated=order, attributes=attributes)


KINDS: Final = (
    MessageKind(
        "an SNS notification",
        lambda body: body.get("Type") == "Notification" and is_text(body, "Message"),
        _notification,
    ),
    MessageKind(
        "an SNS confirmation",
        lambda body: body.get("Type") == "SubscriptionConfirmation" and is_text(body, "Token"),
        _confirmation,
    ),
    MessageKind(
        "an EventBridge event",
        lambda body: is_eventbridge(body) and body["source"] != "aws.s3",
        _event,
    ),
)
