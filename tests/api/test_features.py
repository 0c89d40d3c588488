"""Pictures of GeoJSON features: their pixels, and nothing around them."""

import io
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import pytest
from rasterio.crs import CRS
from rasterio.warp import transform_geom

from api import rio
from api.rio import UTM
from api.served import SIZE, Picture, Server, footprint, quiet, serving
from items import box
from livemosaic.table.sqlite import SqliteTable

X, Y = rio.LEFT + 15_000, rio.TOP - 25_000
"""The tip of a triangle, on the first scene and the second one."""
TRIANGLE = [[X, Y], [X + 22_000, Y + 3_000], [X + 8_000, Y + 19_000], [X, Y]]


def feature(geometry: Any) -> dict[str, Any]:
    return {"type": "Feature", "properties": {}, "geometry": geometry}


def polygon(*rings: Sequence[Sequence[float]]) -> dict[str, Any]:
    return feature({"type": "Polygon", "coordinates": list(rings)})


def lonlat(of: Mapping[str, Any], crs: str = UTM) -> dict[str, Any]:
    with quiet():
        return feature(transform_geom(crs, "EPSG:4326", of["geometry"]))


def post(server: Server, body: Any, suffix: str = ".npy", **query: Any) -> Any:
    return server.client.post(f"/mosaics/m/feature{suffix}", json=body, params=query)


def picture(server: Server, body: Any, suffix: str = ".npy", **query: Any) -> Picture:
    answer = post(server, body, suffix, **query)
    assert answer.status_code == 200, answer.text
    bands = np.load(io.BytesIO(answer.content))
    return Picture(bands[:-1], bands[-1] != 0, answer.headers)


class TestPixels:
    def test_in_the_crs_of_the_scenes_they_are_theirs(self, server: Server) -> None:
        paths, crs = rio.publish_two(server), CRS.from_string(UTM)
        found = picture(server, polygon(TRIANGLE), coord_crs=UTM)
        oracle = rio.feature(paths, polygon(TRIANGLE), shape_crs=crs)
        inside = ~oracle.array.mask[0]
        off = rio.far(found, oracle)
        assert off.max() <= 1
        assert (found.valid != inside).mean() < 0.01
        assert 0.3 < found.valid.mean() < 0.6
        assert (found.data[:, ~found.valid] == 0).all()

    @pytest.mark.parametrize("dst_crs", [None, "EPSG:3857", UTM])
    def test_in_others_they_are_nearest(self, server: Server, dst_crs: str | None) -> None:
        paths, shape = rio.publish_two(server), lonlat(polygon(TRIANGLE))
        how = {"dst_crs": dst_crs} if dst_crs else {}
        found = picture(server, shape, "/90x60.npy", **how)
        crs = CRS.from_string(dst_crs) if dst_crs else None
        oracle = rio.feature(paths, shape, dst_crs=crs, width=90, height=60)
        assert rio.far(found, oracle).max() <= 300 / 60

    def test_holes_and_many_polygons(self, server: Server) -> None:
        server.publish("a", 1)
        outer, hole = footprint((10, 10, 110, 110)), footprint((30, 30, 90, 90))
        ring, inner = outer["coordinates"][0], hole["coordinates"][0]
        other = footprint((200, 200, 210, 210))["coordinates"]
        shape = feature({"type": "MultiPolygon", "coordinates": [[ring, inner], other]})
        valid = picture(server, shape, dst_crs="EPSG:3857").valid
        assert valid.shape == (200, 200)
        assert valid.sum() == pytest.approx(100 * 100 - 60 * 60 + 10 * 10, rel=0.06)
        assert not valid[30:70, 30:70].any()
        assert valid[193:198, 193:198].all()

    @pytest.mark.parametrize("dst_crs", ["EPSG:4326", "EPSG:3857"])
    def test_a_ring_that_crosses_itself_fills_both_sides(
        self, server: Server, dst_crs: str
    ) -> None:
        server.publish("a", 1)
        west, south, east, north = 7.8, 45.65, 8.0, 45.75
        bow = [[west, south], [east, north], [east, south], [west, north], [west, south]]
        valid = picture(server, polygon(bow), "/100x100.npy", dst_crs=dst_crs).valid
        assert valid[50, 5] and valid[50, 95]
        assert not valid[5, 50] and not valid[95, 50]

    def test_lines_take_the_pixels_that_they_touch(self, server: Server) -> None:
        server.publish("a", 1)
        line = {"type": "LineString", "coordinates": [[7.8, 45.65], [8.0, 45.75]]}
        valid = picture(server, feature(line), "/50x50.npy").valid
        assert valid.diagonal().sum() <= 2
        assert np.fliplr(valid).diagonal().all()
        assert valid.sum() < 150

    def test_scenes_around_it_are_not_read(self, server: Server) -> None:
        """In the box, yet outside of the shape."""
        server.publish("all", 1, day=1)
        server.publish("corner", 2, (0, 0, 60, 60), day=2)
        west, south, east, north = 7.74, 45.59, 8.08, 45.82
        lower = [[west, south], [east, south], [east, north], [west, south]]
        found = picture(server, polygon(lower))
        assert found.scenes == ["all"]
        assert (found.data[0, found.valid] == 1).all()

    @pytest.mark.parametrize("operation", ["first", "max"])
    def test_a_rule_holds_inside_of_it(self, server: Server, operation: str) -> None:
        server.publish("old", 9, day=1)
        server.publish("new", 5, day=2)
        found = picture(server, feature(footprint((9, 9, 50, 50))), operation=operation)
        assert set(found.data[0, found.valid]) == {5 if operation == "first" else 9}
        assert found.valid.all()


