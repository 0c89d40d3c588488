"""A mosaic of another body: its degrees, CRS names, TileMatrixSets and lists."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pytest
import rasterio

from api.served import Server, tile_url
from items import box, item
from planets.mars import DEGREES, EQUIRECTANGULAR, JEZERO, STRIPS, UNREADABLE

LON, LAT = JEZERO
URI = "http://www.opengis.net/def/crs/IAU/2015/"
SETS = ["MarsMercatorSphere", "MarsEquidistantCylindricalSphere", "MarsGeographicSphere"]


def at_jezero(folder: Path, name: str, asset: str = "dtm") -> float | None:
    """The value of a scene's own pixel there, by rasterio."""
    with rasterio.open(folder / f"{name}_{asset}.tif") as dataset:
        to_crs = pyproj.Transformer.from_crs(DEGREES, EQUIRECTANGULAR, always_xy=True)
        ((value,),) = dataset.sample([to_crs.transform(LON, LAT)])
        return None if value == dataset.nodata else float(value)


@pytest.mark.parametrize(
    "crs",
    [
        None,
        DEGREES,
        "IAU:49900",
        f"{URI}49900",
        "urn:ogc:def:crs:IAU:2015:49900",
        "[IAU_2015:49900]",
    ],
)
def test_degrees_of_a_point_are_those_of_the_body(mars: Server, crs: str | None) -> None:
    answer = mars.get(f"/mosaics/dtm/point/{LON},{LAT}", **({"coord_crs": crs} if crs else {}))
    assert answer.status_code == 200, answer.text
    newest_first = list(reversed(STRIPS))
    assert [one["name"] for one in answer.json()["assets"]] == newest_first
    expected = [at_jezero(mars.folder, name) for name in newest_first]
    assert [one["values"][0] for one in answer.json()["assets"]] == expected


@pytest.mark.parametrize(
    ("crs", "uri"),
    [(None, "49900"), (EQUIRECTANGULAR, "49910"), (f"{URI}49990", "49990")],
)
def test_bounds_are_in_crs_whose_uri_exists(mars: Server, crs: str | None, uri: str) -> None:
    told = mars.get("/mosaics/dtm/bounds", **({"crs": crs} if crs else {})).json()
    assert told["crs"] == URI + uri
    degrees = mars.get("/mosaics/dtm/info").json()["bounds"]
    to_crs = pyproj.Transformer.from_crs(DEGREES, f"IAU_2015:{uri}", always_xy=True)
    assert told["bounds"] == pytest.approx(to_crs.transform_bounds(*degrees))


def test_lists_have_the_sets_of_the_body_and_leave_out_bad_ones(mars: Server) -> None:
    told = mars.get("/mosaics/dtm/tiles").json()["tilesets"]
    titles = [one["title"].rpartition(" ")[2] for one in told]
    assert titles[0] == SETS[0]
    assert set(SETS) <= set(titles) and "WebMercatorQuad" not in titles
    assert {one["boundingBox"]["crs"] for one in told} == {URI + "49900"}
    earth = mars.get("/mosaics/earth/tiles").json()["tilesets"]
    assert not any("Mars" in one["title"] for one in earth)
    listed = [one["id"] for one in mars.get("/tileMatrixSets").json()["tileMatrixSets"]]
    assert {*SETS, "WebMercatorQuad"} <= set(listed) and "Broken" not in listed
    for mosaic in ("dtm", "earth"):
        assert mars.get(f"/mosaics/{mosaic}/WMTSCapabilities.xml").status_code == 200
        assert mars.get(f"/mosaics/{mosaic}/map.html").status_code == 200
    assert mars.get("/collections").status_code == 200


@pytest.mark.parametrize("tms", UNREADABLE)
def test_a_set_that_cannot_be_read_is_refused(mars: Server, tms: str) -> None:
    for path in (f"/mosaics/dtm/tiles/{tms}/9/1/1", f"/tileMatrixSets/{tms}"):
        answer = mars.get(path)
        assert answer.status_code == 400 and "cannot be read" in answer.json()["detail"]


@pytest.mark.parametrize("tms", SETS)
def test_tiles_of_every_set_show_the_scenes(mars: Server, tms: str) -> None:
    listed = mars.get(f"/mosaics/dtm/tiles/{tms}").json()["tileMatrixSetLimits"]
    limits = next(one for one in listed if one["tileMatrix"] == "9")
    column, row = limits["minTileCol"], limits["minTileRow"]
    tiles = [
        mars.picture(f"/mosaics/dtm/tiles/{tms}/9/{x}/{y}")
        for x in range(column, limits["maxTileCol"] + 1)
        for y in range(row, limits["maxTileRow"] + 1)
    ]
    values = np.concatenate([tile.data[0][tile.valid] for tile in tiles])
    assert len(values) > 1000
    assert values.min() > -3100 and values.max() < -1900


