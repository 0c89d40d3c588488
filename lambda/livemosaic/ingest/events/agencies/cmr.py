"""Ingest subscriptions of NASA's Common Metadata Repository.

Sources: CMR `create-notification-message-body` and `create-message-attributes`; CMR search
documentation, "Retrieve concept with concept id": only the latest revision is available as STAC.
"""

import re
from collections.abc import Iterator
from typing import Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, text
from livemosaic.ingest.events.changes import ItemChange, TrackedChange
from livemosaic.ingest.events.kinds import MessageKind, is_deletion
from livemosaic.ingest.events.message import Message

_LOCATION: Final = re.compile(r"(https?://.+/concepts/)(G\d+-\w+)/(\d{1,10})")


def _granule(body: Body, message: Message) -> Iterator[ItemChange]:
    concept, location = text(body, "concept-id"), text(body, "location")
    found = _LOCATION.fullmatch(location)
    if not found or found[2] != concept:
        raise InvalidItemError(
            f"location {location[:200]!r} is not …/concepts/{concept[:80]}/{{revision}}"
        )
    gone = is_deletion(message.attributes.get("mode", ""), "attribute mode")
    href = None if gone else f"{found[1]}{concept}.stac"
    yield TrackedChange(concept, f"{int(found[3]):010}", message.order.moment, href)


KINDS: Final = (
    MessageKind(
        "a notification of CMR", lambda body: is_text(body, "concept-id", "location"), _granule
    ),
)
