"""Times and spatial references in ArcGIS's mosaic rules, as the ArcGIS REST API writes them."""

import json
import random
from typing import Any

import pytest
import rasterio
from pyproj import CRS, Transformer

from livemosaic.errors import InvalidRequestError
from livemosaic.tiler.rules.arcgis import parameters

JUNE = 1_590_969_600_000
"""2020-06-01T00:00:00Z in milliseconds since 1970."""
STAMP, LATER = "2020-06-01T00:00:00.000000Z", "2020-06-01T00:00:00.000999Z"


def _rule(**fields: Any) -> dict[str, Any]:
    return parameters(json.dumps(fields))


def _viewpoint(x: float, y: float, reference: Any) -> tuple[float, float]:
    point = {"x": x, "y": y, "spatialReference": reference}
    lon, lat = _rule(mosaicMethod="esriMosaicViewpoint", viewpoint=point)["viewpoint"].split(",")
    return float(lon), float(lat)


class TestTime:
    @pytest.mark.parametrize(
        ("time", "interval"),
        [
            (JUNE, f"{STAMP}/{LATER}"),
            ([JUNE], f"{STAMP}/{LATER}"),
            (str(JUNE), f"{STAMP}/{LATER}"),
            ([JUNE, JUNE], f"{STAMP}/{LATER}"),
            (f"{JUNE}, {JUNE}", f"{STAMP}/{LATER}"),
            ([JUNE, None], f"{STAMP}/"),
            (f"null,{JUNE}", f"/{LATER}"),
            (-1, "1969-12-31T23:59:59.999000Z/1969-12-31T23:59:59.999999Z"),
        ],
    )
    def test_an_instant_or_extent_is_an_interval(self, time: Any, interval: str) -> None:
        assert _rule(time=time) == {"datetime": interval}

    @pytest.mark.parametrize("time", [None, "null,null", [None, None]])
    def test_an_extent_without_ends_is_all_time(self, time: Any) -> None:
        assert _rule(time=time) == {}

    @pytest.mark.parametrize(
        "time",
        ["2020", 2020, "a,b", [1, 2, 3], [], {}, True, ["2020"], 1e300, [JUNE, "x"], "[" * 5000],
    )
    def test_anything_else_is_refused_by_name(self, time: Any) -> None:
        with pytest.raises(InvalidRequestError, match="time"):
            _rule(time=time)


class TestSpatialReference:
    @pytest.mark.parametrize(
        "reference",
        [
            {"wkid": 102100, "latestWkid": 3857}, {"wkid": 102113}, {"latestWkid": 3857}, 3857,
            {"wkt": CRS(3857).to_wkt("WKT1_ESRI")}, {"wkt2": CRS(3857).to_wkt("WKT2_2019")},
            {"wkid": 3857, "vcsWkid": 5703},
        ],
    )  # fmt: skip
    def test_web_mercator_in_all_its_forms(self, reference: Any) -> None:
        assert _viewpoint(1e6, 5e6, reference) == pytest.approx((8.983152841195, 40.9162), abs=1e-4)

    @pytest.mark.parametrize("reference", [None, {}, {"wkid": 4326}, 4326, {"wkid": 104115}])
    def test_degrees_are_longitude_and_latitude(self, reference: Any) -> None:
        assert _viewpoint(7.5, 45.25, reference) == pytest.approx((7.5, 45.25), abs=1e-4)

    def test_any_reference_gives_the_place_that_pyproj_gives(self) -> None:
        some = random.Random(14)
        for name in (
            "EPSG:32632",
            "EPSG:2056",
            "EPSG:3035",
            "EPSG:2263",
            "ESRI:54030",
            "ESRI:102008",
        ):
            crs, code = CRS(name), int(name.partition(":")[2])
            there = Transformer.from_crs(4326, crs, always_xy=True)
            west, south, east, north = crs.area_of_use.bounds if crs.area_of_use else (-9, 9, 9, 20)
            for _ in range(20):
                lon, lat = some.uniform(west, east), some.uniform(south, north)
                x, y = there.transform(lon, lat)
                for reference in (
                    {"wkid": code}, {"wkt": crs.to_wkt("WKT1_ESRI")}, {"wkt": crs.to_wkt()},
                ):  # fmt: skip
                    assert _viewpoint(x, y, reference) == pytest.approx((lon, lat), abs=2e-4)

    @pytest.mark.parametrize(
        "reference",
        [
            {"wkid": 999_999}, {"wkid": "x"}, {"wkid": True}, {"wkt": "nonsense"}, {"wkt": 3}, "x",
            {"wkid": 5703}, {"wkt": CRS(5703).to_wkt()}, [4326], {"wkt": "/etc/passwd"}, {"wkd": 1},
            {"wkid": -1}, {"wkid": 10**30},
        ],
        ids=str,
    )  # fmt: skip
    def test_what_is_not_known_is_refused_by_name(self, reference: Any) -> None:
        with pytest.raises(InvalidRequestError, match="spatialReference"):
            _viewpoint(0, 0, reference)

    @pytest.mark.parametrize("x", [1e300, float("nan"), float("inf")])
    def test_a_place_off_the_globe_is_refused(self, x: float) -> None:
        with pytest.raises(InvalidRequestError, match="viewpoint"):
            _viewpoint(x, 0, {"wkid": 32632})


