"""Which asset hrefs may be read."""

from pathlib import Path

import pytest

from livemosaic.errors import ForbiddenHrefError, InvalidRequestError
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import Location, parse, redact

OPEN = AllowList()


@pytest.mark.parametrize(
    "href",
    [
        "s3://bucket/a/b.tif",
        "https://example.com/a.tif",
        "https://example.com:443/a.tif",
        "https://my_bucket.s3.eu-west-1.amazonaws.com/a%20b.tif",
        "https://example.com/a.tif?X-Amz-Signature=abc%2F..%2Fdef",
        "https://1.example.com/vsimem.tif",
        "https://example.com/a..b/c...tif",
    ],
)
def test_public_objects_are_allowed_by_default(href: str) -> None:
    OPEN.check(href)


@pytest.mark.parametrize(
    "href",
    [
        "",
        "a.tif",
        "data/a.tif",
        "http://example.com/a.tif",
        "ftp://example.com/a.tif",
        "gs://bucket/a.tif",
        "/etc/passwd",
        "file:///etc/passwd",
        "//example.com/a.tif",
        "/vsicurl/https://example.com/a.tif",
        "/VSIS3/bucket/a.tif",
        "https:///vsicurl/a.tif",
        "s3:///vsis3/a.tif",
        "vsicurl/https://example.com/a.tif",
        "file:///vsimem/a.tif",
        "https://example.com/../a.tif",
        "https://example.com/a/%2e%2e/b.tif",
        "https://example.com/a/%2E./b.tif",
        "https://example.com/a%2f..%2fb.tif",
        "https://example.com/%252e%252e/b.tif",
        "https://example.com/a\\..\\b.tif",
        "https://example.com/a%5c..%5cb.tif",
        "s3://bucket/../other/a.tif",
        "https://user:pw@example.com/a.tif",
        "https://user@example.com/a.tif",
        "https://example.com@evil.org/a.tif",
        "https://example.com\\@evil.org/a.tif",
        "https://127.0.0.1/a.tif",
        "https://169.254.169.254/latest/meta-data",
        "https://[::1]/a.tif",
        "https://[::ffff:127.0.0.1]/a.tif",
        "https://2130706433/a.tif",
        "https://0x7f000001/a.tif",
        "https://0x7f.1/a.tif",
        "https://0177.0.0.1/a.tif",
        "https://127.1/a.tif",
        "https://a.0x/a.tif",
        "https://example.com./a.tif",
        "https://exämple.com/a.tif",
        "https://１２７.0.0.1/a.tif",
        "https://example.com/a b.tif",
        "https://example.com/a\n.tif",
        "https://example.com/a%00.tif",
        "https://example.com/a%0d%0aHost:b.tif",
        " https://example.com/a.tif",
        "https://example.com/a.tif#part",
        "https://example.com",
        "https://example.com/",
        "https:///a.tif",
        "https://example.com:port/a.tif",
        "https://example.com:99999/a.tif",
        "https://example.com:8443/a.tif",
        "s3://bucket",
        "s3://bucket/",
        "s3:///a.tif",
        "s3://bucket:80/a.tif",
        "s3://user@bucket/a.tif",
        "s3://b/a.tif",
        "s3://bucket/a.tif?versionId=1",
        "https://localhost/a.tif",
        "https://tiles.localhost/a.tif",
        "https://metadata.google.internal/a.tif",
        "https://printer.local/a.tif",
        "https://intranet/a.tif",
        "https://example.com/" + "a" * 2048,
    ],
)
def test_forms_that_could_reach_elsewhere_are_refused(href: str) -> None:
    with pytest.raises(ForbiddenHrefError):
        OPEN.check(href)


@pytest.mark.parametrize(
    ("prefix", "inside", "outside"),
    [
        ("/data", "/data/x.tif", "/database/x.tif"),
        ("/data/", "file:///data/a/x.tif", "/data"),
        ("file:///data", "/data/x.tif", "file:///dat/x.tif"),
        ("https://a.com", "https://a.com/x.tif", "https://a.com.evil.org/x.tif"),
        ("https://a.com", "https://A.COM:443/x.tif", "https://b.a.com/x.tif"),
        ("https://a.com/dir", "https://a.com/dir/x.tif", "https://a.com/directory/x.tif"),
        ("https://a.com:8443", "https://a.com:8443/x.tif", "https://a.com/x.tif"),
        ("s3://bucket", "s3://bucket/x.tif", "s3://bucket-evil/x.tif"),
        ("s3://bucket/a", "s3://bucket/a/x.tif", "s3://bucket/ab/x.tif"),
        ("http://localhost:9000", "http://localhost:9000/x.tif", "http://localhost:9001/x.tif"),
        ("http://a.com", "http://a.com/x.tif", "https://a.com/x.tif"),
        ("https://intranet", "https://intranet/x.tif", "https://other/x.tif"),
        ("/data", "/data//x.tif", "/data/../etc/passwd"),
    ],
)
def test_a_prefix_allows_what_is_below_it_and_not_its_namesakes(
    prefix: str, inside: str, outside: str
) -> None:
    allow = AllowList([prefix])
    allow.check(inside)
    with pytest.raises(ForbiddenHrefError):
        allow.check(outside)


