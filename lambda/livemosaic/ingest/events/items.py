"""Messages that hold Items: bare, in an ItemCollection, from stac-server, or as an href.

Sources: STAC item-spec 1.1; cirrus-geo `build_item_sns_attributes`, which Earth Search runs;
stac-server `src/lib/sns.ts` and `src/lambdas/ingest`; Open Data Cube `odc.apps.dc_tools`, whose
topics Digital Earth Australia and Africa run.
"""

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_object, is_text, order_member, text
from livemosaic.ingest.events.changes import Deletion, ItemChange, Reference, Upsert
from livemosaic.ingest.events.kinds import MessageKind, MessagePart, has_deletion, read_each
from livemosaic.ingest.events.message import Message
from livemosaic.model.scene import check_collection, check_id

_NO_ITEMS: Final = ("Collection", "Catalog")
_INGESTED: Final = "successful"


def is_notice(feature: Body) -> bool:
    """Returns whether a GeoJSON Feature notifies of a resource (OGC API - Pub/Sub)."""
    properties = feature.get("properties")
    notifies = isinstance(properties, Mapping) and is_text(properties, "pubtime")
    return notifies and not feature.keys() & {"stac_version", "assets"}


def upsert(item: Body, message: Message) -> Upsert:
    """Returns the upsert of an Item, whose content is not checked yet."""
    collection, item_id = check_collection(item.get("collection")), check_id(item.get("id"))
    return Upsert(collection, item_id, message.order, item, message.base)


def _item(item: Body, message: Message) -> Iterator[ItemChange]:
    if not has_deletion(message):
        yield upsert(item, message)
        return
    collection, item_id = check_collection(item.get("collection")), check_id(item.get("id"))
    yield Deletion(collection, item_id, message.order)


def _collection(body: Body, message: Message) -> Iterator[MessagePart]:
    def read(feature: Any) -> Iterator[ItemChange]:
        if not isinstance(feature, Mapping):
            raise InvalidItemError(f"a feature is {type(feature).__name__}, not an object")
        return _item(feature, message)

    return read_each(body["features"], read)


def _record(body: Body, message: Message) -> Iterator[ItemChange]:
    """Reads a record of stac-server, which has an `error` where its ingestion failed."""
    record, status = body["record"], message.attributes.get("ingestStatus", _INGESTED)
    if status.lower() not in (_INGESTED, "failed"):
        raise InvalidItemError(
            f"ingestStatus {status[:80]!r} is neither {_INGESTED!r} nor 'failed'"
        )
    if status.lower() == "failed" or body.get("error") not in (None, False):
        return
    if record.get("type") == "Feature":
        yield from _item(record, message)
    elif record.get("type") not in _NO_ITEMS:
        raise InvalidItemError(f"a record of type {str(record.get('type'))[:80]!r}")


def _reference(body: Body, message: Message) -> Iterator[ItemChange]:
    own = {name: value for name, value in body.items() if isinstance(value, str)}
    if has_deletion(message) or has_deletion(replace(message, attributes=own)):
        raise InvalidItemError(
            "a reference to an Item that is gone: name it by "
            '{"op": "delete", "collection": …, "id": …}'
        )
    yield Reference(text(body, "href"), order_member(body, "time", message.order))


KINDS: Final = (
    MessageKind(
        "a STAC Item",
        lambda body: body.get("type") == "Feature" and not is_notice(body),
        _item,
        geojson=True,
    ),
    MessageKind(
        "an ItemCollection",
        lambda body: isinstance(body.get("features"), list),
        _collection,
        geojson=True,
    ),
    MessageKind("a record of stac-server", lambda body: is_object(body, "record"), _record),
    MessageKind("a reference to an Item", lambda body: is_text(body, "href"), _reference),
)
