"""WMTS as GDAL reads it, and as the standard's schema has it (OGC 07-057r7)."""

import xml.etree.ElementTree as ET
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
import rasterio
from rasterio.warp import transform

from api.counted import CountedTable
from api.served import Server, X, Y, Z, on_socket, serving
from cogs import write_cog
from items import box, item
from livemosaic.table.sqlite import SqliteTable

URL = "/mosaics/m/WMTSCapabilities.xml"
NAMES = {"": "http://www.opengis.net/wmts/1.0", "ows": "http://www.opengis.net/ows/1.1"}
VARIABLE = {"CDB1GlobalGrid", "GNOSISGlobalGrid"}
"""Matrix sets with rows that grow towards the poles."""


def capabilities(server: Server, url: str = URL, **query: Any) -> ET.Element:
    answer = server.get(url, **query)
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "application/xml"
    return ET.fromstring(answer.content)


def layers(document: ET.Element) -> dict[str, ET.Element]:
    found = document.findall("Contents/Layer", NAMES)
    return {text(layer, "ows:Identifier"): layer for layer in found}


def text(element: ET.Element, path: str) -> str:
    return element.findtext(path, "", NAMES)


def template(layer: ET.Element) -> str:
    (resource,) = layer.findall("ResourceURL", NAMES)
    return resource.attrib["template"]


def children(element: ET.Element) -> list[str]:
    """Names in order, each once."""
    return list(dict.fromkeys(child.tag.split("}")[1] for child in element))


