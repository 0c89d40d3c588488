"""OGC API - Maps: the mosaic as a map of any box."""

import io
from typing import Any

import numpy as np
import pytest
from shapely.geometry import shape

from api import rio
from api.rio import UTM
from api.served import Picture, Server, footprint

URL = "/mosaics/m/map"
BBOX = "7.8,45.6,8,45.7"


def map_of(server: Server, **query: Any) -> Picture:
    answer = server.get(URL, f="npy", **query)
    assert answer.status_code == 200, answer.text
    bands = np.load(io.BytesIO(answer.content))
    return Picture(bands[:-1], bands[-1] != 0, answer.headers)


@pytest.fixture(scope="module")
def one(kept: Server) -> Server:
    """A scene whose left part is not there."""
    kept.publish("a", [10, 20, 30], (128, 0, 256, 256))
    return kept


def test_without_any_parameter_it_is_all_of_the_mosaic(one: Server) -> None:
    answer = one.get(URL)
    assert answer.headers["Content-Type"] == "image/png"
    edges = shape(footprint((128, 0, 256, 256))).bounds
    assert [float(x) for x in answer.headers["Content-Bbox"].split(",")] == pytest.approx(edges)


def test_a_box_may_be_in_another_crs_than_the_map(one: Server) -> None:
    bbox, query = "870000,5715000,890000,5745000", {"bbox-crs": "[EPSG:3857]"}
    headers = one.get(URL, bbox=bbox, crs="EPSG:32632", **query).headers
    assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/EPSG/0/32632>"
    headers = one.get(URL, bbox=bbox, **query).headers
    assert headers["Content-Crs"] == "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
    urn = "urn:ogc:def:crs:EPSG::3857"
    headers = one.get(URL, bbox=bbox, crs=urn, **query).headers
    assert [float(x) for x in headers["Content-Bbox"].split(",")] == [
        float(x) for x in bbox.split(",")
    ]


def test_heights_in_a_box_are_passed_over(one: Server) -> None:
    flat, high = one.get(URL, bbox=BBOX), one.get(URL, bbox="7.8,45.6,-5,8,45.7,5")
    assert flat.content == high.content


@pytest.mark.parametrize(
    ("query", "size"),
    [
        ({"width": 40, "height": 30}, (30, 40)),
        ({"width": 40}, (20, 40)),
        ({"height": 40}, (40, 80)),
        ({"width": 1200, "height": 1100}, (1100, 1200)),
    ],
    ids=str,
)
def test_it_has_the_size_that_is_asked_for(
    one: Server, query: dict[str, int], size: tuple[int, int]
) -> None:
    made = map_of(one, bbox=BBOX, **query).valid.shape
    assert made == pytest.approx(size, abs=1)


def test_it_has_at_most_1024_pixels_a_side_if_none_is(server: Server) -> None:
    paths = rio.publish_two(server)
    edges = (rio.LEFT, rio.TOP - 30_000, rio.LEFT + 30_000, rio.TOP)
    bbox = {"bbox": ",".join(map(str, edges)), "bbox-crs": UTM, "crs": UTM}
    exact = map_of(server, **bbox)
    assert np.array_equal(exact.data, rio.part(paths, edges, bounds_crs=UTM).array.filled(0))
    rio.place(server, 2, rio.LEFT, rio.TOP, step=20)
    assert map_of(server, **bbox).valid.shape == (1024, 1024)


@pytest.mark.parametrize(
    ("accept", "f", "media"),
    [
        ("", None, "image/png"),
        ("*/*", None, "image/png"),
        ("image/jpeg", None, "image/jpeg"),
        ("image/webp;q=0.4, image/jpeg;q=0.5", None, "image/jpeg"),
        ("image/tiff;application=geotiff", None, "image/tiff; application=geotiff"),
        ("text/html;q=x, image/jpeg;q=x", None, "image/png"),
        ("image/jpeg", "png", "image/png"),
        ("image/png", "jpg", "image/jpeg"),
    ],
)
def test_the_format_is_the_one_that_is_rather_wanted(
    one: Server, accept: str, f: str | None, media: str
) -> None:
    query = {"bbox": BBOX, "max_size": 20} | ({"f": f} if f else {})
    answer = one.client.get(URL, params=query, headers={"Accept": accept})
    assert answer.headers["Content-Type"] == media
    assert "Accept" in answer.headers["Vary"]


def test_a_map_that_is_known_is_not_sent_again(one: Server) -> None:
    known = one.get(URL, bbox=BBOX).headers["ETag"]
    answer = one.client.get(URL, params={"bbox": BBOX}, headers={"If-None-Match": known})
    assert answer.status_code == 304
    assert "Accept" in answer.headers["Vary"]
    other = one.client.get(
        URL, params={"bbox": BBOX, "f": "jpeg"}, headers={"If-None-Match": known}
    )
    assert other.status_code == 200


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ({"bbox": "1,2,3"}, "four numbers"),
        ({"bbox": "1,2,3,4,5"}, "four numbers"),
        ({"bbox": "a,2,3,4"}, "bbox 'a,2,3,4'"),
        ({"bbox": "nan,2,3,4"}, "must be finite"),
        ({"bbox": ""}, "bbox ''"),
        ({"bbox": BBOX, "crs": "x"}, "CRS 'x'"),
        ({"bbox": BBOX, "bbox-crs": "x"}, "CRS 'x'"),
        ({"bbox": BBOX, "width": 0}, "width"),
        ({"bbox": BBOX, "width": 5000, "height": 5000}, "this server allows"),
        ({"bbox": BBOX, "f": "gif"}, "unknown format 'gif'"),
    ],
    ids=str,
)
def test_what_is_wrong_is_refused_by_name(kept: Server, query: dict[str, Any], told: str) -> None:
    answer = kept.get(URL, **query)
    assert answer.status_code == 400
    assert told in answer.json()["detail"]
