"""GetCapabilities: valid by OGC's schemas, with boxes in the axis order of each version."""

import re
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pyproj
import pytest
from rasterio.io import MemoryFile

from api.served import AUTHORIZED, EDGE, scene, serving
from livemosaic.table.sqlite import SqliteTable
from wms.conftest import Service
from wms.test_exceptions import REFUSED, exception
from wms.test_maps import CRSS

NAMES = {"": "http://www.opengis.net/wms", "xlink": "http://www.w3.org/1999/xlink"}
HREF = "{http://www.w3.org/1999/xlink}href"


def asked(version: str = "1.3.0") -> dict[str, str]:
    return {"SERVICE": "WMS", "REQUEST": "GetCapabilities", "VERSION": version}


def document(service: Service, version: str = "1.3.0", **query: Any) -> ET.Element:
    """The capabilities, names without their namespace."""
    answer = service.get(**asked(version), **query)
    assert answer.status_code == 200, answer.text
    root = ET.fromstring(answer.content)
    for element in root.iter():
        element.tag = element.tag.rpartition("}")[2]
    return root


def layer_of(service: Service, version: str = "1.3.0", **query: Any) -> ET.Element:
    found = document(service, version, **query).find("Capability/Layer")
    assert found is not None
    return found


@pytest.fixture(scope="module")
def schemas() -> Path:
    """OGC's schemas and DTDs, of which MapProxy has copies in its tests."""
    pytest.importorskip("lxml.etree", reason="lxml is not installed")
    found = find_spec("mapproxy")
    if found is None or found.origin is None:
        pytest.skip("MapProxy is not installed, whose tests have OGC's schemas")
    return Path(found.origin).parent / "test" / "schemas" / "wms"


class TestSchemas:
    def _validate(self, schemas: Path, content: bytes, kind: str, version: str) -> None:
        from lxml import etree

        found = etree.fromstring(content)
        if version == "1.3.0":
            name = f"{kind}_1_3_0.xsd"
            etree.XMLSchema(etree.parse(schemas / "1.3.0" / name)).assertValid(found)
        else:
            name = f"{kind}_1_1_1.dtd".replace("exceptions", "exception")
            dtd = etree.DTD(str(schemas / "1.1.1" / name))
            assert dtd.validate(found), dtd.error_log

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    @pytest.mark.parametrize("mosaic", ["m", "coarse", "floats", "blank", ""])
    def test_capabilities_are_valid(
        self, wms: Service, schemas: Path, mosaic: str, version: str
    ) -> None:
        if mosaic == "blank" and wms.server.get("/mosaics/blank").status_code == 404:
            wms.server.create("blank", title="\x01 <none> ]]>")
        service = Service(wms.server, f"/mosaics/{mosaic}/wms" if mosaic else "/wms")
        answer = service.get(**asked(version), expression="where(b1 > 3 & b1 < 5, b1, 0)")
        self._validate(schemas, answer.content, "capabilities", version)

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    def test_exceptions_are_valid(self, wms: Service, schemas: Path, version: str) -> None:
        for changed, _, _ in REFUSED:
            answer = wms.map(**(changed | {"VERSION": version}))
            if "xml" in answer.headers["Content-Type"]:
                self._validate(schemas, answer.content, "exceptions", version)


class TestVersions:
    @pytest.mark.parametrize(
        ("given", "got"),
        [
            ({}, "1.3.0"),
            ({"VERSION": "1.3.0"}, "1.3.0"),
            ({"VERSION": "1.1.1"}, "1.1.1"),
            ({"version": "1.1.0"}, "1.1.1"),
            ({"WMTVER": "1.0.0"}, "1.1.1"),
            ({"VERSION": "1.2.9"}, "1.1.1"),
            ({"VERSION": "1.4"}, "1.3.0"),
            ({"VERSION": "2.0.0"}, "1.3.0"),
            ({"VERSION": "newest"}, "1.3.0"),
        ],
    )
    def test_they_are_negotiated(self, wms: Service, given: dict[str, str], got: str) -> None:
        answer = wms.get(SERVICE="WMS", REQUEST="GetCapabilities", **given)
        assert ET.fromstring(answer.content).attrib["version"] == got
        kinds = {"1.3.0": "text/xml", "1.1.1": "application/vnd.ogc.wms_xml"}
        assert answer.headers["Content-Type"].startswith(kinds[got])


