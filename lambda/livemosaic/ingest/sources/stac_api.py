"""The source of STAC Items in a STAC API (Item Search), page by page."""

import json
import re
import threading
import warnings
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import Any, Final, Literal
from urllib.parse import urlencode, urljoin

from pystac_client import Client
from pystac_client.exceptions import APIError
from pystac_client.stac_api_io import StacApiIO
from shapely.geometry import mapping
from shapely.geometry.base import BaseGeometry
from urllib3 import Retry

from livemosaic.errors import InvalidItemError, InvalidRequestError
from livemosaic.geo.antimeridian import extent
from livemosaic.geo.footprint import footprint
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.ingest.sources.first import First
from livemosaic.model.order import Order
from livemosaic.model.time import parse_time
from livemosaic.storage.hrefs import path_segment

_SLICES: Final = 16
"""Slices of a closed time range; more than are read in parallel, as days differ in size."""
_MIN_SLICE: Final = timedelta(days=1)
_ATTEMPTS: Final = 6
_BUSY: Final = (408, 429, 500, 502, 503, 504)
_SECOND: Final = timedelta(seconds=1)
_NOT_THERE: Final = (404, 410)
_TIMEOUT_S: Final = (10.0, 60.0)
_EMPTY_PAGES: Final = 5
"""Some APIs return `next` links forever; but an empty page may precede others."""
_MAX_QUERY: Final = 6_000
"""Characters of a URL's query; servers and proxies take 8 KB of a request's head, or more."""

_OF_THREAD: Final = threading.local()

Direction = Literal["asc", "desc"]
Ask = Mapping[str, Any]
"""A request for one page: `href`, `method`, `headers`, and the `body` of a POST."""


@dataclass(frozen=True, slots=True)
class Search:
    """A search of a STAC API."""

    url: str
    """URL of the API's landing page."""
    collections: Sequence[str] = ()
    bbox: Sequence[float] | None = None
    """west, south, east, north in degrees; west > east crosses the antimeridian."""
    datetime: str | None = None
    """RFC 3339 or a part of it (`2025-07`), or two with a slash between, either of them `..`."""
    filter: str | None = None
    """CQL2 text."""
    limit: int = 100
    """Items a page: 100 of Sentinel-2 have 3 MB, and AWS Lambda returns 6 MB at most."""
    intersects: BaseGeometry | None = None
    """Area in degrees within ±180 that Items intersect, in place of a box."""


@dataclass(frozen=True, slots=True)
class SearchPage:
    """One page of a search."""

    features: Sequence[Any]
    following: Ask | None
    """The request for the next page."""
    answered: datetime
    """When the API made the page, by its own clock if that is behind; aware."""


