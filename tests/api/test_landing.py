"""The way in, for people and for programs."""

from html.parser import HTMLParser
from typing import Any
from urllib.parse import urljoin

import pytest
from titiler.core.models.OGC import Landing

from api.served import AUTHORIZED, TOKEN, Server

BROWSER = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
DOCUMENTS = (
    "/",
    "/conformance",
    "/tileMatrixSets",
    "/tileMatrixSets/WebMercatorQuad",
    "/algorithms",
    "/algorithms/hillshade",
    "/colorMaps",
    "/colorMaps/viridis",
    "/mosaics/m/tiles",
    "/mosaics/m/tiles/WebMercatorQuad",
)


class Links(HTMLParser):
    """Addresses of a page: what it links to, and what it is made of."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.found: list[str] = []
        self.feed(page)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found += [value for name, value in attrs if name in ("href", "src") and value]


def page(server: Server, url: str, **headers: str) -> str:
    answer = server.client.get(url, headers={"Accept": BROWSER, **headers})
    assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
    text: str = answer.text
    return text


class TestForms:
    @pytest.mark.parametrize("url", DOCUMENTS)
    def test_a_browser_gets_a_page_and_a_program_json(self, server: Server, url: str) -> None:
        answer = server.client.get(url, headers={"Accept": BROWSER})
        assert answer.headers["Content-Type"] == "text/html; charset=utf-8"
        assert "Accept" in answer.headers["Vary"]
        assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
        assert server.get(url).headers["Content-Type"] == "application/json"
        assert "text/html" in server.get(url, f="html").headers["Content-Type"]
        forced = server.client.get(url, params={"f": "json"}, headers={"Accept": BROWSER})
        assert forced.headers["Content-Type"] == "application/json"

    @pytest.mark.parametrize(
        ("accept", "form"),
        [
            ("*/*", "json"),
            ("", "json"),
            ("application/json", "json"),
            ("text/html", "html"),
            ("text/html, application/json", "json"),
            ("text/html;q=0.5, application/json", "json"),
            ("application/json;q=0.5, text/html", "html"),
            ("text/html;q=0", "json"),
            ("text/html;q=x", "json"),
            ("TEXT/HTML; charset=utf-8; q=1", "html"),
            ("image/png", "json"),
        ],
    )
    def test_accept_is_weighed(self, server: Server, accept: str, form: str) -> None:
        answer = server.client.get("/conformance", headers={"Accept": accept})
        assert form in answer.headers["Content-Type"]

    def test_an_unknown_form_is_refused(self, server: Server) -> None:
        assert server.get("/", f="xml").status_code == 400

    @pytest.mark.parametrize("url", DOCUMENTS)
    def test_every_link_of_a_page_leads_somewhere(self, server: Server, url: str) -> None:
        found = {link for link in Links(page(server, url)).found if not link.startswith("data:")}
        inside = sorted(link for link in found if not link.startswith("http"))
        assert inside
        for link in inside[:15]:
            assert server.get(urljoin(url, link)).status_code == 200, link


class TestLanding:
    def test_it_is_one_of_ogc_api(self, server: Server) -> None:
        document = server.get("/").json()
        Landing.model_validate(document)
        for link in document["links"]:
            answer = server.get(link["href"])
            assert answer.status_code == 200, link
            assert link["type"].split(";")[0].split("+")[-1] in answer.headers["Content-Type"]

    def test_it_shows_the_mosaics(self, server: Server) -> None:
        server.create("alps", title="Die <b>Alpen</b>", minzoom=3)
        server.publish("a", 1, mosaic="alps")
        text = page(server, "/")
        assert "Die &lt;b&gt;Alpen&lt;/b&gt;" in text
        assert "45.6° N – 45.8° N, 7.7° E – 8.1° E, zoom 3–22" in text
        assert "mosaics/alps/map.html" in Links(text).found

    def test_what_is_private_shows_to_who_may_see_it(self, server: Server) -> None:
        server.create("secret", access="private")
        assert "secret" not in page(server, "/")
        assert "secret" in page(server, "/", **AUTHORIZED)
        assert TOKEN not in page(server, "/", **AUTHORIZED)

    def test_a_token_of_the_address_goes_into_its_links(self, server: Server) -> None:
        server.create("secret", access="private")
        minted: dict[str, Any] = server.client.post(
            "/mosaics/secret/tokens", headers=AUTHORIZED
        ).json()
        token = minted["access_token"]
        (link,) = {
            link
            for link in Links(page(server, f"/?access_token={token}")).found
            if link.startswith("mosaics/secret/map")
        }
        assert server.get(f"/{link}").status_code == 200

    def test_it_says_so_where_there_is_none(self, server: Server) -> None:
        server.client.delete("/mosaics/m", headers=AUTHORIZED)
        assert "There is no mosaic here yet" in page(server, "/")
