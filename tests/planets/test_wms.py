"""WMS of a mosaic of Mars: CRSs of the IAU, latitude first in 1.3.0."""

from typing import Any
from xml.etree import ElementTree as ET

import pyproj
import pytest

from api.served import Server
from planets.mars import DEGREES, EQUIRECTANGULAR, JEZERO, MERCATOR

NAMES = {"": "http://www.opengis.net/wms"}


def asked(version: str, crs: str, box: tuple[float, ...]) -> dict[str, Any]:
    return {
        "SERVICE": "WMS",
        "REQUEST": "GetMap",
        "VERSION": version,
        "LAYERS": "shade",
        "STYLES": "",
        "CRS" if version == "1.3.0" else "SRS": crs,
        "BBOX": ",".join(map(str, box)),
        "WIDTH": 96,
        "HEIGHT": 64,
        "FORMAT": "image/png",
        "TRANSPARENT": "TRUE",
    }


def around(crs: str) -> tuple[float, float, float, float]:
    """A box around Jezero crater, x before y."""
    half = 0.2 if crs == DEGREES else 12_000.0
    x, y = pyproj.Transformer.from_crs(DEGREES, crs, always_xy=True).transform(*JEZERO)
    return x - half, y - half, x + half, y + half


@pytest.mark.parametrize("crs", [DEGREES, EQUIRECTANGULAR, MERCATOR, "IAU_2015:49930"])
@pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
def test_a_map_is_the_image_of_its_box(mars: Server, crs: str, version: str) -> None:
    left, bottom, right, top = around(crs)
    swapped = version == "1.3.0" and crs == DEGREES
    box = (bottom, left, top, right) if swapped else (left, bottom, right, top)
    found = mars.get("/mosaics/shade/wms", **asked(version, crs, box))
    image = mars.get(f"/mosaics/shade/bbox/{left},{bottom},{right},{top}/96x64.png", coord_crs=crs)
    assert image.status_code == 200, image.text
    assert found.content == image.content
    assert found.headers["X-Scenes"] == image.headers["X-Scenes"] != ""


def test_the_capabilities_name_them(mars: Server) -> None:
    answer = mars.get("/mosaics/shade/wms", SERVICE="WMS", REQUEST="GetCapabilities")
    root = ET.fromstring(answer.content)
    boxes = {box.attrib["CRS"]: box.attrib for box in root.iterfind(".//BoundingBox", NAMES)}
    assert boxes.keys() >= {DEGREES, EQUIRECTANGULAR, MERCATOR}
    assert not boxes.keys() & {"EPSG:4326", "CRS:84", "EPSG:3857"}
    assert float(boxes[DEGREES]["minx"]) == pytest.approx(18, abs=1.5)  # latitude
    assert float(boxes[DEGREES]["miny"]) == pytest.approx(77, abs=1)
    edges = tuple(float(boxes[DEGREES][name]) for name in ("minx", "miny", "maxx", "maxy"))
    listed = mars.get("/mosaics/shade/wms", **asked("1.3.0", DEGREES, edges))
    assert listed.headers["X-Scenes"] != ""


@pytest.mark.parametrize("crs", ["EPSG:4326", "CRS:84", "EPSG:3857"])
def test_a_map_of_the_earth_is_refused(mars: Server, crs: str) -> None:
    answer = mars.get("/mosaics/shade/wms", **asked("1.3.0", crs, (10, 10, 11, 11)))
    assert "is not on Mars" in answer.text
    assert b"ServiceException" in answer.content


def test_longitudes_to_the_west_are_refused(mars: Server) -> None:
    answer = mars.get("/mosaics/shade/wms", **asked("1.3.0", "IAU_2015:49901", (18, 77, 19, 78)))
    assert 'code="InvalidCRS"' in answer.text


def test_values_at_a_pixel(mars: Server) -> None:
    left, bottom, right, top = around(DEGREES)
    place = {"QUERY_LAYERS": "shade", "I": 40, "J": 30, "FEATURE_COUNT": 9}
    info = asked("1.3.0", DEGREES, (bottom, left, top, right)) | place
    answer = mars.get("/mosaics/shade/wms", **(info | {"REQUEST": "GetFeatureInfo"}))
    first, *scenes = answer.json()["features"]
    x, y = first["geometry"]["coordinates"]
    point = mars.get(f"/mosaics/shade/point/{x},{y}").json()
    assert [*first["properties"].values()][1:] == point["values"]
    assert [one["id"] for one in scenes] == [one["name"] for one in point["assets"]]
