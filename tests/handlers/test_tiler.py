"""The tiler function, fed requests as an HTTP API of API Gateway hands them over."""

import gzip
import io
import json
import warnings
from pathlib import Path
from typing import Any
from urllib.parse import quote

import numpy as np
import pytest
from numpy.typing import NDArray
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from api.served import SIZE, STEP, WHOLE, raster, scene, tile_url, transform
from cogs import write_cog
from handlers.conftest import Deployed
from handlers.gateway import HOST, OPEN, SIGNED, HttpApi, Response, decoded
from handlers.runtime import FunctionError, function
from items import sqs_event

JSON = {"Content-Type": "application/json"}
OURS = "https://maps.example.com"
PIXELS = np.random.default_rng(7).integers(1, 255, (3, SIZE, SIZE), np.uint8)


@pytest.fixture(scope="module")
def api(deployed: Deployed) -> HttpApi:
    """Mosaic `m` with a scene of `PIXELS`, `bands` with a band an asset, `large` with noise."""
    folder = deployed.folder
    for mosaic in ("m", "bands", "large"):
        settings = {"id": mosaic, "collections": [mosaic]}
        assert send(deployed.api, "POST", "/mosaics", settings).status == 201
    pixels = raster(folder / "a.tif", PIXELS)
    red, green = raster(folder / "red.tif", 10), raster(folder / "green.tif", 20)
    scenes = (
        scene("a", str(pixels), collection="m"),
        scene("a", {"red": str(red), "green": str(green)}, collection="bands"),
        scene("a", str(noise(folder / "large.tif")), collection="large"),
    )
    event = sqs_event(*map(json.dumps, scenes))
    assert deployed.ingest.invoke(event) == {"batchItemFailures": []}
    return deployed.api


def noise(path: Path) -> Path:
    """Sixteen pixels to one of the tile, which no format can make much smaller."""
    values = np.random.default_rng(7).integers(1, 60_000, (3, 4 * SIZE, 4 * SIZE), np.uint16)
    return write_cog(path, values, crs="EPSG:3857", transform=transform(WHOLE, STEP / 4))


def send(api: HttpApi, method: str, url: str, document: Any = None, **how: Any) -> Response:
    """A request signed with IAM credentials, unless it says otherwise."""
    body = None if document is None else json.dumps(document).encode()
    return api.ask(method, url, **{"headers": JSON, "body": body, "authorizer": SIGNED, **how})


def image(content: bytes) -> NDArray[Any]:
    with warnings.catch_warnings(), MemoryFile(content) as file:
        warnings.simplefilter("ignore", NotGeoreferencedWarning)
        with file.open() as dataset:
            bands: NDArray[Any] = dataset.read()
            return bands