@dataclass(frozen=True, slots=True)
class Slice:
    """The part of a search in one range of time; a `Source`."""

    search: Search
    first: Ask
    area: BaseGeometry | None = None
    """Area in degrees of which the API is asked for the box only; other Items are left out here."""

    @property
    def name(self) -> str:
        """See `Source`."""
        return f"{self.search.url} {self.search.datetime or ''}".strip()

    @property
    def identity(self) -> Any:
        """The first request, and the area that it does not have."""
        return self.first if self.area is None else {**self.first, "area": self.area.wkt}

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. All pages are one snapshot, of when the run began, or the API answered."""
        if place == "end":
            return
        for page in pages(place or self.first):
            order = Order.listed(min(page.answered, began), began, snapshot=True)
            features = [item for item in page.features if self._takes(item)]
            last = len(features) - 1
            for n, item in enumerate(features):
                mark = Mark(self.name, page.following or "end") if n == last else None
                yield self._entry(item, order, mark)

    def _takes(self, item: Any) -> bool:
        """Whether an Item meets the area; one without a footprint is an entry, to be rejected."""
        if self.area is None or not isinstance(item, Mapping):
            return True
        try:
            return bool(self.area.intersects(footprint(item.get("geometry"), item.get("bbox"))))
        except InvalidItemError:
            return True

    def _entry(self, item: Any, order: Order, mark: Mark | None) -> Entry:
        url = self.search.url
        if not isinstance(item, Mapping):
            item = json.dumps(item)
        name = item.get("id") if isinstance(item, Mapping) else None
        message = Message(f"{url} {name}", item, order.moment, {}, stated=order)
        return Entry(message, url, mark=mark)


def slices(search: Search) -> tuple[list[Slice], int | None]:
    """Returns sources that together cover a search, and its number of Items if the API has it.

    A closed range of time is split. An Item at a boundary comes twice, and one with a range of
    times in each slice that it intersects; that changes nothing.
    """
    whole = _whole(search)
    ranges = _cut(whole.first["body"].get("datetime"))
    if len(ranges) < 2:
        return [whole], _matched(whole)
    return [_during(whole, text) for text in ranges], _matched(whole)


def newest(search: Search, count: int) -> tuple[First, int | None]:
    """Returns the source of the newest Items of a search, and their number if the API has it.

    The first that it lists, of an API that does not sort.
    """
    whole = _whole(replace(search, limit=min(search.limit, count)), "desc")
    total = _matched(whole)
    return First(whole, count), None if total is None else min(total, count)


def pages(ask: Ask) -> Iterator[SearchPage]:
    """Yields the pages from a request on; `InvalidRequestError` where the API does not respond."""
    io = _io()
    dates = deque([""], maxlen=1)
    io.session.hooks["response"].append(lambda answer, **_: dates.append(_date(answer)))
    following: Ask | None = ask
    empty = 0
    while following and empty < _EMPTY_PAGES:
        began = datetime.now(UTC)
        asked, page = following, _page(io, following)
        following = _next(asked, page)
        if following == asked:
            raise InvalidRequestError(f"{asked['href']} links to itself as the next page")
        features = page["features"]
        empty = 0 if features else empty + 1
        yield SearchPage(features, following, _answered(dates[-1], began))


def item(search: Slice, collection: str, item_id: str) -> Mapping[str, Any] | None:
    """Returns an Item as the API of a search has it now; None where it has none.

    Asks for the Item itself, and searches for its id where that is not found, as not every API has
    pages of Items. Raises `InvalidRequestError` without a response.
    """
    url = f"{search.search.url.rstrip('/')}/collections/{path_segment(collection)}/items/"
    try:
        found = json.loads(_own_io().request(url + path_segment(item_id)))
    except APIError as error:
        if getattr(error, "status_code", None) not in _NOT_THERE:
            raise InvalidRequestError(f"cannot read {url}: {_message(error)}") from error
        return _searched(search.first, collection, item_id)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"{url}{item_id[:80]} is no JSON: {_message(error)}") from error
    return found if isinstance(found, Mapping) else None


def _searched(first: Ask, collection: str, item_id: str) -> Mapping[str, Any] | None:
    posts = first["method"] == "POST"
    wanted = {"collections": [collection], "ids": [item_id]}
    body = first["body"] | (wanted if posts else {k: v[0] for k, v in wanted.items()})
    page = _page(_own_io(), {**first, "body": body})
    items = (found for found in page["features"] if isinstance(found, Mapping))
    name = (collection, item_id)
    return next((one for one in items if (one.get("collection"), one.get("id")) == name), None)


def _own_io() -> StacApiIO:
    """Returns the connections of this thread."""
    if not hasattr(_OF_THREAD, "io"):
        _OF_THREAD.io = _io()
    io: StacApiIO = _OF_THREAD.io
    return io


def _during(whole: Slice, times: str) -> Slice:
    body = {**whole.first["body"], "datetime": times}
    search = replace(whole.search, datetime=times)
    return replace(whole, search=search, first={**whole.first, "body": body})


def _whole(search: Search, direction: Direction = "asc") -> Slice:
    """Returns all of a search; of an area that is too long for the URL of a GET it asks a box."""
    first = _first(search, direction)
    area = search.intersects
    if area is None or first["method"] == "POST" or len(urlencode(first["body"])) <= _MAX_QUERY:
        return Slice(search, first)
    return Slice(
        search, _first(replace(search, intersects=None, bbox=extent(area)), direction), area
    )


def _first(search: Search, direction: Direction) -> dict[str, Any]:
    """Returns the request for the first page; its body also holds the query of a GET."""
    if not search.url.startswith(("https://", "http://")):
        raise InvalidRequestError(f"{search.url!r} is no URL of a STAC API: use https://HOST/PATH")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter(
                "ignore"
            )  # of pystac-client, about conformance, which is checked below
            client = Client.open(search.url, stac_io=_io())
            return _asked(client, search, direction)
    except InvalidRequestError:
        raise
    except Exception as error:  # pystac-client raises bare Exception
        raise InvalidRequestError(f"cannot search {search.url}: {_message(error)}") from error


def _asked(client: Client, search: Search, direction: Direction) -> dict[str, Any]:
    known = client.get_conforms_to()
    if search.filter and not any("#filter" in uri or "cql2" in uri for uri in known):
        raise InvalidRequestError(f"{search.url} does not filter: leave out --filter")
    links = client.get_links("search")
    posts = any(link.extra_fields.get("method") == "POST" for link in links)
    found = client.search(
        method="POST" if posts else "GET",
        limit=search.limit,
        collections=list(search.collections) or None,
        bbox=list(search.bbox) if search.bbox else None,
        intersects=mapping(search.intersects) if search.intersects else None,
        datetime=search.datetime,
        filter=search.filter,
        sortby=_order(direction) if any(uri.endswith("#sort") for uri in known) else None,
    )
    body = json.loads(json.dumps(found.get_parameters()))
    return {"href": found.url, "method": found.method, "headers": {}, "body": body}


def _order(direction: Direction) -> list[dict[str, str]]:
    """Returns `sortby`. Sorted pages hold each Item once; others repeat some and lose others."""
    return [{"field": name, "direction": direction} for name in ("properties.datetime", "id")]


def _cut(text: str | None) -> list[str]:
    """Splits a closed range of time into adjacent parts; returns none for an open one."""
    begin, _, end = (text or "").partition("/")
    if not begin or not end or ".." in (begin, end):
        return []
    start, stop = parse_time(begin), parse_time(end)
    count = max(1, min(_SLICES, (stop - start) // _MIN_SLICE))
    inner = [_rfc3339(start + (stop - start) * n / count) for n in range(1, count)]
    edges = [begin, *inner, end]
    return [f"{a}/{b}" for a, b in pairwise(edges)]


def _rfc3339(time: datetime) -> str:
    return time.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _matched(whole: Slice) -> int | None:
    if whole.area is not None:
        return None
    ask = whole.first
    page = _page(_io(), {**ask, "body": ask["body"] | {"limit": 1}})
    context = page.get("context")
    nested = context.get("matched") if isinstance(context, Mapping) else None
    found = page.get("numberMatched", nested)
    return found if isinstance(found, int) else None


def _io() -> StacApiIO:
    retries = Retry(
        _ATTEMPTS - 1, connect=2, backoff_factor=0.5, status_forcelist=_BUSY, allowed_methods=None
    )
    return StacApiIO(max_retries=retries, timeout=_TIMEOUT_S)


def _page(io: StacApiIO, ask: Ask) -> Mapping[str, Any]:
    """Returns one page; retries a truncated response, which urllib3 does not."""
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            text = io.request(ask["href"], ask["method"], ask["headers"], ask["body"])
            page = json.loads(text)
        except (APIError, ValueError, RecursionError) as error:
            reason = _message(error)
            if getattr(error, "status_code", None) or "Max retries" in str(error):
                break
            continue
        if isinstance(page, Mapping) and isinstance(page.get("features"), list):
            return page
        reason = f"it answers {text[:80]!r}, not a FeatureCollection"
        break
    raise InvalidRequestError(f"cannot read a page of {ask['href']}: {reason}")


def _date(answer: Any) -> str:
    """Returns the `Date` of a response: when its origin made it, also where a cache kept it."""
    return str(answer.headers.get("Date", ""))


def _answered(date: str, asked: datetime) -> datetime:
    """Returns when a page was made, by the clock that is behind: a snapshot is never too new."""
    try:
        made = parsedate_to_datetime(date)
    except ValueError:
        return asked
    end = (made if made.tzinfo else made.replace(tzinfo=UTC)) + _SECOND  # `Date` cuts it off
    return min(end, asked)


def _next(asked: Ask, page: Mapping[str, Any]) -> Ask | None:
    """Returns the request of a page's `next` link (STAC API, Item Search, "Pagination")."""
    links = [link for link in page.get("links") or () if isinstance(link, Mapping)]
    link = next((link for link in links if link.get("rel") == "next"), None)
    if link is None:
        return None
    method = str(link.get("method", "GET")).upper()
    body = link.get("body")
    if method == "POST" and (link.get("merge") or body is None):
        body = asked["body"] | (body or {})
    return {
        "href": urljoin(asked["href"], str(link.get("href", ""))),
        "method": method,
        "headers": link.get("headers") or {},
        "body": body if method == "POST" else {},
    }


def _message(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    text = " ".join(str(error).split())
    # The format in which requests quotes urllib3.
    cause = re.search(r"Caused by \w+\((?:.*: )?['\"]?(.+?)['\"]?\)+$", text)
    text = (cause[1] if cause else text)[:300]
    return f"HTTP {status}: {text}" if status else text or type(error).__name__
