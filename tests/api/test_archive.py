"""The route of a mosaic's PMTiles: what `livemosaic export` published, whole or in ranges."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.overviews import build, make_scenes, publish, with_overviews
from api.served import AUTHORIZED, Server
from cli.archives import delete, every_tile, export
from livemosaic.export.pmtiles.reader import Archive

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
