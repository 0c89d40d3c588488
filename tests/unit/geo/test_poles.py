"""Footprints around a pole, compared with the raster's own area as PROJ transforms it."""

from dataclasses import dataclass
from functools import partial
from itertools import product
from typing import Any

import numpy as np
import pyproj
import pytest
import shapely
from numpy.typing import NDArray
from shapely.geometry import MultiPolygon, Point, Polygon, box, mapping

from livemosaic.geo.footprint import footprint, held_pole

pytestmark = pytest.mark.slow

RANDOM = np.random.default_rng(31)
LON = RANDOM.uniform(-180, 180, 1500)
LAT = np.degrees(np.arcsin(RANDOM.uniform(-1, 1, 1500)))

EASE = 9_000_000.0
PROJECTIONS = {
    "EASE-Grid 2.0 North": ("EPSG:6931", 90),
    "EASE-Grid 2.0 South": ("EPSG:6932", -90),
    "NSIDC north": ("EPSG:3413", 90),
    "NSIDC south": ("EPSG:3976", -90),
    "Antarctic polar stereographic": ("EPSG:3031", -90),
    "UPS north": ("EPSG:5041", 90),
    "azimuthal equidistant, Arctic": ("+proj=aeqd +lat_0=90 +lon_0=30", 90),
    "LAEA Antarctic": ("+proj=laea +lat_0=-90 +lon_0=-70", -90),
    "LAEA of a sphere": ("+proj=laea +lat_0=90 +lon_0=-45 +R=6371228", 90),
}


@dataclass(frozen=True)
class Scene:
    """A raster around a pole, and its outline as a producer writes it."""

    crs: str
    bounds: tuple[float, float, float, float]
    outline: Polygon

    def holds(self) -> NDArray[np.bool_]:
        """Whether random places lie in the raster."""
        x, y = pyproj.Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(
            LON, LAT
        )
        west, south, east, north = self.bounds
        return (x >= west) & (x <= east) & (y >= south) & (y <= north)

    def beside_edge(self) -> NDArray[np.bool_]:
        """Places too close to the edge to be decided by an outline of straight edges."""
        x, y = pyproj.Transformer.from_crs("EPSG:4326", self.crs, always_xy=True).transform(
            LON, LAT
        )
        edge = box(*self.bounds).exterior
        side = self.bounds[2] - self.bounds[0]
        return shapely.distance(shapely.points(x, y), edge) < side / 25


def scene(
    name: str, half: float, points: int, *, start: int = 0, turned: bool = False, off: float = 0
) -> Scene:
    """A square around a pole, `half` metres to each side, moved by `off` metres."""
    crs, pole = PROJECTIONS[name]
    x, y = pyproj.Transformer.from_crs("EPSG:4326", crs, always_xy=True).transform(0, pole)
    bounds = x + off - half, y + off / 3 - half, x + off + half, y + off / 3 + half
    rim = shapely.segmentize(box(*bounds).exterior, 2 * half / points * 1.0001)
    xy = shapely.get_coordinates(rim)[:-1]
    xy = np.roll(xy[::-1] if turned else xy, start, axis=0)
    back = pyproj.Transformer.from_crs(crs, "EPSG:4326", always_xy=True)
    return Scene(crs, bounds, Polygon(np.column_stack(back.transform(*xy.T))))


def agrees(found: MultiPolygon, true: Scene) -> bool:
    clear = ~true.beside_edge()
    hit = shapely.intersects_xy(found, LON, LAT)
    return bool((hit == true.holds())[clear].all())


def poles(found: MultiPolygon) -> list[float]:
    return [pole for pole in (90, -90) if found.intersects(Point(13, pole * 0.99999))]


