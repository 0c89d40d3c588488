"""Notifications of OGC API - Publish-Subscribe (draft): CloudEvents in JSON, and GeoJSON messages.

Sources: opengeospatial/pubsub, clauses 8 and 9; messages of eoapi-notifier, pygeoapi and pycsw; WMO
WIS2 notification messages. Each names its Item in another place, and some give all events of an
Item one `id`, which therefore identifies no event.
"""

import re
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any, Final
from urllib.parse import unquote

from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events.body import Body, is_text, order_member, parse, text
from livemosaic.ingest.events.changes import Deletion, ItemChange, Reference
from livemosaic.ingest.events.items import is_notice, upsert
from livemosaic.ingest.events.kinds import DELETED, MessageKind
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.events.unread import refuse_cloudevent
from livemosaic.model.order import Order
from livemosaic.model.scene import check_collection, check_id
from livemosaic.storage.hrefs import path_segment

_OGC: Final = "org.ogc.api."
_ITEM: Final = f"{_OGC}collection.item"
_WRITTEN: Final = frozenset({"create", "insert", "replace", "update"})
_PATH: Final = re.compile(r"(?:^|/)collections/([^/]+)(?:/items/([^/]+))?/?$")
_ITEM_LINKS: Final = ("item", "self", "canonical", "deletion")
_GEOJSON_TYPES: Final = ("application/geo+json", "application/json")


def _cloudevent(event: Body, message: Message) -> Iterator[ItemChange]:
    kind, _, operation = event["type"].rpartition(".")
    message = replace(message, stated=order_member(event, "time", message.order))
    if kind == _ITEM and operation in DELETED:
        yield _deletion(*_named(event), message.order)
    elif kind == _ITEM and operation in _WRITTEN:
        yield _written(event, message)
    elif not event["type"].startswith(_OGC) or "item" in event["type"]:
        refuse_cloudevent(event["type"])
        operations = ", ".join(sorted(_WRITTEN | {"delete"}))
        raise InvalidItemError(
            f"type {event['type'][:80]!r} is not {_ITEM}. and one of {operations}"
        )
    # Other types are about a collection, a job, a map.


def _deletion(collection: str, item_id: Any, order: Order) -> Deletion:
    """Returns a deletion; the collection is required, as every Item of an API has one."""
    if not collection:
        raise InvalidItemError(f"nothing names the collection of id {str(item_id)[:80]!r}")
    return Deletion(collection, check_id(item_id), order)


def _written(event: Body, message: Message) -> ItemChange:
    """Returns the whole Item of an event, or a reference to it."""
    data = _data(event)
    if isinstance(data.get("assets"), Mapping):
        collection, _ = _named(event)
        return upsert({**data, "collection": collection} if collection else data, message)
    return Reference(_href(event, data), message.order)


def _href(event: Body, data: Body) -> str:
    if data.get("type") != "Feature" and is_text(data, "href"):
        return text(data, "href")
    source, subject = text(event, "source"), event.get("subject")
    if isinstance(subject, str) and _is_url(subject) and _path_names(subject)[1]:
        return text(event, "subject")
    collection, item_id = _named(event)
    if not _is_url(source) or not collection or not item_id:
        raise InvalidItemError(
            "the data is no whole Item (it has no assets), and nothing says where that is: the "
            f"source, here {source[:80]!r}, must be the URL of an API, and the event must name "
            f"collection and id, here {collection[:80]!r} and {str(item_id)[:80]!r}"
        )
    api = source.partition("/collections/")[0].rstrip("/")
    return f"{api}/collections/{path_segment(collection)}/items/{path_segment(check_id(item_id))}"


def _named(event: Body) -> tuple[str, Any]:
    """Returns collection and id from wherever the producer puts them; else empty and None."""
    data, subject = _data(event), event.get("subject")
    of_subject, of_source = _path_names(subject), _path_names(event["source"])
    collection = data.get("collection") or event.get("collection") or of_subject[0] or of_source[0]
    alone = subject if isinstance(subject, str) and "/" not in subject else None
    return check_collection(collection), data.get("id") or _plain(event) or of_subject[1] or alone


def _data(event: Body) -> Body:
    """Returns the data of an event, also where it is base64, or JSON in a text; else nothing."""
    data = event.get("data")
    if data is None and is_text(event, "data_base64"):
        data = _decoded(event["data_base64"])
    if isinstance(data, str) and data.lstrip().startswith("{"):
        data = parse(data)
    return data if isinstance(data, Mapping) else {}


def _decoded(encoded: str) -> str:
    try:
        return b64decode(encoded, validate=True).decode()
    except ValueError as error:
        raise InvalidItemError(f"data_base64 is no text in base64: {error}") from error


def _plain(event: Body) -> str | None:
    """Returns data that is only an id; pygeoapi and pycsw turn ids of digits into numbers."""
    data = event.get("data")
    is_id = isinstance(data, str | int) and not isinstance(data, bool) and not _data(event)
    return str(data) if is_id else None


def _path_names(path: object) -> tuple[str, str]:
    """Returns collection and id of `…/collections/{collection}[/items/{id}]`, or empty texts."""
    plain = path.partition("?")[0] if isinstance(path, str) else ""
    found = _PATH.search(plain)
    return (unquote(found[1]), unquote(found[2] or "")) if found else ("", "")


def _is_url(value: str) -> bool:
    return value.startswith(("https://", "http://"))


def _geojson(notice: Body, message: Message) -> Iterator[ItemChange]:
    """Reads a GeoJSON notification, whose link leads to the Item; its `id` is its own."""
    properties = notice["properties"]
    order = order_member(properties, "pubtime", message.order)
    operation = str(properties.get("operation", "create"))
    href = _link(notice)
    if operation in DELETED:
        collection, item_id = _path_names(href)
        yield _deletion(check_collection(collection), item_id, order)
    elif operation in _WRITTEN:
        yield Reference(href, order)
    else:
        raise InvalidItemError(f"properties.operation {operation[:80]!r} is not known")


def _link(notice: Body) -> str:
    links = notice.get("links")
    usable = [
        link
        for link in (links if isinstance(links, list) else [])
        if isinstance(link, Mapping)
        and link.get("rel") in _ITEM_LINKS
        and link.get("type", _GEOJSON_TYPES[0]) in _GEOJSON_TYPES
    ]
    if not usable:
        raise InvalidItemError(f"no link of type {_GEOJSON_TYPES[0]} leads to the Item")
    return text(min(usable, key=lambda link: _ITEM_LINKS.index(link["rel"])), "href")


KINDS: Final = (
    MessageKind(
        "a CloudEvent", lambda body: is_text(body, "specversion", "type", "source"), _cloudevent
    ),
    MessageKind(
        "a message of OGC API - Pub/Sub",
        lambda body: body.get("type") == "Feature" and is_notice(body),
        _geojson,
        geojson=True,
    ),
)
