"""The catalogue of a service: queries over the items of a mosaic, and each by its object id."""

import json
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from itertools import islice
from typing import Any, Final

from rasterio.crs import CRS
from shapely.geometry import box, mapping
from shapely.geometry.base import BaseGeometry
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import URL
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response

from livemosaic.api.access import TOKEN_PARAMETER
from livemosaic.api.routes.arcgis.export import ExportFrame, on_globe_bounds
from livemosaic.api.routes.arcgis.values.answers import document
from livemosaic.api.routes.arcgis.values.asked import Asked
from livemosaic.api.routes.arcgis.values.fields import (
    attribute_of,
    attributes_of,
    fields_of,
    footprint_of,
    names_of,
)
from livemosaic.api.routes.arcgis.values.geometry import (
    crs_param,
    envelope,
    geometry_of,
    moved,
    reference_of,
)
from livemosaic.api.routes.arcgis.values.rules import (
    OBJECT_ID,
    as_number,
    find_scene,
    rule_of_arcgis,
)
from livemosaic.api.routes.arcgis.values.samples import service_crs
from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.geo.antimeridian import extent, wrapped
from livemosaic.geo.box import Box
from livemosaic.geo.crs import LONLAT
from livemosaic.geo.feature import Shape
from livemosaic.geo.frame import around, is_cylinder
from livemosaic.geo.tms import tile_matrix_set
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import BBox
from livemosaic.model.render import Read
from livemosaic.model.rule import Rule
from livemosaic.model.scene import Scene
from livemosaic.tiler.rules.filter import Selection
from livemosaic.tiler.views import lonlat_on, lonlat_view

MAX_RECORDS: Final = 1000
"""Items in one response."""
_MOST_IDS: Final = 100
_EVERYTHING: Final = ("", "1=1", "1 = 1")
_RELATIONS: Final[dict[str, Callable[[BaseGeometry, BaseGeometry], bool]]] = {
    "esriSpatialRelIntersects": lambda item, given: item.intersects(given),
    "esriSpatialRelEnvelopeIntersects": lambda item, given: item.envelope.intersects(
        given.envelope
    ),
    "esriSpatialRelIndexIntersects": lambda item, given: item.envelope.intersects(given.envelope),
    "esriSpatialRelWithin": lambda item, given: item.within(given),
    "esriSpatialRelContains": lambda item, given: item.contains(given),
    "esriSpatialRelOverlaps": lambda item, given: item.overlaps(given),
    "esriSpatialRelTouches": lambda item, given: item.touches(given),
    "esriSpatialRelCrosses": lambda item, given: item.crosses(given),
}
_UNREAD: Final = ("outStatistics", "groupByFieldsForStatistics", "returnDistinctValues")
_PAGE: Final = 200


@dataclass(frozen=True, slots=True)
class CatalogQuery:
    """The items that a query wants."""

    mosaic: Mosaic
    rule: Rule
    numbers: tuple[int, ...] | None
    """Object ids; None where the query names none."""
    place: BaseGeometry | None
    """Longitude and latitude."""
    relation: str

    @classmethod
    async def of(cls, asked: Asked, mosaic: Mosaic) -> "CatalogQuery":
        """Parses a query; raises `InvalidRequestError`, which names the parameter."""
        for name in _UNREAD:
            if asked.get(name) not in (None, "false"):
                raise InvalidRequestError(f"{name} is not answered here")
        where = (asked.get("where") or "").strip()
        given = {} if where in _EVERYTHING else {"where": where}
        own = replace(mosaic, rules=replace(mosaic.rules, default={}))
        named = asked.get("spatialRel") or "esriSpatialRelIntersects"
        relation = next((one for one in _RELATIONS if one.lower() == named.lower()), "")
        if not relation:
            raise InvalidRequestError(
                f"spatialRel {named[:40]!r} is not known; known are {', '.join(_RELATIONS)}"
            )
        shape = await run_in_threadpool(geometry_of, asked, service_crs(mosaic))
        place = None if shape is None else await run_in_threadpool(on_globe, shape, mosaic)
        return cls(mosaic, await rule_of_arcgis(asked, own, given), _ids(asked), place, relation)

    def wants(self, scene: Scene) -> bool:
        """Whether an item is one of them."""
        if self.place is None:
            return True
        return bool(_RELATIONS[self.relation](scene.footprint, self.place))

    def scenes(self, asked: Asked) -> Iterator[Scene]:
        """Yields the items: in a place in stored order, else in an order of their own that stays.

        Raises `InvalidRequestError` where more rows of the index would be read than may be.
        """
        selection = Selection.of(self.rule) if self.rule.selects else None
        for scene in self._met(asked):
            if (selection is None or selection.takes(scene)) and self.wants(scene):
                yield scene

    def _met(self, asked: Asked) -> Iterator[Scene]:
        if self.numbers is not None:
            found = (find_scene(asked.services, self.mosaic, one) for one in self.numbers)
            return (scene for scene in found if scene is not None)
        if self.mosaic.reach is None:
            return iter(())
        return self._every(asked) if self.place is None else self._in_place(asked, self.place)

    def _every(self, asked: Asked) -> Iterator[Scene]:
        index, most = asked.services.index, asked.services.settings.max_rows
        examined, token = 0, ""
        while True:
            scenes, following = index.list_scenes(self.mosaic, limit=_PAGE, token=token)
            yield from scenes
            examined += _PAGE
            if following is None:
                return
            if examined >= most:
                raise _too_many(most)
            token = following

    def _in_place(self, asked: Asked, place: BaseGeometry) -> Iterator[Scene]:
        tiler, index = asked.services.tiler, asked.services.index
        view = lonlat_view(self.mosaic, extent(place))
        listing = tiler.listing(self.mosaic, view, Read(), self.rule)
        yield from index.scenes(self.mosaic, (scene.key for scene in listing))
        if listing.truncated:
            raise _too_many(asked.services.settings.max_rows)


