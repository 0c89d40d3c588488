"""Maps through the CDN that is deployed: what it saves, how stale it is, and that it never errs."""

import random
from collections.abc import Callable, Iterator, Mapping
from typing import Any

import morecantile
import pytest

from api.served import AUTHORIZED, EDGE, LEFT, RIGHT, WEB, WHOLE, Server, tile_url
from cdn.cloudfront import Answer, CloudFront

Behind = Callable[..., tuple[CloudFront, Server]]
BOUND_S = 10
"""How stale an image of a mosaic without `max_age_s` may be."""
STYLE = [("assets", "visual"), ("rescale", "0,200"), ("resampling", "nearest")]


def url_of(tile: morecantile.Tile, query: list[tuple[str, str]], mosaic: str = "m") -> str:
    path = tile_url(".png", mosaic, (tile.z, tile.x, tile.y))
    return path + "?" + "&".join(f"{name}={value}" for name, value in query)


def direct(server: Server, url: str, **headers: str) -> Any:
    return server.client.get(url, headers=headers)


class User:
    """Pans and zooms a map of 4 x 3 tiles, in a client that writes URLs its own way."""

    def __init__(self, seed: int) -> None:
        self._random = random.Random(seed)
        self._seed = seed
        self._zoom = 10
        self._middle = WEB.lnglat((EDGE.left + EDGE.right) / 2, (EDGE.bottom + EDGE.top) / 2)

    def views(self, count: int) -> Iterator[list[str]]:
        for _ in range(count):
            yield [self._url(tile) for tile in self._tiles()]
            self._move()

    def _tiles(self) -> list[morecantile.Tile]:
        x, y, z = WEB.tile(*self._middle, self._zoom)
        return [morecantile.Tile(x + dx, y + dy, z) for dx in (-2, -1, 0, 1) for dy in (-1, 0, 1)]

    def _move(self) -> None:
        if self._random.random() < 0.25:
            self._zoom = min(12, max(9, self._zoom + self._random.choice((-1, 1))))
            return
        step = 360 / 2**self._zoom
        lon, lat = self._middle
        step_x, step_y = (self._random.choice((-1, 0, 1)) for _ in "xy")
        self._middle = (lon + step * step_x, lat + 0.6 * step * step_y)

    def _url(self, tile: morecantile.Tile) -> str:
        """The first client has parameters in an order of its own each time, the second a number."""
        query = list(STYLE)
        if self._seed % 2:
            self._random.shuffle(query)
            query = [(name, value.replace(",", "%2C")) for name, value in query]
        else:
            query.append(("_", str(self._random.randrange(10**9))))
        return url_of(tile, query)


def test_a_session_of_two_users_is_mostly_answered_by_the_cache(behind: Behind) -> None:
    """The share is stated in docs/cdn.md; each image is the one that the API itself returns."""
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 100, 190), WHOLE)
    truth: dict[str, bytes] = {}
    hits = total = 0
    for views in zip(User(1).views(20), User(2).views(20), strict=True):
        for url in (url for view in views for url in view):
            answer = cdn.get(url, accept="image/webp,*/*", accept_encoding="gzip, br")
            hits += answer.x_cache == "Hit"
            total += 1
            path = url.partition("?")[0]
            if path not in truth:
                truth[path] = direct(server, url).content
            assert answer.content == truth[path], url
        cdn.now += 0.4
    assert total == 480
    assert len(cdn.asked) == total - hits
    assert hits / total > 0.6, hits / total


