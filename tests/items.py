"""STAC Items made for tests."""

import json
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

from livemosaic.ingest.events.message import Message

NOW = datetime(2026, 3, 1, 12, tzinfo=UTC)


def box(west: float, south: float, east: float, north: float) -> dict[str, Any]:
    """A GeoJSON rectangle."""
    ring = [[west, south], [east, south], [east, north], [west, north], [west, south]]
    return {"type": "Polygon", "coordinates": [ring]}


def item(
    item_id: str = "a",
    geometry: Any = None,
    *,
    collection: str | None = "s2",
    datetime: str = "2026-01-01T00:00:00Z",
    updated: str | None = None,
    href: str = "https://example.com/a.tif",
    assets: Mapping[str, Any] | None = None,
    properties: Mapping[str, Any] | None = None,
    **rest: Any,
) -> dict[str, Any]:
    """A STAC 1.1 Item with one GeoTIFF, `visual`, over a degree of the Alps."""
    document = {
        "type": "Feature",
        "stac_version": "1.1.0",
        "id": item_id,
        "geometry": geometry or box(7, 45, 8, 46),
        "properties": {"datetime": datetime, **(properties or {})},
        "links": [],
        "assets": assets or {"visual": {"href": href, "type": "image/tiff"}},
        **rest,
    }
    if updated is not None:
        document["properties"]["updated"] = updated
    return document | ({"collection": collection} if collection is not None else {})


def message(body: Any, seconds: float = 0, **attributes: str) -> Message:
    """A message sent so many seconds after noon of the first of March."""
    return Message("m", body, NOW + timedelta(seconds=seconds), attributes)


def deletion(item_id: str = "a", collection: str | None = "s2", **rest: Any) -> dict[str, Any]:
    """A message body that deletes an Item."""
    return {"op": "delete", "collection": collection, "id": item_id, **rest}


def notification(document: Mapping[str, Any], time: str) -> dict[str, Any]:
    """A document in a notification of SNS, published at a time."""
    return {
        "Type": "Notification",
        "MessageId": "m",
        "TopicArn": "arn:aws:sns:eu-central-1:123456789012:items",
        "Message": json.dumps(document),
        "Timestamp": time,
    }


def later(hours: float = 1) -> str:
    """A time that clocks which are right do not have yet."""
    return (datetime.now(UTC) + timedelta(hours=hours)).strftime("%Y-%m-%dT%H:%M:%S.%fZ")


def sqs_event(*bodies: str, attributes: Sequence[Mapping[str, str]] = ()) -> dict[str, Any]:
    """An SQS event as Lambda hands it over (Lambda Developer Guide, "Using Lambda with SQS")."""
    sent = str(int(NOW.timestamp() * 1000))
    return {
        "Records": [
            {
                "messageId": f"059f36b4-87a3-44ab-83d2-66197{n:07}",
                "receiptHandle": "AQEBwJnKyrHigUMZj6rYigCgxlaS3SLy0a",
                "body": body,
                "attributes": {
                    "ApproximateReceiveCount": "1",
                    "SentTimestamp": sent,
                    "SenderId": "AIDAIENQZJOLO23YVJ4VO",
                    "ApproximateFirstReceiveTimestamp": sent,
                },
                "messageAttributes": {
                    name: {"stringValue": value, "dataType": "String"}
                    for name, value in (attributes[n] if attributes else {}).items()
                },
                "md5OfBody": "e4e68fb7bd0e697a0ae8f1bb342846b3",
                "eventSource": "aws:sqs",
                "eventSourceARN": "arn:aws:sqs:eu-central-1:123456789012:livemosaic",
                "awsRegion": "eu-central-1",
            }
            for n, body in enumerate(bodies)
        ]
    }