class TestTiles:
    @pytest.mark.parametrize(
        ("suffix", "media_type"),
        [
            (".png", "image/png"),
            (".tif", "image/tiff; application=geotiff"),
            (".npy", "application/x-binary"),
        ],
    )
    def test_a_tile_of_what_came_by_the_queue_has_its_pixels(
        self, api: HttpApi, suffix: str, media_type: str
    ) -> None:
        answer = api.get(tile_url(suffix))
        assert (answer.status, answer.headers["content-type"]) == (200, media_type)
        assert answer.headers["x-scenes"] == "a"
        read = np.load(io.BytesIO(answer.content)) if suffix == ".npy" else image(answer.content)
        assert np.array_equal(read[:3], PIXELS)

    @pytest.mark.parametrize(
        ("asked", "first", "end"),
        [("bytes=0-15", 0, 16), ("bytes=100-", 100, None), ("bytes=-7", -7, None)],
    )
    def test_a_range_of_a_geotiff_is_a_part_in_base64(
        self, api: HttpApi, asked: str, first: int, end: int | None
    ) -> None:
        whole = api.get(tile_url(".tif"))
        assert whole.headers["accept-ranges"] == "bytes"
        part = api.get(tile_url(".tif"), range=asked)
        assert (part.status, part.content) == (206, whole.content[first:end])
        start = first % len(whole.content)
        span = f"bytes {start}-{start + len(part.content) - 1}/{len(whole.content)}"
        assert part.headers["content-range"] == span
        assert part.headers["content-length"] == str(len(part.content))
        assert part.headers["etag"] == whole.headers["etag"]

    def test_a_range_that_is_not_there_and_one_of_another_edition(self, api: HttpApi) -> None:
        whole = api.get(tile_url(".tif"))
        beyond = api.get(tile_url(".tif"), range=f"bytes={len(whole.content)}-")
        assert (beyond.status, beyond.json["status"]) == (416, 416)
        assert beyond.headers["content-range"] == f"bytes */{len(whole.content)}"
        other = api.get(tile_url(".tif"), range="bytes=0-15", if_range='"other"')
        assert (other.status, other.content) == (200, whole.content)

    def test_a_geotiff_too_large_for_lambda_is_read_in_parts(self, api: HttpApi) -> None:
        """Each part is within the limit that the whole is beyond."""
        url = tile_url(".tif", "large") + "?tilesize=1024"
        assert api.get(url).status == 413
        parts = [
            api.get(url, range=f"bytes={n}-{n + 2**20 - 1}") for n in range(0, 7 * 2**20, 2**20)
        ]
        assert {part.status for part in parts} <= {206, 416}
        length = int(parts[0].headers["content-range"].rpartition("/")[2])
        content = b"".join(part.content for part in parts)
        assert len(content) == length > 4.6e6
        assert image(content).shape == (4, 1024, 1024)

    @pytest.mark.parametrize("assets", ["assets=green&assets=red", "assets=green%2Cred"])
    def test_repeated_parameters_come_through_in_their_order(
        self, api: HttpApi, assets: str
    ) -> None:
        answer = api.get(f"{tile_url('.npy', 'bands')}?{assets}")
        assert np.load(io.BytesIO(answer.content))[:2, 0, 0].tolist() == [20, 10]

    def test_a_plus_in_an_expression_may_be_escaped(self, api: HttpApi) -> None:
        answer = api.get(f"{tile_url('.npy', 'bands')}?expression=red%2Bgreen")
        assert np.load(io.BytesIO(answer.content))[0, 0, 0] == 30

    def test_one_process_answers_request_after_request(self, api: HttpApi) -> None:
        first, second = api.get(tile_url(".png")), api.get(tile_url(".png"))
        for answer in (first, second):
            del answer.headers["server-timing"]
        assert first == second

    def test_a_tile_that_is_known_is_not_sent_again(self, api: HttpApi) -> None:
        known = api.get(tile_url(".png")).headers["etag"]
        answer = api.get(tile_url(".png"), if_none_match=known)
        assert (answer.status, answer.headers["etag"], answer.content) == (304, known, b"")

    @pytest.mark.parametrize("url", [tile_url(".png"), "/mosaics/m/info", "/static/map.css"])
    def test_head_is_get_without_the_body(self, api: HttpApi, url: str) -> None:
        head, get = api.ask("HEAD", url), api.get(url)
        for answer in (head, get):
            answer.headers.pop("server-timing", None)
        assert (head.status, head.headers, head.content) == (200, get.headers, b"")

    def test_head_of_what_is_not_there_is_a_404(self, api: HttpApi) -> None:
        assert api.ask("HEAD", "/mosaics/x/info").status == 404


class TestLimit:
    @pytest.mark.parametrize("query", [".npy?tilesize=1024", ".tif?tilesize=1024", "@4x.png"])
    def test_an_image_too_large_for_lambda_is_a_413_that_says_what_to_do(
        self, api: HttpApi, query: str
    ) -> None:
        answer = api.get(tile_url(query, "large"), origin=OURS)
        assert answer.status == 413
        assert answer.headers == {
            "content-type": "application/problem+json",
            "cache-control": "no-store",
            "access-control-allow-origin": OURS,
            "access-control-expose-headers": answer.headers["access-control-expose-headers"],
            "vary": "Origin",
        }
        assert "X-Truncated" in answer.headers["access-control-expose-headers"]
        detail = answer.json["detail"]
        assert "the limit is 6,291,556" in detail
        assert detail.endswith("ask for fewer pixels or bands, or for jpg or webp")

    @pytest.mark.parametrize("query", [".tif?tilesize=512", "@4x.jpg?rescale=0,60000"])
    def test_what_it_says_helps(self, api: HttpApi, query: str) -> None:
        assert api.get(tile_url(query, "large")).status == 200

    def test_text_is_compressed_for_who_accepts_it(self, api: HttpApi) -> None:
        plain = api.get("/tileMatrixSets/WebMercatorQuad")
        packed = api.get("/tileMatrixSets/WebMercatorQuad", Accept_Encoding="gzip")
        assert packed.headers["content-encoding"] == "gzip"
        assert gzip.decompress(packed.content) == plain.content