def _too_many(most: int) -> InvalidRequestError:
    return InvalidRequestError(
        f"a query looks at {most:,} items at most, and there are more: give a smaller geometry"
    )


def on_globe(shape: Shape, mosaic: Mosaic) -> BaseGeometry:
    """Returns a shape in longitude and latitude; `InvalidRequestError` where it has no place there.

    An envelope or a polygon that reaches beyond a pole is cut; beyond ±180 all go on at the other
    side.
    """
    lonlat = lonlat_on(mosaic)
    if shape.geometry.geom_type == "Polygon" and shape.geometry.equals(shape.geometry.envelope):
        frame = ExportFrame(shape.crs, shape.geometry.bounds, 1000, 1000)
        return wrapped(box(*Box(shape.crs, on_globe_bounds(frame)).to(lonlat).bounds))
    world = around(shape.crs)
    inside = wrapped(shape.geometry, world) if world else shape.geometry
    placed = moved(inside, shape.crs, lonlat)
    west, south, east, north = placed.bounds
    if not (-180.001 <= west <= east <= 180.001 and -90.001 <= south <= north <= 90.001):
        raise InvalidRequestError("geometry has no place on the globe")
    return placed


def _ids(asked: Asked) -> tuple[int, ...] | None:
    text = asked.get("objectIds")
    if text is None:
        return None
    parts = [as_number(part) for part in text.strip("[]").split(",")]
    if len(parts) > _MOST_IDS or None in parts:
        raise InvalidRequestError(
            f"objectIds {text[:80]!r} must be at most {_MOST_IDS} numbers between commas"
        )
    return tuple(dict.fromkeys(part for part in parts if part is not None))


