"""Orders scenes by a rule, top first. Pure.

Each method gives a scene a value; the smallest is on top, or the largest where the rule is not
ascending. Equal values keep the stored order (rank, then key), and scenes without a value come last
either way. So every order is total, and the same for every request.

In a derived mosaic the layers of its sources come first: each method orders the scenes of a layer.

In the stored order the later of two processings of one acquisition is above the earlier; in an
order by time it is so whatever the stored order is by.

Distances are along the globe, so neither the antimeridian nor a pole matters. `nadir` and
`viewpoint` use the sub-satellite point: the first that a scene has of the property that the mosaic
names, the point derived from STAC's view extension, and the centre of the footprint.
"""

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import CellGrid
from livemosaic.geo.covering import decode
from livemosaic.geo.crs import lonlat_of, transformer
from livemosaic.model import rank
from livemosaic.model.raster import Grid, LonLat
from livemosaic.model.rule import Rule
from livemosaic.model.scene import IndexedScene
from livemosaic.model.time import parse_period, parse_time

Value = tuple[int, float | str]
"""Kind and value: numbers (0) before times (1) before text (2)."""


def ordered(
    scenes: Sequence[IndexedScene], rule: Rule, cells: CellGrid, view: Grid
) -> list[IndexedScene]:
    """Scenes met in stored order, each once, in a rule's order; `cells` is the grid of the mosaic.

    Raises `InvalidRequestError` where the rule needs the view's middle and it is off the globe.
    """
    whole = _whole(scenes)
    if rule.method == "lock":
        found = whole if rule.ascending else whole[::-1]
    else:
        value_of = _value_of(rule, cells, view)
        by_time = rule.method == "attribute" and rule.sort_field == "datetime"
        found = _sorted(whole, value_of, ascending=rule.ascending, by_time=by_time)
        found.sort(key=lambda scene: scene.layer)
    return found[::-1] if rule.operation == "last" else found


def _whole(scenes: Sequence[IndexedScene]) -> list[IndexedScene]:
    """Each scene once, with all of its parts."""
    met: dict[str, IndexedScene] = {}
    for scene in scenes:
        before = met.get(scene.key)
        met[scene.key] = _joined(before, scene) if before else scene
    return list(met.values())


def _joined(one: IndexedScene, other: IndexedScene) -> IndexedScene:
    passing = one.passing_parts + other.passing_parts
    return replace(one, parts=one.parts + other.parts, passing_parts=passing)


def _sorted(
    scenes: Sequence[IndexedScene],
    value_of: Callable[[IndexedScene], Value | None],
    *,
    ascending: bool,
    by_time: bool,
) -> list[IndexedScene]:
    valued = [(value_of(scene), scene) for scene in scenes]
    with_value = [(value, scene) for value, scene in valued if value is not None]
    if by_time:  # sorting is stable, the other way round too
        with_value.sort(key=lambda pair: rank.processing_of(pair[1].rank))
    with_value.sort(key=lambda pair: pair[0], reverse=not ascending)
    return [scene for _, scene in with_value] + [s for value, s in valued if value is None]


def _value_of(rule: Rule, cells: CellGrid, view: Grid) -> Callable[[IndexedScene], Value | None]:
    match rule.method:
        case "attribute":
            return lambda scene: _attribute(scene, rule)
        case "northwest":
            corner = rule.viewpoint
            if corner is None:
                return lambda scene: _northwest(centre(scene, cells))
            return lambda scene: (0, _distance(centre(scene, cells), corner))
        case "center":
            middle = _middle(view)
            return lambda scene: (0, _distance(centre(scene, cells), middle))
        case "nadir" | "viewpoint":
            goal = rule.viewpoint or _middle(view)
            return lambda scene: (0, _distance(_nadir(scene, rule.kept_in, cells), goal))
        case _:
            return _stored


def _stored(scene: IndexedScene) -> Value | None:
    value = rank.value_of(scene.rank)
    return None if value == rank.UNRANKED else (2, value)


def _attribute(scene: IndexedScene, rule: Rule) -> Value | None:
    value = _sorted_by(scene, rule)
    if value is None or rule.sort_value is None:
        return value
    return _closeness(value, rule.sort_value)


def _sorted_by(scene: IndexedScene, rule: Rule) -> Value | None:
    name = rule.sort_field
    return _comparable(scene.datetime if name == "datetime" else scene.properties.get(name))


def check_base(scenes: Sequence[IndexedScene], rule: Rule) -> None:
    """Raises `InvalidRequestError` for a `sort_value` that no scene's value can be near to.

    A word is near to no number, so that scenes would silently keep the stored order.
    """
    if rule.sort_value is None:
        return
    values = [value for scene in scenes if (value := _sorted_by(scene, rule)) is not None]
    if values and not any(_closeness(value, rule.sort_value) for value in values):
        kind = "number" if values[0][0] == 0 else "time"
        raise InvalidRequestError(
            f"sort_value {str(rule.sort_value)[:80]!r} must be a {kind}, as "
            f"{rule.sort_field[:80]!r} of the scenes is"
        )


