"""Items of STAC 0.8, 0.9 and the candidates of 1.0 are migrated as pystac does, or refused."""

import sys
import warnings
from copy import deepcopy
from typing import Any

import pystac
import pytest
from pystac.extensions.eo import EOExtension

from items import NOW, item
from livemosaic.errors import InvalidItemError
from livemosaic.ingest.item import StacItem
from livemosaic.ingest.migration import migrate
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList

ALLOW = AllowList(("https://",))
BANDS = [
    {"name": "B1", "common_name": "coastal"},
    {"name": "B4", "common_name": "red"},
    {"name": "B3", "common_name": "green"},
    {"name": "B2", "common_name": "blue"},
]
LANDSAT = {
    f"B{number}": {
        "href": f"https://example.com/B{number}.TIF",
        "type": "image/vnd.stac.geotiff",
        "eo:bands": [index],
    }
    for index, number in enumerate((1, 4, 3, 2))
}


def old(version: str, **rest: Any) -> dict[str, Any]:
    """An Item as Landsat on AWS had it: extensions by short names, bands by their numbers."""
    document = item("LC8", stac_version=version, bbox=[7, 45, 8, 46], assets=deepcopy(LANDSAT))
    document["stac_extensions"] = ["eo"]
    document["properties"] |= {
        "eo:bands": BANDS,
        "eo:platform": "landsat-8",
        "eo:instrument": "OLI_TIRS",
        "eo:gsd": 15,
        "eo:cloud_cover": 22,
        "eo:sun_azimuth": 152.6,
        "eo:off_nadir": 0,
        "eo:epsg": 32613,
    }
    return document | rest


def beta(version: str) -> dict[str, Any]:
    """An Item of 1.0.0-beta.1 and later: bands in the assets, extensions short or by schema."""
    document = item("S2", stac_version=version, bbox=[7, 45, 8, 46], assets=deepcopy(LANDSAT))
    for asset, band in zip(document["assets"].values(), BANDS, strict=True):
        asset["eo:bands"] = [band]
    document["stac_extensions"] = (
        ["https://stac-extensions.github.io/eo/v1.0.0/schema.json"]
        if "rc" in version
        else ["eo", "projection", "view"]
    )
    document["properties"] |= {"eo:cloud_cover": 22, "proj:epsg": 32632, "gsd": 10}
    return document


OLD = ["0.8.0", "0.8.1", "0.9.0-rc2", "0.9.0"]
BETAS = [f"1.0.0-{name}" for name in ("beta.1", "beta.2", "rc.1", "rc.2", "rc.3", "rc.4")]
DOCUMENTS = [
    *(pytest.param(old(version), id=version) for version in OLD),
    *(pytest.param(beta(version), id=version) for version in BETAS),
]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_it_is_what_pystac_makes_of_it(document: dict[str, Any]) -> None:
    published = deepcopy(document)
    found = migrate(document)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        expected = pystac.Item.from_dict(deepcopy(document), migrate=True)
    assert document == published
    assert found.document["stac_version"] == "1.1.0"
    assert found.document["properties"] == expected.to_dict()["properties"]
    assert found.document["stac_extensions"] == expected.stac_extensions
    for key, asset in expected.assets.items():
        assert found.document["assets"][key] == asset.to_dict()
        bands = EOExtension.ext(asset).bands
        assert bands
        assert [band.common_name for band in bands] == [
            band["common_name"] for band in found.document["assets"][key]["eo:bands"]
        ]


@pytest.mark.parametrize("document", DOCUMENTS)
def test_its_scene_has_the_bands_by_their_names(document: dict[str, Any]) -> None:
    parsed = StacItem.parse(document, order=Order(NOW))
    scene = parsed.scene(Mosaic(id="m", properties=("eo:cloud_cover", "gsd")), ALLOW)
    assert scene.shown_assets == ("B4", "B3", "B2")
    assert scene.properties["eo:cloud_cover"] == 22
    assert scene.properties["gsd"] in (10, 15)


