"""Formats and quality of images: of requests, named renders and settings of a mosaic."""

from typing import Any

import numpy as np
import pytest

from api.served import AUTHORIZED, LEFT, WEB, Server, X, Y, Z

EDGE = WEB.xy_bounds(X, Y, Z)
BOX = ",".join(map(str, (EDGE.left, EDGE.bottom, EDGE.right, EDGE.top)))


@pytest.fixture
def noisy(server: Server) -> Server:
    """A server whose mosaic has a scene of noise, which quality shows in."""
    rng = np.random.default_rng(1)
    server.publish("noise", rng.integers(0, 256, (3, 256, 256)).astype(np.uint8))
    return server


def change(server: Server, **settings: Any) -> Any:
    return server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)


def sizes(server: Server, suffix: str, *qualities: int | None) -> list[int]:
    answers = [server.tile(suffix, **({"quality": q} if q else {})) for q in qualities]
    assert [answer.status_code for answer in answers] == [200] * len(answers)
    return [len(answer.content) for answer in answers]


@pytest.mark.parametrize("suffix", [".jpg", ".webp", ""])
def test_quality_is_of_lossy_formats(noisy: Server, suffix: str) -> None:
    low, eighty, high, usual = sizes(noisy, suffix, 20, 80, 95, None)
    assert low < eighty < high
    assert usual == eighty


def test_quality_changes_the_etag_of_lossy_formats_alone(noisy: Server) -> None:
    for suffix, is_lossy in ((".jpg", True), (".webp", True), (".png", False), (".tif", False)):
        tags = {noisy.tile(suffix, quality=q).headers["ETag"] for q in (20, 90)}
        assert len(tags) == (2 if is_lossy else 1), suffix


@pytest.mark.parametrize("quality", ["0", "101", "-1", "good", "1.5"])
def test_a_bad_quality_is_refused_by_name(noisy: Server, quality: str) -> None:
    answer = noisy.tile(".jpg", quality=quality)
    assert answer.status_code == 400
    assert "quality" in answer.json()["detail"]


def test_a_mosaic_and_a_named_render_have_a_quality_of_their_own(noisy: Server) -> None:
    (low, middle, high) = sizes(noisy, ".jpg", 30, 60, 90)
    first = noisy.tile(".jpg").headers["ETag"]
    renders = {"fine": {"quality": 90}}
    assert change(noisy, quality=30, renders=renders).json()["quality"] == 30
    assert sizes(noisy, ".jpg", None, 60) == [low, middle]
    assert noisy.tile(".jpg").headers["ETag"] != first
    assert len(noisy.tile(".jpg", render="fine").content) == high
    assert len(noisy.tile(".jpg", render="fine", quality=60).content) == middle
    service = "/arcgis/rest/services/m/ImageServer/exportImage"
    how = {"bbox": BOX, "size": "256,256", "format": "jpg", "f": "image"}
    exported = noisy.get(service, **how)
    assert exported.content == noisy.get(service, **how, compressionQuality="30").content
    assert exported.content != noisy.get(service, **how, compressionQuality="80").content


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"quality": 0}, "quality"),
        ({"quality": 101}, "quality"),
        ({"formats": ["gif"]}, "formats"),
        ({"formats": ["auto"]}, "formats"),
        ({"renders": {"a": {"quality": 200}}}, "quality"),
    ],
)
def test_bad_settings_are_refused_by_name(
    server: Server, settings: dict[str, Any], named: str
) -> None:
    answer = change(server, **settings)
    assert answer.status_code == 400
    assert named in answer.json()["detail"]


def test_only_allowed_formats_are_given(noisy: Server) -> None:
    assert change(noisy, formats=["webp", "png"]).json()["formats"] == ["webp", "png"]
    for suffix in (".webp", ".png"):
        assert noisy.tile(suffix).status_code == 200
    service = "/arcgis/rest/services/m/ImageServer/exportImage"
    refused = [
        noisy.tile(".jpg"),
        noisy.tile(".npy"),
        noisy.get(f"/mosaics/m/bbox/{BOX}/64x64.tif", coord_crs="EPSG:3857"),
        noisy.get("/mosaics/m/map", f="jpeg"),
        noisy.get(service, bbox=BOX, size="64,64", format="jpg", f="image"),
    ]
    for answer in refused:
        text = answer.text
        assert answer.status_code == 400 or '"code":400' in text.replace(" ", ""), text
        assert "it has webp, png" in text
    wms = noisy.get(
        "/mosaics/m/wms", service="WMS", version="1.3.0", request="GetMap", layers="m", styles="",
        crs="EPSG:3857", bbox=BOX, width="64", height="64", format="image/jpeg",
    )  # fmt: skip
    assert "it has webp, png" in wms.text


def test_the_first_format_is_that_of_images_that_ask_for_none(noisy: Server) -> None:
    change(noisy, formats=["webp", "png"])
    assert noisy.tile("").headers["Content-Type"] == "image/webp"
    change(noisy, formats=["png", "jpeg", "webp"])
    assert noisy.tile("").headers["Content-Type"] == "image/jpeg"  # opaque
    change(noisy, formats=["jpeg"])
    noisy.publish("half", np.ones((3, 256, 128), np.uint8), LEFT)
    assert noisy.tile("").headers["Content-Type"] == "image/jpeg"


def test_documents_name_allowed_formats(noisy: Server) -> None:
    change(noisy, formats=["webp", "jpeg"])
    wmts = noisy.get("/mosaics/m/WMTSCapabilities.xml").text
    assert ".webp" in wmts
    assert "image/png" not in wmts
    capabilities = noisy.get(
        "/mosaics/m/wms", service="WMS", version="1.3.0", request="GetCapabilities"
    ).text
    of_maps = capabilities.partition("<GetMap>")[2].partition("</GetMap>")[0]
    assert "image/webp" in of_maps
    assert "image/png" not in of_maps
    assert noisy.get("/mosaics/m/map").headers["Content-Type"] == "image/webp"
    assert ".jpeg</ServerUrl>" in noisy.get("/mosaics/m/gdal/wms.xml").text  # GDAL may lack WebP
    assert noisy.get("/mosaics/m/WMTSCapabilities.xml", tile_format="png").status_code == 400
    landing = noisy.client.get("/", headers={"Accept": "text/html"}).text
    assert ".png?max_size" not in landing


def test_settings_stay_as_they_are_where_others_change(server: Server) -> None:
    change(server, formats=["png"], quality=70)
    found = change(server, title="T").json()
    assert (found["formats"], found["quality"]) == (["png"], 70)
    found = change(server, formats=None, quality=None).json()
    assert (found["formats"], found["quality"]) == ([], None)
    assert server.tile(".webp").status_code == 200
