"""Conformance classes of OGC API that are declared, requirement by requirement; and no others.

The names of requirements are those of OGC 19-072 (Common), 17-069r4 (Features), 19-079r2 (filters)
and 20-058 (Maps). STAC's classes are those of stac-api-validator (docs/stac.md), and of
`test_stac_catalog` and `test_stac_search`.
"""

import io
from typing import Any

import pytest
import rasterio
from PIL import Image
from titiler.core.models.OGC import Conformance

from api.served import LEFT, RIGHT, Server, scene

SPEC = "http://www.opengis.net/spec"
COMMON = {f"{SPEC}/ogcapi-common-1/1.0/conf/{n}" for n in ("core", "html", "json", "landing-page")}
MAPS = {f"https://www.opengis.net/spec/ogcapi-maps-1/1.0/conf/{n}" for n in ("core", "png", "jpeg")}
FEATURES = {
    *(f"{SPEC}/ogcapi-features-1/1.0/conf/{name}" for name in ("core", "geojson")),
    *(f"{SPEC}/ogcapi-features-3/1.0/conf/{name}" for name in ("filter", "features-filter")),
}
ITEMS = "/collections/m/items"
BOX = "7.8,45.6,8,45.8"
CRS84 = "<http://www.opengis.net/def/crs/OGC/1.3/CRS84>"
GET_MAP = ["/mosaics/m/map", "/collections/m/map"]


@pytest.fixture(scope="module")
def two(kept: Server) -> Server:
    """Two scenes, side by side, of two days; the right one reaches over less of the tile."""
    kept.publish("a", [10, 20, 30], LEFT, day=1)
    kept.publish("b", [40, 50, 60], (128, 0, 256, 128), claims=RIGHT, day=5)
    return kept


def test_these_are_declared_and_no_others(server: Server) -> None:
    declared = server.get("/conformance").json()
    Conformance.model_validate(declared)
    found = {*declared["conformsTo"]}
    assert {one for one in found if "/ogcapi-" in one and "stacspec" not in one} == (
        COMMON | MAPS | FEATURES
    )
    assert {*server.get("/", f="json").json()["conformsTo"]} == found


class TestCommon:
    def test_the_landing_page_has_links_to_the_api_and_its_conformance(self, two: Server) -> None:
        """/req/landing-page/root-success, /req/core/http."""
        links = two.get("/", f="json").json()["links"]
        found = {link["rel"]: link for link in links}
        assert found["service-desc"]["type"] in two.get("/openapi.json").headers["Content-Type"]
        assert two.get(found["service-doc"]["href"]).status_code == 200
        assert "conformsTo" in two.get(found["conformance"]["href"]).json()
        assert found["http://www.opengis.net/def/rel/ogc/1.0/conformance"]["href"]

    @pytest.mark.parametrize("path", ["/", "/conformance"])
    def test_documents_are_json_and_html(self, two: Server, path: str) -> None:
        """/req/json/content, /req/html/content."""
        for kind in ("application/json", "text/html"):
            answer = two.client.get(path, headers={"Accept": kind})
            assert answer.headers["Content-Type"].startswith(kind)


class TestMaps:
    @pytest.mark.parametrize("path", GET_MAP)
    def test_a_map_is_in_crs84_and_says_where_and_when_it_is(self, two: Server, path: str) -> None:
        """/req/core/map-op, /req/core/map-response."""
        answer = two.get(path)
        assert answer.status_code == 200
        assert answer.headers.get("Content-Crs", CRS84) == CRS84
        west, south, east, north = map(float, answer.headers["Content-Bbox"].split(","))
        [bounds] = two.get("/collections/m").json()["extent"]["spatial"]["bbox"]
        assert [west, south, east, north] == pytest.approx(bounds)
        times = "2026-01-01T00:00:00Z/2026-01-05T00:00:00Z"
        assert answer.headers["Content-Datetime"] == times

    def test_the_time_of_a_map_is_that_of_what_it_shows(self, two: Server) -> None:
        one = two.get(GET_MAP[0], bbox="7.74,45.6,7.8,45.8")
        assert one.headers["Content-Datetime"] == "2026-01-01T00:00:00Z"
        assert "Content-Datetime" not in two.get(GET_MAP[0], bbox="0,0,1,1").headers

    @pytest.mark.parametrize("path", GET_MAP)
    @pytest.mark.parametrize("kind", ["image/png", "image/jpeg"])
    def test_the_body_is_of_the_negotiated_format(self, two: Server, path: str, kind: str) -> None:
        """/req/core/map-response (last part), /req/png/content, /req/jpeg/content."""
        answer = two.client.get(path, params={"bbox": BOX}, headers={"Accept": kind})
        assert answer.headers["Content-Type"] == kind
        with Image.open(io.BytesIO(answer.content)) as image:
            assert image.get_format_mimetype() == kind
            assert getattr(image, "n_frames", 1) == 1
            assert "A" in image.getbands() or kind == "image/jpeg"

    def test_png_is_transparent_where_nothing_is(self, two: Server) -> None:
        """/req/png/content, C."""
        answer = two.get(GET_MAP[0], f="png", width=64, height=64)
        with rasterio.MemoryFile(answer.content) as file, file.open() as image:
            alpha = image.read(image.count)
        assert {*alpha.ravel().tolist()} == {0, 255}

    def test_a_collection_links_to_its_map_and_tilesets(self, two: Server) -> None:
        found = {link["rel"]: link["href"] for link in two.get("/collections/m").json()["links"]}
        rel = "http://www.opengis.net/def/rel/ogc/1.0"
        assert two.get(found[f"{rel}/map"]).headers["Content-Type"] == "image/png"
        assert two.get(found[f"{rel}/tilesets-map"]).json()["tilesets"]


