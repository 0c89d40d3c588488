"""Every absolute link begins with the URL by which clients come, and with nothing they send."""

import html
import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urljoin, urlsplit

import pytest
from pydantic import ValidationError

from api.served import AUTHORIZED, LEFT, WHOLE, Server, serving
from livemosaic.export.tiles.store import ArchiveStore
from livemosaic.settings import Settings
from livemosaic.table.sqlite import SqliteTable

OTHER = "evil.example"
HOSTILE = {
    "Host": OTHER,
    "Forwarded": f"host={OTHER};proto=http",
    "X-Forwarded-Host": OTHER,
    "X-Forwarded-Proto": "http",
    "X-Forwarded-Port": "81",
    "X-Forwarded-Prefix": f"/{OTHER}",
    "X-Original-URL": f"http://{OTHER}/",
}
FILL = {
    "mosaic": "m",
    "driver": "wms",
    "tms": "WebMercatorQuad",
    "tileMatrixSetId": "WebMercatorQuad",
    "z": "10",
    "x": "534",
    "y": "365",
    "render": "red",
    "item": "old",
    "algorithm": "hillshade",
    "colormap": "viridis",
    "lon": "7.7",
    "lat": "45.9",
    "minx": "7.6",
    "miny": "45.8",
    "maxx": "7.7",
    "maxy": "45.9",
    "width": "20",
    "height": "20",
    "scale": "1",
    "format": "png",
}
LINKING = {
    "/",
    "/algorithms",
    "/collections",
    "/collections/{mosaic}",
    "/collections/{mosaic}/items",
    "/collections/{mosaic}/items/{item}",
    "/collections/{mosaic}/queryables",
    "/colorMaps",
    "/queryables",
    "/search",
    "/tileMatrixSets",
    "/mosaics/{mosaic}/WMTSCapabilities.xml",
    *(f"/mosaics/{{mosaic}}/gdal/{name}" for name in ("{driver}.xml", "mosaic.vrt", "mosaic.qlr")),
    "/mosaics/{mosaic}/items",
    "/mosaics/{mosaic}/map.html",  # og:image
    "/mosaics/{mosaic}/items/{item}",
    "/mosaics/{mosaic}/renders",
    "/mosaics/{mosaic}/renders/{render}",
    "/mosaics/{mosaic}/tiles",
    "/mosaics/{mosaic}/tiles/{tms}",
    "/mosaics/{mosaic}/tiles/{tms}/tilejson.json",
    "/mosaics/{mosaic}/vector/{tms}",
    "/mosaics/{mosaic}/vector/{tms}/tilejson.json",
}
"""Routes with absolute links: the crawl must find them in each."""


@pytest.fixture
def at(sqlite_table: SqliteTable, folder: Path) -> Iterator[Callable[..., Server]]:
    """Starts servers of one mosaic with two scenes and a named render, by their settings."""
    running = []

    def start(**settings: Any) -> Server:
        context = serving(sqlite_table, folder, archive_store=folder.as_uri(), **settings)
        server = context.__enter__()
        running.append(context)
        if not server.services.mosaics.all():
            server.create(renders={"red": {"assets": ["visual"], "rescale": [[0, 200]]}})
            server.publish("old", (10, 20, 30), WHOLE, day=1)
            server.publish("new", (10, 20, 30), LEFT, day=2)
            store = ArchiveStore(server.services.settings.archives)
            for archives in (store, store.of_vectors):
                archives.make_folder()
                Path(archives.place_of(server.services.mosaics.get("m"), "")).write_bytes(b"tiles")
        return server

    yield start
    for context in running:
        context.__exit__(None, None, None)


def paths(server: Server) -> list[str]:
    """Paths of all routes that answer GET, as templates."""
    document = server.get("/openapi.json").json()
    return [*(path for path, how in document["paths"].items() if "get" in how), "/openapi.json"]


