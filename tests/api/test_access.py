"""A private mosaic is there for who may write, and for who holds a token of it."""

import json
import logging
import re
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any

import jwt
import pytest

from api.served import AUTHORIZED, JSON, Server, serving, tile_url
from livemosaic.index.scenes import Index
from livemosaic.table import Key, Put
from livemosaic.table.sqlite import SqliteTable

TILE = tile_url(".png", "secret")
OURS = "https://maps.example.com"
PARAMETERS = {
    "tms": "WebMercatorQuad",
    "z": "10",
    "x": "534",
    "y": "365",
    "scale": "1",
    "format": "png",
    "width": "64",
    "height": "64",
    "lon": "8",
    "lat": "46",
    "minx": "7",
    "miny": "45",
    "maxx": "8",
    "maxy": "46",
    "render": "ndvi",
    "item": "a",
}
"""What stands for the parts of a path; others are `1`."""


@contextmanager
def guarded(folder: Path) -> Iterator[Server]:
    """A private mosaic `secret` with a scene, a private `other`, and a public `m`."""
    table = SqliteTable(folder / "index.db")
    with closing(table), serving(table, folder, cors_origins=(OURS,)) as made:
        made.create()
        ndvi = {"ndvi": {"assets": ["visual"], "rescale": [[0, 9]]}}
        made.create("secret", access="private", max_age_s=60, renders=ndvi)
        made.create("other", access="private")
        made.publish("a", 7, mosaic="secret")
        yield made


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """One for all tests that change nothing."""
    with guarded(tmp_path_factory.mktemp("guarded")) as made:
        yield made


@pytest.fixture
def fresh(tmp_path: Path) -> Iterator[Server]:
    """One of a test's own."""
    with guarded(tmp_path) as made:
        yield made


def token(server: Server, mosaic: str = "secret", **wanted: int) -> str:
    url = f"/mosaics/{mosaic}/tokens"
    answer = server.client.post(url, json=wanted, headers=AUTHORIZED)
    assert answer.status_code == 201, answer.text
    made: str = answer.json()["access_token"]
    return made


def bearer(value: str) -> dict[str, str]:
    return {"Authorization": f"Bearer {value}"}


def routes(server: Server) -> list[tuple[str, str]]:
    """Method and path of all that the OpenAPI document has, parts of the path filled in."""
    paths: Mapping[str, Any] = server.get("/openapi.json").json()["paths"]
    return [
        (method.upper(), re.sub(r"{(?!mosaic)(\w+)}", lambda m: PARAMETERS.get(m[1], "1"), path))
        for path, operations in paths.items()
        for method in operations
    ]


