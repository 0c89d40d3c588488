"""Service exceptions, in words and forms that the standards have (OGC 06-042, 6.11 and E)."""

import re
from typing import Any
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from api.served import AUTHORIZED
from wms.conftest import BBOX, Service
from wms.test_maps import pixels

LONG = "x" * 3000
REFUSED: list[tuple[dict[str, Any], str | None, str]] = [
    ({"REQUEST": None}, None, "REQUEST is missing"),
    ({"REQUEST": "DescribeLayer"}, "OperationNotSupported", "REQUEST 'DescribeLayer'"),
    ({"REQUEST": "GetStyles"}, "OperationNotSupported", "REQUEST 'GetStyles'"),
    ({"SERVICE": "WFS"}, None, "SERVICE 'WFS'"),
    ({"LAYERS": None}, None, "LAYERS is missing"),
    ({"LAYERS": "other"}, "LayerNotDefined", "no layer 'other'"),
    ({"LAYERS": ",".join(9 * "m")}, "OperationNotSupported", "names 9 layers"),
    ({"LAYERS": "m,other"}, "LayerNotDefined", "no layer 'other'"),
    ({"LAYERS": "m,m", "STYLES": "ramp,pretty"}, "StyleNotDefined", "no style 'pretty'"),
    ({"LAYERS": "m,m,m", "STYLES": "ramp,"}, None, "STYLES names 2 styles for 3 layers"),
    ({"LAYERS": "m,m", "FORMAT": "image/tiff"}, None, "one layer: ask for each"),
    ({"LAYERS": "m,m", "WIDTH": 2000, "HEIGHT": 1500}, None, "of 2 layers are 6,000,000 pixels"),
    ({"STYLES": "pretty"}, "StyleNotDefined", "no style 'pretty'"),
    ({"CRS": None}, None, "CRS is missing"),
    ({"CRS": "EPSG:999999"}, "InvalidCRS", "no CRS 'EPSG:999999'"),
    ({"CRS": "AUTO2:42001,1,0,0"}, "InvalidCRS", "automatic projections"),
    ({"CRS": "/etc/passwd"}, "InvalidCRS", "must be like"),
    ({"CRS": "IAU_2015:49900", "BBOX": "0,0,1,1"}, None, "is not on Earth"),
    ({"BBOX": None}, None, "BBOX is missing"),
    ({"BBOX": "1,2,3"}, None, "four numbers"),
    ({"BBOX": "5,5,1,1"}, None, "empty or inverted"),
    ({"BBOX": "1,1,1,1"}, None, "empty or inverted"),
    ({"BBOX": "nan,1,2,3"}, None, "finite"),
    ({"BBOX": "-1e8,0,inf,1"}, None, "finite"),
    ({"WIDTH": None}, None, "WIDTH is missing"),
    ({"WIDTH": "0"}, None, "WIDTH '0'"),
    ({"HEIGHT": "many"}, None, "HEIGHT 'many'"),
    ({"WIDTH": "99999", "HEIGHT": "99999"}, None, "draws 4,194,304 at most"),
    ({"WIDTH": "9" * 5000}, None, "WIDTH"),
    ({"FORMAT": None}, None, "FORMAT is missing"),
    ({"FORMAT": "image/gif"}, "InvalidFormat", "FORMAT 'image/gif'"),
    ({"FORMAT": "image/png; mode=1bit"}, "InvalidFormat", "is not offered"),
    ({"TRANSPARENT": "maybe"}, None, "TRANSPARENT 'MAYBE'"),
    ({"BGCOLOR": "red"}, None, "BGCOLOR 'red'"),
    ({"TIME": "yesterday"}, "InvalidDimensionValue", "TIME 'yesterday'"),
    ({"TIME": "2026-01-02/2026-01-01"}, "InvalidDimensionValue", "TIME"),
    ({"TIME": "2026-01-01/2026-01-02/often"}, "InvalidDimensionValue", "period"),
    ({"TIME": "2026-01-01/2026-01-02/PT0M"}, "InvalidDimensionValue", "no length"),
    ({"TIME": "2026-01-01/2026-12-31/PT1S"}, "InvalidDimensionValue", "more than 100"),
    ({"TIME": "2026", "datetime": "2026"}, None, "TIME and datetime"),
    ({"ELEVATION": "5"}, "InvalidDimensionValue", "ELEVATION"),
    ({"SLD": "http://localhost/"}, "OperationNotSupported", "SLD"),
    ({"rescal": "0,9"}, None, "did you mean 'rescale'"),
    ({"rescale": "9,0"}, None, "rescale '9,0'"),
    ({"expression": "b1+"}, None, "expression"),
    ({"STYLES": "ramp", "render": "stretched"}, None, "use one of them"),
    ({"CRS": LONG}, "InvalidCRS", "must be like"),
    ({"LAYERS": LONG}, "LayerNotDefined", "no layer"),
    ({"STYLES": "<b>&\x01\"'"}, "StyleNotDefined", "no style"),
    ({"REQUEST": "GetFeatureInfo"}, None, "QUERY_LAYERS is missing"),
    ({"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "m"}, None, "I is missing"),
    (
        {"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "m", "I": 256, "J": 0},
        "InvalidPoint",
        "I=256",
    ),
    (
        {"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "m", "I": "a", "J": 0},
        "InvalidPoint",
        "I=a",
    ),
    (
        {"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "m", "I": 0, "J": 0, "INFO_FORMAT": "x/y"},
        "InvalidFormat",
        "INFO_FORMAT 'x/y'",
    ),
    ({"REQUEST": "GetFeatureInfo", "QUERY_LAYERS": "n", "I": 0, "J": 0}, "LayerNotDefined", ""),
    ({"REQUEST": "GetLegendGraphic", "LAYER": "m", "STYLE": "x"}, "StyleNotDefined", "'x'"),
]
"""What is changed in a good request, the code of the exception, and a part of its text."""


def exception(answer: Any) -> tuple[str | None, str]:
    """Code and text, of any version."""
    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    report = ET.fromstring(answer.content)
    assert report.tag.rpartition("}")[2] == "ServiceExceptionReport"
    (one,) = report
    return one.get("code"), one.text or ""


@pytest.mark.parametrize(
    ("changed", "code", "text"), REFUSED, ids=[str(case[0])[:60] for case in REFUSED]
)
def test_what_cannot_be_has_a_code_and_words(
    wms: Service, changed: dict[str, Any], code: str | None, text: str
) -> None:
    answer = wms.map(**changed)
    assert answer.headers["Content-Type"].startswith("text/xml")
    found = exception(answer)
    assert found[0] == code
    assert text in found[1]
    assert len(found[1]) < 700


def test_each_version_has_its_own_names(wms: Service) -> None:
    old = wms.map(VERSION="1.1.1", CRS=None, SRS="EPSG:999999")
    assert old.headers["Content-Type"].startswith("application/vnd.ogc.se_xml")
    assert exception(old)[0] == "InvalidSRS"
    assert "<!DOCTYPE ServiceExceptionReport" in old.text
    assert 'version="1.1.1"' in old.text


def test_parameters_that_contradict_each_other_are_refused(wms: Service) -> None:
    url = f"{wms.map().request.url}&width=300"
    assert "WIDTH is given more than once" in wms.server.client.get(url).text
    url = f"{wms.map().request.url}&nodata=0&NODATA=2"
    assert "nodata is given more than once" in wms.server.client.get(url).text


class TestForms:
    @pytest.mark.parametrize("form", ["INIMAGE", "application/vnd.ogc.se_inimage"])
    def test_an_image_has_the_message(self, wms: Service, form: str) -> None:
        answer = wms.map(LAYERS="other", EXCEPTIONS=form, WIDTH=300, HEIGHT=80)
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Cache-Control"] == "no-store"
        image = pixels(answer)
        assert image.shape[1:] == (80, 300)
        assert 200 < (image[0] == 0).sum() < 1500
        other = pixels(wms.map(LAYERS="another", EXCEPTIONS=form, WIDTH=300, HEIGHT=80))
        assert not np.array_equal(image, other)

    @pytest.mark.parametrize("form", ["BLANK", "application/vnd.ogc.se_blank"])
    def test_or_nothing(self, wms: Service, form: str) -> None:
        clear = pixels(wms.map(LAYERS="other", EXCEPTIONS=form))
        assert not clear[-1].any()
        white = pixels(wms.map(LAYERS="other", EXCEPTIONS=form, TRANSPARENT="FALSE"))
        assert (white == 255).all()

    @pytest.mark.parametrize("changed", [{"WIDTH": "x"}, {"FORMAT": "x"}, {"WIDTH": 99999}])
    def test_xml_where_no_image_can_be(self, wms: Service, changed: dict[str, Any]) -> None:
        size = {"HEIGHT": 99999} if changed == {"WIDTH": 99999} else {}
        exception(wms.map(EXCEPTIONS="INIMAGE", **changed, **size))

    @pytest.mark.parametrize("form", ["INIMAGE", "BLANK"])
    @pytest.mark.parametrize(
        ("media_type", "side"), [("image/webp", 16_400), ("image/jpeg", 65_600)]
    )
    def test_xml_where_the_format_has_no_image_so_large(
        self, wms: Service, media_type: str, side: int, form: str
    ) -> None:
        given = {"FORMAT": media_type, "WIDTH": side, "HEIGHT": 2, "EXCEPTIONS": form}
        exception(wms.map(LAYERS="other", **given))

    @pytest.mark.parametrize("form", ["XML", "application/vnd.ogc.se_xml", "text/xml", "pigeon"])
    def test_xml_for_all_others(self, wms: Service, form: str) -> None:
        exception(wms.map(LAYERS="other", EXCEPTIONS=form))

    def test_no_letter_is_drawn_out_of_the_image(self, wms: Service) -> None:
        for width, height in ((1, 1), (7, 3), (2000, 5)):
            image = pixels(
                wms.map(LAYERS="ö" * 500, EXCEPTIONS="INIMAGE", WIDTH=width, HEIGHT=height)
            )
            assert image.shape[1:] == (height, width)


class TestAccess:
    def test_a_private_mosaic_is_not_there(self, wms: Service) -> None:
        hidden = [
            Service(wms.server, f"/mosaics/{name}/wms", name).map() for name in ("hidden", "none")
        ]
        texts = [re.sub("hidden|none", "NAME", answer.text) for answer in hidden]
        assert texts[0] == texts[1]
        assert [answer.status_code for answer in hidden] == [404, 404]
        assert b"ServiceException" in hidden[0].content
        every = Service(wms.server, "/wms")
        texts = [
            re.sub("hidden|none", "NAME", every.map(LAYERS=n).text) for n in ("hidden", "none")
        ]
        assert texts[0] == texts[1]
        assert "LayerNotDefined" in texts[0]
        assert "hidden" not in every.get(SERVICE="WMS", REQUEST="GetCapabilities").text

    @pytest.mark.parametrize("name", ["access_token", "ACCESS_TOKEN"])
    def test_a_token_opens_it(self, wms: Service, name: str) -> None:
        made = wms.server.client.post("/mosaics/hidden/tokens", json={}, headers=AUTHORIZED)
        token = made.json()["access_token"]
        service = Service(wms.server, "/mosaics/hidden/wms", "hidden")
        answer = service.map(**{name: token})
        assert answer.headers["Content-Type"] == "image/png"
        assert answer.headers["Cache-Control"].startswith("private")
        document = service.get(SERVICE="WMS", REQUEST="GetCapabilities", **{name: token}).text
        assert f"/mosaics/hidden/wms?access_token={token}&amp;" in document
        every = Service(wms.server, "/wms").map(LAYERS="hidden", **{name: token})
        assert every.content == answer.content

    def test_the_token_of_another_mosaic_does_not(self, wms: Service) -> None:
        made = wms.server.client.post("/mosaics/m/tokens", json={}, headers=AUTHORIZED)
        service = Service(wms.server, "/mosaics/hidden/wms", "hidden")
        answer = service.map(access_token=made.json()["access_token"])
        assert (answer.status_code, answer.headers["WWW-Authenticate"]) == (401, "Bearer")
        assert BBOX not in answer.text
