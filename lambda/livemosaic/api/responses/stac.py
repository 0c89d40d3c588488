"""STAC documents as the API returns them: Items, Collections and pages of Items, with links."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final
from urllib.parse import urlencode

from fastapi import Request
from fastapi.responses import JSONResponse
from shapely.geometry.base import BaseGeometry

from livemosaic.api.access import with_token
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.stac.collections import collection_document
from livemosaic.stac.items import item_document, member_document
from livemosaic.stac.license import is_url
from livemosaic.stac.projection import Frames
from livemosaic.storage.hrefs import path_segment
from livemosaic.tiler.tilesets import web_map_tms

GEOJSON: Final = "application/geo+json"
SCHEMA: Final = "application/schema+json"
_JSON: Final = "application/json"
_REL: Final = "http://www.opengis.net/def/rel/ogc/1.0"
_STAC: Final = "https://api.stacspec.org/v1.0.0"
_SPEC: Final = "http://www.opengis.net/spec"
QUERYABLES: Final = f"{_REL}/queryables"

CONFORMS_TO: Final = [
    f"{_STAC}/core",
    f"{_STAC}/collections",
    f"{_STAC}/item-search",
    f"{_STAC}/item-search#filter",
    f"{_STAC}/ogcapi-features",
    *(f"{_SPEC}/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson")),
    *(f"{_SPEC}/ogcapi-features-3/1.0/conf/{name}" for name in ("filter", "features-filter")),
    *(f"{_SPEC}/cql2/1.0/conf/{name}" for name in ("cql2-text", "cql2-json", "basic-cql2")),
    f"{_SPEC}/cql2/1.0/conf/advanced-comparison-operators",
]
"""Conformance classes of STAC API, OGC API - Features and CQL2."""

Link = dict[str, Any]


class GeoJSONResponse(JSONResponse):
    """A JSON response that is GeoJSON (RFC 7946, 12)."""

    media_type = GEOJSON


class SchemaResponse(JSONResponse):
    """A JSON response that is a JSON Schema."""

    media_type = SCHEMA


@dataclass(frozen=True, slots=True)
class StacLinks:
    """Makes documents with absolute links, which carry the access token of the request's query."""

    request: Request

    def url(self, *path: str, **query: str) -> str:
        """Returns the URL of a path below the API's root; its parts are quoted."""
        place = "/".join(path_segment(part) for part in path)
        text = f"?{urlencode(query)}" if query else ""
        return with_token(self.request, f"{self.request.base_url}{place}{text}")

    def link(self, rel: str, *path: str, kind: str = _JSON, **more: Any) -> Link:
        """Returns a link to a path below the API's root."""
        return {"rel": rel, "href": self.url(*path), "type": kind, **more}

    def searches(self) -> list[Link]:
        """Links to Item Search and its queryables."""
        search = self.link("search", "search", kind=GEOJSON, title="Search")
        return [
            *(search | {"method": method} for method in ("GET", "POST")),
            self.link(QUERYABLES, "queryables", kind=SCHEMA, title="Queryables"),
        ]

    @property
    def here(self) -> Link:
        """A link to the requested URL."""
        return {"rel": "self", "href": str(self.request.url), "type": GEOJSON}

    def next(self, **query: Any) -> Link:
        """A link to the requested URL with other parameters."""
        url = self.request.url.include_query_params(**query)
        return {"rel": "next", "href": str(url), "type": GEOJSON, "method": "GET"}

    def item(
        self, mosaic: Mosaic, scene: Scene, frames: Frames, shape: BaseGeometry | None = None
    ) -> dict[str, Any]:
        """Returns a scene as an Item below `/mosaics`, in the collection that it comes from."""
        document = item_document(mosaic, scene, shape, frames)
        asked = {"collection": scene.collection} if scene.collection else {}
        links = self._around(mosaic, "mosaics", scene.id, asked)
        # STAC wants the link where an Item has a collection, and nowhere else.
        kept = [link for link in links if asked or link["rel"] != "collection"]
        return document | {"links": kept}

    def member(self, mosaic: Mosaic, scene: Scene, frames: Frames) -> dict[str, Any]:
        """Returns a scene as an Item of the Collection that its mosaic is."""
        asked = {} if mosaic.only_collection else {"source": scene.collection}
        links = self._around(mosaic, "collections", scene.id, asked)
        return member_document(mosaic, scene, frames) | {"links": links}

    def _around(
        self, mosaic: Mosaic, place: str, item: str, asked: Mapping[str, str]
    ) -> list[Link]:
        own = {"rel": "self", "href": self.url(place, mosaic.id, "items", item, **asked)}
        return [
            own | {"type": GEOJSON},
            self.link("root", ""),
            self.link("parent", "collections", mosaic.id),
            self.link("collection", "collections", mosaic.id),
        ]

    def collection(self, mosaic: Mosaic) -> dict[str, Any]:
        """Returns a mosaic as a Collection, with links to its Items, tiles and maps."""
        place = "collections", mosaic.id
        links = [
            self.link("self", *place),
            self.link("root", ""),
            self.link("parent", ""),
            self.link("items", *place, "items", kind=GEOJSON, title="Items"),
            self.link(QUERYABLES, *place, "queryables", kind=SCHEMA, title="Queryables"),
            *self._pictures(mosaic),
            *_license_links(mosaic),
        ]
        return collection_document(mosaic) | {"links": links}

    def _pictures(self, mosaic: Mosaic) -> list[Link]:
        place = "mosaics", mosaic.id
        title, tms = mosaic.title or mosaic.id, web_map_tms(mosaic) or mosaic.tms
        return [
            self.link(f"{_REL}/map", *place, "map", kind="image/png", title="Map"),
            self.link(f"{_REL}/tilesets-map", *place, "tiles", title="Tilesets"),
            self.link("tilejson", *place, "tiles", tms, "tilejson.json"),
            self.link("alternate", *place, "map.html", kind="text/html", title="Map page"),
            self.link("wmts", *place, "WMTSCapabilities.xml", kind="application/xml")
            | {"wmts:layer": [mosaic.id], "title": title},
        ]

    def page(self, features: Iterable[Mapping[str, Any]], links: Sequence[Link]) -> dict[str, Any]:
        """Returns Items as a page of an ItemCollection."""
        listed = list(features)
        return {
            "type": "FeatureCollection",
            "features": listed,
            "numberReturned": len(listed),
            "links": [self.link("root", ""), *links],
        }


def _license_links(mosaic: Mosaic) -> list[Link]:
    """A license without an SPDX identifier is linked to (STAC 1.1, collection-spec, License)."""
    return [{"rel": "license", "href": mosaic.license}] if is_url(mosaic.license) else []
