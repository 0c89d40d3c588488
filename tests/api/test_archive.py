"""The route of a mosaic's PMTiles: what `livemosaic export` published, whole or in ranges."""

from collections.abc import Iterator
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import pytest
from botocore.auth import S3SigV4QueryAuth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

from api.overviews import build, make_scenes, publish, with_overviews
from api.served import AUTHORIZED, Server, serving
from cli.archives import delete, every_tile, export
from conftest import dummy_credentials
from livemosaic.export.pmtiles.reader import Archive
from livemosaic.table.sqlite import SqliteTable
from objectstore import ObjectStore

pytestmark = pytest.mark.slow

URL = "/mosaics/m/mosaic.pmtiles"


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Server]:
    with with_overviews(tmp_path, renders={"gray": {"bidx": [1]}}) as made:
        publish(made, make_scenes(made.folder, 6))
        build(made)
        yield made


def exported(server: Server, *options: str) -> None:
    export(server, "", "--zooms", "9-11", *options)


def test_the_archive_that_was_published(server: Server, tmp_path: Path) -> None:
    assert server.get(URL).status_code == 404
    assert "`livemosaic export m` makes one" in server.get(URL).json()["detail"]
    assert not (tmp_path / "index.db.archives").exists()  # a disk may be read-only to the server
    exported(server)
    export(server, tmp_path / "m.pmtiles", "--zooms", "9-11")
    whole = server.get(URL)
    assert whole.status_code == 200
    assert whole.content == (tmp_path / "m.pmtiles").read_bytes()
    assert whole.headers["Content-Type"] == "application/vnd.pmtiles"
    assert whole.headers["Cache-Control"] == "no-cache"
    assert "Content-Encoding" not in whole.headers
    assert server.client.head(URL).headers["Content-Length"] == str(len(whole.content))


def test_ranges(server: Server) -> None:
    exported(server)
    body = server.get(URL).content
    for asked, start, stop in (
        ("bytes=0-126", 0, 127),
        ("bytes=5-5", 5, 6),
        ("bytes=100-", 100, len(body)),
        ("bytes=-20", len(body) - 20, len(body)),
        (f"bytes=10-{10 * len(body)}", 10, len(body)),
    ):
        part = server.client.get(URL, headers={"Range": asked})
        assert part.status_code == 206
        assert part.content == body[start:stop]
        assert part.headers["Content-Range"] == f"bytes {start}-{stop - 1}/{len(body)}"
    beyond = server.client.get(URL, headers={"Range": f"bytes={len(body)}-"})
    assert beyond.status_code == 416
    assert beyond.headers["Content-Range"] == f"bytes */{len(body)}"
    for other in ("bytes=0-1,5-6", "bytes=9-3", "x"):
        assert server.client.get(URL, headers={"Range": other}).content == body

    def read(start: int, stop: int) -> bytes:
        found: bytes = server.client.get(
            URL, headers={"Range": f"bytes={start}-{stop - 1}"}
        ).content
        return found

    assert len(every_tile(Archive.open(read))) == Archive.open(read).header.addressed


def test_the_etag_changes_with_each_export(server: Server) -> None:
    exported(server)
    first = server.get(URL)
    etag = first.headers["ETag"]
    known = {"If-None-Match": etag}
    assert server.client.get(URL, headers=known).status_code == 304
    delete(server, "s007")
    build(server)
    exported(server)
    now = server.client.get(URL, headers=known)
    assert now.status_code == 200
    assert now.content != first.content
    part = server.client.get(URL, headers={"Range": "bytes=0-9", "If-Range": etag})
    assert (part.status_code, part.content) == (200, now.content)
    new = {"Range": "bytes=0-9", "If-Range": now.headers["ETag"]}
    assert server.client.get(URL, headers=new).status_code == 206


def test_an_archive_that_cannot_be_read(server: Server, tmp_path: Path) -> None:
    generation = server.services.mosaics.get("m").generation
    (tmp_path / "index.db.archives" / f"m.{generation}.pmtiles").mkdir(parents=True)
    answer = server.get(URL)
    assert answer.status_code == 502
    assert "the archive of mosaic 'm' cannot be read" in answer.json()["detail"]
    assert str(tmp_path) not in answer.text


def test_an_archive_of_each_render(server: Server) -> None:
    exported(server)
    assert server.get(URL, render="gray").status_code == 404
    exported(server, "--render", "gray")
    assert server.get(URL, render="gray").content != server.get(URL).content
    unknown = server.get(URL, render="../x")
    assert unknown.status_code == 400
    assert "there is no render" in unknown.json()["detail"]


def test_a_private_mosaic(server: Server) -> None:
    exported(server)
    server.services.mosaics.update("m", {"access": "private"})
    hidden = server.get(URL)
    assert hidden.status_code == server.get("/mosaics/m/info").status_code == 404
    assert "archive" not in hidden.json()["detail"]
    made = server.client.post("/mosaics/m/tokens", json={"expires_in": 600}, headers=AUTHORIZED)
    assert server.get(URL, access_token=made.json()["access_token"]).status_code == 200


def test_a_mosaic_that_is_created_again_has_no_archive(server: Server) -> None:
    exported(server)
    server.client.delete("/mosaics/m", headers=AUTHORIZED)
    server.create("m")
    assert server.get(URL).status_code == 404


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_an_archive_on_s3_is_a_signed_url_of_the_method(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str
) -> None:
    dummy_credentials(monkeypatch)
    monkeypatch.delenv("AWS_SESSION_TOKEN")
    table = SqliteTable(tmp_path / "index.db")
    with (
        ObjectStore(tmp_path) as store,
        serving(table, tmp_path, archive_store="s3://bucket/maps/") as server,
    ):
        monkeypatch.setenv("AWS_ENDPOINT_URL", store.url)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        server.create("m")
        asked = server.client.request(method, URL, follow_redirects=False)
        assert asked.status_code == 404
        generation = server.services.mosaics.get("m").generation
        (tmp_path / "bucket" / "maps").mkdir(parents=True)
        (tmp_path / "bucket" / "maps" / f"m.{generation}.pmtiles").write_bytes(b"PMTiles")
        store.statuses[f"/bucket/maps/m.{generation}.pmtiles"] = 403
        asked = server.client.request(method, URL, follow_redirects=False)
        assert asked.status_code == 502
        store.statuses.clear()
        asked = server.client.request(method, URL, follow_redirects=False)
    assert (asked.status_code, asked.headers["Cache-Control"]) == (302, "no-store")
    url, _, signature = asked.headers["Location"].partition("&X-Amz-Signature=")
    assert url.startswith(f"{store.url}/bucket/maps/m.{generation}.pmtiles?")
    sent = AWSRequest(method, url)
    (sent.context["timestamp"],) = parse_qs(urlsplit(url).query)["X-Amz-Date"]
    signer = S3SigV4QueryAuth(Credentials("testing", "testing"), "s3", "eu-central-1")
    whole = signer.string_to_sign(sent, signer.canonical_request(sent))
    assert signer.signature(whole, sent) == signature