class TestReading:
    @pytest.mark.parametrize(
        "credential",
        [
            pytest.param(lambda server: {}, id="without a credential"),
            pytest.param(lambda server: bearer("a.b.c"), id="with what is none"),
            pytest.param(lambda server: bearer(token(server, "other")), id="with one of another"),
            pytest.param(lambda server: {"Authorization": "Basic Og=="}, id="with a password"),
        ],
    )
    def test_every_route_of_a_private_mosaic_answers_as_if_there_were_none(
        self, server: Server, credential: Any
    ) -> None:
        headers = credential(server)
        asked = [route for route in routes(server) if "{mosaic}" in route[1]]
        assert len(asked) > 10
        for method, path in asked:
            answers = []
            for mosaic in ("secret", "absent"):
                url = path.replace("{mosaic}", mosaic)
                body = {"content": "{}"} if method in ("POST", "PUT") else {}
                answer = server.client.request(
                    *(method, url), **body, headers=headers, follow_redirects=False
                )
                text = answer.text.replace(mosaic, "MOSAIC")
                answers.append((answer.status_code, text, sorted(answer.headers)))
            assert answers[0] == answers[1], (method, path)
            redirected = answers[0][:2] == (307, "")  # to a route that refuses
            assert redirected or answers[0][0] in (401, 404), (method, path)

    def test_no_other_route_tells_of_it(self, server: Server) -> None:
        asked = [url for method, url in routes(server) if method == "GET" and "{" not in url]
        assert "/mosaics" in asked
        for url in asked:
            for accept in ("application/json", "text/html"):
                answer = server.client.get(url, headers={"Accept": accept})
                assert "secret" not in answer.text, url

    @pytest.mark.parametrize("url", [TILE, "/mosaics/secret", "/mosaics/secret/items"])
    def test_a_token_opens_it_by_query_and_by_header(self, server: Server, url: str) -> None:
        made = token(server)
        assert server.get(url).status_code == 404
        assert server.get(url, access_token=made).status_code == 200
        assert server.client.get(url, headers=bearer(made)).status_code == 200
        assert server.client.get(url, headers={"authorization": f"bearer  {made}"}).is_success

    def test_who_may_write_may_see_it(self, server: Server) -> None:
        assert server.client.get(TILE, headers=AUTHORIZED).status_code == 200
        answer = server.client.get("/mosaics/absent", headers=AUTHORIZED)
        assert (answer.status_code, answer.json()["detail"]) == (
            404,
            "there is no mosaic 'absent'",
        )

    def test_the_token_of_writes_is_none_of_the_query(self, server: Server) -> None:
        """Which ends up in histories and logs of others."""
        value = AUTHORIZED["Authorization"].removeprefix("Bearer ")
        assert server.get(TILE, access_token=value).status_code == 401

    def test_what_to_do_is_said(self, server: Server) -> None:
        missing = server.get(TILE)
        assert "access_token=TOKEN" in missing.json()["detail"]
        wrong = server.get(TILE, access_token=token(server, "other"))
        assert wrong.headers["WWW-Authenticate"] == "Bearer"
        assert "it is for another one" in wrong.json()["detail"]

    def test_a_token_that_has_expired_is_a_401_that_says_so(self, server: Server) -> None:
        made = token(server)
        header, claims = (
            jwt.get_unverified_header(made),
            jwt.decode(made, options={"verify_signature": False}),
        )
        key = (server.folder / "signing.keys").read_text().strip()
        old = jwt.encode(claims | {"exp": claims["iat"] - 60}, key, "HS256", header)
        answer = server.get(TILE, access_token=old)
        assert answer.status_code == 401
        assert "has expired" in answer.json()["detail"]

    def test_a_mosaic_made_again_is_not_opened_by_a_token_of_the_one_before(
        self, fresh: Server
    ) -> None:
        made = token(fresh)
        fresh.client.delete("/mosaics/secret", headers=AUTHORIZED)
        fresh.create("secret", access="private")
        assert fresh.get("/mosaics/secret", access_token=made).status_code == 401

    def test_a_public_mosaic_asks_for_none_and_minds_none(self, server: Server) -> None:
        for headers in ({}, bearer("a.b.c"), bearer(token(server))):
            answer = server.client.get("/mosaics/m/info", headers=headers)
            assert answer.status_code == 200
            assert "private" not in answer.headers.get("Cache-Control", "")

    def test_pages_of_scenes_go_on_with_their_own_token(self, fresh: Server) -> None:
        """`token` is a page, as in STAC APIs; `access_token` goes into the next link."""
        fresh.publish("b", 8, mosaic="secret")
        page = fresh.get("/mosaics/secret/items", access_token=token(fresh), limit=1).json()
        (url,) = [link["href"] for link in page["links"] if link["rel"] == "next"]
        following = fresh.client.get(url).json()
        ids = [scene["id"] for scene in (*page["features"], *following["features"])]
        assert sorted(ids) == ["a", "b"]