def answers(server: Server, template: str, headers: Mapping[str, str]) -> Iterator[Any]:
    """What a route answers as JSON and as a page, with query parameters that make it link more."""
    path = re.sub(r"{(\w+)(:path)?}", lambda found: FILL[found[1]], template)
    query = {"limit": "1"} if template.endswith("/items") else {}
    if template.startswith("/mosaics") and "{item}" in template:
        query = {"collection": "s2"}
    for accept in ("application/json", "text/html"):
        yield server.client.get(
            path, params=query, headers={**headers, "Accept": accept}, follow_redirects=False
        )


def links(text: str, base: str) -> set[str]:
    return set(re.findall(re.escape(base) + r"[^\"'<>\s]*", html.unescape(text)))


BASES = ["https://maps.example.com", "http://[2001:db8::17]:8080/a/b.c"]


@pytest.mark.parametrize("base", BASES)
def test_all_links_begin_with_the_public_url_whatever_a_client_sends(at, base):
    server = at(public_url=base)
    linking = set()
    for template in paths(server):
        for answer in answers(server, template, HOSTILE):
            assert answer.status_code < 400, (template, answer.text)
            said = json.dumps(dict(answer.headers)) + answer.text
            assert OTHER not in said, template
            assert "testserver" not in said, template
            if links(answer.text, f"{base}/"):
                linking.add(template)
    assert linking == LINKING


@pytest.mark.slow
def test_every_link_leads_to_something(at):
    base = "https://example.com/maps"
    server = at(public_url=f"{base}/")
    seen = set()
    for template in paths(server):
        for answer in answers(server, template, {}):
            for link in links(answer.text, f"{base}/"):
                named = re.sub(r"\$?{(\w+)}", lambda found: FILL.get(found[1], found[0]), link)
                seen.add(named.removeprefix(base))
    sets = sorted(path for path in seen if path.startswith("/tileMatrixSets/"))
    assert len(sets) > 1000  # planetcantile's, too: all of one route
    seen -= {*sets} - {*sets[::20]}
    assert len(seen) > 90
    for path in seen:
        elsewhere = "/10/534/365" in path and "WebMercatorQuad" not in path
        if not elsewhere and "{" not in unquote(path):  # as in WMTS's {TileMatrixSet}
            assert server.client.get(path).status_code == 200, path


@pytest.mark.parametrize(
    "path",
    ["/mosaics/m/WebMercatorQuad/tilejson.json", "/mosaics/m/tiles/WebMercatorQuad/map.html"],
)
def test_a_redirect_stays_below_the_public_url(at, path):
    base = "https://example.com/maps"
    server = at(public_url=base)
    answer = server.client.get(path, headers=HOSTILE, follow_redirects=False)
    assert answer.status_code == 307
    assert urljoin(f"{base}{path}", answer.headers["Location"]).startswith(f"{base}/mosaics/m/")


def test_a_slash_too_many_leads_below_the_public_url(at):
    server = at(public_url="https://example.com/maps")
    answer = server.client.get("/health/", headers=HOSTILE, follow_redirects=False)
    assert answer.headers["Location"] == "https://example.com/maps/health"


def test_pages_load_their_files_and_each_other_relatively(at):
    """So that a page works below any path, which it does not know."""
    server = at(public_url="https://example.com/maps")
    page = server.client.get("/mosaics/m/map.html").text
    for href in re.findall(r'(?:href|src)="([^"]*)"', page):
        assert not urlsplit(href).netloc, href
        if not href.startswith("data:"):
            assert server.client.get(urljoin("/mosaics/m/map.html", href)).status_code == 200


def test_the_openapi_document_names_the_path_as_its_server(at):
    document = at(public_url="https://example.com/maps").get("/openapi.json").json()
    assert document["servers"] == [{"url": "/maps"}]


def tiles_of(server: Server, **headers: str) -> str:
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = server.client.get(
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json", headers={"Host": "origin", **named}
    )
    [template] = answer.json()["tiles"]
    return str(template).partition("/mosaics/")[0]


ALL = "forwarded, X-Forwarded-Host,x-forwarded-proto , X-FORWARDED-PREFIX"


