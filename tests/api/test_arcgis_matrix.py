"""Every mosaic method of ArcGIS with every mosaic operation, by its own JSON.

Which there are, and that all operations go with all methods: "Mosaic rules" in the ArcGIS REST API
(developers.arcgis.com/rest/services-reference/enterprise/mosaic-rules). Of a seamline it takes two
of them only; here it is a method like the others, so all are tested.

Three scenes of one value each, on one tile of 256 × 256 pixels. Of each the first column and row,
and one past the last:

| scene | value | where              | centre | newest | clouds | nadir    | seamline             |
|-------|-------|--------------------|--------|--------|--------|----------|----------------------|
| a     | 10    | 0, 0, 192, 192     | 96     | first  | 30     | 160, 160 | 0, 0, 128, 256       |
| b     | 20    | 80, 80, 256, 256   | 168    | second | 5      | 128, 128 | 128, 0, 256, 256     |
| c     | 120   | 32, 32, 224, 224   | 128    | third  | 10     | 250, 250 | 64, 0, 256, 140      |

At pixel 100, 100 (P) there are all three; at 40, 40 (Q) a and c; at 240, 240 (R) b; at 250, 5 none.
Blends weigh by the distance of a pixel's centre to the nearest edge, of P (100.5, 100.5) in pixels:
a 91.5, b 20.5, c 68.5; of Q: a 40.5, c 8.5; of P to that of the seamline: a 27.5, c 36.5.
"""

import json
from dataclasses import dataclass
from typing import Any

import pytest

from api.served import EDGE, STEP, WEB, Part, Server, footprint, raster, scene, tile_url
from arcgis.asking import exported, pixels

pytestmark = pytest.mark.slow

P, Q, R, NOWHERE = (100, 100), (40, 40), (240, 240), (250, 5)
RECTANGLES: dict[str, Part] = {
    "a": (0, 0, 192, 192),
    "b": (80, 80, 256, 256),
    "c": (32, 32, 224, 224),
}
SEAMLINES: dict[str, Part] = {
    "a": (0, 0, 128, 256),
    "b": (128, 0, 256, 256),
    "c": (64, 0, 256, 140),
}
VALUES = {"a": 10, "b": 20, "c": 120}
DAYS = {"a": 3, "b": 2, "c": 1}
CLOUDS = {"a": 30, "b": 5, "c": 10}
NADIRS = {"a": 160, "b": 128, "c": 250}


def place(pixel: int) -> tuple[float, float]:
    """Where column and row of that number meet, in metres."""
    return EDGE.left + pixel * STEP, EDGE.top - pixel * STEP


@pytest.fixture
def arcgis(server: Server) -> Server:
    """A server with the three scenes in the mosaic `arcgis`."""
    server.create(
        "arcgis",
        collections=["s2"],
        properties=["eo:cloud_cover", "nadir", "seamline"],
        rules={"nadir": "nadir", "seamline": "seamline"},
    )
    for name, part in RECTANGLES.items():
        path = raster(server.folder / f"{name}.tif", VALUES[name], part)
        properties = {
            "eo:cloud_cover": CLOUDS[name],
            "nadir": WEB.lnglat(*place(NADIRS[name])),
            "seamline": footprint(SEAMLINES[name]),
        }
        made = scene(name, server.url(path), part, day=DAYS[name], properties=properties)
        server.add(made, mosaic="arcgis")
    return server


ALL = {
    # operation: values at P, Q and R
    "MIN": (10, 10, 20),
    "MAX": (120, 120, 20),
    "MEAN": (50, 65, 20),  # 150 / 3, 130 / 2
    "SUM": (150, 130, 20),
    "BLEND": (53, 29, 20),  # (915 + 410 + 8220) / 180.5, (405 + 1020) / 49
}
B_AND_C = {
    "MIN": (20, 120, 20),
    "MAX": (120, 120, 20),
    "MEAN": (70, 120, 20),
    "SUM": (140, 120, 20),
    "BLEND": (97, 120, 20),  # (410 + 8220) / 89
}
A_AND_C = {
    "MIN": (10, 10, None),
    "MAX": (120, 120, None),
    "MEAN": (65, 65, None),
    "SUM": (130, 130, None),
    "BLEND": (57, 29, None),  # (915 + 8220) / 160
}
WITHIN_SEAMLINES = {
    # a and c at P, a at Q, b at R
    "MIN": (10, 10, 20),
    "MAX": (120, 10, 20),
    "MEAN": (65, 10, 20),
    "SUM": (130, 10, 20),
    "BLEND": (73, 10, 20),  # (275 + 4380) / 64
}


