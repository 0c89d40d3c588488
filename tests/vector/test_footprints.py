"""Vector tiles of footprints: each scene once, whole, as two other decoders read it."""

import json
import random
from functools import cache
from itertools import pairwise
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pyproj
import pytest
import shapely

from api.served import Server
from items import box, item
from vector.decoding import DECODERS, EXTENT, by_mapbox, read, signed_area

WEB = "WebMercatorQuad"
TILE = shapely.box(0, 0, EXTENT, EXTENT)
UNIT = EXTENT  # one column of the tile: 1/4096 of its area


def scene(server: Server, name: str, geometry: Any, **rest: Any) -> dict[str, Any]:
    return item(name, geometry, href=f"{server.href}/{name}.tif", **rest)


def tile(server: Server, path: str, mosaic: str = "m", **query: Any) -> bytes:
    answer = server.get(f"/mosaics/{mosaic}/vector/{path}.mvt", **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/vnd.mapbox-vector-tile"
    content: bytes = answer.content
    return content


@cache
def transformer(tms_id: str) -> pyproj.Transformer:
    crs = morecantile.tms.get(tms_id).rasterio_crs
    return pyproj.Transformer.from_crs(
        "OGC:CRS84", pyproj.CRS.from_wkt(crs.to_wkt()), always_xy=True
    )


def projected(geometry: dict[str, Any], address: str) -> Any:
    """A polygon in degrees in units of a tile, by pyproj and morecantile alone."""
    tms_id, z, x, y = address.split("/")
    tms, to_crs = morecantile.tms.get(tms_id), transformer(tms_id)
    left, _, right, top = tms.xy_bounds(morecantile.Tile(int(x), int(y), int(z)))
    fine = shapely.segmentize(shapely.from_geojson(json.dumps(geometry)), 0.01)

    def units(lonlat: Any) -> Any:
        px, py = to_crs.transform(*lonlat.T)
        scale = EXTENT / (right - left)
        return np.column_stack([(px - left) * scale, (top - py) * scale])

    return shapely.make_valid(shapely.transform(fine, units))


@pytest.fixture(scope="module")
def thousand(kept: Server) -> list[dict[str, Any]]:
    """Footprints at random, turned, of which many lie across cells of the index."""
    kept.create("thousand", properties=["eo:cloud_cover", "n"])
    chance = random.Random(7)
    made = []
    for n in range(1000):
        x, y = chance.uniform(5.7, 11.2), chance.uniform(41.0, 44.9)
        w, h, turn = chance.uniform(0.01, 0.2), chance.uniform(0.01, 0.2), chance.uniform(0, 0.05)
        ring = [[x, y], [x + w, y + turn], [x + w - turn / 9, y + h], [x - turn / 9, y + h - turn]]
        shape = {"type": "Polygon", "coordinates": [[*ring, ring[0]]]}
        assert shapely.Polygon(ring).is_valid
        made.append(scene(kept, f"s{n}", shape, properties={"eo:cloud_cover": n / 7, "n": n}))
    kept.add(*made, mosaic="thousand")
    return made


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
@pytest.mark.parametrize("at", ["6/33/23", "7/66/46", "9/267/185", "10/532/376"])
def test_a_thousand_footprints_cover_what_the_scenes_do(
    kept: Server, thousand: list[dict[str, Any]], at: str, decode: Any, tmp_path: Path
) -> None:
    found = decode(tile(kept, f"{WEB}/{at}", "thousand"), "footprints", tmp_path)
    wanted = {i["id"]: projected(i["geometry"], f"{WEB}/{at}") for i in thousand}
    shown = {properties["id"]: shape for properties, shape in found}
    assert len(shown) == len(found) > 0
    assert shown.keys() >= {name for name, shape in wanted.items() if shape.intersects(TILE)}
    union = shapely.union_all([shapely.make_valid(s) for s in shown.values()]) & TILE
    all_of_it = shapely.union_all(list(wanted.values())) & TILE
    assert union.area == pytest.approx(all_of_it.area, abs=UNIT)
    for name, shape in shown.items():
        here = wanted[name] & TILE
        assert shapely.make_valid(shape & TILE).area == pytest.approx(
            here.area, abs=1 + here.length
        )


@pytest.mark.parametrize("decode", DECODERS.values(), ids=DECODERS)
def test_features_have_what_the_mosaic_keeps(
    kept: Server, thousand: list[dict[str, Any]], decode: Any, tmp_path: Path
) -> None:
    found = decode(tile(kept, f"{WEB}/6/33/23", "thousand"), "footprints", tmp_path)
    assert len(found) == 1000
    for properties, _ in found:
        n = properties["n"]
        assert properties["id"] == f"s{n}"
        assert properties["collection"] == "s2"
        assert properties["datetime"] == "2026-01-01T00:00:00Z"
        assert properties["eo:cloud_cover"] == pytest.approx(n / 7)


def test_the_layer_is_of_version_two_with_rings_wound_right(
    kept: Server, thousand: list[dict[str, Any]]
) -> None:
    (name, layer), *others = read(tile(kept, f"{WEB}/7/66/46", "thousand")).items()
    assert (name, layer["version"], layer["extent"], others) == ("footprints", 2, EXTENT, [])
    for feature in layer["features"]:
        assert feature["type"] == 3
        assert all(signed_area(ring) > 0 for ring in feature["rings"])
        assert all(a != b for ring in feature["rings"] for a, b in pairwise(ring))


def only(server: Server, path: str, mosaic: str = "m", **query: Any) -> Any:
    ((_, shape),) = by_mapbox(tile(server, path, mosaic, **query), "footprints", Path())
    return shape


def test_a_scene_that_many_cells_cut_is_whole_without_inner_edges(server: Server) -> None:
    """Its rows are in cells of zoom 8; at zoom 3 to 5 they meet within the tile."""
    server.add(scene(server, "wide", box(1, 41, 9, 47)))
    for at in ["0/0/0", "3/4/2", "4/8/5", "5/16/11"]:
        shape = only(server, f"{WEB}/{at}")
        assert len(shape.geoms) == 1, at
        assert shapely.get_num_coordinates(shape) == 5, at


@pytest.mark.parametrize("at", ["8/128/91", "8/130/91", "9/261/183", "10/522/366", "6/32/22"])
def test_a_scene_goes_on_beyond_each_edge_of_a_tile(server: Server, at: str) -> None:
    """Otherwise maps would draw the grid of tiles across it."""
    whole = box(-1, 41, 9, 49)
    server.add(scene(server, "wide", whole))
    expected = projected(whole, f"{WEB}/{at}") & shapely.box(-64, -64, EXTENT + 64, EXTENT + 64)
    assert shapely.hausdorff_distance(only(server, f"{WEB}/{at}"), expected) <= 1.5


def test_a_scene_of_just_a_tile_has_its_edges(server: Server) -> None:
    west, south, east, north = morecantile.tms.get(WEB).bounds(morecantile.Tile(130, 91, 8))
    server.add(scene(server, "one", box(west, south, east, north)))
    assert only(server, f"{WEB}/8/130/91").equals(TILE)


def test_holes_stay_holes(server: Server) -> None:
    outer, inner = box(6, 44, 8, 46)["coordinates"][0], box(6.5, 44.5, 7.5, 45.5)["coordinates"][0]
    shape = {"type": "Polygon", "coordinates": [outer, inner[::-1]]}
    server.add(scene(server, "ring", shape))
    for at in ["4/8/5", "5/16/11"]:
        found = only(server, f"{WEB}/{at}")
        assert shapely.make_valid(found).equals(found)
        expected = projected(shape, f"{WEB}/{at}") & TILE
        assert (found & TILE).area == pytest.approx(expected.area, abs=UNIT)
    (layer,) = read(tile(server, f"{WEB}/4/8/5")).values()
    assert [signed_area(ring) > 0 for ring in layer["features"][0]["rings"]] == [True, False]


def test_a_scene_across_180_degrees_is_whole_on_both_sides(server: Server) -> None:
    ring = [[177, -20], [-177, -20], [-177, -15], [177, -15], [177, -20]]
    server.add(scene(server, "fiji", {"type": "Polygon", "coordinates": [ring]}))
    for at, edge in [("5/31/17", EXTENT + 64), ("5/0/17", -64)]:
        shape = only(server, f"{WEB}/{at}")
        assert len(shape.geoms) == 1
        assert edge in (shape.bounds[0], shape.bounds[2])
    both = only(server, f"{WEB}/0/0/0")
    assert len(both.geoms) == 2
    assert (both.bounds[0], both.bounds[2]) == (-34, EXTENT + 34)  # 3 degrees


def test_a_scene_too_small_for_an_area_still_shows(server: Server) -> None:
    server.add(scene(server, "drone", box(7, 45, 7.0001, 45.0001)))
    shape = only(server, f"{WEB}/0/0/0")
    assert 1 <= shape.area <= 4
    assert shape.distance(projected(box(7, 45, 7.0001, 45.0001), f"{WEB}/0/0/0")) <= 1


POLAR = [
    ("UPSArcticWGS84Quad", "3/4/4", box(-170, 84, -150, 86)),
    ("UPSArcticWGS84Quad", "2/1/1", box(20, 70, 60, 85)),
    ("UPSAntarcticWGS84Quad", "2/2/1", box(20, -80, 60, -70)),
    ("WorldCRS84Quad", "5/33/8", box(7, 42, 8, 43)),
    ("EuropeanETRS89_LAEAQuad", "4/7/9", box(5, 42, 12, 48)),
    ("UTM31WGS84Quad", "7/64/10", box(2, 40, 4, 42)),
    ("WorldMercatorWGS84Quad", "6/33/22", box(6, 44, 8, 46)),
    ("CDB1GlobalGrid", "0/187/44", box(6.2, 45.2, 6.8, 45.8)),
]


@pytest.mark.parametrize(("tms", "at", "area"), POLAR, ids=[f"{t} {a}" for t, a, _ in POLAR])
def test_scenes_lie_where_they_do_in_other_tile_matrix_sets(
    server: Server, tms: str, at: str, area: dict[str, Any]
) -> None:
    known = morecantile.tms.get(tms)
    z = int(at.partition("/")[0])
    middle = shapely.from_geojson(json.dumps(area)).centroid
    place = known.tile(middle.x, middle.y, z)
    path = f"{tms}/{z}/{place.x}/{place.y}"
    server.add(scene(server, "one", area))
    expected = projected(area, path) & TILE
    assert expected.area > 0
    found = only(server, path) & TILE
    assert (found ^ expected).area <= 1 + expected.length


@pytest.mark.parametrize("mosaic_tms", [WEB, "UPSArcticWGS84Quad"])
def test_a_scene_around_the_pole_has_no_seam(server: Server, mosaic_tms: str) -> None:
    server.create("polar", tms=mosaic_tms)
    ring = [[lon, 80] for lon in range(-180, 181, 10)]
    shape = {"type": "Polygon", "coordinates": [[*ring, [180, 90], [-180, 90], [-180, 80]]]}
    server.add(scene(server, "pole", shape), mosaic="polar")
    found = only(server, "UPSArcticWGS84Quad/2/1/1", "polar")
    corner = only(server, "UPSArcticWGS84Quad/2/2/2", "polar")
    for each in (found, corner):
        assert len(each.geoms) == 1
        assert not each.geoms[0].interiors
        assert each.is_valid
    whole = projected(shape, "UPSArcticWGS84Quad/2/1/1")
    circle = shapely.Polygon(shapely.get_coordinates(whole)).convex_hull & TILE
    assert (found & TILE).area == pytest.approx(circle.area, abs=UNIT)


def test_a_mosaic_far_below_its_minzoom_has_all_footprints(server: Server) -> None:
    server.create("deep", minzoom=12)
    areas = [box(x, 40 + x, x + 0.01, 40.01 + x) for x in range(6)]
    server.add(*(scene(server, f"s{n}", a) for n, a in enumerate(areas)), mosaic="deep")
    for at in ["0/0/0", "2/2/1", "7/64/46", "11/1024/750"]:
        found = by_mapbox(tile(server, f"{WEB}/{at}", "deep"), "footprints", Path())
        expected = {
            f"s{n}" for n, a in enumerate(areas) if projected(a, f"{WEB}/{at}").intersects(TILE)
        }
        assert {p["id"] for p, _ in found} >= expected
    assert len(by_mapbox(tile(server, f"{WEB}/0/0/0", "deep"), "footprints", Path())) == 6


@pytest.mark.parametrize("tms_id", sorted(morecantile.tms.list()))
def test_a_scene_of_the_whole_world_shows_in_each_tile_matrix_set(
    kept: Server, tms_id: str
) -> None:
    """Some projections have no place for most of it, or another one."""
    if not kept.get("/mosaics/world").is_success:
        kept.create("world")
        kept.add(scene(kept, "world", box(-180, -90, 180, 90)), mosaic="world")
    tms = morecantile.tms.get(tms_id)
    for z in (min(tms.minzoom + 3, tms.maxzoom), min(tms.minzoom + 6, tms.maxzoom)):
        matrix = tms.matrix(z)
        x, y = matrix.matrixWidth // 2, matrix.matrixHeight // 2
        shown = only(kept, f"{tms_id}/{z}/{x}/{y}", "world")
        assert shown.covers(TILE), z
