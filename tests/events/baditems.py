"""Every kind of bad STAC Item in the field, as the bytes of a message, and what becomes of it."""

import json
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np

from items import box, item

Fate = Literal["accepted", "repaired", "refused"]


@dataclass(frozen=True)
class Case:
    """One kind of bad Item."""

    kind: str
    """As the table in `docs/bad-items.md` has it."""
    fate: Fate
    body: str
    says: str = ""
    """What the message of a refusal matches."""
    shows: tuple[tuple[float, float], ...] = ()
    """Longitudes and latitudes that the footprint must hold."""
    hides: tuple[tuple[float, float], ...] = ()
    """Those that it must not."""
    key: str = "s2#bad"
    """Of the scene that it becomes."""


def _json(geometry: Any = None, **rest: Any) -> str:
    return json.dumps(item("bad", geometry, **rest))


def _with(**members: Any) -> str:
    return json.dumps(item("bad") | members)


def _without(name: str) -> str:
    return json.dumps({k: v for k, v in item("bad").items() if k != name})


def _polygon(*rings: Any) -> dict[str, Any]:
    return {"type": "Polygon", "coordinates": list(rings)}


def ring(*corners: tuple[float, ...]) -> list[tuple[float, ...]]:
    """Corners, and the first of them again."""
    return [*corners, corners[0]]


def circle(vertices: int, spikes: float = 0) -> list[list[float]]:
    """A ring of about a degree around 8° E 46° N, every other vertex further out."""
    angle = np.linspace(0, 2 * np.pi, vertices, endpoint=False)
    radius = 1 + spikes * (np.arange(vertices) % 2)
    xy = np.column_stack([8 + radius * np.cos(angle), 46 + radius * np.sin(angle)]).round(6)
    return [*xy.tolist(), xy[0].tolist()]


def slivers(count: int) -> list[list[list[float]]]:
    """Rings side by side between 7.1° and 8° E."""
    edges = np.linspace(7.1, 8, 2 * count).tolist()
    pairs = [edges[n : n + 2] for n in range(0, 2 * count, 2)]
    return [box(west, 45.1, east, 45.9)["coordinates"][0] for west, east in pairs]


def _href(href: str) -> str:
    return _json(href=href)


_SHELL = box(7, 45, 8, 46)["coordinates"][0]
_MIDDLE = (7.5, 45.5)
_ACROSS = {"shows": ((175, 15), (-175, 15)), "hides": ((0, 15), (165, 15))}
_TANGLED = (np.array([8, 46]) + np.random.default_rng(5).uniform(-2, 2, (1000, 2))).tolist()