class TestAddresses:
    def test_links_name_the_address_that_was_asked(self, api: HttpApi) -> None:
        answer = api.get("/mosaics/m/tiles/WebMercatorQuad/tilejson.json?rescale=0,255")
        tiles = "/mosaics/m/tiles/WebMercatorQuad/{z}/{x}/{y}?rescale=0%2C255"
        assert answer.json["tiles"] == [f"https://{HOST}{tiles}"]

    @pytest.mark.parametrize("name", ["a b", "a/b", "a+b&c=d", "ä λ", "50%", "a%2Fb", "%25", "%%"])
    def test_an_item_is_found_by_its_escaped_id(self, api: HttpApi, name: str) -> None:
        document = scene(name, "https://example.com/a.tif", collection="m")
        assert send(api, "POST", "/mosaics/m/items", document).status == 200
        url = f"/mosaics/m/items/{quote(name, safe='')}"
        assert api.get(url).json["id"] == name
        assert send(api, "DELETE", url).status == 204
        assert api.get(url).status == 404

    @pytest.mark.parametrize(
        ("sent", "handed_over"),
        [
            ("/a%20b", "/a b"),
            ("/a%2Fb%C3%A4", "/a/bä"),
            ("/a%252Fb", "/a%252Fb"),
            ("/%25%25%20", "/%25%25 "),
        ],
    )
    def test_these_tests_decode_paths_as_api_gateway_does(
        self, sent: str, handed_over: str
    ) -> None:
        assert decoded(sent) == handed_over


class TestHeaders:
    def test_cookies_and_values_beyond_ascii_do_no_harm(self, api: HttpApi) -> None:
        answer = api.ask(
            "GET", "/health", headers={"X-Note": "ä, λ"}, cookies=("theme=dark", "a=ä")
        )
        assert answer.status == 200

    def test_a_token_beyond_ascii_is_a_401(self, api: HttpApi) -> None:
        headers = {**JSON, "Authorization": "Bearer ä"}
        answer = send(api, "POST", "/mosaics", {"id": "x"}, headers=headers, authorizer=OPEN)
        assert answer.status == 401

    def test_scenes_are_named_in_ascii(self, api: HttpApi, deployed: Deployed) -> None:
        where = raster(deployed.folder / "umlaut.tif", 9)
        document = scene("ä", str(where), day=9, collection="m")
        assert send(api, "POST", "/mosaics/m/items", document).status == 200
        assert api.get(tile_url(".png")).headers["x-scenes"] == "%C3%A4"
        assert send(api, "DELETE", "/mosaics/m/items/%C3%A4").status == 204


class TestCors:
    def test_a_page_of_a_listed_origin_may_read(self, api: HttpApi) -> None:
        headers = api.get("/health", origin=OURS).headers
        assert headers["access-control-allow-origin"] == OURS
        assert headers["vary"] == "Origin"

    @pytest.mark.parametrize("origin", ["https://evil.example.com", "null", "http://localhost"])
    def test_a_page_of_another_origin_may_not(self, api: HttpApi, origin: str) -> None:
        assert "access-control-allow-origin" not in api.get("/health", origin=origin).headers

    def test_a_refusal_may_be_read_too(self, api: HttpApi) -> None:
        answer = api.get("/mosaics/x/info", origin=OURS)
        assert (answer.status, answer.headers["access-control-allow-origin"]) == (404, OURS)

    @pytest.mark.parametrize("method", ["GET", "HEAD"])
    def test_a_preflight_for_a_conditional_read_passes(self, api: HttpApi, method: str) -> None:
        answer = preflight(api, OURS, method)
        assert answer.status == 200
        assert answer.headers["access-control-allow-origin"] == OURS
        assert method in answer.headers["access-control-allow-methods"].split(", ")
        assert "if-none-match" in answer.headers["access-control-allow-headers"].lower()

    @pytest.mark.parametrize(
        ("origin", "method"),
        [
            pytest.param("https://evil.example.com", "GET", id="from another origin"),
            pytest.param(OURS, "DELETE", id="for a write"),
        ],
    )
    def test_no_other_preflight_does(self, api: HttpApi, origin: str, method: str) -> None:
        assert preflight(api, origin, method).status == 400


