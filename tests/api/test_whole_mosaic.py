"""What a mosaic knows of itself: statistics of all of it, and `rescale=auto` by them."""

import math
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
import shapely
from shapely.geometry.base import BaseGeometry

from api.overviews import NATIVE, Tile, build, make_scenes, publish, tiles_over, with_overviews
from api.served import (
    AUTHORIZED,
    LEFT,
    RIGHT,
    WEB,
    Server,
    footprint,
    raster,
    tile_url,
)
from cogs import write_cog
from items import box, item
from livemosaic.cog.reader import CogReader
from livemosaic.model.raster import Pixels

pytestmark = pytest.mark.slow

ACROSS = 9


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Tile]]]:
    """A mosaic of 81 scenes of two bands of uint16, with overviews."""
    folder = tmp_path_factory.mktemp("whole")
    with with_overviews(folder) as server:
        tiles = make_scenes(folder / "assets", ACROSS, dtype="uint16", bands=2)
        publish(server, tiles)
        build(server)
        yield server, tiles


def statistics(server: Server, mosaic: str = "m", **query: Any) -> dict[str, Any]:
    answer = server.get(f"/mosaics/{mosaic}/statistics", **query)
    assert answer.status_code == 200, answer.text
    document: dict[str, Any] = answer.json()
    return document


def exact(server: Server, tiles: list[Tile]) -> dict[str, Any]:
    """Of every pixel of every scene, as POST reads them in blocks."""
    west, south = WEB.lnglat(min(t.bounds[0] for t in tiles), min(t.bounds[1] for t in tiles))
    east, north = WEB.lnglat(max(t.bounds[2] for t in tiles), max(t.bounds[3] for t in tiles))
    area = {"type": "Feature", "properties": {}, "geometry": box(west, south, east, north)}
    answer = server.client.post(
        "/mosaics/m/statistics", json=area, params={"coord_crs": "EPSG:4326", "max_size": 2000}
    )
    assert answer.status_code == 200, answer.text
    found: dict[str, Any] = answer.json()["properties"]["statistics"]
    return found


def test_statistics_of_a_whole_mosaic_are_of_its_overviews_and_near_exact_ones(
    whole: tuple[Server, list[Tile]],
) -> None:
    server, tiles = whole
    found, oracle = statistics(server), exact(server, tiles)
    assert found["overviews"]
    assert not found["used_assets"]
    assert found["approximate"] is True
    assert "fewer pixels" in found["approximation"]
    for name in ("b1", "b2"):
        ours, theirs = found["statistics"][name], oracle[name]
        assert ours["mean"] == pytest.approx(theirs["mean"], rel=0.01)
        assert ours["std"] == pytest.approx(theirs["std"], rel=0.1)
        assert ours["percentile_2"] == pytest.approx(theirs["percentile_2"], abs=12)
        assert ours["percentile_98"] == pytest.approx(theirs["percentile_98"], abs=12)
        assert theirs["min"] <= ours["min"] <= ours["max"] <= theirs["max"]
        assert sum(ours["histogram"][0]) == ours["valid_pixels"]


def test_statistics_of_unchanged_overviews_are_kept_and_no_pixel_is_read_again(
    whole: tuple[Server, list[Tile]], monkeypatch: pytest.MonkeyPatch
) -> None:
    server, _ = whole
    first = statistics(server)
    reads = 0
    read = CogReader.read

    async def counted(*args: Any, **options: Any) -> Pixels:
        nonlocal reads
        reads += 1
        return await read(*args, **options)

    monkeypatch.setattr(CogReader, "read", counted)
    assert statistics(server) == first
    assert "percentile_10" in statistics(server, p=10)["statistics"]["b1"]
    assert not reads
    assert statistics(server, bidx=1, max_size=700)["size"] != first["size"]
    assert reads