class TestLayer:
    def test_it_is_the_mosaic_with_its_renders(self, wms: Service) -> None:
        layer = layer_of(wms)
        assert (layer.findtext("Name"), layer.findtext("Title")) == ("m", "The 'first' & best")
        styles = [(one.findtext("Name"), one.findtext("Title")) for one in layer.iter("Style")]
        assert styles == [
            ("default", "As the mosaic is shown"),
            ("ramp", "Heat & <light>"),
            ("stretched", "stretched"),
        ]

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    def test_a_legend_is_as_large_as_it_says(self, wms: Service, version: str) -> None:
        (legend,) = layer_of(wms, version).iter("LegendURL")
        url = legend[1].attrib[HREF]
        answer = wms.server.client.get(url)
        assert answer.headers["Content-Type"] == "image/png"
        with MemoryFile(answer.content) as file, file.open() as image:
            size = image.width, image.height
            colors = image.read()
        assert size == (int(legend.attrib["width"]), int(legend.attrib["height"]))
        largest = wms.server.get("/colorMaps/viridis", f="json").json()["255"]
        assert colors[:, 5, 0].tolist() == largest

    @pytest.mark.parametrize("version", ["1.3.0", "1.1.1"])
    def test_its_boxes_are_in_the_order_of_axes(self, wms: Service, version: str) -> None:
        key = "CRS" if version == "1.3.0" else "SRS"
        boxes = {one.attrib[key]: one.attrib for one in layer_of(wms, version).iter("BoundingBox")}
        assert {"EPSG:4326", "EPSG:3857", "EPSG:3035", "EPSG:32632"} <= boxes.keys()
        assert ("CRS:84" in boxes) == (version == "1.3.0")
        middle = (EDGE.left + EDGE.right) / 2, (EDGE.bottom + EDGE.top) / 2
        for name, given in boxes.items():
            edges = [float(given[edge]) for edge in ("minx", "miny", "maxx", "maxy")]
            if version == "1.3.0" and CRSS.get(name, False):
                edges = [edges[1], edges[0], edges[3], edges[2]]
            known = name.replace("CRS:84", "OGC:CRS84")
            to_crs = pyproj.Transformer.from_crs("EPSG:3857", known, always_xy=True)
            x, y = to_crs.transform(*middle)
            assert edges[0] < x < edges[2], name
            assert edges[1] < y < edges[3], name

    def test_each_listed_crs_draws_a_map_of_its_box(self, wms: Service) -> None:
        for box in layer_of(wms).iter("BoundingBox"):
            edges = ",".join(box.attrib[name] for name in ("minx", "miny", "maxx", "maxy"))
            answer = wms.map(CRS=box.attrib["CRS"], BBOX=edges, WIDTH=64, HEIGHT=64)
            assert answer.headers["X-Scenes"] == "new,old", box.attrib["CRS"]

    def test_it_has_the_days_of_its_scenes(self, wms: Service) -> None:
        time = layer_of(wms).find("Dimension")
        assert time is not None
        assert time.attrib["units"] == "ISO8601"
        assert (time.text, time.attrib["default"]) == (
            "2026-01-01,2026-01-03",
            "2026-01-01/2026-01-03",
        )
        old = layer_of(wms, "1.1.1")
        assert old.findtext("Extent") == time.text

    def test_of_many_scenes_it_has_an_interval(self, wms: Service) -> None:
        wms.server.create("many")
        made = [scene(f"s{n}", f"{wms.server.href}/{n}.tif", day=1 + n % 28) for n in range(101)]
        wms.server.add(*made, mosaic="many")
        time = layer_of(Service(wms.server, "/mosaics/many/wms")).findtext("Dimension")
        assert re.fullmatch(r"1900-01-01/\d{4}-\d\d-\d\d/P1D", time or "")

    def test_of_no_scene_it_has_none(self, wms: Service) -> None:
        wms.server.create("none")
        layer = layer_of(Service(wms.server, "/mosaics/none/wms"))
        assert layer.find("Dimension") is None
        assert layer.findtext("EX_GeographicBoundingBox/westBoundLongitude") == "-180.0"

    def test_its_scales_are_of_its_zooms(self, wms: Service) -> None:
        layer = layer_of(Service(wms.server, "/mosaics/coarse/wms"))
        web = 559_082_264.0287178
        found = [float(layer.findtext(f"{one}ScaleDenominator", "")) for one in ("Min", "Max")]
        assert found == pytest.approx([web / 2**12, web / 2**8])
        hint = layer_of(Service(wms.server, "/mosaics/coarse/wms"), "1.1.1").find("ScaleHint")
        assert hint is not None
        diagonals = [float(hint.attrib["min"]), float(hint.attrib["max"])]
        assert diagonals == pytest.approx([scale * 0.28e-3 * 2**0.5 for scale in found])

    def test_a_mosaic_across_the_edge_of_the_world_has_a_box_that_is_none(
        self, wms: Service
    ) -> None:
        wms.server.create("edge")
        ring = [[179, 10], [181, 10], [181, 11], [179, 11], [179, 10]]
        across = scene("a", f"{wms.server.href}/a.tif")
        across["geometry"] = {"type": "Polygon", "coordinates": [ring]}
        across.pop("bbox", None)
        wms.server.add(across, mosaic="edge")
        layer = layer_of(Service(wms.server, "/mosaics/edge/wms"))
        for box in layer.iter("BoundingBox"):
            assert float(box.attrib["minx"]) < float(box.attrib["maxx"]), box.attrib
            assert float(box.attrib["miny"]) < float(box.attrib["maxy"]), box.attrib