def preflight(api: HttpApi, origin: str, method: str) -> Response:
    headers = {
        "Origin": origin,
        "Access-Control-Request-Method": method,
        "Access-Control-Request-Headers": "if-none-match",
    }
    return api.ask("OPTIONS", tile_url(".png"), headers=headers)


class TestWrites:
    def test_a_caller_whom_api_gateway_knows_may_write(self, api: HttpApi) -> None:
        assert send(api, "POST", "/mosaics", {"id": "mine"}).status == 201
        assert send(api, "PUT", "/mosaics/mine", {"title": "Mine"}).json["title"] == "Mine"
        assert send(api, "DELETE", "/mosaics/mine").status == 204

    def test_a_body_in_base64_is_read(self, api: HttpApi) -> None:
        document = scene("λ", "https://example.com/a.tif", collection="m")
        answer = send(api, "POST", "/mosaics/m/items", document, base64_body=True)
        assert answer.json["outcomes"][0]["status"] == "done"
        assert send(api, "DELETE", "/mosaics/m/items/%CE%BB").status == 204

    @pytest.mark.parametrize(
        "authorizer",
        [
            pytest.param(None, id="no authorizer"),
            pytest.param({}, id="an empty one"),
            pytest.param(OPEN, id="empty fields"),
            pytest.param({"iam": None}, id="no iam"),
            pytest.param({"jwt": {"claims": {"iam": "x", "userArn": "x"}}}, id="a jwt"),
            pytest.param({"lambda": SIGNED}, id="what another function says"),
        ],
    )
    def test_nobody_else_may(self, api: HttpApi, authorizer: Any) -> None:
        answer = send(api, "POST", "/mosaics", {"id": "x"}, authorizer=authorizer)
        assert (answer.status, answer.headers["www-authenticate"]) == (401, "Bearer")
        assert answer.json["detail"] == (
            "this server accepts no writes over HTTP: it was started without LIVEMOSAIC_TOKEN. On "
            "AWS, sign writes with IAM credentials: livemosaic --api URL …"
        )

    CLAIM = json.dumps({"requestContext": {"authorizer": SIGNED}})

    @pytest.mark.parametrize(
        ("query", "headers"),
        [
            pytest.param("", {"Authorization": "AWS4-HMAC-SHA256 Credential=x"}, id="signature"),
            pytest.param("", {"Authorization": "Bearer "}, id="no token"),
            pytest.param("", {"aws.event": CLAIM, "x-amzn-request-context": CLAIM}, id="headers"),
            pytest.param(f"?aws.event={quote(CLAIM)}", {}, id="query"),
        ],
    )
    def test_saying_so_makes_nobody_known(
        self, api: HttpApi, query: str, headers: dict[str, str]
    ) -> None:
        body = {"id": "x", **json.loads(self.CLAIM), "aws.event": json.loads(self.CLAIM)}
        how = {"headers": {**JSON, **headers}, "authorizer": OPEN}
        assert send(api, "POST", f"/mosaics{query}", body, **how).status == 401
        assert api.get("/mosaics/x").status == 404


class TestStart:
    def test_a_setting_that_cannot_be_is_named(self, tmp_path: Path) -> None:
        environment = {"LIVEMOSAIC_CORS_ORIGINS": "https://maps.example.com/"}
        with (
            function("tiler.handler", tmp_path, **environment) as tiler,
            pytest.raises(FunctionError, match="cors_origins") as error,
        ):
            tiler.invoke({})
        assert "'https://maps.example.com/' is no origin" in error.value.message
