"""Items that events refer to are fetched: over HTTP and from S3, from a server that misbehaves."""

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from livemosaic.errors import InvalidItemError, SourceUnavailableError
from livemosaic.storage import http, stores
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.fetch import MAX_BYTES, Fetcher, FetchError, MissingError
from objectstore import ObjectStore

ITEM = b'{"type": "Feature"}'


@pytest.fixture
def store(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[ObjectStore]:
    """Objects at `/bucket/{key}`, which is also where S3 clients look for them."""
    (tmp_path / "bucket").mkdir()
    (tmp_path / "bucket" / "a.json").write_bytes(ITEM)
    with ObjectStore(tmp_path) as found:
        monkeypatch.setenv("AWS_ENDPOINT_URL", found.url)
        monkeypatch.setenv("AWS_REGION", "eu-central-1")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "testing")
        yield found


@pytest.fixture
def fetch(store: ObjectStore) -> Fetcher:
    return Fetcher(AllowList([store.url, "s3://bucket"]))


@pytest.fixture(params=["http", "s3"])
def href(request: pytest.FixtureRequest, store: ObjectStore) -> str:
    """An Item, on each kind of store in turn."""
    return f"{store.url}/bucket/a.json" if request.param == "http" else "s3://bucket/a.json"


class TestWhatIsThere:
    def test_is_fetched_with_one_request(
        self, fetch: Fetcher, store: ObjectStore, href: str
    ) -> None:
        assert fetch(href) == ITEM
        assert [request.range for request in store.requests] == [None]

    def test_may_be_empty(self, fetch: Fetcher, store: ObjectStore, href: str) -> None:
        (store.root / "bucket" / "a.json").write_bytes(b"")
        assert fetch(href) == b""

    @pytest.mark.parametrize(
        "key", ["my scene+one.json", "a%20b.json", "ü/range/region.json", "items #1/a.json"]
    )
    def test_may_have_any_key(self, fetch: Fetcher, store: ObjectStore, key: str) -> None:
        file = store.root / "bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(ITEM)
        assert fetch(f"s3://bucket/{key}") == ITEM

    def test_may_be_as_large_as_is_allowed_and_no_larger(
        self, fetch: Fetcher, store: ObjectStore, href: str
    ) -> None:
        file = store.root / "bucket" / "a.json"
        file.write_bytes(b" " * MAX_BYTES)
        assert len(fetch(href)) == MAX_BYTES
        file.write_bytes(b" " * (MAX_BYTES + 1))
        with pytest.raises(FetchError, match=r"a.json' has 4,194,305 bytes .* at most 4,194,304"):
            fetch(href)

    def test_is_fetched_by_many_threads(self, fetch: Fetcher, href: str) -> None:
        with ThreadPoolExecutor(16) as pool:
            assert set(pool.map(fetch, [href] * 100)) == {ITEM}