def test_statistics_that_are_kept_change_with_the_overviews(tmp_path: Path) -> None:
    """Within the same bounds, so that nothing but the cells tells."""
    with with_overviews(tmp_path) as server:
        tiles = make_scenes(tmp_path / "assets", 8)
        publish(server, tiles)
        build(server)
        before = statistics(server)
        gone = tiles[27]
        answer = server.client.delete(
            f"/mosaics/m/items/{gone.name}", params={"collection": "s2"}, headers=AUTHORIZED
        )
        assert answer.status_code in (200, 204), answer.text
        build(server)
        without = statistics(server)
        assert without["bounds"] == before["bounds"]
        assert without["area_km2"] < before["area_km2"]
        publish(server, [replace(gone, day=28)])
        build(server)
        assert statistics(server)["area_km2"] == before["area_km2"]


def test_the_area_is_the_true_one_on_the_ground(whole: tuple[Server, list[Tile]]) -> None:
    server, tiles = whole
    left, bottom = (min(t.bounds[n] for t in tiles) for n in (0, 1))
    right, top = (max(t.bounds[n] for t in tiles) for n in (2, 3))
    latitude = WEB.lnglat((left + right) / 2, (bottom + top) / 2).y
    on_map = (right - left) * (top - bottom) / 1e6
    found = statistics(server)
    assert found["area_km2"] == pytest.approx(on_map * math.cos(math.radians(latitude)) ** 2, 0.02)
    assert found["statistics"]["b1"]["count"] == pytest.approx(found["area_km2"])


def test_pixels_count_by_their_true_area(server: Server) -> None:
    """A scene from the equator to 75° north is 1 in the southern half of the map, else 2."""
    bounds = (0.0, 0.0, 60.0, 75.0)
    values = np.full((1, 300, 240), 2, np.uint8)
    values[:, 150:] = 1  # below 37.5° north
    path = write_cog(server.folder / "high.tif", values, crs="EPSG:4326", bounds=bounds)
    server.add(item("high", box(*bounds), assets={"visual": {"href": server.url(path)}}))
    ratio = math.sin(math.radians(37.5)) / math.sin(math.radians(75))
    found = statistics(server)
    assert found["statistics"]["b1"]["mean"] == pytest.approx(2 - ratio, abs=0.01)
    on_sphere = math.radians(60) * math.sin(math.radians(75)) * 6371**2
    assert found["area_km2"] == pytest.approx(on_sphere, rel=0.01)


def test_scenes_at_the_poles_count_though_no_tile_shows_them(server: Server) -> None:
    for name, value, south in (("north", 10, 80), ("south", 30, -90)):
        bounds = -180, south, 180, south + 10
        path = write_cog(server.folder / f"{name}.tif", np.full((1, 64, 256), value, "uint8"),
                         crs="EPSG:4326", bounds=bounds)  # fmt: skip
        server.add(item(name, box(*bounds), assets={"visual": {"href": server.url(path)}}))
    caps = 2 * 3_908_572.8
    found = statistics(server)
    assert found["area_km2"] == pytest.approx(caps, rel=0.05)
    assert found["statistics"]["b1"]["mean"] == pytest.approx(20, rel=0.01)
    for zoom, near in ((3, 0.02), (0, 1e-5)):  # of an image, and of footprints
        boundary = server.get("/mosaics/m/boundary", zoom=zoom).json()
        assert boundary["properties"]["area_km2"] == pytest.approx(caps, rel=near), zoom


def test_of_few_scenes_far_apart_each_is_sampled(server: Server) -> None:
    places = [(-120.0, 40.0, 10), (10.0, -20.0, 20), (150.0, 60.0, 30)]
    for n, (west, south, value) in enumerate(places):
        bounds = (west, south, west + 0.01, south + 0.01)
        path = write_cog(
            server.folder / f"far{n}.tif",
            np.full((1, 64, 64), value, np.uint8),
            crs="EPSG:4326",
            bounds=bounds,
        )
        server.add(item(f"far{n}", box(*bounds), assets={"visual": {"href": server.url(path)}}))
    found = statistics(server)
    band = found["statistics"]["b1"]
    assert (band["min"], band["max"]) == (10, 30)
    assert band["valid_pixels"] > 20_000
    assert found["size"] is None
    assert found["area_km2"] is None
    assert sorted(found["used_assets"]) == ["far0", "far1", "far2"]
    assert "each scene" in found["approximation"]