def test_a_private_host_needs_a_prefix_of_its_own_even_beside_a_bare_scheme() -> None:
    AllowList(["https://", "https://intranet"]).check("https://intranet/x.tif")
    with pytest.raises(ForbiddenHrefError, match="LIVEMOSAIC_ALLOWED_PREFIXES"):
        AllowList(["https://", "s3://"]).check("https://intranet/x.tif")


@pytest.mark.parametrize(
    "prefix",
    ["http://", "file://", "/", "file:///", "gs://b", "https://127.0.0.1", "https://u@a.com", ""],
)
def test_a_prefix_that_would_open_too_much_is_refused_when_the_list_is_made(prefix: str) -> None:
    with pytest.raises(InvalidRequestError, match="LIVEMOSAIC_ALLOWED_PREFIXES"):
        AllowList([prefix])


def test_a_message_names_href_and_setting_and_hides_what_is_secret() -> None:
    with pytest.raises(ForbiddenHrefError) as refused:
        AllowList(["s3://bucket"]).check("https://a.com/x.tif?sig=SECRET")
    assert "https://a.com/x.tif" in str(refused.value)
    assert "LIVEMOSAIC_ALLOWED_PREFIXES" in str(refused.value)
    assert "SECRET" not in str(refused.value)


@pytest.mark.parametrize(
    "href", ["https://u:SECRET@a.com/x", "https://a.com/x?a=SECRET", "https://a.com/x#SECRET"]
)
def test_redaction_drops_user_info_query_and_fragment(href: str) -> None:
    assert "SECRET" not in redact(href)
    assert "a.com/x" in redact(href)


def test_redaction_keeps_messages_short() -> None:
    assert len(redact("https://a.com/" + "x" * 5000)) < 250


def test_an_href_says_which_store_and_which_path() -> None:
    assert parse("s3://bucket/a/b%20c.tif") == Location("s3", "bucket", "a/b%20c.tif")
    assert parse("https://A.com/a%20b.tif?s=1") == Location(
        "https", "a.com:443", "/a%20b.tif", "s=1"
    )
    assert (
        parse("file:///data//a.tif") == parse("/data/a.tif") == Location("file", "", "/data/a.tif")
    )


def test_a_symlink_may_not_lead_out_of_its_prefix(tmp_path: Path) -> None:
    inside, outside = tmp_path / "inside", tmp_path / "outside"
    inside.mkdir()
    outside.mkdir()
    (outside / "secret.tif").write_bytes(b"")
    (inside / "link.tif").symlink_to(outside / "secret.tif")
    (inside / "fine.tif").write_bytes(b"")
    (inside / "alias.tif").symlink_to(inside / "fine.tif")
    allow = AllowList([str(inside)])
    assert allow.file(allow.locate(f"{inside}/alias.tif")).name == "fine.tif"
    with pytest.raises(ForbiddenHrefError):
        allow.file(allow.locate(f"{inside}/link.tif"))


def test_a_prefix_that_is_a_symlink_itself_is_followed(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "real" / "a.tif").write_bytes(b"")
    (tmp_path / "alias").symlink_to(tmp_path / "real")
    allow = AllowList([str(tmp_path / "alias")])
    assert allow.file(allow.locate(f"{tmp_path}/alias/a.tif")).name == "a.tif"


class TestFoldersOfOurOwn:
    """They hold overviews: no href of an Item may lead there, whatever else is allowed."""

    LIST = AllowList(("s3://", "https://", "/data"), closed=("s3://own/made", "file:///data/own"))

    @pytest.mark.parametrize(
        "href",
        [
            "s3://own/made/a.tif",
            "s3://own/made/m.1/2/a.tif",
            "https://own.s3.eu-west-1.amazonaws.com/made/a.tif",
            "https://s3.eu-west-1.amazonaws.com/own/made/a.tif",
            "https://own.s3.amazonaws.com/m%61de/a.tif",
            "/data/own/a.tif",
            "file:///data/own/a.tif",
            "file:///data//own/a.tif",
        ],
    )
    def test_are_closed(self, href: str) -> None:
        with pytest.raises(ForbiddenHrefError, match="folder of overviews"):
            self.LIST.admit(href)
        with pytest.raises(ForbiddenHrefError, match="folder of overviews"):
            self.LIST.locate(href)

    @pytest.mark.parametrize(
        "href",
        ["s3://own/made-elsewhere/a.tif", "s3://own/a.tif", "s3://other/made/a.tif", "/data/a.tif"],
    )
    def test_their_neighbours_are_not(self, href: str) -> None:
        self.LIST.admit(href)

    def test_a_symlink_may_not_lead_into_one(self, tmp_path: Path) -> None:
        own = tmp_path / "own"
        own.mkdir()
        (tmp_path / "link.tif").symlink_to(own / "a.tif")
        allow = AllowList((str(tmp_path),), closed=(own.as_uri(),))
        with pytest.raises(ForbiddenHrefError, match="folder of overviews"):
            allow.file(allow.locate(str(tmp_path / "link.tif")))