class TestAnswer:
    def test_the_format_is_in_the_path_or_chosen(self, server: Server) -> None:
        server.publish("a", [10, 20, 30])
        square, corner = (
            feature(footprint((9, 9, 50, 50))),
            polygon([[8, 45.6], [8.05, 45.6], [8, 45.7], [8, 45.6]]),
        )
        assert post(server, square, "").headers["Content-Type"] == "image/jpeg"
        assert post(server, corner, "").headers["Content-Type"] == "image/png"
        assert post(server, square, ".webp").headers["Content-Type"] == "image/webp"
        assert post(server, square, ".gif").status_code == 400

    def test_it_says_where_it_lies(self, server: Server) -> None:
        server.publish("a", 1)
        headers = post(server, feature(box(7.8, 45.6, 8, 45.7)), dst_crs="EPSG:32632").headers
        assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/EPSG/0/32632>"
        west, south, east, north = map(float, headers["Content-Bbox"].split(","))
        assert 400_000 < west < east < 440_000
        assert 5_040_000 < south < north < 5_070_000

    def test_it_has_no_etag(self, server: Server) -> None:
        """It answers a POST, which no cache may answer the next one with."""
        server.publish("a", 1)
        assert "ETag" not in post(server, feature(footprint((9, 9, 50, 50)))).headers

    def test_a_size_may_be_asked_for(self, server: Server) -> None:
        server.publish("a", 1)
        shape = feature(footprint((9, 9, 50, 50)))
        assert picture(server, shape, max_size=20).valid.shape[1] == 20
        assert picture(server, shape, width=30, height=31).valid.shape == (31, 30)
        assert post(server, shape, "/3000x3000.png").status_code == 400


class TestAntimeridian:
    @pytest.mark.parametrize("dst_crs", ["EPSG:4326", "EPSG:3857"])
    @pytest.mark.parametrize(
        "geometry",
        [
            pytest.param(
                {
                    "type": "MultiPolygon",
                    "coordinates": [
                        box(178, -2, 180, 2)["coordinates"],
                        box(-180, -2, -178, 2)["coordinates"],
                    ],
                },
                id="cut",
            ),
            pytest.param(box(178, -2, -178, 2), id="jumping"),
            pytest.param(box(178, -2, 182, 2), id="beyond"),
        ],
    )
    def test_a_feature_across_it_is_one_picture(
        self, server: Server, dst_crs: str, geometry: dict[str, Any]
    ) -> None:
        rio.place(server, 1, -180, 2, "EPSG:4326", 4 / rio.EDGE)
        found = picture(server, feature(geometry), "/200x100.npy", dst_crs=dst_crs)
        assert found.valid[2:-2, 101:].all()
        assert not found.valid[:, :99].any()


def test_the_whole_world_is_a_feature(server: Server) -> None:
    rio.place(server, 0, -4, 2, "EPSG:4326", 4 / rio.EDGE)
    found = picture(server, feature(box(-180, -90, 180, 90)), "/360x180.npy")
    assert found.valid.sum() == pytest.approx(16, abs=4)


ROUND = [[7.8 + 0.1 * np.cos(t), 45.7 + 0.1 * np.sin(t)] for t in np.linspace(0, 6.28, 60_000)]


@pytest.mark.parametrize(
    ("body", "told"),
    [
        pytest.param(feature(None), "whose geometry is None", id="null"),
        pytest.param({}, "a GeoJSON Feature", id="nothing"),
        pytest.param(box(7, 45, 8, 46), "this is a Polygon", id="bare geometry"),
        pytest.param(
            {"type": "FeatureCollection", "features": []}, "FeatureCollection", id="collection"
        ),
        pytest.param(
            feature({"type": "Point", "coordinates": [7, 45]}), "geometry is a Point", id="point"
        ),
        pytest.param(
            feature({"type": "GeometryCollection", "geometries": []}), "it must be", id="geometries"
        ),
        pytest.param(polygon(), "no coordinates", id="empty"),
        pytest.param(polygon([[0, 0], [1e99, 0], [1, 1], [0, 0]]), "far off Earth", id="far off"),
        pytest.param(polygon([[7, 45], [8, 46]]), "do not make a Polygon", id="two corners"),
        pytest.param(
            polygon([[7, 45], [8, 46], [7, None], [7, 45]]), "do not make", id="no number"
        ),
        pytest.param(polygon([[7, 45], [7, 46], [7, 47], [7, 45]]), "is empty", id="no area"),
        pytest.param(feature(box(7, 45, 8, 95)), "beyond a pole", id="pole"),
        pytest.param(feature(box(700, 45, 800, 50)), "around the world", id="world"),
        pytest.param(polygon([*ROUND, ROUND[0]]), "60,001 vertices, at most 50,000", id="vertices"),
    ],
)
def test_a_bad_feature_is_refused_by_name(kept: Server, body: Any, told: str) -> None:
    answer = post(kept, body)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]


@pytest.mark.parametrize("body", [b"", b"[]", b"nul", b'{"type": "Feature", "geometry": NaN}'])
def test_what_is_no_feature_at_all_is_refused(kept: Server, body: bytes) -> None:
    headers = {"Content-Type": "application/json"}
    answer = kept.client.post("/mosaics/m/feature", content=body, headers=headers)
    assert answer.status_code == 400, answer.text


def test_an_operator_may_allow_fewer_vertices(sqlite_table: SqliteTable, tmp_path: Any) -> None:
    with serving(sqlite_table, tmp_path, max_vertices=100) as server:
        server.create()
        ring = ROUND[:: len(ROUND) // SIZE]
        assert post(server, polygon([*ring, ring[0]])).status_code == 400
