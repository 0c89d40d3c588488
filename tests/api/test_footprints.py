"""Rules that go by footprints: clipping, slivers, holes, and blends from edge to edge."""

import io
import json
import shutil
from pathlib import Path

import numpy as np
import pytest
import rasterio
from rasterio.control import GroundControlPoint

from api.served import SIZE, WHOLE, Server, X, Y, Z, scene, tile_url
from livemosaic.table.sqlite import SqliteTable

HALF = SIZE // 2
LEFT_HALF = (0, 0, HALF, SIZE)


def test_pixels_outside_the_footprint_show_unless_they_are_clipped(server: Server) -> None:
    server.publish("below", 10, day=1)
    server.publish("top", 20, claims=LEFT_HALF, day=2)
    assert server.picture().at(HALF) == [20]
    clipped = server.picture(clip=True)
    assert (clipped.at(HALF - 1), clipped.at(HALF)) == ([20], [10])
    assert clipped.scenes == ["top", "below"]


def test_a_scene_that_covers_fewer_pixels_takes_no_part(server: Server) -> None:
    server.publish("below", 10, day=1)
    server.publish("sliver", 20, (0, 0, 1, SIZE), day=2)
    assert server.picture(min_pixels=SIZE).at(0) == [20]
    without = server.picture(min_pixels=SIZE + 1)
    assert without.at(0) == [10]
    assert without.scenes == ["below"]


def with_hole(value: int) -> np.ndarray:
    """Of the whole tile, no data in the left half."""
    values = np.full((1, SIZE, SIZE), value, np.uint8)
    values[:, :, :HALF] = 0
    return values


def test_holes_show_what_is_below_unless_they_are_to_hide_it(server: Server) -> None:
    server.publish("below", 10, day=1)
    server.publish("top", with_hole(20), day=2, nodata=0)
    assert server.picture().at(0) == [10]
    hidden = server.picture(nodata_inside=True)
    assert (hidden.at(0), hidden.at(HALF)) == (None, [20])
    assert hidden.scenes == ["top"]


@pytest.mark.parametrize(("operation", "inside"), [("mean", 15), ("max", 20), ("last", 10)])
def test_holes_hide_what_is_below_whatever_the_operation(
    server: Server, operation: str, inside: int
) -> None:
    server.publish("below", with_hole(10) if operation == "last" else 10, day=1, nodata=0)
    server.publish("top", 20 if operation == "last" else with_hole(20), day=2, nodata=0)
    hidden = server.picture(nodata_inside=True, operation=operation)
    assert (hidden.at(0), hidden.at(HALF)) == (None, [inside])


def test_a_scene_that_cannot_be_read_has_no_holes(server: Server) -> None:
    server.publish("below", 10, day=1)
    server.publish("gone", 20, day=2).unlink()
    assert server.picture(nodata_inside=True).at(0) == [10]


A, B = (0, 0, 192, SIZE), (64, 0, SIZE, SIZE)
"""They have 128 columns in common; their upper and lower edges are 128 pixels from row 128."""


def overlapping(server: Server) -> None:
    server.publish("a", 100, A, day=1)
    server.publish("b", 200, B, day=2)


def test_a_blend_weighs_by_the_distance_to_the_edge(server: Server) -> None:
    overlapping(server)
    blend = server.picture(operation="blend")
    assert blend.at(63) == [100]
    assert blend.at(64) == [101]  # (64.5 × 100 + 0.5 × 200) / 65
    assert blend.at(128) == [150]  # (63.5 × 100 + 64.5 × 200) / 128
    assert blend.at(190) == [198]  # (1.5 × 100 + 65.5 × 200) / 67
    assert blend.at(192) == [200]
    assert blend.data.dtype == np.uint8