class TestDocument:
    def test_elements_come_in_the_order_of_the_schema(self, server: Server) -> None:
        server.publish("a", 1)
        document = capabilities(server)
        assert document.tag == f"{{{NAMES['']}}}Capabilities"
        assert document.attrib["version"] == "1.0.0"
        assert children(document) == [
            "ServiceIdentification",
            "OperationsMetadata",
            "Contents",
            "ServiceMetadataURL",
        ]
        (layer,) = layers(document).values()
        assert children(layer) == [
            *("Title", "WGS84BoundingBox", "Identifier", "BoundingBox", "Style", "Format"),
            *("TileMatrixSetLink", "ResourceURL"),
        ]
        for tms in document.findall("Contents/TileMatrixSet", NAMES):
            assert children(tms) == ["Identifier", "SupportedCRS", "TileMatrix"]
            assert children(tms[-1]) == [
                *("Identifier", "ScaleDenominator", "TopLeftCorner"),
                *("TileWidth", "TileHeight", "MatrixWidth", "MatrixHeight"),
            ]

    def test_every_matrix_set_that_a_layer_links_to_is_there(self, server: Server) -> None:
        document = capabilities(server)
        linked = document.findall("Contents/Layer/TileMatrixSetLink/TileMatrixSet", NAMES)
        defined = document.findall("Contents/TileMatrixSet/ows:Identifier", NAMES)
        names = {one.text for one in defined}
        assert {one.text for one in linked} == names == set(morecantile.tms.list()) - VARIABLE

    def test_there_may_be_only_one(self, server: Server) -> None:
        document = capabilities(server, tms="WorldCRS84Quad")
        (tms,) = document.findall("Contents/TileMatrixSet", NAMES)
        assert text(tms, "ows:Identifier") == "WorldCRS84Quad"
        assert text(tms, "ows:SupportedCRS") == "urn:ogc:def:crs:OGC:1.3:CRS84"

    @pytest.mark.parametrize(
        ("query", "crs"), [({}, "urn:ogc:def:crs:EPSG::3857"), ({"use_epsg": True}, "EPSG:3857")]
    )
    def test_crs_are_urns_unless_arcmap_asks(
        self, server: Server, query: dict[str, bool], crs: str
    ) -> None:
        document = capabilities(server, tms="WebMercatorQuad", **query)
        assert text(document, "Contents/TileMatrixSet/ows:SupportedCRS") == crs

    @pytest.mark.parametrize("own", ["WebMercatorQuad", "WorldMercatorWGS84Quad"])
    def test_the_mosaics_own_matrix_set_comes_first(self, server: Server, own: str) -> None:
        server.create("own", tms=own)
        document = capabilities(server, "/mosaics/own/WMTSCapabilities.xml")
        linked = document.findall("Contents/Layer/TileMatrixSetLink/TileMatrixSet", NAMES)
        defined = document.findall("Contents/TileMatrixSet/ows:Identifier", NAMES)
        assert own == linked[0].text == defined[0].text

    def test_matrix_sets_have_the_mosaics_zooms_alone(self, server: Server) -> None:
        server.create("few", minzoom=3, maxzoom=5, quadkey_zoom=5)
        document = capabilities(server, "/mosaics/few/WMTSCapabilities.xml", tms="WebMercatorQuad")
        for path in (".//TileMatrixLimits/TileMatrix", ".//TileMatrix/ows:Identifier"):
            assert [one.text for one in document.iterfind(path, NAMES)] == ["3", "4", "5"]

    @pytest.mark.parametrize(
        ("tms", "south"), [("WebMercatorQuad", -85.051129), ("WorldCRS84Quad", -90.0)]
    )
    def test_bounds_are_cut_to_what_the_matrix_set_shows(
        self, server: Server, tms: str, south: float
    ) -> None:
        document = capabilities(server, tms=tms)
        corner = text(document, "Contents/Layer/ows:WGS84BoundingBox/ows:LowerCorner")
        assert [*map(float, corner.split())] == pytest.approx([-180, south])

    @pytest.mark.parametrize(
        ("tms", "crs", "corner"),
        [
            ("WebMercatorQuad", "urn:ogc:def:crs:EPSG::3857", [860986.687, 5713820.738]),
            ("WorldCRS84Quad", "urn:ogc:def:crs:OGC:1.3:CRS84", [7.734375, 45.58329]),
            ("WGS1984Quad", "urn:ogc:def:crs:EPSG::4326", [45.58329, 7.734375]),
        ],
    )
    def test_the_layers_box_is_in_the_axis_order_of_each_crs(
        self, server: Server, tms: str, crs: str, corner: list[float]
    ) -> None:
        server.publish("a", 1)
        document = capabilities(server, tms=tms)
        (box,) = document.findall("Contents/Layer/ows:BoundingBox", NAMES)
        assert box.attrib["crs"] == crs
        assert [*map(float, text(box, "ows:LowerCorner").split())] == pytest.approx(corner)

    def test_titilers_url_of_one_matrix_set_leads_to_it(self, server: Server) -> None:
        of_one = "/mosaics/m/WGS1984Quad/WMTSCapabilities.xml"
        document = capabilities(server, of_one, rescale="0,9", tile_format="webp")
        (tms,) = document.findall("Contents/TileMatrixSet", NAMES)
        assert text(tms, "ows:Identifier") == "WGS1984Quad"
        assert template(layers(document)["m"]).endswith(".webp?rescale=0%2C9")

    @pytest.mark.parametrize("zooms", ["*::3,5", "WebMercatorQuad::3,5"])
    def test_zooms_may_be_asked_for(self, server: Server, zooms: str) -> None:
        document = capabilities(server, tms="WebMercatorQuad", zooms=zooms)
        limits = document.iterfind(".//TileMatrixLimits", NAMES)
        assert [text(one, "TileMatrix") for one in limits] == ["3", "4", "5"]

    def test_a_title_can_say_anything(self, server: Server) -> None:
        title = 'Die <Alpen> & "mehr" ]]> \x0b\x00 ü 🏔 \''
        server.create("odd", title=title)
        document = capabilities(server, "/mosaics/odd/WMTSCapabilities.xml")
        told = text(document, "ows:ServiceIdentification/ows:Title")
        assert told == title.replace("\x0b\x00", "")