def test_overviews_that_cannot_be_read_are_no_fault_of_the_request(tmp_path: Path) -> None:
    """Else a failing store would say that the mosaic has no overviews."""
    with with_overviews(tmp_path) as server:
        publish(server, make_scenes(tmp_path / "assets", 7))
        build(server)
        objects = list((tmp_path / "index.db.overviews").rglob("*.tif"))
        assert objects
        for path in objects:
            path.unlink()
        for url in ("/mosaics/m/statistics", "/mosaics/m/boundary"):
            answer = server.get(url)
            assert answer.status_code == 502, answer.text
            assert "overview" in answer.json()["detail"]
        assert server.get(tile_url(".png", tile=(0, 0, 0)), rescale="auto").status_code == 502


def test_a_derived_mosaic_has_the_statistics_of_its_source(
    whole: tuple[Server, list[Tile]],
) -> None:
    server, _ = whole
    sources = {"id": "derived", "sources": [{"mosaic": "m"}]}
    assert server.client.post("/mosaics", json=sources, headers=AUTHORIZED).status_code == 201
    derived = statistics(server, "derived")
    assert derived["statistics"] == statistics(server)["statistics"]
    assert derived["overviews"]
    answer = server.get("/mosaics/derived/statistics", overviews="false")
    assert answer.status_code == 400
    assert "ask its sources" in answer.json()["detail"]


def test_too_many_scenes_without_overviews_are_refused_with_the_way_out(
    server: Server,
) -> None:
    tiles = make_scenes(server.folder, 7)
    publish(server, tiles)
    for path in ("/mosaics/m/statistics", tile_url("", tile=(0, 0, 0))):
        answer = server.get(path, rescale="auto")
        assert answer.status_code == 400, answer.text
        assert "livemosaic mosaics update m --overviews" in answer.json()["detail"]


def test_a_mosaic_without_scenes_has_no_statistics_and_blank_tiles(server: Server) -> None:
    assert server.get("/mosaics/m/statistics").status_code == 204
    answer = server.tile(".png", rescale="auto")
    assert answer.status_code == 200
    assert not pixels(answer)[-1].any()