CASES = (
    # JSON
    Case("not JSON", "refused", '{"type": "Feature",', "not JSON: "),
    Case("top-level array", "refused", f"[{_json()}]", "a JSON list, not an object"),
    Case("duplicate keys", "refused", _json()[:-1] + ', "id": "b"}', "member 'id' twice"),
    Case("NaN", "refused", _json(properties={"x": float("nan")}), "NaN is not a JSON number"),
    Case("Infinity", "refused", _json(properties={"x": float("inf")}), "Infinity is not a JSON"),
    Case("depth 10,000", "refused", _json()[:-1] + f', "x": {"[" * 10_000}{"]" * 10_000}}}',
         "nested more than 100 levels"),
    Case("lone surrogate in the id", "refused", _with(id="\ud800"), r"id '.*' must be text"),
    Case("lone surrogate in a text that is kept", "refused", _json(properties={"note": "\ud800"}),
         "'note' holds half of a surrogate pair"),
    Case("lone surrogate in a text that is not", "accepted", _json(properties={"x": "\ud800"}),
         shows=(_MIDDLE,)),
    # names
    Case("missing id", "refused", _without("id"), "id 'None' must be text of 1 to 512 bytes"),
    Case("id empty", "refused", _with(id=""), "id '' must be text of 1 to 512 bytes"),
    Case("id of 3 KB", "refused", _with(id="x" * 3000), "id 'xxx.*' must be text of 1 to 512"),
    Case("id `a/b#c`", "accepted", _with(id="a/b#c"), key="s2#a/b#c", shows=(_MIDDLE,)),
    Case("id with NUL", "refused", _with(id="a\0b"), "without control characters"),
    Case("collection missing", "accepted", _without("collection"), key="#bad", shows=(_MIDDLE,)),
    Case("collection a number", "refused", _with(collection=5), "collection '5' must be text"),
    # geometry
    Case("null geometry with bbox", "repaired", _with(geometry=None, bbox=[7, 45, 8, 46]),
         shows=(_MIDDLE,), hides=((8.1, 45.5),)),
    Case("null geometry without bbox", "refused", _with(geometry=None), "has no geometry"),
    Case("empty MultiPolygon", "refused", _json({"type": "MultiPolygon", "coordinates": []}),
         "has no coordinates"),
    Case("Point", "refused", _json({"type": "Point", "coordinates": [7, 45]}),
         "is a 'Point'; a Polygon or MultiPolygon is needed"),
    Case("GeometryCollection", "refused",
         _json({"type": "GeometryCollection", "geometries": [box(7, 45, 8, 46)]}),
         "is a 'GeometryCollection'; a Polygon or MultiPolygon is needed"),
    Case("unclosed ring", "repaired", _json(_polygon(_SHELL[:-1])), shows=(_MIDDLE,)),
    Case("bow-tie", "repaired", _json(_polygon(ring((7, 45), (8, 46), (8, 45), (7, 46)))),
         shows=((7.5, 45.1), (7.1, 45.5), (7.5, 45.9), (7.9, 45.5)), hides=((8.1, 45.5),)),
    Case("hole outside its shell", "repaired",
         _json(_polygon(_SHELL, box(9, 45, 10, 46)["coordinates"][0])),
         shows=(_MIDDLE,), hides=((9.5, 45.5),)),
    Case("clockwise shell", "repaired", _json(_polygon(_SHELL[::-1])), shows=(_MIDDLE,)),
    Case("zero area", "refused", _json(_polygon(ring((7, 45), (7.5, 45.5), (8, 46)))),
         r"has no area.*\[7\.0, 45\.0, 8\.0, 46\.0\]"),
    Case("3D coordinates with a 6-number bbox", "accepted",
         _json(_polygon([(*xy, 300) for xy in _SHELL]), bbox=[7, 45, 200, 8, 46, 400]),
         shows=(_MIDDLE,)),
    Case("antimeridian, split", "accepted",
         _json({"type": "MultiPolygon", "coordinates": [box(170, 10, 180, 20)["coordinates"],
                                                        box(-180, 10, -170, 20)["coordinates"]]}),
         **_ACROSS),
    Case("antimeridian, unsplit", "repaired",
         _json(_polygon(ring((170, 10), (-170, 10), (-170, 20), (170, 20)))), **_ACROSS),
    Case("antimeridian, 180 and -180 mixed", "repaired",
         _json(_polygon(ring((170, 10), (180, 10), (-180, 20), (170, 20)))),
         shows=((175, 15),), hides=((0, 15), (-175, 15))),
    Case("positions of several lengths", "repaired",
         _json(_polygon([(*xy, 300)[: 2 + n % 2] for n, xy in enumerate(_SHELL)])),
         shows=(_MIDDLE,)),
    Case("bbox west > east", "accepted", _json(box(170, 10, 190, 20), bbox=[170, 10, -170, 20]),
         **_ACROSS),
    Case("around a pole", "repaired", _json(_polygon(ring((0, 80), (120, 80), (-120, 80)))),
         shows=((-179, 89), (60, 89), (0, 84)), hides=((0, 60), (0, -89))),
    Case("latitude 86", "accepted", _json(box(7, 84, 8, 86)), shows=((7.5, 84.5), (7.5, 85.9))),
    Case("latitude 91", "refused", _json(box(7, 88, 8, 91)), "latitude 91, beyond ±90"),
    Case("longitude 540", "refused", _json(box(530, 45, 540, 46)), "longitude 540, beyond ±360"),
    Case("latitude and longitude swapped, as the latitude tells", "refused",
         _json(box(10, 120, 11, 121)), "latitude 121.*are longitude and latitude swapped"),
    Case("latitude and longitude swapped, as the bbox tells", "refused",
         _json(box(45, 7, 46, 8), bbox=[7, 45, 8, 46]), "bbox .* has longitude and latitude swap"),
    Case("latitude and longitude swapped, as `proj:centroid` tells", "refused",
         _json(box(45, 7, 46, 8), properties={"proj:centroid": {"lat": 45.5, "lon": 7.5}}),
         r"proj:centroid within \[7\.5, 45\.5, 7\.5, 45\.5\]: one of them has longitude and lat"),
    Case("latitude and longitude swapped, as nothing tells", "accepted", _json(box(45, 7, 46, 8)),
         shows=((45.5, 7.5),)),
    Case("globe-sized", "accepted", _json(box(-180, -90, 180, 90)), shows=((0, 0), (170, -80))),
    Case("ring of 200,000 vertices", "repaired", _json(_polygon(circle(200_000))),
         shows=((8, 46), (8.99, 46)), hides=((9.1, 46), (8.8, 46.8))),
    Case("ring of 200,000 vertices, jagged", "repaired", _json(_polygon(circle(200_000, 0.5))),
         shows=((8, 46), (9.4, 46)), hides=((9.6, 46),)),
    Case("ring that crosses itself a thousand times", "repaired", _json(_polygon(_TANGLED)),
         shows=((8, 46),), hides=((10.1, 46),)),
    Case("MultiPolygon of 2,000 parts", "repaired",
         _json({"type": "MultiPolygon", "coordinates": [[part] for part in slivers(2000)]}),
         shows=((7.5, 45.5), (7.11, 45.2)), hides=((8.1, 45.5),)),
    Case("polygon of 600 holes", "repaired", _json(_polygon(_SHELL, *slivers(600))),
         shows=((7.05, 45.05), (7.95, 45.95)), hides=((8.1, 45.5),)),
    # time
    Case("datetime null without a range", "accepted", _json(properties={"datetime": None}),
         shows=(_MIDDLE,)),
    Case("datetime of a bad zone", "refused", _json(datetime="2026-01-01T00:00:00+25:00"),
         r"datetime '2026-01-01T00:00:00\+25:00' is not an RFC 3339 time"),
    Case("datetime in year 10000", "refused", _json(datetime="10000-01-01T00:00:00Z"),
         "datetime '10000-01-01T00:00:00Z' is not an RFC 3339 time"),
    Case("updated in 2099", "accepted", _json(updated="2099-01-01T00:00:00Z"), shows=(_MIDDLE,)),
    Case("updated is no time", "refused", _json(updated="yesterday"),
         "updated 'yesterday' is not an RFC 3339 time"),
    # bbox and numbers
    Case("bbox elsewhere than the geometry", "accepted", _json(bbox=[100, -20, 101, -19]),
         shows=(_MIDDLE,), hides=((100.5, -19.5),)),
    Case("bbox not of numbers", "accepted", _json(bbox=["W", None]), shows=(_MIDDLE,)),
    Case("number of 400 digits that is kept", "refused", _json(properties={"note": 10**400}),
         "'note' holds the number 1000.*too large"),
    Case("number too small for the table", "refused", _json(properties={"note": 1e-200}),
         "'note' holds the number 1e-200.*too small"),
    # assets
    Case("1 MiB with 10,000 assets", "refused",
         _json(assets={f"B{n:04}": {"href": f"https://example.com/a/b/c/{n:050}.tif", "x": ""}
                       for n in range(10_000)}),
         "has 10,000 GeoTIFF assets, a scene at most 500; name the ones that mosaic 'm' keeps"),
    Case("assets null", "refused", _with(assets=None), "assets is NoneType, not an object"),
    Case("assets a list", "refused", _with(assets=[{"href": "a.tif"}]), "assets is list, not"),
    Case("href `file:///etc/passwd`", "refused", _href("file:///etc/passwd"), "outside the allow"),
    Case("href `/vsicurl/…`", "refused", _href("/vsicurl/https://e.com/a.tif"), "GDAL virtual"),
    Case("href `s3://b/../x`", "refused", _href("s3://bbb/../x.tif"), "holds a '..' segment"),
    Case("href of a metadata service", "refused",
         _href("https://169.254.169.254/latest/meta-data/a.tif"), "has an IP address as host"),
    Case("href of a private host", "refused", _href("https://metadata.google.internal/a.tif"),
         "is on a private host"),
    Case("href an inline VRT", "refused",
         _href('<VRTDataset><SourceFilename>https://e.com/a.tif</SourceFilename></VRTDataset>'),
         "must start with s3:// or https://"),
    Case("href with user info", "refused", _href("https://user:secret@e.com/a.tif"),
         r"https://…@e\.com/a\.tif' holds user info"),
    Case("href of a redirecting host", "accepted", _href("https://example.com/moved.tif"),
         shows=(_MIDDLE,)),
)  # fmt: skip
