"""Areas as people give them to `ingest --intersects`."""

import json
from pathlib import Path

import pytest
import shapely
from shapely.geometry import mapping

from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.sources.area import parse_area

SQUARE = shapely.box(7, 45, 8, 46)
GEOMETRY = mapping(SQUARE)
FEATURE = {"type": "Feature", "properties": {}, "geometry": GEOMETRY}


def features(*boxes: tuple[float, float, float, float]) -> str:
    parts = [{**FEATURE, "geometry": mapping(shapely.box(*edges))} for edges in boxes]
    return json.dumps({"type": "FeatureCollection", "features": parts})


FORMS = {
    "geometry": json.dumps(GEOMETRY),
    "feature": json.dumps(FEATURE, indent=2),
    "features": features((7, 45, 7.5, 46), (7.5, 45, 8, 46)),
    "feature without a place": json.dumps(
        {"type": "FeatureCollection", "features": [FEATURE, {**FEATURE, "geometry": None}]}
    ),
    "wkt": SQUARE.wkt,
    "wkt in lower case": "polygon((7 45,8 45,8 46,7 46,7 45))",
    "wkt with heights": "POLYGON Z ((7 45 1, 8 45 1, 8 46 1, 7 46 1, 7 45 1))",
}


@pytest.mark.parametrize("text", FORMS.values(), ids=FORMS)
def test_an_area_may_be_text_or_in_a_file(text: str, tmp_path: Path) -> None:
    named = tmp_path / "area"
    named.write_text(text, "utf-8-sig")
    for given in (text, str(named)):
        found = parse_area(given)
        assert found.equals(SQUARE)
        assert not found.has_z


def test_a_box_is_an_area() -> None:
    assert parse_area("7,45, 8.0,46").equals(SQUARE)
    assert parse_area("-1e0,-.5,1.,2").bounds == (-1, -0.5, 1, 2)


def test_a_box_across_the_antimeridian_is_two() -> None:
    assert [part.bounds for part in parse_area("170,-20,-170,-10").geoms] == [
        (-180, -20, -170, -10),
        (170, -20, 180, -10),
    ]


def test_longitudes_to_360_wrap() -> None:
    """Mars's are counted so in many documents."""
    assert parse_area("POLYGON ((190 0, 200 0, 200 10, 190 10, 190 0))").bounds == (
        *(-170, 0),
        *(-160, 10),
    )


def test_an_area_that_crosses_itself_is_made_valid() -> None:
    assert parse_area("POLYGON ((7 45, 8 46, 8 45, 7 46, 7 45))").is_valid


def test_points_and_lines_are_areas() -> None:
    assert parse_area("POINT (7 45)").geom_type == "Point"
    assert parse_area("LINESTRING (7 45, 8 46)").geom_type == "LineString"


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("no such file", "is not a GeoJSON file, GeoJSON, WKT"),
        ("7,45,8", "is not a GeoJSON file"),
        ('{"type": "Polygon"', "cannot be read"),
        ('{"type": "Polygon", "coordinates": 7}', "cannot be read"),
        ('{"type": "Topology"}', "cannot be read"),
        ('{"type": "FeatureCollection", "features": []}', "is empty"),
        ("POLYGON ((7 45, 8 45))", "cannot be read"),
        ("POLYGON EMPTY", "is not a GeoJSON file"),
        ("POLYGON ((500000 5000000, 510000 5000000, 510000 5010000, 500000 5000000))", "degrees"),
        ("POLYGON ((45 7, 46 107, 46 8, 45 7))", "longitude first"),
    ],
)
def test_anything_else_is_refused_with_the_reason(text: str, reason: str) -> None:
    with pytest.raises(InvalidRequestError, match=reason):
        parse_area(text)


def test_a_file_of_something_else_is_refused(tmp_path: Path) -> None:
    (tmp_path / "area.csv").write_text("lon;lat\n")
    with pytest.raises(InvalidRequestError, match="neither GeoJSON nor WKT"):
        parse_area(str(tmp_path / "area.csv"))