def test_neighbouring_tiles_blend_like_one_picture_over_them(server: Server) -> None:
    """A tile of 512 pixels has those of its four children."""
    for n, part in enumerate([(-90, -70, 200, 190), (40, -100, 330, 90), (10, -20, 400, 260)]):
        server.publish(f"{n}", 40 + 90 * n, part, day=1 + n)
    parent = server.picture(
        tile_url(tile=(Z - 1, X // 2, Y // 2)), operation="blend", tilesize=2 * SIZE
    )
    rows = []
    for y in (Y - 1, Y):
        tiles = [tile_url(tile=(Z, x, y)) for x in (X, X + 1)]
        rows.append(np.hstack([server.picture(t, operation="blend").data[0] for t in tiles]))
    np.testing.assert_array_equal(np.vstack(rows), parent.data[0])
    assert len(np.unique(parent.data)) > 100


def test_weights_are_right_even_if_a_batch_of_heads_is_behind(
    server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    overlapping(server)
    monkeypatch.setattr(SqliteTable, "batch_get", lambda self, keys: {})
    assert server.picture(operation="blend").at(128) == [150]


def test_a_footprint_that_changed_blends_anew(server: Server) -> None:
    overlapping(server)
    before = server.tile(".npy", operation="blend")
    held = {"If-None-Match": before.headers["ETag"]}
    url = tile_url(".npy") + "?operation=blend"
    assert server.client.get(url, headers=held).status_code == 304
    path = next(Path(server.folder).glob("a-*"))
    server.add(scene("a", server.url(path), WHOLE, day=1))
    assert server.client.get(url, headers=held).status_code == 200


FAULTS = Path(__file__).parents[2].parent / "shared" / "faults" / "pixels"


@pytest.mark.skipif(not FAULTS.is_dir(), reason="needs ../shared/faults")
@pytest.mark.parametrize("name", ["f8_easegrid_north", "f9_gcps_only"])
def test_a_faulty_file_shows_the_right_value(server: Server, name: str) -> None:
    shutil.copy(FAULTS / f"{name}.tif", server.folder)
    lines = [json.loads(line) for line in (FAULTS / "items.ndjson").read_text().splitlines()]
    (document,) = [one for one in lines if one["id"] == name]
    document["assets"]["data"]["href"] = server.url(f"{name}.tif")
    server.add(document)
    rights = [json.loads(line) for line in (FAULTS / "right.ndjson").read_text().splitlines()]
    (right,) = [one for one in rights if one["file"] == name]
    asked = f"/mosaics/m/point/{right['lon']},{right['lat']}"
    answer = server.get(asked, bidx=right["bidx"])
    assert answer.json()["assets"][0]["values"] == right["right"]


@pytest.mark.parametrize("resampling", ["nearest", "bilinear", "average"])
def test_a_file_with_control_points_is_drawn_by_every_route(
    server: Server, resampling: str
) -> None:
    path = server.folder / "gcps.tif"
    corners = (
        (0, 0, 14.0, 50.0),
        (0, 256, 14.5, 50.1),
        (256, 0, 13.9, 49.7),
        (256, 256, 14.4, 49.8),
    )
    with rasterio.open(
        path, "w", driver="GTiff", width=256, height=256, count=1, dtype="uint8", tiled=True,
        blockxsize=128, blockysize=128,
    ) as file:  # fmt: skip
        file.write(np.full((1, 256, 256), 7, np.uint8))
        file.gcps = (
            [GroundControlPoint(row=row, col=col, x=x, y=y) for row, col, x, y in corners],
            rasterio.crs.CRS.from_epsg(4326),
        )
    outline = [[14, 50], [14.5, 50.1], [14.4, 49.8], [13.9, 49.7], [14, 50]]
    shape = {"type": "Polygon", "coordinates": [outline]}
    server.add(scene("gcps", server.url(path)) | {"geometry": shape})
    point = server.get("/mosaics/m/point/14.2,49.9").json()
    assert point["values"] == [7]
    box = server.get("/mosaics/m/bbox/14.1,49.85,14.2,49.95/40x40.npy", resampling=resampling)
    data, valid = np.load(io.BytesIO(box.content))
    assert (data == 7).all()
    assert valid.all()
    native = server.get("/mosaics/m/bbox/14.1,49.85,14.2,49.95.npy")
    assert native.status_code == 200
    tile = server.picture("/mosaics/m/tiles/WebMercatorQuad/9/276/173", resampling=resampling)
    assert set(tile.data[0][tile.valid].tolist()) == {7}
    feature = {"type": "Feature", "properties": {}, "geometry": shape}
    statistics = server.client.post("/mosaics/m/statistics", json=feature).json()
    assert statistics["properties"]["statistics"]["b1"]["mean"] == 7
