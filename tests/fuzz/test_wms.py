"""Whatever a query of WMS says, the answer is an image, a document or a service exception."""

import os
import time
from collections.abc import Iterator
from typing import Any
from xml.etree import ElementTree as ET

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from rasterio.io import MemoryFile

from api.served import EDGE, Server, serving
from livemosaic.table.sqlite import SqliteTable

EXAMPLES = 40 * int(os.environ.get("LIVEMOSAIC_TEST_FUZZ", "8"))
LONGEST_S = 20.0
STATUSES = {200, 414}
BOX = ",".join(map(str, (EDGE.left, EDGE.bottom, EDGE.right, EDGE.top)))
GOOD = {
    "SERVICE": "WMS",
    "VERSION": "1.3.0",
    "LAYERS": "m",
    "LAYER": "m",
    "QUERY_LAYERS": "m",
    "STYLES": "",
    "CRS": "EPSG:3857",
    "SRS": "EPSG:3857",
    "BBOX": BOX,
    "WIDTH": "32",
    "HEIGHT": "16",
    "FORMAT": "image/png",
    "I": "3",
    "J": "4",
}
OPERATIONS = ["GetCapabilities", "GetMap", "GetFeatureInfo", "GetLegendGraphic"]
ODD = [
    "", " ", "nan", "inf", "-1", "0", "1e308", "9" * 400, "null", "<a>&amp;\"'", "\x00", "é", "%",
    "..", "/etc/passwd", "m,m", ",", "EPSG:4326", "EPSG:", "CRS:84", "CRS:83", "AUTO:42001,0,0",
    "IAU_2015:49900", "EPSG:5703", "EPSG:4978", "EPSG:32661", "EPSG:2193", "EPSG:27700",
    "-180,-90,180,90", "-90,-180,90,180", "-1e9,-1e9,1e9,1e9", "0,0,1e-12,1e-12", "1,2,3,4,5",
    "-9e8,-9e8,9e8,9e8", "179,-91,541,91", "0,0,1,1", "1e8,1e8,1.1e8,1.1e8", "image/tiff",
    "image/jpeg", "image/webp", "text/html", "text/plain", "INIMAGE", "BLANK", "1.1.1", "1.0",
    "TRUE", "FALSE", "0x0080FF", "2026", "2026/2027", "2026-01-01/2027-01-01/P1D",
    "0001-01-01/9999-12-31/P1Y", "9999-12-31/9999-12-31/P9999Y", "0001/9999/PT1S", "current",
    "r", "default", "100000", "2048",
]  # fmt: skip
NAMES = [
    *GOOD, "TRANSPARENT", "BGCOLOR", "EXCEPTIONS", "TIME", "ELEVATION", "INFO_FORMAT", "WMTVER",
    "FEATURE_COUNT", "X", "Y", "STYLE", "SLD", "SLD_BODY", "UPDATESEQUENCE", "DIM_BAND",
    "rescale", "bidx", "expression", "colormap_name", "mosaicRule", "filter", "nodata", "method",
    "operation", "render", "DPI", "algorithm", "access_token", "speed", "min_pixels",
]  # fmt: skip
CHANGES = st.lists(
    st.tuples(st.sampled_from(NAMES), st.sampled_from(ODD) | st.text(max_size=12)), max_size=4
)


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("fuzz")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create("m", renders={"r": {"rescale": [[0, 50]], "colormap_name": "viridis"}})
        made.publish("a", [10, 20, 30])
        made.publish("b", [40, 50, 60], day=2, part=(0, 0, 99, 256))
        yield made


def check(answer: Any) -> None:
    assert answer.status_code in STATUSES or answer.status_code in (401, 404), answer.text
    kind, content = answer.headers["Content-Type"].partition(";")[0], answer.content
    if kind.startswith("image/"):
        with MemoryFile(content) as file, file.open() as image:
            assert image.width * image.height <= 2048 * 2048
    elif kind.endswith("xml") or kind == "application/vnd.ogc.se_xml":
        assert ET.fromstring(content).tag.rpartition("}")[2] in {
            "WMS_Capabilities",
            "WMT_MS_Capabilities",
            "ServiceExceptionReport",
        }
    else:
        assert kind in ("application/json", "text/plain", "text/html", "application/problem+json")


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("path", ["/mosaics/m/wms", "/wms"])
@given(operation=st.sampled_from(OPERATIONS), changes=CHANGES, case=st.booleans())
@example(operation="GetMap", changes=[("TIME", "0001/9999/PT1S")], case=True)
@example(operation="GetMap", changes=[("VERSION", "1.1.1"), ("SRS", "EPSG:4326")], case=False)
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
    suppress_health_check=list(HealthCheck),
)  # fmt: skip
def test_an_answer_is_what_the_standard_has(
    server: Server, path: str, operation: str, changes: list[tuple[str, str]], case: bool
) -> None:
    query = {**GOOD, "REQUEST": operation, **dict(changes)}
    named = {name.lower() if case else name: value for name, value in query.items()}
    begun = time.monotonic()
    check(server.get(path, **named))
    assert time.monotonic() - begun < LONGEST_S
