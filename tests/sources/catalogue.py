"""A STAC API on this machine, which pages, counts and breaks on demand.

It answers as stac-server and stac-fastapi do: a landing page, and a search whose pages are linked
by `next`: a POST with the body to send or to merge, or a GET.
"""

import json
import threading
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Literal, Self
from urllib.parse import parse_qsl, unquote, urlencode, urlsplit

from shapely.geometry import shape

from livemosaic.geo.antimeridian import lonlat_boxes

SORT = "https://api.stacspec.org/v1.0.0/item-search#sort"
FILTER = "https://api.stacspec.org/v1.0.0/item-search#filter"
SEARCH = "https://api.stacspec.org/v1.0.0/item-search"
CORE = "https://api.stacspec.org/v1.0.0/core"

Json = Mapping[str, Any]


@dataclass
class Catalogue:
    """Serves Items at `url` while it is entered."""

    items: Sequence[Any]
    paging: Literal["merge", "body", "get"] = "merge"
    conforms: Sequence[str] = (CORE, SEARCH, SORT, FILTER)
    counts: bool = True
    """Whether pages say how many Items match."""
    repeat: int = 0
    """How many Items of each page come again on the next one."""
    faults: list[int | Literal["cut"] | None] = field(default_factory=list)
    """What the next searches meet: an HTTP status, a body that breaks off, or nothing bad."""
    listed: Sequence[Any] | None = None
    """The Items on pages of a search without ids, where these are behind."""
    features: bool = True
    """Whether it has pages of its own for Items (OGC API - Features)."""
    searches: list[Json] = field(default_factory=list)
    """What was asked for."""

    def __enter__(self) -> Self:
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.catalogue = self
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def landing(self) -> Json:
        methods = ["GET"] if self.paging == "get" else ["GET", "POST"]
        return {
            "type": "Catalog",
            "id": "catalogue",
            "stac_version": "1.0.0",
            "description": "Items of a test",
            "conformsTo": list(self.conforms),
            "links": [
                {"rel": "self", "href": self.url, "type": "application/json"},
                {"rel": "root", "href": self.url, "type": "application/json"},
                *(
                    {
                        "rel": "search",
                        "href": f"{self.url}/search",
                        "type": "application/geo+json",
                        "method": method,
                    }
                    for method in methods
                ),
            ],
        }

    def page(self, asked: Json) -> Json:
        """One page; the token is the place of its first Item among those that match."""
        there = self.items if self.listed is None or asked.get("ids") else self.listed
        found = _sorted([item for item in there if _matches(item, asked)], asked)
        start, limit = int(asked.get("token", 0)), int(asked.get("limit", 10))
        page: dict[str, Any] = {
            "type": "FeatureCollection",
            "features": found[start : start + limit],
            "links": [{"rel": "root", "href": self.url}],
        }
        if self.counts:
            page["numberMatched"] = len(found)
        if start + limit < len(found):
            page["links"].append(self._next(asked, str(start + limit - self.repeat)))
        return page

    def _next(self, asked: Json, token: str) -> Json:
        link: dict[str, Any] = {"rel": "next", "href": f"{self.url}/search"}
        match self.paging:
            case "merge":
                return link | {"method": "POST", "merge": True, "body": {"token": token}}
            case "body":
                return link | {"method": "POST", "body": {**asked, "token": token}}
            case "get":
                return link | {"href": "/search?" + urlencode({**asked, "token": token})}


def _matches(item: Any, asked: Json) -> bool:
    collections = asked.get("collections") or []
    if isinstance(collections, str):
        collections = collections.split(",")
    if collections and item["collection"] not in collections:
        return False
    ids = asked.get("ids") or []
    if ids and item["id"] not in (ids.split(",") if isinstance(ids, str) else ids):
        return False
    if "intersects" in asked:
        area = asked["intersects"]
        area = shape(json.loads(area) if isinstance(area, str) else area)
        if not area.intersects(shape(item["geometry"])):
            return False
    if "bbox" in asked:
        edges = asked["bbox"]
        edges = [float(edge) for edge in (edges.split(",") if isinstance(edges, str) else edges)]
        if not any(part.intersects(shape(item["geometry"])) for part in lonlat_boxes(edges)):
            return False
    if "datetime" not in asked:
        return True
    begin, end = asked["datetime"].split("/")
    time = datetime.fromisoformat(item["properties"]["datetime"])
    return datetime.fromisoformat(begin) <= time <= datetime.fromisoformat(end)


def _sorted(items: list[Any], asked: Json) -> list[Any]:
    """By datetime and id, where it is asked for (the Sort extension), as a POST and a GET say."""
    by = asked.get("sortby")
    if not by or not all(isinstance(item, Mapping) for item in items):
        return items
    descends = by.startswith("-") if isinstance(by, str) else by[0]["direction"] == "desc"
    return sorted(
        items, key=lambda item: (item["properties"]["datetime"], item["id"]), reverse=descends
    )


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    catalogue: Catalogue

    def handle_error(self, request: object, client_address: object) -> None:
        """Who asked was killed."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Server

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        pass

    def do_GET(self) -> None:
        parts = urlsplit(self.path)
        if parts.path == "/search":
            return self._search(dict(parse_qsl(parts.query)))
        if parts.path.startswith("/collections/"):
            _, _, collection, _, name = map(unquote, parts.path.split("/"))
            items = self.server.catalogue.items if self.server.catalogue.features else []
            there = [i for i in items if (i["collection"], i["id"]) == (collection, name)]
            return self._answer(200 if there else 404, there[0] if there else {"code": "NotFound"})
        return self._answer(200, self.server.catalogue.landing())

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self._search(json.loads(body))

    def _search(self, asked: Json) -> None:
        api = self.server.catalogue
        api.searches.append(asked)
        fault = api.faults.pop(0) if api.faults else None
        if isinstance(fault, int):
            return self._answer(fault, {"code": "Trouble", "description": f"told {fault}"})
        return self._answer(200, api.page(asked), cut=fault == "cut")

    def _answer(self, status: int, document: Json, *, cut: bool = False) -> None:
        body = json.dumps(document).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(ConnectionError):  # who asked may be gone
            self.wfile.write(body[: len(body) // 2] if cut else body)
        self.close_connection = cut
