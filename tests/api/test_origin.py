"""An API behind a CDN answers the CDN alone, and sends everybody else there."""

from pathlib import Path

import pytest

from api.served import AUTHORIZED, serving, tile_url
from livemosaic.table.sqlite import SqliteTable

OLD, NEW, OTHER = (letter * 40 for letter in "abc")
PUBLIC = "https://maps.example.com"


@pytest.fixture
def origin(sqlite_table: SqliteTable, folder: Path):
    secret = folder / "secret"
    secret.write_text(f"{NEW}\n{OLD}\n")
    with serving(sqlite_table, folder, origin_secret=str(secret), public_url=PUBLIC) as server:
        server.client.headers["X-Livemosaic-Origin"] = NEW
        server.create()
        yield server


URLS = ["/", "/health", tile_url(".png"), "/mosaics/m/tiles/WebMercatorQuad/tilejson.json", "/docs"]


@pytest.mark.parametrize("secret", [NEW, OLD], ids=["current", "previous"])
@pytest.mark.parametrize("url", URLS)
def test_the_cdn_is_answered_also_while_its_secret_is_replaced(origin, url, secret):
    headers = {"X-Livemosaic-Origin": secret}
    assert origin.client.get(url, headers=headers).status_code == 200


@pytest.mark.parametrize("secret", ["", OTHER, NEW[:-1], f"{NEW}a", f"{NEW},{OTHER}"])
@pytest.mark.parametrize("url", [*URLS, f"{tile_url()}?assets=visual&rescale=0%2C1"])
def test_others_are_sent_to_the_cdn(origin, url, secret):
    headers = {"X-Livemosaic-Origin": secret, "Host": "evil.example"}
    answer = origin.client.get(url, headers=headers, follow_redirects=False)
    assert (answer.status_code, answer.headers["Location"]) == (307, PUBLIC + url)
    assert (answer.content, answer.headers["Cache-Control"]) == (b"", "no-store")


@pytest.mark.parametrize("method", ["HEAD", "OPTIONS", "POST", "PUT", "DELETE"])
def test_no_method_gets_past(origin, method):
    headers = {**AUTHORIZED, "X-Livemosaic-Origin": ""}
    answer = origin.client.request(method, "/mosaics/m", headers=headers, follow_redirects=False)
    assert answer.status_code == 307
    assert origin.get("/mosaics/m").status_code == 200


def test_without_a_public_url_others_are_refused(sqlite_table: SqliteTable, folder: Path):
    (folder / "secret").write_text(NEW)
    with serving(sqlite_table, folder, origin_secret=str(folder / "secret")) as server:
        answer = server.get("/health")
    assert (answer.status_code, answer.headers["Cache-Control"]) == (403, "no-store")


def test_a_secret_that_cannot_be_read_opens_nothing(sqlite_table: SqliteTable, folder: Path):
    with serving(sqlite_table, folder, origin_secret=str(folder)) as server:
        answer = server.client.get("/health", headers={"X-Livemosaic-Origin": NEW})
    assert answer.status_code == 503
    assert "LIVEMOSAIC_ORIGIN_SECRET" in answer.json()["detail"]


def test_an_empty_file_of_secrets_opens_nothing(sqlite_table: SqliteTable, folder: Path):
    (folder / "secret").write_text("")
    with serving(sqlite_table, folder, origin_secret=str(folder / "secret")) as server:
        assert server.client.get("/health").status_code == 403