class TestMaps:
    def test_a_tilejson_asked_for_with_a_token_leads_to_tiles_with_it(self, server: Server) -> None:
        url = "/mosaics/secret/tiles/WebMercatorQuad/tilejson.json"
        made = token(server)
        [template] = server.get(url, access_token=made, rescale="0,9").json()["tiles"]
        tile = template.format(z=10, x=534, y=365)
        assert server.client.get(tile).status_code == 200
        by_header = server.client.get(url, headers=bearer(made)).text
        assert made not in by_header

    def test_no_link_below_it_loses_the_token_of_the_query(self, server: Server) -> None:
        made = token(server)
        below = f"{server.client.base_url}/mosaics/secret/"
        found, lost = 0, []
        for method, path in routes(server):
            if method == "GET" and "{mosaic}" in path:
                url = path.replace("{mosaic}", "secret")
                answer = server.get(url, access_token=made)
                links = re.findall(rf"{re.escape(below)}[^\s\"<>]*", answer.text)
                found += len(links)
                lost += [(url, link) for link in links if f"access_token={made}" not in link]
        assert found > 20
        assert not lost

    def test_its_page_is_there_with_a_token_and_else_says_what_to_do(self, server: Server) -> None:
        url = "/mosaics/secret/map.html"
        shown = server.get(url, access_token=token(server))
        assert (shown.status_code, shown.headers["Referrer-Policy"]) == (200, "no-referrer")
        missing, wrong = server.get(url), server.get(url, access_token="a.b.c")
        assert (missing.status_code, wrong.status_code) == (404, 401)
        for answer in (missing, wrong):
            assert answer.headers["Content-Type"].startswith("text/html")


class TestCaches:
    def test_a_tile_is_for_the_cache_of_who_asked(self, server: Server) -> None:
        answer = server.get(TILE, access_token=token(server))
        assert answer.headers["Cache-Control"] == "private, max-age=60, stale-if-error=60"

    def test_so_is_every_other_answer(self, server: Server) -> None:
        made = token(server)
        for url in ("info", "items", "tiles/WebMercatorQuad/tilejson.json", "map.html"):
            answer = server.get(f"/mosaics/secret/{url}", access_token=made)
            assert answer.headers["Cache-Control"] == "private, no-cache", url

    def test_its_etag_does_not_depend_on_the_token(self, server: Server) -> None:
        first, second = token(server, expires_in=60), token(server, expires_in=61)
        etag = server.get(TILE, access_token=first).headers["ETag"]
        assert server.client.get(TILE, headers=bearer(second)).headers["ETag"] == etag
        held = {"If-None-Match": etag}
        known = server.client.get(TILE, params={"access_token": second}, headers=held)
        assert known.status_code == 304
        assert known.headers["Cache-Control"].startswith("private")

    def test_a_tag_does_not_open_it(self, server: Server) -> None:
        etag = server.get(TILE, access_token=token(server)).headers["ETag"]
        for held in (etag, "*"):
            answer = server.client.get(TILE, headers={"If-None-Match": held})
            assert answer.status_code == 404

    def test_no_refusal_is_kept(self, server: Server) -> None:
        for query in ({}, {"access_token": "a.b.c"}):
            assert server.get(TILE, **query).headers["Cache-Control"] == "no-store"


class TestSecrecy:
    @pytest.mark.parametrize(
        ("url", "status"),
        [
            (TILE, 200),
            (f"{TILE}?rescale=1", 400),
            (f"{TILE}?x={'x' * 9000}", 414),
            ("/mosaics/other", 401),
            ("/mosaics/secret/none", 404),
            ("/mosaics/secret/items", 500),
        ],
    )
    def test_a_token_is_in_no_log_and_in_no_error(
        self,
        server: Server,
        caplog: pytest.LogCaptureFixture,
        monkeypatch: pytest.MonkeyPatch,
        url: str,
        status: int,
    ) -> None:
        made = token(server)
        monkeypatch.setattr(Index, "list_scenes", None)
        caplog.clear()
        with caplog.at_level(logging.DEBUG):
            sign = "&" if "?" in url else "?"
            answer = server.get(f"{url}{sign}access_token={made}")
        assert answer.status_code == status
        logged = [r for r in caplog.records if not r.name.startswith("http")]  # the client's own
        assert made not in "".join(map(str, (vars(record) for record in logged)))
        assert made not in f"{answer.headers}{answer.content!r}"

    def test_the_key_is_in_no_document(self, server: Server) -> None:
        token(server)
        key = (server.folder / "signing.keys").read_text().strip()
        assert key not in repr(server.services)
        assert key not in server.get("/openapi.json").text


