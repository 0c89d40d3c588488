"""Text is compressed over HTTP, by a server without a CDN before it, too; images are not."""

import gzip

import pytest

from api.served import Server, tile_url

GZIP = {"Accept-Encoding": "gzip"}


@pytest.mark.parametrize(
    "path",
    [
        "/static/map/mosaic.js",
        "/static/land/land.json",
        "/static/land/land.svg",
        "/openapi.json",
        "/tileMatrixSets/WebMercatorQuad",
        "/mosaics/m/WMTSCapabilities.xml",
        "/mosaics/m/map.html",
    ],
)
def test_text_is_compressed_for_who_accepts_it_and_is_the_same(server: Server, path: str) -> None:
    plain = server.client.get(path, headers={"Accept-Encoding": "identity"})
    with server.client.stream("GET", path, headers=GZIP) as packed:
        sent = b"".join(packed.iter_raw())
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Accept-Encoding" in packed.headers["Vary"]
    assert gzip.decompress(sent) == plain.content
    assert len(sent) < len(plain.content) / 2
    assert "Content-Encoding" not in plain.headers


@pytest.mark.parametrize(
    "path", [tile_url(), "/colorMaps/viridis?f=png", "/colorMaps/viridis?f=npy"]
)
def test_images_are_sent_as_they_are(server: Server, path: str) -> None:
    assert "Content-Encoding" not in server.client.get(path, headers=GZIP).headers


def test_a_geotiff_is_read_by_ranges_and_not_compressed(server: Server) -> None:
    path = "/mosaics/m/bbox/7,45,9,46/256x256.tif"
    whole = server.client.get(path, headers=GZIP)
    assert "Content-Encoding" not in whole.headers


def test_a_compressed_file_is_revalidated(server: Server) -> None:
    path = "/static/map/mosaic.js"
    etag = server.client.get(path, headers=GZIP).headers["ETag"]
    assert server.client.get(path, headers={**GZIP, "If-None-Match": etag}).status_code == 304
