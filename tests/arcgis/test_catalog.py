"""identify, getSamples, query and object ids: items of a mosaic, as ArcGIS's clients know them."""

import json
from collections.abc import Iterator

import numpy as np
import pytest

from api.served import AUTHORIZED, EDGE, LEFT, RIGHT, STEP, Part, Server, raster, scene, serving
from arcgis.asking import asked, exported, pixels, url
from livemosaic.index.object_ids import numbers
from livemosaic.table.sqlite import SqliteTable

AMID = {"x": (EDGE.left + EDGE.right) / 2 - STEP, "y": (EDGE.top + EDGE.bottom) / 2}
PARTS: dict[str, Part] = {"a": (0, 0, 200, 256), "b": LEFT, "c": RIGHT}


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """The mosaic `m` of three scenes: `a` below `b` in the west and `c` in the east."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create(properties=["eo:cloud_cover", "platform"])
        for day, (name, part) in enumerate(PARTS.items(), 1):
            path = raster(folder / f"{name}.tif", [day, 10 * day, 20 * day], part)
            properties = {"eo:cloud_cover": 50 - 10 * day, "platform": f"it's {name}"}
            made.add(scene(name, made.url(path), part, day=day, properties=properties))
        yield made


def ids(service: Server, mosaic: str = "m", **parameters: object) -> dict[str, int]:
    """Object ids by name."""
    found = asked(service, "query", mosaic, outFields="*", returnGeometry=False, **parameters)
    return {f["attributes"]["Name"]: f["attributes"]["OBJECTID"] for f in found["features"]}


class TestQuery:
    @pytest.mark.parametrize(
        ("where", "names"),
        [
            ("1=1", "abc"),
            ("Name = 'a'", "a"),
            ('"eo:cloud_cover" < 40', "bc"),
            ("platform = 'it''s b'", "b"),
            ("Name IN ('a', 'c') AND \"eo:cloud_cover\" > 20", "a"),
            ("OBJECTID > 0", "abc"),
            ("datetime > timestamp '2026-01-02 12:00:00'", "c"),
        ],
    )
    def test_a_condition_selects_items(self, service: Server, where: str, names: str) -> None:
        assert sorted(ids(service, where=where)) == list(names)

    def test_object_ids_select_items(self, service: Server) -> None:
        known = ids(service)
        assert ids(service, objectIds=f"{known['b']},{known['a']}").keys() == {"a", "b"}
        assert ids(service, where=f"OBJECTID = {known['c']}") == {"c": known["c"]}
        assert ids(service, where=f"OBJECTID IN ({known['c']}, {known['b']})").keys() == {"b", "c"}
        assert ids(service, objectIds="7") == {}
        assert "must be" in asked(service, "query", objectIds="x")["error"]["message"]
        strange = asked(service, "query", geometry=AMID, spatialRel="inside")["error"]["message"]
        assert "known are esriSpatialRelIntersects," in strange

    def test_a_geometry_selects_items_in_any_reference(self, service: Server) -> None:
        east = {"x": EDGE.right - STEP, "y": AMID["y"], "spatialReference": {"wkid": 102100}}
        assert ids(service, geometry=east, geometryType="esriGeometryPoint").keys() == {"c"}
        box = f"{EDGE.left},{EDGE.bottom},{EDGE.left + STEP},{EDGE.top}"
        assert ids(service, geometry=box, geometryType="esriGeometryEnvelope").keys() == {"a", "b"}
        ring = [[-180, -90], [-180, 90], [180, 90], [180, -90], [-180, -90]]
        everywhere = {"rings": [ring], "spatialReference": {"wkid": 4326}}
        assert len(ids(service, geometry=everywhere)) == 3
        assert ids(service, geometry="-400,-300,400,300", inSR=4326).keys() == {"a", "b", "c"}
        within = ids(service, geometry=everywhere, spatialRel="esriSpatialRelContains")
        assert within == {}

    def test_times_counts_ids_orders_and_pages(self, service: Server) -> None:
        assert asked(service, "query", returnCountOnly=True)["count"] == 3
        second = 1767312000000  # 2026-01-02
        assert ids(service, time=f"{second},null").keys() == {"b", "c"}
        assert len(asked(service, "query", returnIdsOnly=True)["objectIds"]) == 3
        by_cloud = asked(service, "query", outFields="*", orderByFields="eo:cloud_cover DESC")
        assert [f["attributes"]["Name"] for f in by_cloud["features"]] == list("abc")
        first = asked(service, "query", resultRecordCount=2)
        rest = asked(service, "query", resultRecordCount=2, resultOffset=2)
        assert first["exceededTransferLimit"] is True
        assert "exceededTransferLimit" not in rest
        assert len(first["features"]) + len(rest["features"]) == 3

    def test_footprints_are_clockwise_rings_in_the_reference_asked_for(self, service) -> None:
        (found,) = asked(service, "query", where="Name='b'", outSR=102100)["features"]
        (ring,) = found["geometry"]["rings"]
        x, y = np.array(ring).T
        assert [x.min(), y.min(), x.max(), y.max()] == pytest.approx(
            [EDGE.left, EDGE.bottom, EDGE.left + 128 * STEP, EDGE.top], abs=1
        )
        assert ((x[1:] - x[:-1]) * (y[1:] + y[:-1])).sum() > 0

    def test_geojson_has_features_with_ids(self, service: Server) -> None:
        answer = service.get(url("query"), f="geojson", outFields="*", where="Name='a'")
        assert answer.headers["Content-Type"].startswith("application/geo+json")
        (feature,) = answer.json()["features"]
        assert feature["id"] == feature["properties"]["OBJECTID"] == ids(service)["a"]
        assert feature["properties"]["datetime"] == 1767225600000


class TestObjectIds:
    def test_an_item_has_the_same_number_when_it_is_added_again(self, service: Server) -> None:
        before = ids(service)["a"]
        path = service.folder / "a.tif"
        again = scene("a", service.url(path), PARTS["a"], day=1, properties={"platform": "it's a"})
        service.client.delete("/mosaics/m/items/a", params={"collection": "s2"}, headers=AUTHORIZED)
        assert "a" not in ids(service)
        assert asked(service, str(before))["error"]["code"] == 404
        again["properties"]["eo:cloud_cover"] = 40
        answer = service.client.post(
            "/mosaics/m/items", json=again, params={"force": "true"}, headers=AUTHORIZED
        )
        assert answer.status_code == 200, answer.text
        assert ids(service)["a"] == before

    def test_numbers_are_whole_and_exact_in_javascript(self, service: Server) -> None:
        found = ids(service).values()
        assert len(set(found)) == 3
        assert all(0 < number < 2**53 for number in found)

    def test_rules_lock_and_select_by_numbers(self, service: Server) -> None:
        known = ids(service)
        lock = {"mosaicMethod": "esriMosaicLockRaster", "lockRasterIds": [known["a"], known["b"]]}
        found = exported(service, mosaicRule=lock, format="tiff")
        assert found.headers["X-Scenes"] == "a"
        assert pixels(found)[0, 0, 0] == 1
        fids = {"mosaicMethod": "esriMosaicNone", "fids": [known["c"]]}
        assert exported(service, mosaicRule=fids).headers["X-Scenes"] == "c"
        where = {"where": f"OBJECTID IN ({known['a']})"}
        assert exported(service, mosaicRule=where).headers["X-Scenes"] == "a"

    def test_a_number_that_no_item_has_is_an_error_and_no_picture(self, service: Server) -> None:
        lock = {"mosaicMethod": "esriMosaicLockRaster", "lockRasterIds": [12345]}
        assert "no item of object id 12345" in exported(service, mosaicRule=lock).text
        assert exported(service, mosaicRule=lock).status_code == 400

    def test_two_items_of_one_number_are_named_and_neither_is_drawn(
        self, service: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """What 29 bits of a hash make rare, a hash of no bits makes sure."""
        monkeypatch.setattr(numbers, "hash_of_key", lambda key: 1)
        monkeypatch.setattr("livemosaic.index.object_ids.lookup.hash_of_key", lambda key: 1)
        same = ids(service, where="Name IN ('a', 'b')")
        assert same["a"] == same["b"]
        lock = {"mosaicMethod": "esriMosaicLockRaster", "lockRasterIds": [same["a"]]}
        answer = exported(service, mosaicRule=lock)
        assert answer.status_code == 400
        assert "is of 2 items" in answer.text
        assert "s2/a" in answer.text
        assert "is of 2 items" in asked(service, str(same["a"]))["error"]["message"]

    def test_each_item_is_found_alone_with_its_info_and_thumbnail(self, service: Server) -> None:
        number = ids(service)["b"]
        found = asked(service, str(number))
        assert found["attributes"]["Name"] == "b"
        info = asked(service, f"{number}/info")
        assert info["extent"]["xmin"] == pytest.approx(EDGE.left, abs=1)
        image = service.client.get(url(f"{number}/thumbnail"))
        assert image.headers["Content-Type"] in ("image/jpeg", "image/png")
        assert image.headers["X-Scenes"] == "b"


class TestRows:
    """esriMosaicNone orders rasters as the rows of the attribute table (Esri, "Mosaic rules")."""

    @pytest.mark.parametrize("ascending", [True, False])
    def test_none_is_the_order_in_which_a_query_lists_items(self, service, ascending: bool) -> None:
        listed = [*ids(service, geometry=AMID)]
        rule = {"mosaicMethod": "esriMosaicNone", "ascending": ascending}
        place = asked(service, "identify", geometry=AMID, mosaicRule=rule)["catalogItems"]
        named = [item["attributes"]["Name"] for item in place["features"]]
        assert named == (listed if ascending else listed[::-1]) == sorted(listed, reverse=ascending)
        drawn = exported(service, mosaicRule=rule, format="tiff")
        middle = pixels(drawn)[0, 128, 127]
        assert middle == {"a": 1, "b": 2}[named[0]]

    def test_it_is_the_default_that_clients_send_back(self, service: Server) -> None:
        described = asked(service)
        assert described["defaultMosaicMethod"] == "None"
        plain = exported(service, format="tiff").content
        for name in ("None", "esriMosaicNone"):
            rule = {"mosaicMethod": name, "ascending": described["sortAscending"]}
            assert exported(service, mosaicRule=rule, format="tiff").content == plain


class TestPlaces:
    def test_identify_has_the_value_and_all_items_top_first(self, service: Server) -> None:
        found = asked(service, "identify", geometry=AMID, geometryType="esriGeometryPoint")
        assert found["value"] == "2, 20, 40"
        assert found["properties"]["Values"] == ["2 20 40", "1 10 20"]
        names = [f["attributes"]["Name"] for f in found["catalogItems"]["features"]]
        assert names == ["b", "a"]
        assert found["catalogItemVisibilities"] == [1, 0]
        assert found["location"]["spatialReference"]["latestWkid"] == 3857
        first = found["catalogItems"]["features"][0]["attributes"]["OBJECTID"]
        assert first == ids(service)["b"]

    def test_identify_follows_the_mosaic_rule_and_the_rendering_rule(self, service) -> None:
        rule = {"mosaicMethod": "esriMosaicNone", "ascending": False}
        assert asked(service, "identify", geometry=AMID, mosaicRule=rule)["value"] == "1, 10, 20"
        mean = {"mosaicOperation": "MT_MEAN"}
        assert asked(service, "identify", geometry=AMID, mosaicRule=mean)["value"] == "1, 15, 30"
        extract = {"rasterFunction": "ExtractBand", "rasterFunctionArguments": {"BandIDs": [2]}}
        assert asked(service, "identify", geometry=AMID, renderingRule=extract)["value"] == "40"

    def test_identify_of_nothing_is_nodata(self, service: Server) -> None:
        found = asked(service, "identify", geometry="0,0", inSR=4326)
        assert found["value"] == "NoData"
        assert found["catalogItems"]["features"] == []
        assert asked(service, "identify")["error"]["code"] == 400

    def test_samples_are_taken_at_points_along_lines_and_in_polygons(self, service) -> None:
        y = AMID["y"]
        points = [[EDGE.left + STEP / 2, y], [EDGE.right - STEP / 2, y], [EDGE.right + 9e4, y]]
        found = asked(service, "getSamples", geometry={"points": points}, outFields="Name")
        assert [one["value"] for one in found["samples"]] == ["2 20 40", "3 30 60", "NoData"]
        assert [one.get("attributes", {}).get("Name") for one in found["samples"]] == [
            "b",
            "c",
            None,
        ]
        line = {"paths": [points[:2]]}
        along = asked(service, "getSamples", geometry=line, sampleCount=5)["samples"]
        assert [one["value"][0] for one in along] == ["2", "2", "3", "3", "3"] or len(along) == 5
        assert along[0]["location"]["x"] == pytest.approx(points[0][0])
        assert along[-1]["location"]["x"] == pytest.approx(points[1][0])
        box = f"{EDGE.left},{EDGE.bottom},{EDGE.right},{EDGE.top}"
        inside = asked(service, "getSamples", geometry=box, sampleCount=9)["samples"]
        assert len(inside) == 9
        assert {one["value"] for one in inside} <= {"2 20 40", "3 30 60"}

    def test_forms_take_long_geometries(self, service: Server) -> None:
        ring = [[EDGE.left + n, EDGE.top] for n in range(2000)] + [[EDGE.left, EDGE.bottom]]
        form = {
            "f": "json",
            "geometry": json.dumps({"rings": [[*ring, ring[0]]]}),
            "outFields": "*",
        }
        found = service.client.post(url("query"), data=form).json()
        assert {f["attributes"]["Name"] for f in found["features"]} == {"a", "b"}
