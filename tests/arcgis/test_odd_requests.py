"""Requests that clients do send, though rarely: each gets an answer that is true, or a clear no."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from api.served import AUTHORIZED, TOKEN, Server, scene, serving
from arcgis.asking import BOX, asked, url
from items import box
from livemosaic.table.sqlite import SqliteTable

EARTH = [[0, 0], [0, 50], [50, 50], [50, 0], [0, 0]]


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """`m` of one scene; `nan`, whose nodata is NaN, of huge values; `date`, of scenes at ±180."""
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("a", [10, 20, 30])
        made.create("nan")
        values = np.full((1, 256, 256), 1e300)
        values[0, :, :128] = -1e300
        values[0, 0, :9] = np.nan, np.inf, -np.inf, *[np.nan] * 6
        made.publish("n", values, mosaic="nan", nodata=float("nan"))
        made.create("date")
        made.add(
            _item(made, "across", box(179, -2, 181, 2)),
            _item(made, "east", box(173, -2, 177, 2)),
            _item(made, "pole", box(10, 80, 20, 90)),
            mosaic="date",
        )
        yield made


def _item(server: Server, name: str, geometry: dict[str, Any]) -> dict[str, Any]:
    """Of a file that no test here reads."""
    return {**scene(name, f"{server.href}/{name}.tif"), "geometry": geometry}


def names(service: Server, **parameters: Any) -> set[str]:
    found = asked(service, "query", "date", outFields="*", **parameters)
    return {feature["attributes"]["Name"] for feature in found["features"]}


def refused(answer: Any) -> str:
    assert answer.status_code in (200, 400, 404), answer.text
    error = answer.json()["error"]
    assert error["code"] in (400, 404), error
    return str(error["message"])


def test_documents_of_a_mosaic_without_finite_numbers_are_json(service: Server) -> None:
    found = asked(service, mosaic="nan")
    assert "noDataValue" not in found
    assert found["meanValues"][0] == pytest.approx(0, abs=1e299)
    assert found["stdvValues"] == [pytest.approx(1e300, rel=0.01)]
    operations = "keyProperties", "legend", "statistics", "histograms"
    for path in (
        *(f"{url(name, 'nan')}?f=json" for name in operations),
        "/mosaics/nan", "/mosaics/nan/tiles/WebMercatorQuad/tilejson.json", "/mosaics/nan/info",
        "/collections/nan",
    ):  # fmt: skip
        answer = service.get(path)
        assert answer.status_code == 200, (path, answer.text)
        json.loads(answer.text, parse_constant=pytest.fail)


class TestConditions:
    @pytest.mark.parametrize(
        "parameters",
        [
            {"where": "OBJECTID = 1 OR " * 1000 + "1=1"},
            {"where": "Name = '" + "a" * 9000 + "'"},
        ],
        ids=["many", "long"],
    )
    def test_a_condition_that_is_too_long_is_refused(
        self, service: Server, parameters: dict[str, str]
    ) -> None:
        answer = service.client.post(url("query"), data={"f": "json", **parameters})
        assert "characters; it may have 8,000" in refused(answer)

    def test_a_mosaic_rule_that_is_too_long_is_refused(self, service: Server) -> None:
        rule = json.dumps({"where": "Name = '" + "a" * 9000 + "'"})
        form = {"f": "json", "bbox": BOX, "mosaicRule": rule}
        answer = service.client.post(url("exportImage"), data=form)
        assert "mosaicRule has 9,022 characters; it may have 8,000" in refused(answer)

    def test_names_of_object_ids_may_make_a_rule_too_long(self, service: Server) -> None:
        service.create("long")
        for number in range(4):
            service.publish(f"{number}" * 200, [1], mosaic="long", day=number + 1)
        found = asked(service, "query", "long", returnIdsOnly=True)["objectIds"]
        where = " OR ".join([f"OBJECTID IN ({','.join(map(str, found))})"] * 9)
        answer = service.client.post(url("query", "long"), data={"f": "json", "where": where})
        assert "in place of object ids" in refused(answer)

    def test_object_ids_are_counted_over_the_whole_condition(self, service: Server) -> None:
        terms = " OR ".join(f"OBJECTID = {number}" for number in range(1, 102))
        answer = service.client.post(url("query"), data={"f": "json", "where": terms})
        assert "101 object ids, at most 100 are looked for" in refused(answer)
        (known,) = asked(service, "query", returnIdsOnly=True)["objectIds"]
        again = " OR ".join([f"OBJECTID = {known}"] * 20)
        assert asked(service, "query", where=again, returnCountOnly=True) == {"count": 1}

    def test_numbers_of_any_length_are_no_item(self, service: Server) -> None:
        where = f"OBJECTID = {'9' * 5000}"
        answer = service.client.post(
            url("query"), data={"f": "json", "where": where, "returnCountOnly": "true"}
        )
        assert answer.json() == {"count": 0}

    def test_the_category_is_a_field_of_conditions_too(self, service: Server) -> None:
        assert asked(service, "query", where="Category = 1", returnCountOnly=True) == {"count": 1}
        assert asked(service, "query", where="Category <> 1", returnCountOnly=True) == {"count": 0}

    def test_no_fids_are_refused_rather_than_all(self, service: Server) -> None:
        answer = service.get(
            url("exportImage"), f="image", bbox=BOX, mosaicRule=json.dumps({"fids": []})
        )
        assert "fids are empty" in answer.text

    def test_an_order_by_every_field_is_refused(self, service: Server) -> None:
        assert "must name fields" in asked(service, "query", orderByFields="*")["error"]["message"]


@pytest.mark.parametrize(
    "path", ["9" * 4400, "9" * 4400 + "/info", "tile/5/" + "9" * 4400 + "/0", "9" * 16]
)
def test_numbers_in_paths_may_have_any_length(service: Server, path: str) -> None:
    assert service.get(url(path), f="json").status_code in (200, 404)


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("query", {"geometry": {"rings": [EARTH], "spatialReference": {"wkid": 104905}}}),
        ("query", {"geometry": {"points": [[1, 1]], "spatialReference": {"wkid": 104905}}}),
        ("query", {"geometry": "0,0,1,1", "inSR": 104905}),
        ("query", {"outSR": 104905}),
        ("identify", {"geometry": {"rings": [EARTH], "spatialReference": {"wkid": 104905}}}),
        ("getSamples", {"geometry": "1,1", "inSR": 104905}),
        ("computeHistograms", {"geometry": {"rings": [EARTH]}, "inSR": 104905}),
        ("exportImage", {"bbox": "0,0,1,1", "bboxSR": 104905}),
        ("exportImage", {"bbox": BOX, "bboxSR": 3857, "imageSR": 104905}),
    ],
)
def test_references_of_other_bodies_are_refused(
    service: Server, operation: str, parameters: dict[str, Any]
) -> None:
    assert asked(service, operation, **parameters)["error"]["code"] in (400, 404)


class TestTokens:
    def href(self, service: Server, headers: dict[str, str], **more: str) -> str:
        given = {"f": "json", "bbox": BOX, **more}
        answer = service.client.get(url("exportImage"), params=given, headers=headers)
        return str(answer.json()["href"])

    @pytest.fixture
    def token(self, service: Server) -> str:
        answer = service.client.post("/mosaics/m/tokens", json={}, headers=AUTHORIZED)
        return str(answer.json()["access_token"])

    def test_links_carry_a_token_of_the_query_alone(self, service: Server, token: str) -> None:
        assert token in self.href(service, {}, token=token)
        assert token in self.href(service, {}, access_token=token)
        assert token not in self.href(service, {"X-Esri-Authorization": f"Bearer {token}"})

    @pytest.mark.parametrize("name", ["token", "access_token"])
    def test_links_never_carry_the_token_of_writers(self, service: Server, name: str) -> None:
        assert TOKEN.replace(" ", "+") not in self.href(service, {}, **{name: TOKEN})
        header = {"X-Esri-Authorization": f"Bearer {TOKEN}"}
        assert "token" not in self.href(service, header)
        (number,) = asked(service, "query", returnIdsOnly=True)["objectIds"]
        answer = service.client.get(
            url(f"{number}/thumbnail"), headers=header, follow_redirects=False
        )
        assert answer.status_code == 302
        assert "token" not in answer.headers["Location"]


class TestAcrossTheDateLine:
    @pytest.mark.parametrize(
        ("geometry", "found"),
        [
            ("-186,-1,-184,1", {"east"}),
            ("174,-1,176,1", {"east"}),
            ("-184.5,-1,-179.5,1", {"east", "across"}),
            ("175,-1,181,1", {"east", "across"}),
            ("-185,0", {"east"}),
            ("180.5,0", {"across"}),
            ('{"rings":[[[-186,-1],[-186,1],[-184,1],[-183.9,0],[-186,-1]]]}', {"east"}),
            ('{"paths":[[[175,0],[181,0]]]}', {"east", "across"}),
            ('{"points":[[-185,0],[180.5,0]]}', {"east", "across"}),
        ],
    )
    def test_geometries_beyond_it_go_on_at_the_other_side(
        self, service: Server, geometry: str, found: set[str]
    ) -> None:
        assert names(service, geometry=geometry, inSR=4326) == found

    def test_polygons_on_a_web_map_do_too(self, service: Server) -> None:
        degree = 20037508.342789244 / 180
        ring = [[x * degree, y * degree] for x, y in [(175, -1), (175, 1), (181, 1), (181.1, -1)]]
        geometry = json.dumps({"rings": [[*ring, ring[0]]]})
        assert names(service, geometry=geometry, inSR=3857) == {"east", "across"}

    def test_the_extent_of_an_item_is_its_own(self, service: Server) -> None:
        found = asked(service, "query", "date", outFields="*")["features"]
        numbers = {f["attributes"]["Name"]: f["attributes"]["OBJECTID"] for f in found}
        degree = 20037508.342789244 / 180
        extent = asked(service, f"{numbers['across']}/info", "date")["extent"]
        assert extent["xmin"] == pytest.approx(179 * degree)
        assert extent["xmax"] == pytest.approx(181 * degree)
        thumbnail = service.client.get(
            url(f"{numbers['across']}/thumbnail", "date"), follow_redirects=False
        )
        west, _, east, _ = map(
            float, thumbnail.headers["Location"].split("bbox=")[1].split("&")[0].split("%2C")
        )
        assert (west, east) == pytest.approx((179 * degree, 181 * degree))
        extent = asked(service, f"{numbers['pole']}/info", "date")["extent"]
        assert extent["ymax"] == pytest.approx(180 * degree)


def test_pages_are_of_no_other_type_than_they_say(service: Server) -> None:
    for form in ("html", "help"):
        assert service.get(url(), f=form).headers["X-Content-Type-Options"] == "nosniff"