class TestLayers:
    def test_the_template_is_that_of_tiles(self, server: Server) -> None:
        server.publish("a", [1, 2, 3])
        document = capabilities(server, bidx=1, rescale="0,9", tilesize=64, tile_format="webp")
        address = template(layers(document)["m"])
        place = {"TileMatrixSet": "WebMercatorQuad", "TileMatrix": Z, "TileCol": X, "TileRow": Y}
        answer = server.get(address.format(**place))
        assert answer.headers["Content-Type"] == "image/webp"
        assert answer.headers["X-Scenes"] == "a"
        assert address.endswith(".webp?bidx=1&rescale=0%2C9")

    def test_what_clients_add_does_not_go_into_it(self, server: Server) -> None:
        asked = {"SERVICE": "WMTS", "REQUEST": "GetCapabilities", "AcceptVersions": "1.0.0"}
        assert "?" not in template(layers(capabilities(server, **asked))["m"])

    def test_named_renders_are_layers_too(self, server: Server) -> None:
        render = {"title": "Green & lush", "assets": ["visual"], "colormap_name": "viridis"}
        server.create("drawn", renders={"ndvi": render})
        asked = {"rescale": "0,9", "access_token": "abc"}
        found = layers(capabilities(server, "/mosaics/drawn/WMTSCapabilities.xml", **asked))
        assert list(found) == ["drawn", "drawn_ndvi"]
        assert text(found["drawn_ndvi"], "ows:Title") == "drawn: Green & lush"
        assert template(found["drawn"]).endswith(".png?rescale=0%2C9&access_token=abc")
        assert template(found["drawn_ndvi"]).endswith(".png?render=ndvi&access_token=abc")

    def test_tiles_have_a_format_that_shows_the_values(self, server: Server) -> None:
        render = {"assets": ["visual"], "rescale": [[0, 9]]}
        server.create("f", renders={"gray": render, "plain": {"assets": ["visual"]}})
        server.publish("a", 1.5, mosaic="f", dtype="float32")
        found = layers(capabilities(server, "/mosaics/f/WMTSCapabilities.xml"))
        formats = {name: text(layer, "Format") for name, layer in found.items()}
        tif = "image/tiff; application=geotiff"
        assert formats == {"f": tif, "f_gray": "image/png", "f_plain": tif}
        place = {"TileMatrixSet": "WebMercatorQuad", "TileMatrix": Z, "TileCol": X, "TileRow": Y}
        for name, layer in found.items():
            answer = server.get(template(layer).format(**place))
            assert answer.headers["Content-Type"] == formats[name]

    def test_formats_are_kept_for_a_minute(self, sqlite_table: SqliteTable, folder: Path) -> None:
        """The document of a mosaic of many named renders reads no scene for each of them."""
        table = CountedTable(sqlite_table)
        with serving(table, folder) as server:
            server.create("f", renders={"plain": {"assets": ["visual"], "unscale": True}})
            server.publish("a", 1.5, mosaic="f", dtype="float32")
            first = server.get("/mosaics/f/WMTSCapabilities.xml")
            table.forget()
            again = server.get("/mosaics/f/WMTSCapabilities.xml")
        assert b"tiff" in first.content
        assert (again.content, table.queries, table.rows) == (first.content, 0, 0)

    @pytest.mark.parametrize(
        ("values", "dtype", "query", "media_type"),
        [
            ([1, 2, 3], "uint8", {}, "image/png"),
            (1, "uint16", {}, "image/png"),
            (1, "int16", {}, "image/tiff; application=geotiff"),
            (1, "int16", {"rescale": "0,9"}, "image/png"),
            (1, "uint8", {"expression": "b1/2"}, "image/tiff; application=geotiff"),
            (1, "float32", {"tile_format": "png"}, "image/png"),
            (1, "float32", {"datetime": "2000-01-01/2000-01-02"}, "image/png"),
        ],
        ids=["rgb", "16 bits", "signed", "rescaled", "expression", "asked for", "no scene"],
    )
    def test_the_format_is_that_of_the_values_as_shown(
        self, server: Server, values: Any, dtype: str, query: dict[str, str], media_type: str
    ) -> None:
        server.publish("a", values, dtype=dtype)
        document = capabilities(server, **query)
        assert text(layers(document)["m"], "Format") == media_type

    @pytest.mark.parametrize(
        ("query", "detail"),
        [
            ({"tile_format": "bmp"}, "unknown format 'bmp'"),
            ({"tile_format": "auto"}, "one format"),
            ({"zooms": "WebMercatorQuad"}, "zooms 'WebMercatorQuad' must be like"),
            ({"zooms": "*::5,3"}, "must be like"),
            ({"zooms": ["*::1,2"] * 51}, "at most 50"),
            ({"rescale": "5,5"}, "rescale"),
            ({"expression": "b1+"}, "expression"),
            ({"buffer": 0.3}, "buffer 0.3"),
            ({"tilesize": 9999}, "tilesize 9999"),
            ({"tms": "Nowhere"}, "unknown TileMatrixSet 'Nowhere'"),
        ],
        ids=[
            "format",
            "no format",
            "no zooms",
            "upside down",
            "too many",
            "range",
            "expression",
            "buffer",
            "tilesize",
            "tms",
        ],
    )
    def test_what_cannot_be_is_refused(
        self, server: Server, query: dict[str, Any], detail: str
    ) -> None:
        answer = server.get(URL, **query)
        assert answer.status_code == 400
        assert detail in answer.json()["detail"]

    @pytest.mark.parametrize("tms", ["NZTM2000Quad", "GNOSISGlobalGrid"])
    def test_a_matrix_set_without_tiles_is_not_found(self, server: Server, tms: str) -> None:
        server.publish("a", 1)
        assert server.get(URL, tms=tms).status_code == 404


