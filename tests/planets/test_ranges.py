"""GeoTIFFs by byte ranges, as GDAL's /vsicurl and browsers read them, and their metadata."""

import json
from typing import Any

import pytest
import rasterio
from rasterio.io import MemoryFile
from rasterio.windows import Window

from api.served import Server, on_socket, tile_url

URL = "/mosaics/dtm/bbox/76.9,18.2,77.9,19.0.tif"


@pytest.fixture(scope="module")
def whole(mars: Server) -> Any:
    return mars.get(URL)


def ranged(server: Server, asked: str, **headers: str) -> Any:
    return server.client.get(URL, headers={"Range": asked, **headers})


def test_a_whole_image_says_that_it_has_ranges(mars: Server, whole: Any) -> None:
    assert whole.status_code == 200 and whole.headers["Accept-Ranges"] == "bytes"
    head = mars.client.head(URL, headers={"Range": "bytes=0-9"})
    assert (head.status_code, head.content) == (200, b"")
    assert head.headers["Content-Length"] == str(len(whole.content))
    assert head.headers["Accept-Ranges"] == "bytes"
    assert "Accept-Ranges" not in mars.get(URL.replace(".tif", ".npy")).headers


@pytest.mark.parametrize(
    ("asked", "first", "end"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=100-", 100, None),
        ("bytes=-7", -7, None),
        ("bytes=-99999999", 0, None),
        ("bytes=5-99999999", 5, None),
    ],
)
def test_a_range_is_those_bytes(
    mars: Server, whole: Any, asked: str, first: int, end: int | None
) -> None:
    answer = ranged(mars, asked)
    expected = whole.content[first:end]
    assert (answer.status_code, answer.content) == (206, expected)
    start = first % len(whole.content) if first < 0 else first
    span = f"bytes {start}-{start + len(expected) - 1}/{len(whole.content)}"
    assert answer.headers["Content-Range"] == span
    assert answer.headers["Content-Length"] == str(len(expected))
    assert answer.headers["ETag"] == whole.headers["ETag"]


@pytest.mark.parametrize(
    "asked", ["bytes=0-1,5-6", "bytes=9-5", "lines=1-2", "bytes=a-b", "bytes="]
)
def test_what_is_no_single_range_gives_the_whole(mars: Server, whole: Any, asked: str) -> None:
    answer = ranged(mars, asked)
    assert (answer.status_code, answer.content) == (200, whole.content)


@pytest.mark.parametrize("asked", ["bytes=99999999-", "bytes=-0"])
def test_a_range_beyond_the_end_is_refused_with_the_length(
    mars: Server, whole: Any, asked: str
) -> None:
    answer = ranged(mars, asked)
    assert (answer.status_code, answer.json()["status"]) == (416, 416)
    assert answer.headers["Content-Type"] == "application/problem+json"
    assert answer.headers["Content-Range"] == f"bytes */{len(whole.content)}"
    assert answer.headers["Cache-Control"] == "no-store"


def test_if_range_gives_a_part_of_that_edition_alone(mars: Server, whole: Any) -> None:
    etag = whole.headers["ETag"]
    assert ranged(mars, "bytes=0-9", **{"If-Range": etag}).status_code == 206
    for other in ('"other"', f"W/{etag}", "Sat, 29 Oct 1994 19:43:31 GMT"):
        answer = ranged(mars, "bytes=0-9", **{"If-Range": other})
        assert (answer.status_code, answer.content) == (200, whole.content)
    assert ranged(mars, "bytes=0-9", **{"If-None-Match": etag}).status_code == 304


def test_an_image_that_lacks_a_scene_has_no_ranges(server: Server) -> None:
    """It has no ETag: the next request may show the scene, and its bytes be others."""
    server.publish("a", 7)
    server.publish("b", 8, day=2).unlink()
    answer = server.client.get(tile_url(".tif"), headers={"Range": "bytes=0-9"})
    assert "X-Skipped-Scenes" in answer.headers
    assert (answer.status_code, answer.headers["Accept-Ranges"]) == (200, "none")


def test_a_range_is_of_the_scenes_of_now(server: Server) -> None:
    """The image is kept for further ranges, and made anew once a scene comes in."""
    server.publish("a", 7, nodata=0)
    url, part = tile_url(".tif"), {"Range": "bytes=0-99999"}
    first, again = (server.client.get(url, headers=part) for _ in range(2))
    assert first.content == again.content and first.headers["ETag"] == again.headers["ETag"]
    server.publish("b", 9, nodata=0, day=2)
    later = server.client.get(url, headers=part)
    assert later.headers["ETag"] != first.headers["ETag"]
    with MemoryFile(server.get(url).content) as file, file.open() as dataset:
        assert (dataset.read(1) == 9).all()
        assert dataset.tags()["SCENES"] == '["b"]'


def test_gdal_opens_the_url_of_an_image(mars: Server, whole: Any) -> None:
    with (
        MemoryFile(whole.content) as file,
        file.open() as expected,
        on_socket(mars) as base,
        rasterio.Env(GDAL_DISABLE_READDIR_ON_OPEN="EMPTY_DIR"),
        rasterio.open(f"/vsicurl/{base}{URL}") as dataset,
    ):
        assert dataset.profile == expected.profile
        window = Window(5, 5, 20, 20)
        assert (dataset.read(1, window=window) == expected.read(1, window=window)).all()
        assert (dataset.read() == expected.read()).all()


def test_a_geotiff_says_where_its_pixels_come_from(mars: Server) -> None:
    answer = mars.get(URL, operation="mean", datetime="2023-04-19T00:00:00Z/..")
    with MemoryFile(answer.content) as file, file.open() as dataset:
        tags = dataset.tags()
    assert tags["MOSAIC"] == "dtm"
    assert json.loads(tags["SCENES"]) == ["N03", "P02"]
    assert tags["SCENE_TIMES"] == "2023-04-19T12:00:00Z/2023-04-20T12:00:00Z"
    rule = json.loads(tags["RULE"])
    assert rule["operation"] == "mean" and rule["datetime"][0].startswith("2023-04-19")
    assert tags["TIFFTAG_SOFTWARE"].startswith("livemosaic ")