def _comparable(found: object) -> Value | None:
    if isinstance(found, int | float):
        return 0, float(found)
    if not isinstance(found, str):
        return None
    try:
        return 1, parse_time(found).timestamp()
    except ValueError:
        return 2, found


def _closeness(value: Value, base: float | str) -> Value | None:
    """Returns the distance of a value from a base of its kind; other text keeps its own order."""
    kind, found = value
    if kind == 2:
        return (0, 0.0) if found == str(base) else (2, found)
    try:
        goal = float(base) if kind == 0 else parse_period(str(base))[0].timestamp()
    except ValueError:
        return None
    return 0, abs(float(found) - goal)


def _northwest(place: LonLat) -> Value:
    """Grows with the distance from a point far in the northwest, whatever the view."""
    lon, lat = place
    return 0, lon - lat


def centre(scene: IndexedScene, cells: CellGrid) -> LonLat:
    """Returns the centre of a scene's footprint; computed from its cells where rows keep none."""
    if scene.centre is not None:
        return scene.centre
    rings = [ring for cell, stored in scene.parts for ring in decode(cells, cell, stored)]
    corners = np.concatenate(rings)
    x, y = (corners.min(axis=0) + corners.max(axis=0)) / 2
    return _lonlat(cells.crs, x, y)


def _nadir(scene: IndexedScene, kept_in: str, cells: CellGrid) -> LonLat:
    kept = _place(scene.properties.get(kept_in)) if kept_in else None
    return kept or _below_sensor(scene, centre(scene, cells))


def _place(kept: object) -> LonLat | None:
    """Reads longitude and latitude from a GeoJSON Point, a pair, or a `proj:centroid`."""
    if isinstance(kept, Mapping):
        kept = kept.get("coordinates") or [kept.get("lon"), kept.get("lat")]
    if not isinstance(kept, Sequence) or isinstance(kept, str) or len(kept) < 2:
        return None
    lon, lat = kept[:2]
    numbers = isinstance(lon, int | float) and isinstance(lat, int | float)
    return (float(lon), float(lat)) if numbers and abs(lat) <= 90 and abs(lon) <= 360 else None


def _below_sensor(scene: IndexedScene, middle: LonLat) -> LonLat:
    """The sub-satellite point, by the view extension (github.com/stac-extensions/view).

    On a sphere the incidence angle at the scene's centre is the off-nadir angle at the sensor plus
    the angle at the centre of the globe between that centre and the point below the sensor, from
    which it lies in the direction of the azimuth. Without all three angles: the centre itself.
    """
    names = ("view:incidence_angle", "view:off_nadir", "view:azimuth")
    incidence, off_nadir, azimuth = (scene.properties.get(name) for name in names)
    if not all(isinstance(angle, int | float) for angle in (incidence, off_nadir, azimuth)):
        return middle
    return _moved(middle, float(azimuth) + 180, max(0.0, float(incidence) - float(off_nadir)))  # type: ignore[arg-type]


def _moved(place: LonLat, bearing: float, angle: float) -> LonLat:
    """Returns the place at an angle along a great circle; all in degrees."""
    lon, lat, turn, far = map(math.radians, (*place, bearing, angle))
    new_lat = math.asin(
        math.sin(lat) * math.cos(far) + math.cos(lat) * math.sin(far) * math.cos(turn)
    )
    east = math.sin(turn) * math.sin(far) * math.cos(lat)
    north = math.cos(far) - math.sin(lat) * math.sin(new_lat)
    return math.degrees(lon + math.atan2(east, north)), math.degrees(new_lat)


def _distance(a: LonLat, b: LonLat) -> float:
    """Grows with the distance along the globe: the haversine of the angle between two places."""
    lon_a, lat_a, lon_b, lat_b = map(math.radians, (*a, *b))
    across = math.sin((lon_b - lon_a) / 2) ** 2 * math.cos(lat_a) * math.cos(lat_b)
    return math.sin((lat_b - lat_a) / 2) ** 2 + across


def _middle(view: Grid) -> LonLat:
    left, bottom, right, top = view.bounds
    middle = _lonlat(view.crs, (left + right) / 2, (bottom + top) / 2)
    if not all(map(math.isfinite, middle)):
        raise InvalidRequestError(
            "the middle of the view is not on the globe: order by another method, or from a "
            "viewpoint"
        )
    return middle


def _lonlat(crs: CRS, x: float, y: float) -> LonLat:
    lon, lat = transformer(crs, lonlat_of(crs)).transform(x, y)
    return float(lon), float(lat)