class TestUrls:
    def test_they_carry_our_own_parameters(self, wms: Service) -> None:
        found = document(wms, RESCALE="0,50", bidx="2", DPI="96")
        urls = {one.attrib[HREF] for one in found.iter("OnlineResource")}
        url = f"{wms.server.client.base_url}/mosaics/m/wms?rescale=0%2C50&bidx=2&"
        assert url in urls
        with_them = wms.map(rescale="0,50", bidx="2")
        query = str(with_them.request.url).partition("?")[2]
        plain = re.sub(r"&(rescale|bidx)=[^&]*", "", query)
        answer = wms.server.client.get(f"{url}{plain}")
        assert answer.content == with_them.content

    def test_what_they_carry_is_checked(self, wms: Service) -> None:
        assert "rescale '9,0'" in exception(wms.get(**asked(), rescale="9,0"))[1]


class TestAll:
    def test_every_mosaic_that_all_may_see_is_a_layer(self, wms: Service) -> None:
        found = document(Service(wms.server, "/wms"))
        names = [layer.findtext("Name") for layer in found.findall("Capability/Layer/Layer")]
        assert {"m", "coarse", "floats"} <= {*names}
        assert "hidden" not in names
        assert found.findtext("Capability/Layer/Name") is None

    def test_who_may_write_sees_private_ones(self, wms: Service) -> None:
        answer = wms.server.client.get("/wms", params=asked(), headers=AUTHORIZED)
        assert "<Name>hidden</Name>" in answer.text
        assert answer.headers["Cache-Control"].startswith("private")


def test_a_deleted_mosaic_is_no_layer(wms: Service) -> None:
    wms.server.create("gone")
    service = Service(wms.server, "/mosaics/gone/wms", "gone")
    assert service.map().status_code == 200
    wms.server.client.delete("/mosaics/gone", headers=AUTHORIZED).raise_for_status()
    assert service.map().status_code == 404
    assert "<Name>gone</Name>" not in Service(wms.server, "/wms").get(**asked()).text


def test_a_server_behind_a_proxy_has_its_urls(tmp_path: Path) -> None:
    table = SqliteTable(tmp_path / "table.db")
    with serving(table, tmp_path, public_url="https://maps.example.com/live") as server:
        server.create()
        found = document(Service(server))
    urls = {one.attrib[HREF] for one in found.iter("OnlineResource")}
    assert urls == {
        "https://maps.example.com/live/",
        "https://maps.example.com/live/mosaics/m/wms?",
    }
