"""Whatever is sent to an image service gets a document or an image, soon, and never a 5xx."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from api.served import AUTHORIZED, EDGE, LEFT, Server, serving
from arcgis.asking import BOX, exported, url
from livemosaic.api.routes.arcgis.app import OPERATIONS
from livemosaic.table.sqlite import SqliteTable

LONGEST_S = 20.0
NAMES = sorted({name for name in OPERATIONS if "{" not in name} | {"", "7", "7/info", "tile/1/0/0"})
WKT_OF_FILE = (
    'GEOGCS["x",DATUM["x",SPHEROID["x",6378137,298],EXTENSION["PROJ4_GRIDS","/etc/passwd"]]]'
)
HOSTILE = [
    "", "0", "-1", "nan", "NaN,1", "1e999", "9" * 400, "x", "null", "true", "{", "[]", "{}", "[1]",
    "[" * 3000, '{"wkid":4326}', '{"wkid":1e9}', '{"wkt":"x"}', "../../etc/passwd", "\x00", "é",
    json.dumps({"wkt": WKT_OF_FILE}), '{"x":1}', '{"x":"a","y":null}', '{"x":NaN,"y":1}',
    '{"rings":[[[0,0]]]}', '{"rings":5}', '{"paths":[[]]}', '{"points":[[1,2],[3]]}',
    '{"xmin":5,"ymin":5,"xmax":1,"ymax":1}', "1,2,3,4", "0,0,0,0", "-1e8,-1e8,1e8,1e8",
    '{"mosaicMethod":5}', '{"mosaicMethod":"esriMosaicLockRaster","lockRasterIds":[1e30]}',
    '{"fids":[9007199254740991,0,-5,"a"]}', '{"where":"OBJECTID = 1 OR 1=1; DROP TABLE x"}',
    '{"rasterFunction":"None"}', '{"rasterFunction":"Stretch","rasterFunctionArguments":[]}',
    '{"rasterFunction":"Remap","rasterFunctionArguments":{"InputRanges":[0,1],"OutputValues":[1e999]}}',
    '{"rasterFunction":"Statistics","rasterFunctionArguments":{"KernelRows":15,"KernelColumns":15}}',
    "OBJECTID IN (1,2", "Name = 'a' AND", "'", "256,256", "99999,99999", "json", "image", "geojson",
]  # fmt: skip
PARAMETERS = [
    "bbox", "size", "bboxSR", "imageSR", "format", "pixelType", "noData", "noDataInterpretation",
    "interpolation", "compressionQuality", "bandIds", "mosaicRule", "renderingRule", "time", "f",
    "adjustAspectRatio", "geometry", "geometryType", "inSR", "outSR", "where", "objectIds",
    "spatialRel", "outFields", "orderByFields", "resultOffset", "resultRecordCount", "pixelSize",
    "returnGeometry", "returnCatalogItems", "maxItemCount", "sampleCount", "sampleDistance",
    "token",
]  # fmt: skip
GOOD: dict[str, Any] = {"bbox": BOX, "size": "64,64", "geometry": BOX, "f": "json"}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("a", [10, 20, 30])
        made.publish("b", [1, 2, 3], LEFT, day=2)
        yield made


def check(answer: Any, began: float) -> None:
    assert answer.status_code < 500, (answer.request.url, answer.text[:300])
    assert time.monotonic() - began < LONGEST_S, answer.request.url
    assert "/etc/passwd" not in answer.text.replace("../../etc/passwd", "").replace(
        '"/etc/passwd"', ""
    ).replace('\\"/etc/passwd\\"', "")


@pytest.mark.parametrize("operation", NAMES)
@settings(
    max_examples=60, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
@given(
    strange=st.dictionaries(st.sampled_from(PARAMETERS), st.sampled_from(HOSTILE), max_size=3),
    as_form=st.booleans(),
)
def test_nothing_breaks_an_operation(
    service: Server, operation: str, strange: dict[str, str], as_form: bool
) -> None:
    asked, began = {**GOOD, **strange}, time.monotonic()
    if as_form and not operation.startswith("tile"):
        answer = service.client.post(url(operation), data=asked)
    else:
        answer = service.client.get(url(operation), params=asked)
    check(answer, began)


@pytest.mark.parametrize(
    "body", [b"\xff\xfe", b"a=b&" * 5000, b"{}", b"f=json&bbox=" + b"9" * 900_000, b"%zz=%"]
)
def test_no_form_breaks_a_service(service: Server, body: bytes) -> None:
    headers = {"Content-Type": "application/x-www-form-urlencoded"}
    began = time.monotonic()
    check(service.client.post(url("exportImage"), content=body, headers=headers), began)
    headers = {"Content-Type": "application/json"}
    check(service.client.post(url("exportImage"), content=body, headers=headers), began)


def test_a_form_that_cannot_be_read_is_an_error_in_json(service: Server) -> None:
    form = {"f": "json", "geometry": "9" * 1_000_001}
    answer = service.client.post(url("query"), data=form)
    assert answer.json()["error"]["message"] == "the form has more than 1,000,000 bytes"


def test_an_image_is_never_larger_than_the_server_allows(service: Server) -> None:
    for given_ in ({"size": "8192,8192"}, {"size": "1,99999999"}):
        assert exported(service, **given_).status_code == 400
    focal = {
        "rasterFunction": "Statistics",
        "rasterFunctionArguments": {"KernelRows": 15, "KernelColumns": 15, "Type": "Max"},
    }
    began = time.monotonic()
    answer = exported(service, size="1024,1024", renderingRule=focal)
    check(answer, began)
    assert "a smaller image or window" in answer.text


def test_a_geometry_of_many_rings_is_refused_soon(service: Server) -> None:
    left, bottom, right, top = EDGE
    ring = [[left, bottom], [left, top], [right, top], [left, bottom]]
    began = time.monotonic()
    form = {"f": "json", "geometry": json.dumps({"rings": [ring] * 5000})}
    check(service.client.post(url("query"), data=form), began)


def test_a_deleted_mosaic_is_no_service_any_more(service: Server) -> None:
    service.create("gone")
    assert service.get(url(mosaic="gone"), f="json").json()["name"] == "gone"
    service.client.delete("/mosaics/gone", headers=AUTHORIZED)
    assert service.get(url(mosaic="gone"), f="json").json()["error"]["code"] == 499
