"""Clients of catalogues read the STAC API: OWSLib by OGC API - Features and Maps, pystac-client."""

import io

import pystac_client
import pytest
from PIL import Image

from api.served import Server


def test_owslib_reads_features(mosaics: Server, url: str) -> None:
    features = pytest.importorskip("owslib.ogcapi.features", reason="OWSLib is not installed")
    service = features.Features(f"{url}/")
    assert {"rgb", "dtm", "empty"} <= {*service.feature_collections()}
    page = service.collection_items("rgb", bbox=[7.7, 45.5, 8.1, 45.9], limit=5)
    assert [item["id"] for item in page["features"]] == ["a"]
    assert service.collection_items("rgb", filter="id = 'b'")["features"] == []
    assert service.collection_item("rgb", "a")["collection"] == "rgb"
    assert "datetime" in service.collection_queryables("rgb")["properties"]


def test_owslib_reads_maps(mosaics: Server, url: str) -> None:
    maps = pytest.importorskip("owslib.ogcapi.maps", reason="OWSLib is not installed")
    service = maps.Maps(f"{url}/")
    drawn = service.map("rgb", bbox=[7.75, 45.6, 8.05, 45.8], width=64, height=48)
    expected = mosaics.get(
        "/mosaics/rgb/map", bbox="7.75,45.6,8.05,45.8", width=64, height=48, f="png"
    )
    with Image.open(drawn) as ours, Image.open(io.BytesIO(expected.content)) as theirs:
        assert ours.size == (64, 48)
        assert ours.convert("RGBA").tobytes() == theirs.convert("RGBA").tobytes()


def test_pystac_client_finds_collections_and_items(mosaics: Server, url: str) -> None:
    client = pystac_client.Client.open(url)
    assert {"rgb", "dtm", "empty"} <= {one.id for one in client.get_collections()}
    assert [item.id for item in client.get_collection("dtm").get_items()] == ["a"]
    found = client.search(collections=["rgb", "dtm", "empty"], bbox=[7.7, 45.5, 8.1, 45.9])
    assert sorted(item.collection_id for item in found.items()) == ["dtm", "rgb"]