@pytest.mark.parametrize("half", [2e5, 1.5e6, 4e6, 6e6, 7.5e6, 8.9e6, EASE])
@pytest.mark.parametrize("name", PROJECTIONS)
def test_a_raster_around_a_pole_is_found_where_it_lies(name: str, half: float) -> None:
    """Whatever its winding, its first corner, and how many points its outline has."""
    wrong = []
    offsets = (0, 0.2) if half < 7e6 else (0,)  # no corner off the globe
    for points, start, turned, off in product((4, 25), (0, 3), (False, True), offsets):
        one = scene(name, half, points, start=start, turned=turned, off=off * half)
        found, (_, pole) = footprint(mapping(one.outline)), PROJECTIONS[name]
        # Straight edges between few points are far from the raster's.
        right = agrees(found, one) if points > 20 else poles(found) == [pole]
        if not right:
            wrong.append((points, start, turned, off))
    assert wrong == []


@pytest.mark.parametrize(
    "hint",
    [
        {"properties": {"proj:code": "EPSG:6931", "proj:bbox": [-EASE, -EASE, EASE, EASE]}},
        {
            "properties": {"proj:epsg": 6931},
            "assets": {"a": {"proj:bbox": [-EASE, -EASE, EASE, EASE]}},
        },
        {
            "assets": {
                "a": {
                    "proj:epsg": 6931,
                    "proj:shape": [720, 720],
                    "proj:transform": [25000, 0, -EASE, 0, -25000, EASE, 0, 0, 1],
                }
            }
        },
        {"bbox": [-180, -84.63, 180, 90]},
        {"properties": {"proj:centroid": {"lat": 90, "lon": 0}}},
    ],
    ids=["proj:bbox", "proj:bbox of an asset", "proj:transform", "bbox", "centroid"],
)
def test_four_corners_of_a_hemisphere_are_understood_by_what_the_item_names(
    hint: dict[str, Any],
) -> None:
    """The corners alone lie around the other pole."""
    one = scene("EASE-Grid 2.0 North", EASE, 1)
    outline = mapping(one.outline)
    found = footprint(outline, None, partial(held_pole, hint))
    clear = one.holds() & ~one.beside_edge()
    assert shapely.intersects_xy(found, LON, LAT)[clear].all()
    assert not footprint(outline).intersects(Point(0, 60))


@pytest.mark.parametrize(
    "hint",
    [
        {},
        {"properties": {"proj:code": "EPSG:0", "proj:bbox": "x"}},
        {"properties": None, "assets": [1]},
        {"bbox": [-180, -90, 180, 90]},
    ],
)
def test_hints_that_name_no_pole_are_none(hint: dict[str, Any]) -> None:
    assert held_pole(hint) is None


@pytest.mark.parametrize("pole", [90, -90])
@pytest.mark.parametrize("lon", [0, -135, 180])
@pytest.mark.parametrize("quadrant", range(4))
def test_a_raster_with_a_corner_at_a_pole_has_all_of_its_quadrant(
    pole: float, lon: float, quadrant: int
) -> None:
    """A pole has all longitudes, and its vertex any of them."""
    west, lat = 90 * quadrant - 180, pole * 0.9
    ring = [(west, lat), (lon, pole), (west + 90, lat), (west + 45, lat), (west, lat)]
    found = footprint({"type": "Polygon", "coordinates": [ring]})
    inside = (np.abs(LON - west - 45) < 44.9) & (np.sign(pole) * LAT > abs(lat) + 0.1)
    assert shapely.intersects_xy(found, LON, LAT)[inside].all()
    assert found.bounds == (west, min(lat, pole), west + 90, max(lat, pole))


def test_a_hole_around_the_pole_is_a_hole() -> None:
    shell, hole = ([(lon, lat) for lon in range(-180, 180, 10)] for lat in (-5, 85))
    rings = [[*ring, ring[0]] for ring in (shell, hole)]
    found = footprint(
        {"type": "Polygon", "coordinates": rings},
        None,
        partial(held_pole, {"bbox": [-180, -5, 180, 90]}),
    )
    assert found.intersects(Point(10, 60))
    assert not found.intersects(Point(10, 88))
    assert not found.intersects(Point(10, -10))