class TestMinting:
    def test_a_token_is_told_once_with_its_end(self, server: Server) -> None:
        answer = server.client.post(
            "/mosaics/secret/tokens", json={"expires_in": 7200}, headers=AUTHORIZED
        )
        made = answer.json()
        assert (answer.status_code, made["token_type"]) == (201, "Bearer")
        assert 7190 <= made["expires_in"] <= 7200
        assert answer.headers["Cache-Control"] == "no-store"

    def test_nobody_else_makes_one(self, server: Server) -> None:
        for path in ("/tokens", "/mosaics/secret/tokens", "/mosaics/m/tokens"):
            for headers in ({}, bearer(token(server)), bearer("a.b.c")):
                assert server.client.post(path, json={}, headers=headers).status_code == 401

    def test_one_of_no_mosaic_is_a_404(self, server: Server) -> None:
        answer = server.client.post("/mosaics/absent/tokens", json={}, headers=AUTHORIZED)
        assert answer.status_code == 404

    @pytest.mark.parametrize(
        ("wanted", "says"),
        [
            ({"expires_in": 0}, "greater than or equal to 1"),
            ({"expires_in": 10**9}, "cannot be valid for 1000000000 seconds"),
            ({"expires_in": "soon"}, "valid integer"),
            ({"for": "ever"}, "Extra inputs"),
        ],
        ids=["none", "for ever", "a word", "a misspelt name"],
    )
    def test_a_time_that_cannot_be_is_a_400(self, server: Server, wanted: Any, says: str) -> None:
        answer = server.client.post("/mosaics/secret/tokens", json=wanted, headers=AUTHORIZED)
        assert (answer.status_code, says in answer.json()["detail"]) == (400, True)

    def test_a_server_without_a_key_says_how_to_get_one(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        elsewhere = {"index": "dynamodb://eu-central-1/maps", "signing_keys": ""}
        with serving(sqlite_table, folder, **elsewhere) as server:
            server.create("secret", access="private")
            answer = server.client.post("/tokens", json={}, headers=AUTHORIZED)
            assert answer.status_code == 400
            assert "LIVEMOSAIC_SIGNING_KEYS" in answer.json()["detail"]
            assert server.get("/mosaics/secret", access_token="a.b.c").status_code == 401

    def test_a_key_that_cannot_be_had_now_is_a_503(
        self, sqlite_table: SqliteTable, folder: Path
    ) -> None:
        with serving(sqlite_table, folder, signing_keys=str(folder)) as server:
            answer = server.client.post("/tokens", json={}, headers=AUTHORIZED)
            assert (answer.status_code, answer.headers["Retry-After"]) == (503, "1")


class TestListing:
    def listed(self, server: Server, **headers: str) -> list[str]:
        answer = server.client.get("/mosaics", headers=headers)
        assert answer.status_code == 200
        return [mosaic["id"] for mosaic in answer.json()["mosaics"]]

    def test_everybody_sees_the_public_ones(self, server: Server) -> None:
        assert self.listed(server) == ["m"]

    def test_who_may_write_sees_all(self, server: Server) -> None:
        assert self.listed(server, **AUTHORIZED) == ["m", "other", "secret"]

    def test_a_token_of_everything_is_as_good(self, server: Server) -> None:
        answer = server.client.post("/tokens", json={}, headers=AUTHORIZED).json()
        assert answer["expires_in"] <= 300
        everything = bearer(answer["access_token"])
        assert self.listed(server, **everything) == ["m", "other", "secret"]
        assert server.client.get(TILE, headers=everything).status_code == 200
        assert server.client.get("/mosaics/absent", headers=everything).status_code == 404

    def test_a_token_of_one_adds_that_one(self, server: Server) -> None:
        assert self.listed(server, **bearer(token(server))) == ["m", "secret"]

    def test_what_is_no_token_is_refused(self, server: Server) -> None:
        assert server.client.get("/mosaics", headers=bearer("a.b.c")).status_code == 401


class TestSettings:
    def change(self, server: Server, **settings: Any) -> Any:
        answer = server.client.put("/mosaics/secret", json=settings, headers=AUTHORIZED)
        assert answer.status_code == 200
        return answer.json()

    def test_a_mosaic_stays_private_unless_its_access_is_named(self, fresh: Server) -> None:
        assert self.change(fresh, title="New")["access"] == "private"
        assert fresh.get(TILE).status_code == 404
        assert self.change(fresh, access="public")["access"] == "public"
        assert fresh.get(TILE).status_code == 200

    def test_a_mosaic_is_public_unless_it_says_otherwise(self, fresh: Server) -> None:
        assert fresh.create("new")["access"] == "public"

    def test_a_row_of_before_is_public(self, fresh: Server) -> None:
        table = fresh.services.mosaics.table
        row = dict(table.get(Key("mosaics", "m")) or {})
        del row["access"]
        table.transact([Put(Key("mosaics", "m"), row)])
        assert fresh.get("/mosaics/m").json()["access"] == "public"

    def test_there_is_no_other_access(self, server: Server) -> None:
        answer = server.client.post(
            "/mosaics", content=json.dumps({"id": "x", "access": "Private"}), headers=JSON
        )
        assert (answer.status_code, "access" in answer.json()["detail"]) == (400, True)


class TestOrigins:
    def preflight(self, server: Server, origin: str, **wanted: str) -> Any:
        asked = {f"Access-Control-Request-{k}": v for k, v in wanted.items()}
        return server.client.options(TILE, headers={"Origin": origin, **asked})

    def test_a_page_may_send_the_token_by_header(self, server: Server) -> None:
        answer = self.preflight(server, OURS, Method="GET", Headers="authorization,if-none-match")
        assert answer.status_code == 200
        assert answer.headers["Access-Control-Allow-Origin"] == OURS
        read = server.client.get(TILE, headers={"Origin": OURS, **bearer(token(server))})
        assert (read.status_code, read.headers["Access-Control-Allow-Origin"]) == (200, OURS)

    def test_a_page_may_ask_by_post(self, server: Server) -> None:
        answer = self.preflight(server, OURS, Method="POST", Headers="authorization,content-type")
        assert answer.status_code == 200
        assert "POST" in answer.headers["Access-Control-Allow-Methods"]

    def test_a_page_of_another_origin_may_not(self, server: Server) -> None:
        answer = self.preflight(
            server, "https://evil.example.com", Method="GET", Headers="authorization"
        )
        assert answer.status_code == 400
        assert "Access-Control-Allow-Origin" not in answer.headers

    @pytest.mark.parametrize("origins", [("*",), (OURS,)], ids=["any", "named"])
    def test_no_browser_sends_credentials_of_its_own(
        self, sqlite_table: SqliteTable, folder: Path, origins: tuple[str, ...]
    ) -> None:
        with serving(sqlite_table, folder, cors_origins=origins) as server:
            for answer in (
                self.preflight(server, OURS, Method="GET", Headers="authorization"),
                server.client.get("/health", headers={"Origin": OURS}),
            ):
                assert "Access-Control-Allow-Credentials" not in answer.headers
                assert answer.headers["Access-Control-Allow-Origin"] in ("*", OURS)


def test_the_openapi_document_says_how_a_token_is_sent(server: Server) -> None:
    document = server.get("/openapi.json").json()
    schemes = document["components"]["securitySchemes"]
    assert schemes["bearer"] == {"type": "http", "scheme": "bearer"}
    assert schemes["access_token"] == {"type": "apiKey", "in": "query", "name": "access_token"}
    assert document["security"] == [{}, {"bearer": []}, {"access_token": []}]