class TestFeatures:
    def test_collections_lead_to_items_and_each_item_back(self, two: Server) -> None:
        """/req/core/fc-md-op to fc-md-items, /req/core/f-op, f-links."""
        [collection] = two.get("/collections").json()["collections"]
        links = {link["rel"]: link for link in collection["links"]}
        assert links["items"]["type"] == "application/geo+json"
        page = two.get(links["items"]["href"])
        assert page.headers["Content-Type"].startswith("application/geo+json")
        for item in page.json()["features"]:
            around = {link["rel"]: link["href"] for link in item["links"]}
            assert two.get(around["self"]).json() == item
            assert two.get(around["collection"]).json()["id"] == "m"
        assert two.get("/collections/none").status_code == 404
        assert two.get(f"{ITEMS}/none").status_code == 404

    @pytest.mark.parametrize(
        ("query", "ids"),
        [
            ({}, ["a", "b"]),
            ({"bbox": "7.74,45.6,7.75,45.8"}, ["a"]),
            ({"bbox": "7.74,45.6,0,7.75,45.8,9"}, ["a"]),
            ({"bbox": "100,0,101,1"}, []),
            ({"datetime": "2026-01-05T00:00:00Z"}, ["b"]),
            ({"datetime": "2026-01-02T00:00:00Z/.."}, ["b"]),
            ({"datetime": "/2026-01-02T00:00:00Z"}, ["a"]),
            ({"bbox": "7.74,45.6,7.75,45.8", "datetime": "2026-01-05T00:00:00Z"}, []),
            ({"filter": "id = 'b'"}, ["b"]),
            ({"filter": "id = 'b'", "filter-lang": "cql2-text"}, ["b"]),
            ({"filter": "id = 'b'", "datetime": "2026-01-01T00:00:00Z"}, []),
            (
                {"filter": '{"op":"=","args":[{"property":"id"},"a"]}', "filter-lang": "cql2-json"},
                ["a"],
            ),
        ],
        ids=str,
    )
    def test_items_are_selected(self, two: Server, query: dict[str, str], ids: list[str]) -> None:
        """/req/core/fc-bbox-response, fc-time-response; /req/filter/response."""
        page = two.get(ITEMS, **query).json()
        assert sorted(item["id"] for item in page["features"]) == ids
        assert page["numberReturned"] == len(ids)

    @pytest.mark.parametrize(
        "query",
        [
            {"bbox": "1,2,3"},
            {"bbox": "a,b,c,d"},
            {"datetime": "yesterday"},
            {"limit": "0"},
            {"limit": "many"},
            {"filter": "id ="},
            {"filter": "unknown = 1"},
            {"filter": "id = 'a'", "filter-lang": "sql"},
            {"nonsense": "1"},
        ],
        ids=str,
    )
    def test_invalid_and_unknown_parameters_are_400(
        self, two: Server, query: dict[str, str]
    ) -> None:
        """/req/core/query-param-invalid, query-param-unknown; /req/filter/filter-lang-param."""
        assert two.get(ITEMS, **query).status_code == 400

    def test_pages_are_of_a_limit_and_lead_on(self, two: Server) -> None:
        """/req/core/fc-limit-response-1, fc-links."""
        page: dict[str, Any] = two.get(ITEMS, limit=1).json()
        ids = [item["id"] for item in page["features"]]
        links = {link["rel"]: link["href"] for link in page["links"]}
        following = two.get(links["next"]).json()
        assert {*ids, *(item["id"] for item in following["features"])} == {"a", "b"}
        assert two.get(links["self"]).json()["features"] == page["features"]

    def test_queryables_are_a_json_schema(self, two: Server) -> None:
        """/req/queryables/queryables-link, get-queryables-response."""
        links = {link["rel"]: link["href"] for link in two.get("/collections/m").json()["links"]}
        answer = two.get(links["http://www.opengis.net/def/rel/ogc/1.0/queryables"])
        assert answer.headers["Content-Type"].startswith("application/schema+json")
        schema = answer.json()
        assert schema["$id"] == links["http://www.opengis.net/def/rel/ogc/1.0/queryables"]
        assert schema["type"] == "object" and {"id", "datetime"} <= schema["properties"].keys()


def test_a_map_of_a_scene_without_a_time_states_none(server: Server) -> None:
    path = server.publish("a", 1)
    document = scene("a", server.url(path))
    document["properties"] = {"datetime": None}
    server.create("timeless")
    server.add(document, mosaic="timeless")
    answer = server.get("/mosaics/timeless/map")
    assert answer.headers["X-Scenes"] == "a" and "Content-Datetime" not in answer.headers
