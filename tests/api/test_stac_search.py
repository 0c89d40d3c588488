"""Item Search: what is found, page by page, and what a page costs."""

import json
from collections.abc import Iterator
from itertools import chain
from typing import Any

import pystac_client
import pytest
from requests import Response, Session

from api.served import AUTHORIZED, JSON, Server
from items import box, item
from livemosaic.stac import search as limits
from livemosaic.storage.allowlist import AllowList

GRID = {f"{x}{y}": box(x, y, x + 1, y + 1) for x in range(4) for y in range(4)}
"""Sixteen boxes of a degree, by their column and row."""


@pytest.fixture(scope="module")
def grid(kept: Server) -> Server:
    """Mosaics `a` and `b` of the same sixteen scenes; `b` keeps their clouds."""
    allow = kept.services.ingest.allow
    object.__setattr__(allow, "prefixes", AllowList().prefixes)
    object.__setattr__(allow, "probe", None)
    kept.create("a")
    kept.create("b", properties=["eo:cloud_cover"], collections=["s2"])
    for mosaic in ("a", "b"):
        kept.add(
            *(
                item(
                    name,
                    place,
                    datetime=f"2026-01-{n:02}T00:00:00Z",
                    properties={"eo:cloud_cover": n},
                )
                for n, (name, place) in enumerate(GRID.items(), 1)
            ),
            mosaic=mosaic,
        )
    return kept


def found(answer: Any) -> list[tuple[str, str]]:
    assert answer.status_code == 200, answer.text
    return [(one["collection"], one["id"]) for one in answer.json()["features"]]


def ids(answer: Any) -> list[str]:
    return [name for _, name in found(answer)]


def pages(server: Server, url: str) -> Iterator[Any]:
    following: str | None = url
    while following:
        answer = server.get(following)
        yield answer
        links = [link for link in answer.json()["links"] if link["rel"] == "next"]
        following = links[0]["href"] if links else None


EVERYTHING = sorted((mosaic, name) for mosaic in ("a", "b") for name in GRID)
POINT = {"type": "Point", "coordinates": [1.5, 2.5]}
LINE = {"type": "LineString", "coordinates": [[0.5, 0.5], [2.5, 0.5]]}
MIXED = {"type": "GeometryCollection", "geometries": [POINT, LINE]}