@dataclass(frozen=True)
class Case:
    rule: dict[str, Any]
    first: tuple[int | None, ...]
    """Values at P, Q and R."""
    last: tuple[int | None, ...]
    others: dict[str, tuple[int | None, ...]]


x, y = place(250)
CASES = {
    "None: a, b, c": Case({"mosaicMethod": "esriMosaicNone"}, (10, 10, 20), (120, 120, 20), ALL),
    "Center: c, a, b": Case(
        {"mosaicMethod": "esriMosaicCenter"}, (120, 120, 20), (20, 10, 20), ALL
    ),
    "NorthWest: a, c, b": Case(
        {"mosaicMethod": "esriMosaicNorthwest"}, (10, 10, 20), (20, 120, 20), ALL
    ),
    "Nadir: b, a, c": Case({"mosaicMethod": "esriMosaicNadir"}, (20, 10, 20), (120, 120, 20), ALL),
    "Viewpoint: c, a, b": Case(
        {
            "mosaicMethod": "esriMosaicViewpoint",
            "viewpoint": {"x": x, "y": y, "spatialReference": {"wkid": 102100}},
        },
        (120, 120, 20),
        (20, 10, 20),
        ALL,
    ),
    "Attribute: b, c, a": Case(
        {"mosaicMethod": "esriMosaicAttribute", "sortField": "eo:cloud_cover"},
        (20, 120, 20),
        (10, 10, 20),
        ALL,
    ),
    "Attribute nearest 28: a, c, b": Case(
        {"mosaicMethod": "esriMosaicAttribute", "sortField": "eo:cloud_cover", "sortValue": 28},
        (10, 10, 20),
        (20, 120, 20),
        ALL,
    ),
    "LockRaster: c, b": Case(
        {"mosaicMethod": "esriMosaicLockRaster", "lockRasterIds": ["c", "b"]},
        (120, 120, 20),
        (20, 120, 20),
        B_AND_C,
    ),
    "Seamline: a, b, c": Case(
        {"mosaicMethod": "esriMosaicSeamline"}, (10, 10, 20), (120, 10, 20), WITHIN_SEAMLINES
    ),
    "fids: a, c": Case(
        {"mosaicMethod": "esriMosaicNone", "fids": ["a", "c"]},
        (10, 10, None),
        (120, 120, None),
        A_AND_C,
    ),
    "where: b, c": Case(
        {"mosaicMethod": "esriMosaicNone", "where": '"eo:cloud_cover" <= 10'},
        (20, 120, 20),
        (120, 120, 20),
        B_AND_C,
    ),
}


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_each_operation_of_a_method_gives_the_values_worked_out_by_hand(
    arcgis: Server, case: Case
) -> None:
    expected = {"FIRST": case.first, "LAST": case.last} | case.others
    found = {name: values(arcgis, case.rule, mosaicOperation=f"MT_{name}") for name in expected}
    assert found == {name: (*points, None) for name, points in expected.items()}
    assert values(arcgis, case.rule) == found["FIRST"]
    assert values(arcgis, case.rule, ascending=False) == found["LAST"]


def values(server: Server, rule: dict[str, Any], **more: Any) -> tuple[int | None, ...]:
    """At P, Q, R and where there is no scene."""
    picture = server.picture(tile_url(mosaic="arcgis"), mosaicRule=json.dumps(rule | more))
    found = [picture.at(*pixel) for pixel in (P, Q, R, NOWHERE)]
    return tuple(None if pixel is None else pixel[0] for pixel in found)


@pytest.mark.parametrize("case", CASES.values(), ids=CASES)
def test_an_export_of_the_image_service_has_the_same_values(arcgis: Server, case: Case) -> None:
    """But for what Esri's documents leave out: of a seamline, all operations except two."""
    expected = {"FIRST": case.first, "LAST": case.last} | case.others
    is_seamline = case.rule["mosaicMethod"] == "esriMosaicSeamline"
    for name, points in expected.items():
        rule = {**case.rule, "mosaicOperation": f"MT_{name}"}
        if is_seamline and name not in ("FIRST", "BLEND"):
            assert "does not go with" in exported(arcgis, "arcgis", mosaicRule=rule).text
        else:
            assert exported_values(arcgis, rule) == (*points, None), name


def exported_values(server: Server, rule: dict[str, Any]) -> tuple[int | None, ...]:
    *bands, valid = pixels(exported(server, "arcgis", format="tiff", mosaicRule=rule))
    points = (P, Q, R, NOWHERE)
    return tuple(int(bands[0][y, x]) if valid[y, x] else None for x, y in points)
