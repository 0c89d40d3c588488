"""Who made the scenes of a mosaic, and their license, in every document that clients show."""

from typing import Any
from xml.etree import ElementTree

import pytest

from api.served import AUTHORIZED, Server

TEXT = "Contains Sentinel data <2026> & more"
OWS, WMS = "{http://www.opengis.net/ows/1.1}", "{http://www.opengis.net/wms}"


def change(server: Server, **settings: Any) -> Any:
    return server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)


@pytest.fixture
def credited(server: Server) -> Server:
    server.publish("a", 1)
    assert change(server, attribution=TEXT, license="CC-BY-4.0").status_code == 200
    return server


def test_tilejson_has_them_as_html_in_which_the_link_is_the_only_tag(credited: Server) -> None:
    url = "/mosaics/m/tiles/WebMercatorQuad/tilejson.json"
    assert credited.get(url).json()["attribution"] == (
        "Contains Sentinel data &lt;2026&gt; &amp; more · "
        '<a href="https://spdx.org/licenses/CC-BY-4.0.html" target="_blank" rel="license noopener">'
        "CC-BY-4.0</a>"
    )
    change(credited, attribution="", license="")
    assert "attribution" not in credited.get(url).json()


def test_capabilities_have_them(credited: Server) -> None:
    wmts = ElementTree.fromstring(credited.get("/mosaics/m/WMTSCapabilities.xml").text)
    service = wmts.find(f"{OWS}ServiceIdentification")
    assert service is not None
    assert service.findtext(f"{OWS}Abstract") == TEXT
    assert service.findtext(f"{OWS}AccessConstraints") == "CC-BY-4.0"
    for version, space in (("1.3.0", WMS), ("1.1.1", "")):
        text = credited.get(
            "/mosaics/m/wms", service="WMS", request="GetCapabilities", version=version
        ).text
        wms = ElementTree.fromstring(text)
        assert wms.findtext(f".//{space}AccessConstraints") == "CC-BY-4.0"
        assert wms.findtext(f".//{space}Attribution/{space}Title") == f"{TEXT} · CC-BY-4.0"


def test_arcgis_and_mosaic_json_have_them(credited: Server) -> None:
    service = credited.get("/arcgis/rest/services/m/ImageServer", f="json").json()
    assert service["copyrightText"] == f"{TEXT} · CC-BY-4.0"
    assert credited.get("/mosaics/m/mosaic.json").json()["attribution"] == TEXT


@pytest.mark.parametrize(
    ("given", "shown", "link"),
    [
        ("CC-BY-4.0", "CC-BY-4.0", None),
        ("CC-BY-4.0 OR MIT", "CC-BY-4.0 OR MIT", None),
        ("https://example.com/terms?a=1&b=2", "other", "https://example.com/terms?a=1&b=2"),
        ("", "other", None),
    ],
)
def test_a_stac_collection_has_the_license(
    server: Server, given: str, shown: str, link: str | None
) -> None:
    assert change(server, license=given).status_code == 200
    found = server.get("/collections/m").json()
    assert found["license"] == shown
    links = [one["href"] for one in found["links"] if one["rel"] == "license"]
    assert links == ([link] if link else [])
    tiles = server.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json").json()
    assert ("<a " in tiles.get("attribution", "")) == bool(given and " " not in given)


@pytest.mark.parametrize(
    "license_", ["javascript:alert(1)", 'https://x/"onclick="', "https://x y", "<b>", "a\nb", 5]
)
def test_what_is_no_license_is_refused(server: Server, license_: Any) -> None:
    answer = change(server, license=license_)
    assert answer.status_code == 400
    assert "license" in answer.json()["detail"]
