"""Fills rings by the even-odd rule, within bounds on the work.

`shapely.make_valid` fills most of them alike, but takes time with the cube of the vertices of a
ring that crosses itself everywhere: minutes for a polygon of some kilobytes.
"""

from collections.abc import Iterator
from itertools import pairwise
from typing import Final

import numpy as np
import shapely
from numpy.typing import NDArray
from shapely.geometry import GeometryCollection, MultiPolygon
from shapely.geometry.base import BaseGeometry

from livemosaic.errors import InvalidRequestError

MAX_CROSSINGS: Final = 5_000
"""Pairs of edges that may meet, other than neighbors in a ring: each makes a face or two."""
MAX_NEAR: Final = 1_000_000
"""Pairs of edges, counted from both, whose boxes meet: each is looked at more closely."""
_PAIRS: Final = 1_000_000
"""Pairs of edges, or of a face and an edge, that are looked at together."""

Edges = NDArray[np.float64]
"""Shape (n, 2, 2): both ends of each edge, x before y."""


def even_odd(geometry: BaseGeometry) -> BaseGeometry:
    """Returns a valid geometry: what lies in an odd number of rings of its polygons.

    Polygons without area become lines; other types than polygons stay as they are. Raises
    `InvalidRequestError` where edges meet in more than `MAX_CROSSINGS` places, or where more than
    `MAX_NEAR` pairs would have to be looked at to know.
    """
    if geometry.is_valid:
        return geometry
    if geometry.geom_type == "GeometryCollection":
        return GeometryCollection([even_odd(part) for part in shapely.get_parts(geometry)])
    if geometry.geom_type not in ("Polygon", "MultiPolygon"):
        return shapely.make_valid(geometry)
    edges = _edges(geometry)
    _refuse_crossings(edges)
    lines = shapely.union_all(shapely.linestrings(edges))
    faces = shapely.get_parts(shapely.polygonize(shapely.get_parts(lines)))
    if not len(faces):
        return lines
    filled = shapely.union_all(faces[_are_odd(shapely.point_on_surface(faces), edges)])
    return filled if filled.geom_type == "MultiPolygon" else MultiPolygon([filled])


def _edges(geometry: BaseGeometry) -> Edges:
    rings = [
        shapely.get_coordinates(ring) for ring in shapely.get_rings(shapely.get_parts(geometry))
    ]
    edges = np.concatenate([np.stack([ring[:-1], ring[1:]], axis=1) for ring in rings])
    found: Edges = edges[(edges[:, 0] != edges[:, 1]).any(axis=1)]
    return found


def _refuse_crossings(edges: Edges) -> None:
    lines = shapely.linestrings(edges)
    tree = shapely.STRtree(lines)
    near = 0
    for start, stop in _chunks(len(edges), len(edges)):
        near += tree.query(lines[start:stop]).shape[1]
        if near > MAX_NEAR:
            raise InvalidRequestError(
                f"the edges of the polygon cross, and more than {MAX_NEAR // 2:,} pairs of them "
                "may do so; give one that does not cross itself"
            )
    # Every edge meets itself and its neighbors on both sides; every pair is met from both.
    most, met = 3 * len(edges) + 2 * MAX_CROSSINGS, 0
    for start, stop in _chunks(len(edges), len(edges)):
        met += tree.query(lines[start:stop], "intersects").shape[1]
        if met > most:
            raise InvalidRequestError(
                f"the edges of the polygon cross in more than {MAX_CROSSINGS:,} places; give one "
                "that does not cross itself"
            )


def _are_odd(points: NDArray[np.object_], edges: Edges) -> NDArray[np.bool_]:
    """Whether points lie in an odd number of rings: a ray to the east meets so many edges."""
    x, y = shapely.get_coordinates(points).T[:, :, None]
    (x1, y1), (x2, y2) = edges[:, 0].T, edges[:, 1].T
    east, north = x2 - x1, y2 - y1
    odd = np.zeros(len(points), np.bool_)
    for start, stop in _chunks(len(points), len(edges)):
        here = slice(start, stop)
        spans = (y1 > y[here]) != (y2 > y[here])
        # By products, as the slope of an edge that is nearly level has no number.
        is_left = (x[here] - x1) * north < (y[here] - y1) * east
        odd[here] = (spans & (is_left == (north > 0))).sum(axis=1) % 2
    return odd


def _chunks(count: int, each: int) -> Iterator[tuple[int, int]]:
    step = max(1, _PAIRS // max(1, each))
    return pairwise([*range(0, count, step), count])