@pytest.mark.parametrize(
    ("trusted", "headers", "base"),
    [
        ("", HOSTILE | {"Host": "origin"}, "http://origin"),
        ("x-forwarded-proto", HOSTILE | {"X-Forwarded-Proto": "https"}, f"https://{OTHER}"),
        (
            "x-forwarded-host,x-forwarded-proto",
            {"X-Forwarded-Host": "maps.example.com", "X-Forwarded-Proto": "https"},
            "https://maps.example.com",
        ),
        ("x-forwarded-host", {"Forwarded": f"host={OTHER}"}, "http://origin"),
        ("forwarded", {"X-Forwarded-Host": OTHER}, "http://origin"),
        (
            "forwarded",
            {"Forwarded": 'for="192.0.2.43:\\"1";Host="maps.example.com:8443"; proto=https;'},
            "https://maps.example.com:8443",
        ),
        (
            "forwarded",
            {"Forwarded": f"host={OTHER}, host=maps.example.com"},
            "http://maps.example.com",
        ),
        (
            "x-forwarded-host",
            {"X-Forwarded-Host": f"{OTHER}, maps.example.com"},
            "http://maps.example.com",
        ),
        (
            ALL,
            {"Forwarded": "proto=https", "X-Forwarded-Prefix": "/maps/"},
            "https://origin/maps",
        ),
        ("forwarded", {"Forwarded": 'host="[2001:db8::17]:4711"'}, "http://[2001:db8::17]:4711"),
        *(
            (ALL, {name: value}, "http://origin")
            for name, value in {
                "X-Forwarded-Host": "a/b",
                "X-Forwarded-Proto": "javascript",
                "X-Forwarded-Prefix": "//a.example",
                "Forwarded": 'host="a@b"; proto=ftp',
            }.items()
        ),
        (ALL, {"X-Forwarded-Prefix": "/maps/.."}, "http://origin"),
        (ALL, {"X-Forwarded-Host": "maps.example.com:65536"}, "http://origin"),
        *(
            ("forwarded", {"Forwarded": said}, "http://origin")
            for said in (
                f'for="a;host={OTHER};b"',
                f'for="\\";host={OTHER};by=\\""',
                f"host=maps.example.com;host={OTHER}",
                f'for="a,host={OTHER}"',
                'host="maps.example.com',
            )
        ),
        (ALL, {"X-Forwarded-Host": 'a"><script>'}, "http://origin"),
    ],
)
def test_only_trusted_headers_of_the_nearest_proxy_count(at, trusted, headers, base):
    assert tiles_of(at(trusted_headers=trusted), **{"Host": "origin", **headers}) == base


def test_the_public_url_precedes_trusted_headers(at):
    server = at(public_url="https://maps.example.com", trusted_headers=ALL)
    assert tiles_of(server, **HOSTILE) == "https://maps.example.com"


@pytest.mark.parametrize(
    "url",
    [
        "maps.example.com",
        "ftp://a",
        "https://",
        "https://a/?b",
        "https://a/#b",
        "https://a@b/",
        "https://a b/",
        "https://a/b//c",
        "https://a/../b",
        "https://a/.",
        "https://a:99999",
        "https://a:0/b",
        "https://[....]",
        "https://[2001:db8::17",
    ],
)
def test_what_is_no_url_of_an_api_is_refused(url):
    with pytest.raises(ValidationError, match="no URL of an API: write https://HOST"):
        Settings(public_url=url)


def test_a_header_that_names_no_url_cannot_be_trusted():
    with pytest.raises(ValidationError, match="x-forwarded-proto"):
        Settings(trusted_headers="x-forwarded-for")


def test_writes_and_private_mosaics_work_below_a_path(at):
    server = at(public_url="https://example.com/maps")
    server.create("secret", access="private")
    made = server.client.post("/mosaics/secret/tokens", headers=AUTHORIZED)
    token = made.json()["access_token"]
    listed = server.get("/mosaics/secret/renders", access_token=token).json()
    assert listed["links"][0]["href"] == (
        f"https://example.com/maps/mosaics/secret/renders?access_token={token}"
    )