def test_statistics_of_a_rule_an_expression_and_bands(server: Server) -> None:
    server.publish("old", (10, 40), LEFT, day=1)
    server.publish("new", (20, 60), RIGHT, day=2)
    of_left = statistics(server, ids="old")["statistics"]["b1"]
    assert (of_left["min"], of_left["max"]) == (10, 10)
    ratio = statistics(server, expression="b2/b1")["statistics"]["b1"]
    assert (ratio["min"], ratio["max"], ratio["description"]) == (3, 4, "b2/b1")
    second = statistics(server, bidx=2, p=50, histogram_bins=2)["statistics"]["b2"]
    assert second["percentile_50"] in (40, 60)
    assert len(second["histogram"][0]) == 2


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"max_size": "5"}, "max_size"),
        ({"max_size": "100000"}, "max_size"),
        ({"p": "101"}, "101"),
        ({"assets": "nir"}, "nir"),
        ({"histogram_bins": "x"}, "histogram_bins"),
    ],
)
def test_bad_values_are_named(server: Server, query: dict[str, str], named: str) -> None:
    server.publish("one", 1)
    answer = server.get("/mosaics/m/statistics", **query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_statistics_have_an_etag_that_follows_the_scenes(server: Server) -> None:
    server.publish("one", 1)
    first = server.get("/mosaics/m/statistics")
    known = {"If-None-Match": first.headers["ETag"]}
    assert server.client.get("/mosaics/m/statistics", headers=known).status_code == 304
    server.publish("two", 5, day=2)
    again = server.client.get("/mosaics/m/statistics", headers=known)
    assert again.status_code == 200
    assert again.headers["ETag"] != first.headers["ETag"]


def pixels(answer: Any) -> np.ndarray[Any, Any]:
    assert answer.status_code == 200, answer.text
    with rasterio.MemoryFile(answer.content) as file, file.open() as image:
        return image.read()


def test_auto_rescale_is_the_same_in_all_tiles_of_a_mosaic(
    whole: tuple[Server, list[Tile]],
) -> None:
    """Tiles of overviews and of scenes, and boxes, equal ones by the ranges of the statistics."""
    server, tiles = whole
    bands = statistics(server, max_size=512)["statistics"]
    ends = [(bands[b]["percentile_2"], bands[b]["percentile_98"]) for b in ("b1", "b2")]
    expected = [f"{math.floor(low / 10) * 10},{math.ceil(high / 10) * 10}" for low, high in ends]
    for zoom in (5, 9, NATIVE):
        for tile in tiles_over(tiles, zoom)[::40]:
            url = tile_url(".png", tile=(tile.z, tile.x, tile.y))
            auto, given = server.get(url, rescale="auto"), server.get(url, rescale=expected)
            assert auto.content == given.content
            assert auto.headers["ETag"] == given.headers["ETag"]


def test_auto_rescale_of_a_rule_is_that_of_the_default_rule(server: Server) -> None:
    """So that times can be compared, and a filter changes no colors."""
    server.publish("dark", np.full((1, 256, 256), 100, np.uint16), LEFT, day=1)
    server.publish("bright", np.full((1, 256, 256), 900, np.uint16), RIGHT, day=2)
    both = pixels(server.tile(".png", rescale="auto"))
    alone = pixels(server.tile(".png", rescale="auto", ids="dark"))
    assert both[0, 10, 10] == alone[0, 10, 10] == 0
    assert both[0, 10, 250] == 255


def test_the_etag_changes_when_the_ranges_do(server: Server) -> None:
    server.publish("one", np.full((1, 256, 256), 100, np.uint16), LEFT)
    first = server.tile(".png", rescale="auto", ids="one")
    far = np.full((1, 256, 256), 5000, np.uint16)
    path = write_cog(server.folder / "far.tif", far, crs="EPSG:4326", bounds=(20, 20, 21, 21))
    server.add(item("far", box(20, 20, 21, 21), assets={"visual": {"href": server.url(path)}}))
    second = server.tile(".png", rescale="auto", ids="one")
    assert first.headers["ETag"] != second.headers["ETag"]
    assert (pixels(first) != pixels(second)).any()
    known = {"If-None-Match": first.headers["ETag"]}
    again = server.client.get(
        tile_url(".png"), params={"rescale": "auto", "ids": "one"}, headers=known
    )
    assert again.status_code == 200


def test_a_scene_of_a_mosaic_that_had_no_pixels_has_colors_at_once(server: Server) -> None:
    path = server.folder / "late.tif"
    late = item("late", footprint(), assets={"visual": {"href": server.url(path)}})
    server.add(late)
    assert not pixels(server.tile(".png", rescale="auto")).any()
    raster(path, np.linspace(0, 3000, 65536, dtype=np.uint16).reshape(1, 256, 256))
    made = server.tile(".png", rescale="auto")
    assert made.status_code == 200, made.text
    assert pixels(made)[0].max() == 255


def test_auto_rescale_of_the_longest_range(server: Server) -> None:
    values = np.full((1, 256, 256), -1e308)
    values[:, :, 128:] = 1e308
    server.publish("long", values)
    made = server.tile(".png", rescale="auto")
    assert made.status_code == 200, made.text
    assert pixels(made)[0, 10, [0, 255]].tolist() == [0, 255]


def test_auto_rescale_in_named_renders_wms_boxes_and_image_services(server: Server) -> None:
    server.publish("low", np.full((1, 256, 256), 1000, np.uint16), LEFT)
    server.publish("high", np.full((1, 256, 256), 3000, np.uint16), RIGHT)
    render = {"rescale": "auto", "colormap_name": "viridis"}
    answer = server.client.patch(
        "/mosaics/m",
        json={"renders": {"shown": render}},
        headers=AUTHORIZED,
    )
    assert answer.status_code == 200, answer.text
    oracle = pixels(server.tile(".png", rescale="1000,3000", colormap_name="viridis"))
    assert (pixels(server.tile(".png", render="shown")) == oracle).all()
    edge = WEB.xy_bounds(534, 365, 10)
    bbox = ",".join(map(str, (edge.left, edge.bottom, edge.right, edge.top)))
    wms = server.get(
        "/mosaics/m/wms", service="WMS", version="1.3.0", request="GetMap", layers="m",
        styles="shown", crs="EPSG:3857", bbox=bbox, width="256", height="256", format="image/png",
    )  # fmt: skip
    assert (pixels(wms)[:3] == oracle[:3]).all()
    boxed = server.get(f"/mosaics/m/bbox/{bbox}/256x256.png", coord_crs="EPSG:3857", render="shown")
    assert (pixels(boxed)[:3] == oracle[:3]).all()
    exported = server.get(
        "/arcgis/rest/services/m/ImageServer/exportImage", bbox=bbox, bboxSR="3857", f="image",
        imageSR="3857", size="256,256", format="png32", renderingRule='{"rasterFunction": "shown"}',
    )  # fmt: skip
    assert (pixels(exported)[:3] == oracle[:3]).all()
    legends = {"service": "WMS", "version": "1.3.0", "request": "GetLegendGraphic", "layer": "m"}
    auto = server.get("/mosaics/m/wms", **legends, style="shown", format="image/png")
    given = server.get(
        "/mosaics/m/wms", **legends, format="image/png", rescale="1000,3000",
        colormap_name="viridis",
    )  # fmt: skip
    assert (pixels(auto) == pixels(given)).all()
    rule = '{"rasterFunction": "shown"}'
    found = server.get(
        "/arcgis/rest/services/m/ImageServer/legend", f="json", renderingRule=rule
    ).json()
    labels = [entry["label"] for entry in found["layers"][0]["legend"]]
    assert (labels[0], labels[-1]) == ("3000", "1000")


@pytest.mark.parametrize(
    ("query", "named"),
    [
        ({"rescale": ["auto", "0,1"]}, "rescale=auto"),
        ({"rescale": "automatic"}, "automatic"),
        ({"rescale": "auto", "algorithm": "hillshade"}, "hillshade"),
        ({"rescale": "auto", "pixel_selection": "count"}, "count"),
    ],
)
def test_what_auto_rescale_cannot_do_is_refused(
    server: Server, query: dict[str, Any], named: str
) -> None:
    server.publish("one", 1)
    answer = server.tile(".png", **query)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def boundary(server: Server, **query: Any) -> tuple[dict[str, Any], BaseGeometry]:
    answer = server.get("/mosaics/m/boundary", **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/geo+json"
    feature: dict[str, Any] = answer.json()
    found = shapely.geometry.shape(feature["geometry"])
    assert found.is_valid
    return feature, found


def footprints(tiles: list[Tile]) -> BaseGeometry:
    corners = [(WEB.lnglat(*t.bounds[:2]), WEB.lnglat(*t.bounds[2:])) for t in tiles]
    return shapely.union_all([shapely.box(*low, *high) for low, high in corners])


def test_the_boundary_is_that_of_the_footprints_but_for_pixels(
    whole: tuple[Server, list[Tile]],
) -> None:
    server, tiles = whole
    feature, found = boundary(server)
    oracle = footprints(tiles)
    assert feature["properties"]["overviews"]
    pixel = feature["properties"]["resolution"]
    assert found.symmetric_difference(oracle).area < 2 * pixel * oracle.length
    assert feature["bbox"] == pytest.approx(oracle.bounds, abs=3 * pixel)
    newest = max(tile.day for tile in tiles)
    assert feature["properties"]["newest"] == f"2026-01-{newest:02}T00:00:00Z"
    area = statistics(server)["area_km2"]
    assert feature["properties"]["area_km2"] == pytest.approx(area, rel=0.02)


def test_a_boundary_may_be_coarser_and_an_envelope(whole: tuple[Server, list[Tile]]) -> None:
    server, _ = whole
    feature, found = boundary(server, envelope="true")
    assert found.equals(shapely.box(*feature["bbox"]))
    coarse, _ = boundary(server, zoom=9)
    assert coarse["properties"]["resolution"] == pytest.approx(360 / 256 / 2**9, rel=0.05)
    answer = server.get("/mosaics/m/boundary", zoom=24)
    assert answer.status_code == 400
    assert "zoom 24" in answer.json()["detail"]


def test_the_boundary_shrinks_when_scenes_go(server: Server) -> None:
    """Bounds of a mosaic hold all scenes ever added; its boundary, the ones that are there."""
    server.publish("left", 1, LEFT)
    server.publish("right", 2, RIGHT)
    first, before = boundary(server)
    tag = server.get("/mosaics/m/boundary").headers["ETag"]
    same = server.client.get("/mosaics/m/boundary", headers={"If-None-Match": tag})
    assert same.status_code == 304
    gone = server.client.delete(
        "/mosaics/m/items/right", params={"collection": "s2"}, headers=AUTHORIZED
    )
    assert gone.status_code in (200, 204), gone.text
    second, after = boundary(server)
    assert after.area == pytest.approx(before.area / 2, rel=0.01)
    assert second["bbox"][2] < first["bbox"][2]
    area = first["properties"]["area_km2"]
    assert second["properties"]["area_km2"] == pytest.approx(area / 2, rel=0.01)
    assert server.get("/mosaics/m/boundary").headers["ETag"] != tag


def test_the_boundary_of_few_scenes_far_apart_is_of_their_footprints(server: Server) -> None:
    """Also of one across 180 degrees, which has parts on both sides."""
    boxes = [(10.0, 0.0, 10.01, 0.01), (179.99, 5.0, -179.99, 5.01)]
    for n, (west, south, east, north) in enumerate(boxes):
        wide = east if east > west else east + 360
        path = write_cog(
            server.folder / f"far{n}.tif",
            np.ones((1, 64, 64), np.uint8),
            crs="EPSG:4326",
            bounds=(west, south, wide, north),
        )
        if east > west:
            geometry = box(west, south, east, north)
        else:
            sides = (shapely.box(west, south, 180, north), shapely.box(-180, south, east, north))
            geometry = shapely.geometry.mapping(shapely.MultiPolygon(sides))
        server.add(item(f"far{n}", geometry, assets={"visual": {"href": server.url(path)}}))
    feature, found = boundary(server)
    assert len(found.geoms) == 3
    assert found.area == pytest.approx(3e-4, rel=0.01)
    assert feature["properties"]["resolution"] is None
    assert feature["properties"]["area_km2"] == pytest.approx(3e-4 * 111.3 * 110.6, rel=0.02)
    assert feature["bbox"] == pytest.approx([10, 0, -179.99, 5.01], abs=1e-6)
    _, rectangle = boundary(server, envelope="true")
    assert len(rectangle.geoms) == 2


def test_a_mosaic_without_scenes_has_no_boundary(server: Server) -> None:
    assert server.get("/mosaics/m/boundary").status_code == 204


def test_footprints_without_a_valid_pixel_have_no_boundary(server: Server) -> None:
    server.publish("nothing", 0, nodata=0)
    assert server.get("/mosaics/m/boundary").status_code == 204
    few = np.zeros((1, 256, 256), np.uint8)
    few[:, :, :8] = 7
    server.publish("few", few, day=2, nodata=0)
    found = server.get("/mosaics/m/boundary").json()["properties"]
    assert found["resolution"]
    whole = statistics(server)
    assert found["area_km2"] == pytest.approx(747.0 * 8 / 256, rel=0.15)
    assert whole["statistics"]["b1"]["mean"] == 7


def test_the_boundary_has_holes_where_no_pixel_is_valid(server: Server) -> None:
    values = np.full((1, 256, 256), 7, np.uint8)
    values[:, 64:192, 64:192] = 0
    server.publish("holed", values, nodata=0)
    _, found = boundary(server)
    assert len(found.interiors) == 1
    assert found.area == pytest.approx(0.75 * shapely.Polygon(found.exterior).area, rel=0.02)