def test_places_of_another_body_are_refused_with_its_name(mars: Server) -> None:
    for url, query in [
        (f"/mosaics/dtm/point/{LON},{LAT}", {"coord_crs": "EPSG:4326"}),
        ("/mosaics/dtm/bbox/77,18,78,19.tif", {"coord_crs": "EPSG:4326"}),
        (f"/mosaics/earth/point/{LON},{LAT}", {"coord_crs": DEGREES}),
        ("/mosaics/dtm/bounds", {"crs": "EPSG:3857"}),
    ]:
        answer = mars.get(url, **query)
        assert answer.status_code == 400, (url, answer.text)
        assert "Mars" in answer.json()["detail"] or "does not lie" in answer.json()["detail"]
    tile = mars.get(tile_url(mosaic="dtm"))
    assert tile.status_code == 404 and "Earth" in tile.json()["detail"]


def test_a_viewpoint_of_arcgis_is_a_place_on_the_body(mars: Server) -> None:
    """In references of Esri and the IAU, and in none; one of the Earth is refused by name."""
    url = "/mosaics/dtm/tiles/MarsMercatorSphere/9/366/229.tif"
    for reference in ({"wkid": 104971}, {"wkid": 104905}, {"wkid": 49900}, None):
        point = {"x": LON, "y": LAT, "spatialReference": reference}
        rule = {"mosaicMethod": "esriMosaicViewpoint", "viewpoint": point}
        assert mars.get(url, mosaicRule=json.dumps(rule)).status_code == 200
    point = {"x": LON, "y": LAT, "spatialReference": {"wkid": 4326}}
    rule = {"mosaicMethod": "esriMosaicViewpoint", "viewpoint": point}
    answer = mars.get(url, mosaicRule=json.dumps(rule))
    assert answer.status_code == 400
    assert "another body, Earth: the mosaic is of Mars" in answer.json()["detail"]


@pytest.mark.parametrize("crs", ["IAU_2015:49911", "IAU_2015:49902", "IAU_2015:1"])
def test_a_crs_that_has_no_east_or_is_none_is_refused(mars: Server, crs: str) -> None:
    assert mars.get("/mosaics/dtm/bounds", crs=crs).status_code == 400


@pytest.mark.parametrize(
    ("mosaic", "properties"),
    [
        ("earth", {"proj:code": EQUIRECTANGULAR}),
        ("earth", {"proj:wkt2": pyproj.CRS(EQUIRECTANGULAR).to_wkt()}),
        ("earth", {"proj:projjson": pyproj.CRS(EQUIRECTANGULAR).to_json_dict()}),
        ("earth", {"ssys:targets": ["Mars"]}),
        ("dtm", {"proj:epsg": 32633}),
        ("dtm", {"proj:code": "IAU_2015:30110"}),
        ("dtm", {"ssys:targets": ["Moon"]}),
    ],
    ids=lambda value: value if isinstance(value, str) else next(iter(value)),
)
def test_a_scene_of_another_body_is_refused_when_it_comes_in(
    mars: Server, mosaic: str, properties: dict[str, Any]
) -> None:
    stray = item(
        "stray",
        box(77, 18, 78, 19),
        properties=properties,
        assets={"dtm": {"href": f"{mars.folder}/P18_dtm.tif", "type": "image/tiff"}},
    )
    answer = mars.post(stray, mosaic)
    assert answer.status_code == 400
    assert "another body" in answer.text and "Mars" in answer.text


def test_a_box_lists_and_draws_scenes_in_degrees_or_metres(mars: Server) -> None:
    degrees = "77.5,18.3,77.7,18.6"
    to_crs = pyproj.Transformer.from_crs(DEGREES, EQUIRECTANGULAR, always_xy=True)
    metres = ",".join(map(str, to_crs.transform_bounds(*map(float, degrees.split(",")))))
    in_degrees = mars.get(f"/mosaics/dtm/bbox/{degrees}/assets").json()["scenes"]
    in_metres = mars.get(f"/mosaics/dtm/bbox/{metres}/assets", coord_crs=EQUIRECTANGULAR).json()
    assert [one["id"] for one in in_degrees] == [one["id"] for one in in_metres["scenes"]]
    image = mars.get(f"/mosaics/dtm/bbox/{degrees}/64x64.npy")
    assert image.status_code == 200 and image.headers["Content-Crs"] == f"<{URI}49900>"


def test_statistics_of_a_feature_are_of_the_body(mars: Server) -> None:
    feature = {"type": "Feature", "properties": {}, "geometry": box(77.55, 18.4, 77.65, 18.5)}
    answer = mars.client.post("/mosaics/dtm/statistics", json=feature)
    assert answer.status_code == 200, answer.text
    found = next(iter(answer.json()["properties"]["statistics"].values()))
    assert -3100 < found["min"] < found["max"] < -1900


def test_the_map_page_draws_a_mercator_of_the_body(mars: Server) -> None:
    assert 'data-tms="MarsMercatorSphere"' in mars.get("/mosaics/dtm/map.html").text
    assert 'data-tms="WebMercatorQuad"' in mars.get("/mosaics/earth/map.html").text
    told = mars.get("/mosaics/dtm/tiles/MarsMercatorSphere/tilejson.json").json()
    assert told["bounds"] == pytest.approx(mars.get("/mosaics/dtm/info").json()["bounds"])
    assert mars.get("/mosaics/dtm/tiles/WebMercatorQuad/map.html").status_code == 404
    landing = mars.client.get("/", headers={"Accept": "text/html"}).text
    assert "mosaics/dtm/tiles/MarsMercatorSphere/tilejson.json" in landing
    assert "mosaics/earth/tiles/WebMercatorQuad/tilejson.json" in landing
