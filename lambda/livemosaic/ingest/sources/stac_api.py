"""What a STAC API finds becomes messages, page by page."""

import json
import re
import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any, Final
from urllib.parse import quote, urljoin

from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.events.message import Message
from livemosaic.ingest.sources import Entry, Mark
from livemosaic.model.time import parse_time

try:
    from pystac_client import Client
    from pystac_client.exceptions import APIError
    from pystac_client.stac_api_io import StacApiIO
    from urllib3 import Retry
except ImportError as error:
    raise InvalidRequestError(
        f"{error.name} is not installed, which asks STAC APIs: pip install 'livemosaic[cli]'"
    ) from error

_SLICES: Final = 16
"""Of a closed time range; days differ in how much they hold, so more than are read at once."""
_MIN_SLICE: Final = timedelta(days=1)
_ATTEMPTS: Final = 6
_BUSY: Final = (408, 429, 500, 502, 503, 504)
_NOT_THERE: Final = (404, 410)
_TIMEOUT_S: Final = (10.0, 60.0)
_EMPTY_PAGES: Final = 5
"""Some APIs hand out `next` links for ever; and a page may be empty with others behind it."""
_ORDER: Final = [
    {"field": "properties.datetime", "direction": "asc"},
    {"field": "id", "direction": "asc"},
]
"""Pages by this order hold each Item once; without any, an API may repeat one and lose another."""

Ask = Mapping[str, Any]
"""A request for one page: `href`, `method`, `headers`, and the `body` of a POST."""


@dataclass(frozen=True, slots=True)
class Search:
    """What to find."""

    url: str
    """Of the API's landing page."""
    collections: Sequence[str] = ()
    bbox: Sequence[float] | None = None
    """west, south, east, north in degrees; west > east crosses the antimeridian."""
    datetime: str | None = None
    """RFC 3339 or a part of it (`2025-07`), or two with a slash between, either of them `..`."""
    filter: str | None = None
    """CQL2."""
    limit: int = 100
    """Items a page: 100 of Sentinel-2 have 3 MB, and AWS Lambda answers with 6 MB at most."""


@dataclass(frozen=True, slots=True)
class Slice:
    """What an API finds in one range of time; `Source`."""

    search: Search
    first: Ask

    @property
    def name(self) -> str:
        """See `Source`."""
        return f"{self.search.url} {self.search.datetime or ''}".strip()

    @property
    def identity(self) -> Any:
        """The first request says it all."""
        return self.first

    def read(self, began: datetime, place: Any) -> Iterator[Entry]:
        """See `Source`. What has no time was so when the run began, or later: all events of since
        then are as new.
        """
        if place == "end":
            return
        for features, following in pages(place or self.first):
            last = len(features) - 1
            for n, item in enumerate(features):
                mark = Mark(self.name, following or "end") if n == last else None
                yield self._entry(item, began, mark)

    def _entry(self, item: Any, time: datetime, mark: Mark | None) -> Entry:
        url = self.search.url
        if not isinstance(item, Mapping):
            item = json.dumps(item)
        name = item.get("id") if isinstance(item, Mapping) else None
        return Entry(Message(f"{url} {name}", item, time, {}), url, mark=mark)


def slices(search: Search) -> tuple[list[Slice], int | None]:
    """Sources that find it all between them, and how many Items that are, if the API tells.

    A closed range of time is cut into several. What lies where they meet comes twice, and what
    lasts, in each that it touches; that changes nothing.
    """
    whole = _first(search)
    ranges = _cut(whole["body"].get("datetime"))
    if len(ranges) < 2:
        return [Slice(search, whole)], _matched(whole)
    return [
        Slice(replace(search, datetime=text), whole | {"body": whole["body"] | {"datetime": text}})
        for text in ranges
    ], _matched(whole)


def pages(ask: Ask) -> Iterator[tuple[Sequence[Any], Ask | None]]:
    """The features of each page from one on, and the request for the page after it.

    `InvalidRequestError` where the API does not answer.
    """
    io = _io()
    following: Ask | None = ask
    empty = 0
    while following and empty < _EMPTY_PAGES:
        asked, page = following, _page(io, following)
        following = _next(asked, page)
        if following == asked:
            raise InvalidRequestError(f"{asked['href']} links to itself as the next page")
        features = page["features"]
        empty = 0 if features else empty + 1
        yield features, following


def has(url: str, collection: str, item_id: str) -> bool:
    """Whether an API has one Item now; `InvalidRequestError` where it does not answer."""
    href = f"{url.rstrip('/')}/collections/{quote(collection, safe='')}/items/"
    try:
        _io().request(href + quote(item_id, safe=""))
    except APIError as error:
        if getattr(error, "status_code", None) in _NOT_THERE:
            return False
        raise InvalidRequestError(f"cannot read {href}: {_told(error)}") from error
    return True


def _first(search: Search) -> dict[str, Any]:
    """The request for the first page. The query of a GET is in its body until it is sent."""
    if not search.url.startswith(("https://", "http://")):
        raise InvalidRequestError(f"{search.url!r} is no URL of a STAC API: use https://HOST/PATH")
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of pystac-client, on what is asked here first
            client = Client.open(search.url, stac_io=_io())
            return _asked(client, search)
    except InvalidRequestError:
        raise
    except Exception as error:  # pystac-client raises bare ones
        raise InvalidRequestError(f"cannot search {search.url}: {_told(error)}") from error


def _asked(client: Client, search: Search) -> dict[str, Any]:
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
        datetime=search.datetime,
        filter=search.filter,
        sortby=_ORDER if any(uri.endswith("#sort") for uri in known) else None,
    )
    body = json.loads(json.dumps(found.get_parameters()))
    return {"href": found.url, "method": found.method, "headers": {}, "body": body}


def _cut(text: str | None) -> list[str]:
    """A closed range of time in parts that meet; others as they are."""
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


def _matched(ask: dict[str, Any]) -> int | None:
    page = _page(_io(), ask | {"body": ask["body"] | {"limit": 1}})
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
    """One page; asked for again where the answer breaks off, which urllib3 leaves to us."""
    reason = ""
    for _ in range(_ATTEMPTS):
        try:
            text = io.request(ask["href"], ask["method"], ask["headers"], ask["body"])
            page = json.loads(text)
        except (APIError, ValueError, RecursionError) as error:
            reason = _told(error)
            if getattr(error, "status_code", None) or "Max retries" in str(error):
                break
            continue
        if isinstance(page, Mapping) and isinstance(page.get("features"), list):
            return page
        reason = f"it answers {text[:80]!r}, not a FeatureCollection"
        break
    raise InvalidRequestError(f"cannot read a page of {ask['href']}: {reason}")


def _next(asked: Ask, page: Mapping[str, Any]) -> Ask | None:
    """What the `next` link of a page says (STAC API, Item Search, "Pagination")."""
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


def _told(error: Exception) -> str:
    status = getattr(error, "status_code", None)
    said = " ".join(str(error).split())
    # As requests quotes urllib3.
    cause = re.search(r"Caused by \w+\((?:.*: )?['\"]?(.+?)['\"]?\)+$", said)
    said = (cause[1] if cause else said)[:300]
    return f"HTTP {status}: {said}" if status else said or type(error).__name__