class TestWhatIsNot:
    @pytest.mark.parametrize("status", [404, 410])
    def test_is_missing(self, fetch: Fetcher, store: ObjectStore, href: str, status: int) -> None:
        store.statuses["/bucket/a.json"] = status
        with pytest.raises(MissingError, match=r"a.json' is missing"):
            fetch(href)

    @pytest.mark.parametrize(
        ("status", "says"), [(400, "HTTP 400"), (401, "denies access"), (403, "denies access")]
    )
    def test_may_be_denied_for_good(
        self, fetch: Fetcher, store: ObjectStore, href: str, status: int, says: str
    ) -> None:
        store.statuses["/bucket/a.json"] = status
        with pytest.raises(FetchError, match=says) as caught:
            fetch(href)
        assert not isinstance(caught.value, MissingError)

    @pytest.mark.parametrize("status", [429, 500, 502, 503, 504])
    def test_may_be_there_later(
        self, fetch: Fetcher, store: ObjectStore, href: str, status: int
    ) -> None:
        store.statuses["/bucket/a.json"] = status
        with pytest.raises(SourceUnavailableError, match=f"HTTP {status}"):
            fetch(href)

    @pytest.mark.parametrize("key", ["range.json", "region.json", "range/region.json"])
    def test_words_in_keys_say_nothing(self, fetch: Fetcher, store: ObjectStore, key: str) -> None:
        store.statuses[f"/bucket/{key}"] = 503
        with pytest.raises(SourceUnavailableError, match="HTTP 503"):
            fetch(f"s3://bucket/{key}")
        store.statuses.clear()
        store.cuts[f"/bucket/{key}"] = 2
        file = store.root / "bucket" / key
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(ITEM)
        with pytest.raises(SourceUnavailableError, match="failed or could not be reached"):
            fetch(f"s3://bucket/{key}")

    def test_a_body_that_is_cut_is_no_body(
        self, fetch: Fetcher, store: ObjectStore, href: str
    ) -> None:
        store.cuts["/bucket/a.json"] = 5
        with pytest.raises(SourceUnavailableError, match="failed or could not be reached"):
            fetch(href)
        store.cuts.clear()
        assert fetch(href) == ITEM

    def test_a_server_that_is_late_may_be_in_time_later(
        self, store: ObjectStore, href: str, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(http, "WHOLE_READ_S", 0.1)
        monkeypatch.setattr(stores, "READ_TIMEOUT_S", 0.1)
        store.delay_s = 1
        with pytest.raises(SourceUnavailableError, match="failed or could not be reached"):
            Fetcher(AllowList([store.url, "s3://bucket"]))(href)

    def test_a_server_that_is_gone_may_be_back_later(self, tmp_path: Path) -> None:
        with ObjectStore(tmp_path) as store:
            pass
        with pytest.raises(SourceUnavailableError, match="failed or could not be reached"):
            Fetcher(AllowList([store.url]))(f"{store.url}/a.json")


class TestHttp:
    def test_redirects_are_not_followed(self, fetch: Fetcher, store: ObjectStore) -> None:
        store.redirects["/bucket/b.json"] = f"{store.url}/bucket/a.json"
        with pytest.raises(FetchError, match=r"is redirected \(HTTP 302\)"):
            fetch(f"{store.url}/bucket/b.json")
        assert [request.target for request in store.requests] == ["/bucket/b.json"]

    def test_the_query_of_a_signed_url_is_sent_and_never_shown(
        self, fetch: Fetcher, store: ObjectStore
    ) -> None:
        assert fetch(f"{store.url}/bucket/a.json?signature=secret") == ITEM
        assert store.requests[0].target == "/bucket/a.json?signature=secret"
        with pytest.raises(MissingError) as caught:
            fetch(f"{store.url}/bucket/b.json?signature=secret")
        assert "secret" not in str(caught.value)

    def test_servers_need_not_say_the_length(self) -> None:
        def chunked(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.send_header("Transfer-Encoding", "chunked")
            handler.end_headers()
            handler.wfile.write(b"5\r\n[1, 2\r\n1\r\n]\r\n0\r\n\r\n")

        with serving(chunked) as (fetch, url):
            assert fetch(url) == b"[1, 2]"

    def test_a_length_that_is_not_said_is_limited_too(self) -> None:
        def endless(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            for _ in range(10):
                handler.wfile.write(b" " * (MAX_BYTES // 4))

        with serving(endless) as (fetch, url), pytest.raises(FetchError, match="at most 4,194,304"):
            fetch(url)

    def test_bytes_may_not_trickle_for_ever(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(http, "WHOLE_S", 0.2)

        def trickling(handler: BaseHTTPRequestHandler) -> None:
            handler.send_response(200)
            handler.end_headers()
            for _ in range(100):
                handler.wfile.write(b" ")
                time.sleep(0.02)

        with (
            serving(trickling) as (fetch, url),
            pytest.raises(SourceUnavailableError, match="over"),
        ):
            fetch(url)

    def test_a_small_body_does_not_become_a_large_one(self) -> None:
        def compressed(handler: BaseHTTPRequestHandler) -> None:
            assert handler.headers["Accept-Encoding"] == "identity"
            handler.send_response(200)
            handler.send_header("Content-Encoding", "gzip")
            handler.end_headers()

        with (
            serving(compressed) as (fetch, url),
            pytest.raises(FetchError, match="as gzip, though"),
        ):
            fetch(url)


class TestForbidden:
    @pytest.mark.parametrize(
        "href",
        [
            *("/etc/passwd", "file:///etc/passwd", "item.json", "ftp://example.com/a.json", ""),
            *("/vsicurl/https://example.com/a.json", "vsis3/bucket/a.json"),
            *("https://169.254.169.254/latest/meta-data", "https://2852039166/x"),
            *("https://[fd00:ec2::254]/latest", "https://0x7f000001/x", "https://127.1/x"),
            *("https://user:password@example.com/a.json", "https://localhost/a.json"),
            *("https://metadata.google.internal/x", "http://example.com/a.json"),
            *("s3://b/a.json", "s3://bucket/../x", "s3://bucket", "s3://bucket/a.json?versionId=1"),
            *("https://example.com/%2e%2e/x", "https://example.com/a b", "s3://bucket/a\nb"),
        ],
    )
    def test_is_refused_before_anything_is_asked(self, store: ObjectStore, href: str) -> None:
        fetch = Fetcher(AllowList(["s3://bucket", "https://"]))
        with pytest.raises(FetchError, match=r"^href") as caught:
            fetch(href)
        assert isinstance(caught.value, InvalidItemError)
        assert store.requests == []
        assert "password" not in str(caught.value)

    def test_local_files_are_not_fetched_even_where_assets_may_be_read(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a.json").write_bytes(ITEM)
        with pytest.raises(FetchError, match="is a local file"):
            Fetcher(AllowList([str(tmp_path)]))(str(tmp_path / "a.json"))


@contextmanager
def serving(
    answer: Callable[[BaseHTTPRequestHandler], None],
) -> Iterator[tuple[Fetcher, str]]:
    """A server that answers like that, who fetches from it, and the URL."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                answer(self)
            except ConnectionError:  # who fetches has seen enough
                self.close_connection = True

        def log_message(self, *args: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        origin = f"http://localhost:{server.server_port}"
        yield Fetcher(AllowList([origin])), f"{origin}/a.json"
        server.shutdown()