async def query(request: Request) -> Response:
    """Lists items: their attributes and footprints, their ids alone, or how many there are."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    wanted = await CatalogQuery.of(asked, mosaic)
    fields = await run_in_threadpool(fields_of, asked.services, mosaic)
    if asked.flag("returnCountOnly", default=False):
        count = await run_in_threadpool(lambda: sum(1 for _ in wanted.scenes(asked)))
        return document(asked, {"count": count}, geojson=True)
    if asked.flag("returnIdsOnly", default=False):
        ids = await run_in_threadpool(
            lambda: [attribute_of(scene, OBJECT_ID) for scene in wanted.scenes(asked)]
        )
        return document(asked, {"objectIdFieldName": OBJECT_ID, "objectIds": ids}, geojson=True)
    page, more = await run_in_threadpool(_page, asked, wanted, fields)
    crs = crs_param(asked, "outSR", LONLAT if asked.f == "geojson" else service_crs(mosaic))
    found = _geojson if asked.f == "geojson" else _features
    names = names_of(fields, asked.get("outFields"))
    shows = asked.flag("returnGeometry", default=True)
    made = await run_in_threadpool(found, mosaic, page, names, crs if shows else None)
    if asked.f != "geojson":
        made["fields"] = [field for field in fields if field["name"] in names]
    return document(asked, made | ({"exceededTransferLimit": True} if more else {}), geojson=True)


def _page(
    asked: Asked, wanted: CatalogQuery, fields: list[dict[str, Any]]
) -> tuple[list[Scene], bool]:
    """Returns the items of a page, and whether there are more."""
    first = asked.whole("resultOffset", 0)
    count = asked.whole("resultRecordCount", MAX_RECORDS, 1, MAX_RECORDS)
    scenes = wanted.scenes(asked)
    order = asked.get("orderByFields")
    if order is not None:
        scenes = iter(_sorted(list(scenes), order, fields))
    page = list(islice(scenes, first, first + count + 1))
    return page[:count], len(page) > count


def _sorted(scenes: list[Scene], order: str, fields: list[dict[str, Any]]) -> list[Scene]:
    """Sorts by fields, `name DESC`; items without a value come last."""
    for part in reversed(order.split(",")[:8]):
        name, _, way = part.strip().partition(" ")
        known, *others = names_of(fields, name) or [OBJECT_ID]
        if others:
            raise InvalidRequestError(f"orderByFields {order[:80]!r} must name fields; * is none")
        downwards = way.strip().upper() == "DESC"
        valued = [scene for scene in scenes if attribute_of(scene, known) is not None]
        unknown = [scene for scene in scenes if attribute_of(scene, known) is None]
        valued.sort(key=lambda scene: _comparable(attribute_of(scene, known)), reverse=downwards)
        scenes = [*valued, *unknown]
    return scenes


def _comparable(value: object) -> tuple[int, Any]:
    is_number = isinstance(value, int | float)
    return (0, value) if is_number else (1, str(value))


def _features(
    mosaic: Mosaic, scenes: list[Scene], names: list[str], crs: CRS | None
) -> dict[str, Any]:
    return {
        "objectIdFieldName": OBJECT_ID,
        "geometryType": "esriGeometryPolygon",
        **({"spatialReference": reference_of(crs)} if crs else {}),
        "features": [feature_of(scene, mosaic, names, crs) for scene in scenes],
    }


def feature_of(scene: Scene, mosaic: Mosaic, names: list[str], crs: CRS | None) -> dict[str, Any]:
    """Returns an item as a feature, without a geometry where no CRS is given."""
    geometry = {} if crs is None else {"geometry": footprint_of(scene, mosaic, crs)}
    return {"attributes": attributes_of(scene, names), **geometry}


def _geojson(_: Mosaic, scenes: list[Scene], names: list[str], crs: CRS | None) -> dict[str, Any]:
    features = [
        {
            "type": "Feature",
            "id": attribute_of(scene, OBJECT_ID),
            "geometry": None if crs is None else json.loads(json.dumps(mapping(scene.footprint))),
            "properties": attributes_of(scene, names),
        }
        for scene in scenes
    ]
    return {"type": "FeatureCollection", "features": features}


async def item(request: Request) -> Response:
    """Describes one item by its object id."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    scene = await _by_path(asked, mosaic)
    names = names_of(await run_in_threadpool(fields_of, asked.services, mosaic), "*")
    return document(asked, feature_of(scene, mosaic, names, service_crs(mosaic)))


async def _by_path(asked: Asked, mosaic: Mosaic) -> Scene:
    number = asked.request.path_params["objectid"]
    scene = await run_in_threadpool(find_scene, asked.services, mosaic, number)
    if scene is None:
        raise NotFoundError(f"service {mosaic.id!r} has no item of object id {number}")
    return scene


def _bounds(scene: Scene, mosaic: Mosaic) -> BBox:
    """Returns the bounds of an item in the CRS of the service, cut to what that can show.

    One across ±180 goes on beyond it.
    """
    crs, lonlat = service_crs(mosaic), lonlat_on(mosaic)
    if not (crs.is_geographic or is_cylinder(crs)):
        found: BBox = moved(scene.footprint, lonlat, crs).bounds
        return found
    left, bottom, right, top = Box.of(lonlat, extent(scene.footprint)).to(crs).bounds
    world = tile_matrix_set(mosaic.tms).xy_bbox
    return left, max(bottom, world.bottom), right, min(top, world.top)


async def item_info(request: Request) -> Response:
    """Describes the extent and the reference of one item."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    scene = await _by_path(asked, mosaic)
    sample = await request.app.state.samples.find(asked.services, mosaic)
    found = {
        "name": scene.id,
        "extent": envelope(_bounds(scene, mosaic), service_crs(mosaic)),
        "bandCount": len(sample.names),
        "pixelType": sample.pixel_type,
    }
    return document(asked, found)


async def thumbnail(request: Request) -> Response:
    """Leads to a small image of one item, alone."""
    asked = await Asked.of(request)
    mosaic = await asked.mosaic()
    scene = await _by_path(asked, mosaic)
    bounds = _bounds(scene, mosaic)
    lock = {
        "mosaicMethod": "esriMosaicLockRaster",
        "lockRasterIds": [attribute_of(scene, OBJECT_ID)],
    }
    kept = {name: value for name, value in asked.linked.items() if name == TOKEN_PARAMETER}
    service = f"{asked.base}/{mosaic.id}/ImageServer/exportImage"
    url = URL(service).include_query_params(
        bbox=",".join(map(str, bounds)), size="200,200", format="jpgpng", f="image",
        mosaicRule=json.dumps(lock), **kept,
    )  # fmt: skip
    return RedirectResponse(str(url), 302)