class TestViewpointOnMars:
    DEGREES = rasterio.crs.CRS.from_user_input("IAU_2015:49900")

    def viewpoint(self, x: float, y: float, **reference: Any) -> tuple[float, float]:
        point = {"x": x, "y": y} | ({"spatialReference": reference} if reference else {})
        rule = json.dumps({"mosaicMethod": "esriMosaicViewpoint", "viewpoint": point})
        lon, lat = parameters(rule, self.DEGREES)["viewpoint"].split(",")
        return float(lon), float(lat)

    @pytest.mark.parametrize(
        "name",
        [
            "ESRI:104905", "ESRI:104971", "ESRI:103885",
            "IAU_2015:49900", "IAU_2015:49910", "IAU_2015:49990",
        ],
    )  # fmt: skip
    def test_references_of_mars_are_what_proj_knows_them_to_be(self, name: str) -> None:
        crs, code = CRS(name), int(name.partition(":")[2])
        there = Transformer.from_crs("IAU_2015:49900", crs, always_xy=True)
        for lon, lat in [(77.5, 18.5), (-133.8, -4.6), (0.0, 70.0)]:
            x, y = there.transform(lon, lat)
            for reference in ({"wkid": code}, {"latestWkid": code}, {"wkt": crs.to_wkt()}):
                assert self.viewpoint(x, y, **reference) == pytest.approx((lon, lat), abs=1e-6)

    def test_without_a_reference_it_is_in_the_degrees_of_mars(self) -> None:
        assert self.viewpoint(77.5, 18.5) == (77.5, 18.5)

    @pytest.mark.parametrize(
        ("code", "body"), [(4326, "Earth"), (102100, "Earth"), (104903, "Moon"), (30110, "Moon")]
    )
    def test_references_of_another_body_are_refused_with_both_names(
        self, code: int, body: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=f"body, {body}: the mosaic is of Mars"):
            self.viewpoint(7.5, 18.5, wkid=code)

    @pytest.mark.parametrize("code", [104905, 49910])
    def test_nor_has_the_earth_viewpoints_on_mars(self, code: int) -> None:
        with pytest.raises(InvalidRequestError, match="body, Mars: the mosaic is of Earth"):
            _viewpoint(77.5, 18.5, {"wkid": code})

    def test_a_reference_that_counts_to_the_west_is_refused(self) -> None:
        with pytest.raises(InvalidRequestError, match="to the west"):
            self.viewpoint(4.5e6, 1e6, wkid=49911)