def test_an_event_shows_within_the_bound_and_the_api_is_asked_once(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("old", (10, 20, 30), WHOLE, day=1)
    url = tile_url(".png")
    old = cdn.get(url).content
    cdn.now = 1
    server.publish("new", (200, 20, 30), LEFT, day=2)
    new = direct(server, url).content
    assert new != old
    seen = []
    while cdn.now < BOUND_S + 2:
        seen.append((cdn.now, cdn.get(url).content))
        cdn.now += 0.5
    assert all(content == new for when, content in seen if when >= BOUND_S)
    assert all(content == old for when, content in seen if when < BOUND_S)
    assert len(cdn.asked) == 2


@pytest.mark.parametrize(("max_age_s", "stale_s"), [(0, 0), (5, 0), (60, 0), (5, 30), (0, 7)])
def test_no_image_is_staler_than_its_mosaic_says(
    behind: Behind, max_age_s: int, stale_s: int
) -> None:
    """Asked at random times for two minutes, in which scenes come and go."""
    cdn, server = behind()
    server.create(max_age_s=max_age_s, stale_while_revalidate_s=stale_s)
    chosen = random.Random(max_age_s + stale_s)
    truth: list[tuple[float, bytes]] = []
    url, bound = tile_url(".png"), (max_age_s or BOUND_S) + stale_s
    for step in range(60):
        if step % 6 == 0:
            server.publish(f"s{step}", (step, 20, 30), chosen.choice((WHOLE, LEFT, RIGHT)), day=1)
            truth.append((cdn.now, direct(server, url).content))
        shown = cdn.get(url).content
        ends = [when for when, _ in truth[1:]] + [float("inf")]
        allowed = [b for (_, b), end in zip(truth, ends, strict=True) if end > cdn.now - bound]
        assert shown in allowed, (cdn.now, len(allowed))
        cdn.now += chosen.choice((0.1, 1.0, 3.0, 4.0))
    assert len(cdn.asked) < 60


def test_browsers_ask_the_cdn_each_time_and_get_no_bytes(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    first = cdn.get(tile_url(".png"))
    assert first.headers["cache-control"].startswith("public, max-age=0, s-maxage=10,")
    cdn.now = 3
    again = cdn.get(tile_url(".png"), if_none_match=first.headers["etag"])
    assert (again.status, again.content, again.headers["age"]) == (304, b"", "3")
    assert len(cdn.asked) == 1


def test_an_expired_image_that_is_unchanged_costs_no_pixels(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    first = cdn.get(tile_url(".png"))
    cdn.now = 11
    again = cdn.get(tile_url(".png"))
    assert (again.x_cache, again.content) == ("RefreshHit", first.content)
    cdn.now = 15
    assert cdn.get(tile_url(".png")).x_cache == "Hit"


VARIED: dict[str, tuple[str, str]] = {
    "algorithm": ("hillshade", "contours"),
    "assets": ("visual", "other"),
    "bidx": ("1", "2"),
    "buffer": ("1", "2"),
    "color_formula": ("gamma R 2", "gamma R 3"),
    "colormap_name": ("viridis", "magma"),
    "expression": ("visual_b1", "visual_b2"),
    "max_scenes": ("1", "2"),
    "nodata": ("10", "20"),
    "operation": ("min", "max"),
    "rescale": ("0,50", "0,100"),
    "return_mask": ("true", "false"),
    "sortby": ("datetime", "-datetime"),
    "tilesize": ("256", "512"),
}


def test_different_images_never_share_a_place(behind: Behind) -> None:
    """Each parameter in two values, in every position beside another one: all as the API's own."""
    cdn, server = behind()
    server.create()
    server.publish("old", (10, 20, 30), WHOLE, day=1)
    server.publish("new", (90, 20, 60), LEFT, day=2)
    for name, values in VARIED.items():
        for value in (*values, *values):
            for query in (
                f"{name}={value}",
                f"_=1&{name}={value}",
                f"{name}={value}&unscale=false",
            ):
                url = f"{tile_url('.png')}?{query.replace(' ', '%20')}"
                shown, own = cdn.get(url), direct(server, url)
                assert (shown.status, shown.content) == (own.status_code, own.content), url


@pytest.mark.parametrize("name", ["rescal", "asset", "Rescale", "colormapname"])
def test_a_misspelled_parameter_is_refused_as_without_a_cdn(behind: Behind, name: str) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    cdn.get(tile_url(".png"))
    for value in "12":
        url = f"{tile_url('.png')}?{name}={value}"
        shown, own = cdn.get(url), direct(server, url)
        assert (shown.status, shown.content) == (own.status_code, own.content)
        assert shown.status == 400


def test_an_unknown_parameter_is_named_and_shares_the_image(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    for value in range(5):
        answer = cdn.get(f"{tile_url('.png')}?utm_source={value}")
        assert answer.headers["x-unknown-parameters"] == "utm_source"
    assert len(cdn.asked) == 1


HEADERS: list[dict[str, str]] = [
    {"accept": "image/webp"},
    {"accept": "text/html"},
    {"accept_language": "de"},
    {"cookie": "a=b"},
    {"forwarded": "host=evil.example"},
    {"x_forwarded_host": "evil.example"},
    {"x_livemosaic_origin": "guess"},
    {"range": "bytes=0-9"},
    {"user_agent": "a"},
]


@pytest.mark.parametrize(
    "url",
    [
        tile_url(".png"),
        tile_url(),
        "/mosaics/m/tiles/WebMercatorQuad/tilejson.json",
        "/mosaics/m/map?width=20",
        "/mosaics/m/bbox/7.6,45.8,7.7,45.9/20x20.png",
        "/mosaics/m/items",
        "/",
        "/mosaics/none/info",
        "/mosaics/m/map.html",
    ],
)
def test_a_header_never_changes_what_others_get(behind: Behind, url: str) -> None:
    """Whoever asks first: each gets what the API returns to such a request."""
    cdn, server = behind()
    server.create(max_age_s=60)
    server.publish("a", (10, 20, 30))
    for headers in [*HEADERS, {}, *reversed(HEADERS)]:
        shown = cdn.get(url, **headers)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        named["x-livemosaic-origin"] = str(server.client.headers["X-Livemosaic-Origin"])
        own = server.client.get(url, headers=named)
        if "range" in headers and shown.status == 206:  # CloudFront cuts what it keeps, unasked
            assert shown.content == own.content[:10]
        else:
            assert (shown.status, shown.content) == (own.status_code, own.content), headers
        assert b"evil.example" not in shown.content


def test_what_is_not_in_the_key_of_a_tile_reaches_no_api(behind: Behind) -> None:
    """API Gateway refuses a request of 10 kB of headers; nobody else may get that refusal."""
    cdn, server = behind()
    server.create(max_age_s=60)
    server.publish("a", (10, 20, 30))
    usual = cdn.origin

    def limited(method: str, url: str, headers: Mapping[str, str]) -> Answer:
        size = sum(len(name) + len(value) for name, value in headers.items())
        too_long = Answer(400, {}, b'{"message":"Bad Request"}')
        return too_long if size > 10_240 else usual(method, url, headers)

    cdn.origin = limited
    for name in ("cookie", "x_anything", "accept_language", "content_length"):
        cdn.now += 100
        cdn.get(tile_url(".png"), **{name: "1" * 12_000})
        assert cdn.get(tile_url(".png")).status == 200, name


def test_a_preflight_of_a_tile_is_answered(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    asking = {
        "origin": "https://a.example",
        "access_control_request_method": "GET",
        "access_control_request_headers": "authorization",
    }
    answer = cdn.get(tile_url(".png"), "OPTIONS", **asking)
    assert (answer.status, answer.headers["access-control-allow-origin"]) == (200, "*")


def test_what_a_credential_opens_is_for_its_owner_alone(behind: Behind) -> None:
    cdn, server = behind()
    server.create("secret", access="private", max_age_s=3600)
    server.publish("a", (10, 20, 30), mosaic="secret")
    made = server.client.post("/mosaics/secret/tokens", headers=AUTHORIZED).json()["access_token"]
    for path in (tile_url(".png", "secret"), "/mosaics/secret/info", "/mosaics/secret/items"):
        for _ in range(2):
            assert cdn.get(path).status == 404
            assert cdn.get(path, authorization=f"Bearer {made}").status == 200
            assert cdn.get(f"{path}?access_token={made}").status == 200
            assert cdn.get(path, authorization="Bearer a.b.c").status == 401
            assert cdn.get(f"{path}?access_token=a.b.c").status == 401
        kept = [each.answer for each in cdn.stored.values()]
        assert all(answer.status >= 400 for answer in kept)


def test_an_error_is_kept_for_a_second(behind: Behind) -> None:
    cdn, server = behind()
    url = tile_url(".png")
    assert cdn.get(url).status == 404
    server.create()
    cdn.now = 0.9
    assert cdn.get(url).status == 404
    cdn.now = 1.0
    assert cdn.get(url).status == 200


def test_while_the_api_fails_images_are_a_minute_old_at_most(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    shown = cdn.get(tile_url(".png"))
    cdn.origin = lambda *_: Answer(503, {"cache-control": "no-store"}, b"busy")
    for now, status in ((9, 200), (20, 200), (69, 200), (70, 503), (100, 503)):
        cdn.now = now
        answer = cdn.get(tile_url(".png"))
        assert answer.status == status, now
        assert status == 503 or answer.content == shown.content


@pytest.mark.parametrize(
    ("origins", "asking", "allowed"),
    [
        ("*", "https://a.example", "*"),
        ("https://a.example", "https://a.example", "https://a.example"),
        ("https://a.example", "https://b.example", None),
    ],
)
def test_pages_of_other_origins_read_errors_of_the_gateway_too(
    behind: Behind, origins: str, asking: str, allowed: str | None
) -> None:
    """And images that were first asked for without an origin."""
    cdn, server = behind(cors_origins=origins)
    server.create(max_age_s=60)
    server.publish("a", (10, 20, 30))
    cdn.get(tile_url(".png"))
    usual = cdn.origin

    def throttled(method: str, url: str, headers: Mapping[str, str]) -> Answer:
        gateway = Answer(429, {"content-type": "application/json"}, b'{"message":"Too Many"}')
        return gateway if "info" in url else usual(method, url, headers)

    cdn.origin = throttled
    for url, status in ((tile_url(".png"), 200), ("/mosaics/m/info", 429), ("/none", 404)):
        answer = cdn.get(url, origin=asking)
        assert answer.status == status
        assert answer.headers.get("access-control-allow-origin") == allowed


def test_static_files_are_asked_for_once_a_release(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    page = cdn.get("/mosaics/m/map.html", accept="text/html").content.decode()
    [script] = [part.split('"')[0] for part in page.split('src="../../')[1:]]
    for user in range(3):
        answer = cdn.get(f"/{script}?{user}", authorization=f"Bearer {user}", cookie=f"a={user}")
        assert answer.status == 200
        cdn.now += 86_400 * 100
    assert len([url for url in cdn.asked if "static" in url]) == 1


def test_byte_ranges_of_a_geotiff_are_cached_as_parts_of_it(behind: Behind) -> None:
    """CloudFront hands a range on, and keeps what comes; of a whole image it cuts ranges itself."""
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30))
    url = tile_url(".tif")
    whole = direct(server, url).content
    kinds = []
    for asked, part in [("0-99", slice(0, 100)), ("100-299", slice(100, 300))] * 2:
        answer = cdn.get(url, range=f"bytes={asked}")
        assert (answer.status, answer.content) == (206, whole[part])
        assert answer.headers["content-range"] == f"bytes {asked}/{len(whole)}"
        kinds.append(answer.x_cache)
    assert kinds == ["Miss", "Miss", "Hit", "Hit"]
    assert (cdn.get(url).content, len(cdn.asked)) == (whole, 3)
    cut = cdn.get(url, range="bytes=7-8")
    assert (cut.content, cut.x_cache, len(cdn.asked)) == (whole[7:9], "Hit", 3)
    cdn.now += BOUND_S
    assert cdn.get(url, range="bytes=0-99").x_cache == "Miss"


def test_writes_reach_the_api_and_are_never_kept(behind: Behind) -> None:
    cdn, _ = behind()
    for _ in range(2):
        answer = cdn.get("/mosaics", "POST", **AUTHORIZED)
        assert (answer.status, answer.headers["cache-control"]) == (400, "no-store")
    assert len(cdn.asked) == 2
    assert cdn.get(tile_url(".png"), "POST", **AUTHORIZED).status == 403


def test_nobody_gets_past_the_cdn(behind: Behind) -> None:
    _, server = behind()
    server.create()
    answer = server.client.get(
        "/mosaics/m/info", headers={"X-Livemosaic-Origin": ""}, follow_redirects=False
    )
    assert answer.headers["Location"] == "https://maps.example.com/mosaics/m/info"


QGIS = "Mozilla/5.0 QGIS/34400/Debian GNU/Linux 12 (bookworm)"


@pytest.mark.parametrize("path", [tile_url(".png"), "/mosaics/m/bbox/7,45,8,46.png?max_size=64"])
def test_qgis_stores_nothing_and_is_served_from_the_cache_all_the_same(
    behind: Behind, path: str
) -> None:
    """It would show a stored image for good: see docs/gdal.md."""
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30), WHOLE)
    browser = cdn.get(path, user_agent="Mozilla/5.0 (X11; Linux) Firefox/143.0")
    qgis = cdn.get(path, user_agent=QGIS)
    assert qgis.x_cache == "Hit"
    assert (qgis.content, qgis.headers["etag"]) == (browser.content, browser.headers["etag"])
    assert qgis.headers["cache-control"] == "no-store"
    assert "s-maxage" in browser.headers["cache-control"]
    again = cdn.get(path, user_agent="curl/8", if_none_match=browser.headers["etag"])
    assert (again.status, again.x_cache) == (304, "Hit")
    assert again.headers["cache-control"] == browser.headers["cache-control"]
    nameless = cdn.get(path)
    assert nameless.headers["cache-control"] == browser.headers["cache-control"]


def test_the_first_to_ask_for_a_tile_being_qgis_costs_others_nothing(behind: Behind) -> None:
    cdn, server = behind()
    server.create()
    server.publish("a", (10, 20, 30), WHOLE)
    assert cdn.get(tile_url(".png"), user_agent=QGIS).headers["cache-control"] == "no-store"
    browser = cdn.get(tile_url(".png"))
    assert browser.x_cache == "Hit"
    assert "s-maxage" in browser.headers["cache-control"]