@pytest.fixture
def address(server: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """The same application on a socket, which GDAL needs; it keeps tiles in a folder."""
    monkeypatch.setenv("GDAL_DEFAULT_WMS_CACHE_PATH", str(tmp_path / "gdal-cache"))
    with on_socket(server) as url:
        yield url


@pytest.mark.parametrize(
    ("tms", "bounds"),
    [
        ("WebMercatorQuad", (7, 45, 9, 46)),
        ("WorldCRS84Quad", (7, 45, 9, 46)),
        ("WGS1984Quad", (7, 45, 9, 46)),
        ("EuropeanETRS89_LAEAQuad", (7, 45, 9, 46)),
        ("UTM31WGS84Quad", (7, 45, 9, 46)),
        ("UPSArcticWGS84Quad", (20, 78, 40, 82)),
        ("NZTM2000Quad", (172, -42, 174, -41)),
        ("CanadianNAD83_LCC", (-100, 50, -98, 51)),
    ],
)
def test_gdal_reads_the_pixels_where_they_are(
    server: Server, address: str, tms: str, bounds: tuple[float, float, float, float]
) -> None:
    """Left and right halves differ; axes of all orders are told right, or it would find neither."""
    west, south, east, north = bounds
    data = np.full((3, 128, 256), 200, "uint8")
    data[:, :, 128:] = [[[60]], [[90]], [[120]]]
    path = write_cog(server.folder / "halves.tif", data, crs="EPSG:4326", bounds=bounds)
    server.add(item("a", box(*bounds), href=server.url(path)))
    name = f"WMTS:{address}/mosaics/m/WMTSCapabilities.xml,layer=m,tilematrixset={tms},zoom_level=8"
    latitude = (south + north) / 2
    places = [0.75 * west + 0.25 * east, 0.25 * west + 0.75 * east], [latitude, latitude]
    with rasterio.open(name) as dataset:
        x, y = transform("EPSG:4326", dataset.crs, *places)
        left, right = (values.tolist() for values in dataset.sample(zip(x, y, strict=True)))
    assert left == [200, 200, 200, 255]
    assert right == [60, 90, 120, 255]
