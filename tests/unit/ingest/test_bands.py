"""Nodata, scale and offset that a STAC Item states are kept with its scene."""

import math
from typing import Any

import pytest

from items import item
from livemosaic.ingest.assets.bands import stated_encodings
from livemosaic.model.raster import (
    BandEncoding,
    Encoding,
    band_of,
    encodings_from_text,
    encodings_to_text,
)

ZERO = BandEncoding(nodata=0)
PACKED = BandEncoding(nodata=0, scale=0.0001, offset=-0.1)


def encoding(asset: dict[str, Any], **properties: Any) -> Encoding | None:
    document = item(assets={"a": asset}, properties=properties)
    found = stated_encodings(document["assets"], document["properties"])
    assert not found.problems
    return found.encodings.get("a")


@pytest.mark.parametrize(
    ("asset", "expected"),
    [
        pytest.param({}, None, id="nothing"),
        pytest.param({"nodata": 0}, (ZERO,), id="asset, STAC 1.1"),
        pytest.param({"raster:bands": [{"nodata": 0}]}, (ZERO,), id="raster 1"),
        pytest.param(
            {"raster:bands": [{"nodata": 0, "scale": 0.0001, "offset": -0.1}]},
            (PACKED,),
            id="raster 1, all",
        ),
        pytest.param(
            {"bands": [{"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1}]},
            (PACKED,),
            id="STAC 1.1 and raster 2",
        ),
        pytest.param(
            {"nodata": 0, "raster:scale": 0.0001, "raster:offset": -0.1, "bands": [{}, {}]},
            (PACKED, PACKED),
            id="bands inherit from their asset",
        ),
        pytest.param(
            {"nodata": 0, "bands": [{"name": "a"}, {"nodata": 255}]},
            (ZERO, BandEncoding(nodata=255)),
            id="a band's own outranks",
        ),
        pytest.param(
            {"bands": [{"name": "a"}], "raster:bands": [{"nodata": 0}]},
            (ZERO,),
            id="both lists, of which one says it",
        ),
        pytest.param({"raster:bands": [{"nodata": None, "scale": 1, "offset": 0}]}, None, id="no"),
        pytest.param({"file:nodata": [0]}, (ZERO,), id="file 1"),
        pytest.param({"nodata": "nan"}, None, id="NaN is never data"),
        pytest.param({"nodata": "-inf"}, (BandEncoding(nodata=-math.inf),), id="-inf"),
        pytest.param({"nodata": "inf"}, (BandEncoding(nodata=math.inf),), id="inf"),
        pytest.param({"nodata": "-9999"}, (BandEncoding(nodata=-9999),), id="a number as text"),
        pytest.param({"scale": 10, "offset": 3}, None, id="a scale of something else"),
    ],
)
def test_each_place_of_the_specifications_is_read(
    asset: dict[str, Any], expected: Encoding | None
) -> None:
    assert encoding(asset) == expected


def test_assets_fall_back_to_the_properties() -> None:
    assert encoding({}, nodata=0) == (ZERO,)
    assert encoding({"nodata": 7}, nodata=0) == (BandEncoding(nodata=7),)


@pytest.mark.parametrize(
    "stated",
    [
        {"nodata": "none"},
        {"nodata": True},
        {"nodata": [0]},
        {"file:nodata": [0, 255]},
        {"nodata": 10**40},
        {"raster:scale": 0},
        {"raster:scale": "inf"},
        {"raster:offset": "nan"},
    ],
    ids=str,
)
def test_a_value_that_is_none_is_reported(stated: dict[str, Any]) -> None:
    found = stated_encodings({"a": stated}, {})
    assert not found.encodings
    [problem] = found.problems
    assert "asset 'a'" in problem
    assert str(next(iter(stated.values())))[:40] in problem


def test_encodings_are_the_same_after_they_were_stored() -> None:
    """64-bit integers stay exact, and infinities are kept."""
    encodings = {
        "a": (ZERO,),
        "b": (PACKED,),
        "c": (ZERO, BandEncoding(nodata=-(2**63)), BandEncoding()),
        "d": (BandEncoding(nodata=2**64 - 1), BandEncoding(nodata=-math.inf, offset=5)),
        "e": (BandEncoding(nodata=-3.4028234663852886e38),),
    }
    stored = encodings_from_text(encodings_to_text(encodings))
    assert stored == encodings
    assert isinstance(band_of(stored["d"], 0).nodata, int)


def test_what_is_stored_is_short() -> None:
    keys = [f"B{n:02}" for n in range(1, 13)]
    text = encodings_to_text(dict.fromkeys(keys, (PACKED, PACKED)))
    assert text == '[[[[0,0.0001,-0.1]],["' + '","'.join(keys) + '"]]]'
    assert encodings_to_text({"a": (BandEncoding(), BandEncoding())}) == ""