def test_fields_have_their_present_names() -> None:
    properties = migrate(old("0.8.1")).document["properties"]
    assert properties["platform"] == "landsat-8"
    assert properties["instruments"] == ["OLI_TIRS"]
    assert properties["view:sun_azimuth"] == 152.6
    assert properties["proj:code"] == "EPSG:32613"


def test_a_range_of_time_has_its_present_name() -> None:
    document = old("0.8.1", stac_extensions=["datetime-range", "eo"])
    document["properties"] |= {"datetime": None, "dtr:start_datetime": "2020-01-01T00:00:00Z"}
    scene = StacItem.parse(document, order=Order(NOW)).scene(Mosaic(id="m"), ALLOW)
    assert scene.datetime == "2020-01-01T00:00:00Z"


@pytest.mark.parametrize("version", ["1.0.0", "1.0.1", "1.1.0", "1.2.0"])
def test_a_present_one_is_taken_as_it_is(version: str) -> None:
    document = item(stac_version=version)
    assert migrate(document).document is document


@pytest.mark.parametrize("version", ["0.6.2", "0.7.0", "0.10.0", "2.0.0", "1.2.0-beta.1", None, 9])
def test_other_versions_are_refused(version: Any) -> None:
    with pytest.raises(InvalidItemError, match=r"0\.8 to 1\.1"):
        migrate(item() | {"stac_version": version})


def test_the_version_of_the_scene_is_that_of_what_was_published() -> None:
    """Another pystac may migrate otherwise: that is no other version of the Item."""
    document = old("0.9.0")
    parsed = StacItem.parse(document, order=Order(NOW))
    assert parsed.published == document
    present = StacItem.parse(parsed.document, order=Order(NOW))
    mosaic = Mosaic(id="m")
    assert parsed.scene(mosaic, ALLOW).version != present.scene(mosaic, ALLOW).version


class TestLoud:
    def test_without_pystac_it_says_where_there_is_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "pystac.serialization", None)
        with pytest.raises(InvalidItemError, match=r"'0\.9\.0'.*livemosaic ingest"):
            migrate(old("0.9.0"))
        assert migrate(item()).document == item()

    @pytest.mark.parametrize(
        ("change", "why"),
        [
            pytest.param({"assets": {"a": {"href": "x", "eo:bands": [9]}}}, "IndexError", id="no"),
            pytest.param({"assets": []}, "pystac cannot", id="assets"),
            pytest.param({"properties": None}, "pystac cannot", id="properties"),
            pytest.param({"stac_extensions": 3}, "pystac cannot", id="extensions"),
        ],
    )
    def test_what_pystac_cannot_migrate_is_refused(self, change: dict[str, Any], why: str) -> None:
        with pytest.raises(InvalidItemError, match=why):
            migrate(old("0.9.0") | change)

    def test_a_negative_number_of_a_band_is_refused(self) -> None:
        """Python would count it from the end of the list."""
        document = old("0.9.0")
        document["assets"]["B4"]["eo:bands"] = [-1]
        with pytest.raises(InvalidItemError, match="-1"):
            migrate(document)

    def test_a_changed_place_is_refused(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def broken(document: dict[str, Any], _: Any) -> dict[str, Any]:
            return document | {"stac_version": "1.1.0", "stac_extensions": [], "bbox": [0, 0, 1, 1]}

        monkeypatch.setattr("pystac.serialization.migrate_to_latest", broken)
        with pytest.raises(InvalidItemError, match="would change its bbox"):
            migrate(old("0.9.0"))

    def test_fields_left_to_the_collection_are_named(self) -> None:
        document = old("0.9.0", stac_extensions=["eo", "commons", "cbers"])
        del document["properties"]["eo:bands"]
        notes = migrate(document).notes
        assert any("'commons'" in note for note in notes)
        assert any("'cbers'" in note for note in notes)
        assert any("eo:bands" in note and "B4" in note for note in notes)

    @pytest.mark.parametrize("document", DOCUMENTS)
    def test_an_ordinary_one_comes_without_a_word(self, document: dict[str, Any]) -> None:
        assert migrate(document).notes == ()