class TestPages:
    @pytest.mark.parametrize("limit", [1, 5, 16, 31, 32, 33, 10_000])
    @pytest.mark.parametrize("where", ["", "&bbox=0,0,4,4", "&bbox=-180,-90,180,90"])
    def test_next_links_lead_through_all_once(self, grid: Server, limit: int, where: str) -> None:
        met = [found(page) for page in pages(grid, f"/search?limit={limit}{where}")]
        assert sorted(chain(*met)) == EVERYTHING
        assert all(0 < len(page) <= limit for page in met)
        assert len(met) == -(-32 // limit)

    def test_a_place_gives_the_top_scene_first(self, grid: Server) -> None:
        names = ids(grid.get("/search", collections="b", bbox="0,0,4,4", limit=100))
        assert names == [*reversed(GRID)]

    def test_post_pages_by_its_own_body(self, grid: Server) -> None:
        body: dict[str, Any] | None = {"collections": ["b"], "bbox": [0, 0, 4, 4], "limit": 5}
        seen: list[str] = []
        while body:
            answer = grid.client.post("/search", json=body)
            seen += ids(answer)
            links = [link for link in answer.json()["links"] if link["rel"] == "next"]
            assert all(link["method"] == "POST" for link in links)
            body = links[0]["body"] if links else None
        assert seen == [*reversed(GRID)]

    def test_a_scene_that_comes_on_top_meanwhile_changes_no_later_page(self, grid: Server) -> None:
        grid.create("moving")
        grid.add(
            *(item(str(n), datetime=f"2026-01-0{n}T00:00:00Z") for n in range(1, 7)),
            mosaic="moving",
        )
        found_pages = pages(grid, "/search?collections=moving&bbox=7,45,8,46&limit=2")
        seen = ids(next(found_pages))
        grid.add(item("new", datetime="2026-02-01T00:00:00Z"), mosaic="moving")
        for page in found_pages:
            seen += ids(page)
        assert seen == ["6", "5", "4", "3", "2", "1"]
        grid.client.delete("/mosaics/moving", headers=AUTHORIZED)


class TestConditions:
    @pytest.mark.parametrize(
        ("query", "names"),
        [
            ({"ids": "00,33,none"}, ["00", "33"]),
            ({"ids": "00,33", "bbox": "0.2,0.2,0.8,0.8"}, ["00"]),
            ({"bbox": "0.2,0.2,0.8,0.8"}, ["00"]),
            ({"bbox": "0.2,0.2,-9,0.8,0.8,9"}, None),
            ({"bbox": "0.2,0.2,0,0.8,0.8,9"}, ["00"]),
            ({"intersects": json.dumps(POINT)}, ["12"]),
            ({"intersects": json.dumps(LINE)}, ["20", "10", "00"]),
            ({"intersects": json.dumps(MIXED)}, ["20", "12", "10", "00"]),
            ({"datetime": "2026-01-03T00:00:00Z"}, ["02"]),
            ({"datetime": "../2026-01-02T00:00:00Z"}, ["00", "01"]),
            ({"filter": "eo:cloud_cover <= 2"}, ["00", "01"]),
            ({"filter": "eo:cloud_cover BETWEEN 2 AND 3"}, ["01", "02"]),
            ({"filter": "collection = 'b' AND id = '00'"}, ["00"]),
            ({"filter": "collection = 's2'"}, []),
            ({"filter": "id IN ('00', '01')", "bbox": "0,0,1,3"}, ["01", "00"]),
            (
                {
                    "filter": json.dumps({"op": "<", "args": [{"property": "eo:cloud_cover"}, 2]}),
                    "filter-lang": "cql2-json",
                },
                ["00"],
            ),
        ],
        ids=str,
    )
    def test_get_and_post_find_the_same(
        self, grid: Server, query: dict[str, str], names: list[str] | None
    ) -> None:
        answer = grid.get("/search", collections="b", **query)
        posted = grid.client.post("/search", json=_body({"collections": "b", **query}))
        if names is None:
            names = ["00"]
        by_place = "bbox" in query or "intersects" in query
        got = ids(answer) if by_place and "ids" not in query else sorted(ids(answer))
        assert got == names
        assert ids(posted) == ids(answer)
        if not {"ids", "intersects"} & {*query}:
            assert ids(grid.get("/collections/b/items", **query)) == ids(answer)

    def test_a_mosaic_that_does_not_keep_the_property_takes_no_part(self, grid: Server) -> None:
        assert found(grid.get("/search", filter="eo:cloud_cover < 2")) == [("b", "00")]
        answer = grid.get("/search", filter="eo:snow_cover < 2")
        assert answer.status_code == 400
        assert "eo:snow_cover" in answer.json()["detail"]

    @pytest.mark.parametrize(
        "query",
        [
            {"bbox": "1,2,3"},
            {"bbox": "[1,2,3,4]"},
            {"bbox": "0,1,1,0"},
            {"bbox": "nan,0,1,1"},
            {"bbox": "0,0,1,1", "intersects": json.dumps(POINT)},
            {"intersects": "{"},
            {"intersects": "[1]"},
            {"intersects": json.dumps({"type": "Point", "coordinates": [200, 0]})},
            {"intersects": json.dumps({"type": "Polygon", "coordinates": "here"})},
            {"datetime": "2026-01-03"},
            {"datetime": "../.."},
            {"datetime": "2026-02-01T00:00:00Z/2026-01-01T00:00:00Z"},
            {"limit": "0"},
            {"limit": "-1"},
            {"filter": "eo:cloud_cover <"},
            {"filter": "S_INTERSECTS(geometry, POINT(1 1))"},
            {"filter": "{", "filter-lang": "cql2-json"},
            {"token": "x"},
            {"token": "b/nowhere/1"},
            {"token": "b/heads/99#x"},
            {"collections": "none"},
            {"ids": ",".join(map(str, range(101)))},
        ],
        ids=str,
    )
    def test_what_makes_no_sense_is_refused(self, grid: Server, query: dict[str, str]) -> None:
        answer = grid.get("/search", **{"collections": "b", **query})
        assert answer.status_code == 400, answer.text
        assert answer.json()["detail"]

    def test_a_member_that_is_not_known_is_refused(self, grid: Server) -> None:
        assert grid.client.post("/search", json={"sortby": []}).status_code == 400

    def test_between_as_drafts_of_cql2_wrote_it(self, grid: Server) -> None:
        old = {"op": "between", "args": [{"property": "eo:cloud_cover"}, [2, 3]]}
        body = {"collections": ["b"], "filter": old}
        assert sorted(ids(grid.client.post("/search", json=body))) == ["01", "02"]
        old["args"] = [{"property": "eo:cloud_cover"}, 2]
        assert grid.client.post("/search", json=body).status_code == 400


def _body(query: dict[str, str]) -> dict[str, Any]:
    body: dict[str, Any] = dict(query)
    for name in ("collections", "ids"):
        if name in body:
            body[name] = body[name].split(",")
    if "bbox" in body:
        body["bbox"] = [float(part) for part in body["bbox"].split(",")]
    for name in ("intersects",) + (("filter",) if "filter-lang" in body else ()):
        if name in body:
            body[name] = json.loads(body[name])
    return body


class TestCost:
    def test_a_page_that_ends_early_goes_on(
        self, grid: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "MAX_SCENES", 7)
        url = "/search?collections=b&limit=100&bbox=0,0,4,4"
        assert [len(ids(page)) for page in pages(grid, url)] == [7, 7, 2]

    @pytest.mark.parametrize("where", ["", "&bbox=0,0,4,4"])
    def test_a_page_without_results_is_refused_where_scenes_are_left(
        self, grid: Server, monkeypatch: pytest.MonkeyPatch, where: str
    ) -> None:
        monkeypatch.setattr(limits, "MAX_SCENES", 7)
        answer = grid.get(f"/search?collections=b&filter=eo:cloud_cover > 99{where}")
        assert answer.status_code == 400
        assert "narrow the search" in answer.json()["detail"]
        monkeypatch.setattr(limits, "MAX_SCENES", 16)
        assert ids(grid.get(f"/search?collections=b&filter=eo:cloud_cover > 99{where}")) == []

    def test_large_footprints_end_a_page(
        self, grid: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "MAX_VERTICES", 20)
        met = [ids(page) for page in pages(grid, "/search?collections=b&limit=100")]
        assert sorted(chain(*met)) == sorted(GRID)
        assert max(map(len, met)) == 5

    def test_mosaics_elsewhere_are_not_read(
        self, grid: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        walked: list[str] = []
        walk = limits._Pager._walk
        monkeypatch.setattr(
            limits._Pager, "_walk", lambda self, m, p: walked.append(m.id) or walk(self, m, p)
        )
        assert ids(grid.get("/search?bbox=100,0,101,1")) == []
        assert walked == []

    def test_many_mosaics_take_several_pages(
        self, grid: Server, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(limits, "MAX_MOSAICS", 1)
        met = [found(page) for page in pages(grid, "/search?limit=100")]
        assert sorted(chain(*met)) == EVERYTHING
        assert [{mosaic for mosaic, _ in page} for page in met[:2]] == [{"a"}, {"b"}]


def test_pystac_client_finds_all(grid: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """The client asks the application in this process."""

    def send(self: Session, request: Any, **_: Any) -> Response:
        asked = grid.client.request(
            request.method, request.url, content=request.body, headers=dict(request.headers)
        )
        answer = Response()
        answer.status_code, answer._content, answer.url = (
            asked.status_code,
            asked.content,
            request.url,
        )
        answer.headers.update(asked.headers)
        return answer

    monkeypatch.setattr(Session, "send", send)
    client = pystac_client.Client.open("http://testserver/")
    assert [one.id for one in client.get_collections()] == ["a", "b", "m"]
    for method in ("GET", "POST"):
        search = client.search(method=method, bbox=[0, 0, 4, 4], limit=5)
        assert sorted((one.collection_id, one.id) for one in search.items()) == EVERYTHING
    search = client.search(collections=["b"], filter="eo:cloud_cover < 3", datetime="2026-01")
    assert sorted(one.id for one in search.items()) == ["00", "01"]
    assert len([*client.get_collection("a").get_items()]) == 16
    assert client.get_collection("b").get_item("33").id == "33"


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/search", '{"ids": ["\\ud800"]}'),
        ("/search", '{"collections": ["\\ud800"]}'),
        ("/mosaics", '{"id": "n", "collections": ["\\ud800"]}'),
        ("/mosaics", '{"id": "n", "properties": ["\\ud800"]}'),
        ("/mosaics", '{"id": "n", "assets": ["\\ud800"]}'),
    ],
)
def test_text_that_is_no_unicode_is_refused(server: Server, path: str, body: str) -> None:
    """JSON can escape half a surrogate pair, which no table and no file can keep."""
    server.publish("a", 1)
    answer = server.client.post(path, content=body, headers=JSON)
    assert answer.status_code == 400, answer.text
    assert server.get("/mosaics/n").status_code == 404
