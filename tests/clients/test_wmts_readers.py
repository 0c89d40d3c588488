"""WMTS capabilities are what the standard's schema says, and OWSLib reads them (OGC 07-057r7)."""

from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest

from api.served import Server, X, Y, Z

etree = pytest.importorskip("lxml.etree", reason="lxml is not installed")


def _schemas() -> Path:
    found = find_spec("mapproxy")
    if found is None or found.origin is None:
        pytest.skip("MapProxy is not installed, whose tests have OGC's schemas")
    return Path(found.origin).parent / "test" / "schemas"


@pytest.fixture(scope="module")
def schema(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """WMTS 1.0.1's: version 1.0.0 forgot that rows and columns are counted from 0."""
    original = _schemas() / "wmts" / "1.0" / "wmtsGetCapabilities_response.xsd"
    text = original.read_text().replace('type="positiveInteger"', 'type="nonNegativeInteger"')
    document = etree.fromstring(text.encode(), base_url=original.as_uri())
    return etree.XMLSchema(document)


@pytest.mark.parametrize("mosaic", ["rgb", "dtm", "few", "empty"])
@pytest.mark.parametrize(
    "query",
    [
        {},
        {"tms": "WorldCRS84Quad", "zooms": "*::0,5"},
        {"use_epsg": "true", "rescale": "0,9", "expression": "where(b1 > 3 & b1 < 5, b1, 0)"},
    ],
    ids=["all", "one", "parameters"],
)
def test_capabilities_follow_the_schema(
    mosaics: Server, schema: Any, mosaic: str, query: dict[str, str]
) -> None:
    answer = mosaics.get(f"/mosaics/{mosaic}/WMTSCapabilities.xml", **query)
    schema.assertValid(etree.fromstring(answer.content))


def test_owslib_reads_them(mosaics: Server, url: str) -> None:
    wmts = pytest.importorskip("owslib.wmts", reason="OWSLib is not installed")
    service = wmts.WebMapTileService(f"{url}/mosaics/rgb/WMTSCapabilities.xml")
    layer = service.contents["rgb"]
    assert next(iter(layer.tilematrixsetlinks)) == "WebMercatorQuad"
    assert layer.boundingBoxWGS84 == pytest.approx((7.734375, 45.58329, 8.0859375, 45.828799))
    asked = {"tilematrixset": "WebMercatorQuad", "tilematrix": str(Z), "row": Y, "column": X}
    tile = service.gettile(layer="rgb", format="image/png", **asked).read()
    assert tile == mosaics.get(f"/mosaics/rgb/tiles/WebMercatorQuad/{Z}/{X}/{Y}.png").content
