"""Hrefs of assets: resolved by RFC 3986, never to another host, and chosen among alternates."""

import random
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urljoin, urlsplit

import pytest

from items import NOW, item
from livemosaic.errors import ForbiddenHrefError, InvalidItemError
from livemosaic.ingest.hrefs import readable_assets, resolve
from livemosaic.ingest.item import StacItem
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import parse

RFC_TABLE = {
    "g:h": "g:h", "g": "http://a/b/c/g", "./g": "http://a/b/c/g", "g/": "http://a/b/c/g/",
    "/g": "http://a/g", "?y": "http://a/b/c/d;p?y", "g?y": "http://a/b/c/g?y",
    "#s": "http://a/b/c/d;p?q#s", "g#s": "http://a/b/c/g#s", "g?y#s": "http://a/b/c/g?y#s",
    ";x": "http://a/b/c/;x", "g;x": "http://a/b/c/g;x", "g;x?y#s": "http://a/b/c/g;x?y#s",
    "": "http://a/b/c/d;p?q", ".": "http://a/b/c/", "./": "http://a/b/c/", "..": "http://a/b/",
    "../": "http://a/b/", "../g": "http://a/b/g", "../..": "http://a/", "../../": "http://a/",
    "../../g": "http://a/g", "../../../g": "http://a/g", "../../../../g": "http://a/g",
    "/./g": "http://a/g", "/../g": "http://a/g", "g.": "http://a/b/c/g.", ".g": "http://a/b/c/.g",
    "g..": "http://a/b/c/g..", "..g": "http://a/b/c/..g", "./../g": "http://a/b/g",
    "./g/.": "http://a/b/c/g/", "g/./h": "http://a/b/c/g/h", "g/../h": "http://a/b/c/h",
    "g;x=1/./y": "http://a/b/c/g;x=1/y", "g;x=1/../y": "http://a/b/c/y",
    "g?y/./x": "http://a/b/c/g?y/./x", "g?y/../x": "http://a/b/c/g?y/../x",
    "g#s/./x": "http://a/b/c/g#s/./x", "g#s/../x": "http://a/b/c/g#s/../x", "http:g": "http:g",
}  # fmt: skip
"""RFC 3986, 5.4, of a strict parser; without `//g`, which leads to another host."""

SEGMENTS = ["a", "b.tif", "..", ".", "..", "...", "..a", "%2e", "a b", "a;p=1", "ä", "@y", "c+d"]
TAILS = ["", "", "?sig=a/../b", "#s", "?x#y"]


@pytest.mark.parametrize(("href", "expected"), RFC_TABLE.items(), ids=map(str, RFC_TABLE))
def test_the_examples_of_the_rfc(href: str, expected: str) -> None:
    assert resolve(href, "http://a/b/c/d;p?q") == expected


def path(pick: random.Random, *more: str) -> str:
    return "/".join(pick.choice([*SEGMENTS, *more]) for _ in range(pick.randint(1, 5)))


def pairs(count: int, *more: str) -> Iterator[tuple[str, str]]:
    """References, and URLs of https to resolve them against."""
    pick = random.Random(3986)
    for _ in range(count):
        host = pick.choice(["e.com", "e.com:8443"])
        base = f"https://{host}/{path(pick, *more)}{pick.choice(TAILS)}"
        yield pick.choice(["", "", "./", "../", "/"]) + path(pick, *more) + pick.choice(TAILS), base


def reference_without_dots(text: str) -> str:
    """RFC 3986, 5.2.4, step by step."""
    done = ""
    while text:
        if text.startswith(("../", "./")):
            text = text.partition("/")[2]
        elif text.startswith("/./") or text == "/.":
            text = "/" + text[3:]
        elif text.startswith("/../") or text == "/..":
            text, done = "/" + text[4:], done.rpartition("/")[0]
        elif text in (".", ".."):
            text = ""
        else:
            first = re.match("/?[^/]*", text)
            assert first
            done, text = done + first[0], text[first.end() :]
    return done


class TestRelative:
    def test_it_is_what_urllib_makes_of_it(self) -> None:
        for href, base in pairs(5_000):
            assert resolve(href, base) == urljoin(base, href), (href, base)

    def test_empty_segments_stay_as_the_rfc_has_it(self) -> None:
        """urllib drops them, and a key of S3 with a double slash is another one without."""
        for href, base in pairs(5_000, ""):
            if href.startswith("//") or href[:1] in ("", "?", "#"):
                continue
            found, at = urlsplit(resolve(href, base)), urlsplit(base)
            given = href.partition("#")[0].partition("?")[0]
            merged = given if given[:1] == "/" else f"{at.path.rpartition('/')[0]}/{given}"
            assert found.path == reference_without_dots(merged), (href, base)
            assert found.netloc == at.netloc

    @pytest.mark.parametrize("origin", ["s3://bucket", ""], ids=["s3", "local"])
    def test_keys_and_paths_follow_the_same_rules(self, origin: str) -> None:
        for href, base in pairs(5_000):
            href, base = (text.partition("#")[0].partition("?")[0] for text in (href, base))
            own = origin + base.removeprefix("https://").partition("e.com")[2].removeprefix(":8443")
            expected = urlsplit(urljoin(base, href)).path
            assert resolve(href, own) == origin + expected, (href, own)

    @pytest.mark.parametrize(
        ("href", "base", "expected"),
        [
            ("../../other.example.org/x.tif", "https://h.example.com/a/item.json",
             "https://h.example.com/other.example.org/x.tif"),
            ("../../../x.tif", "s3://bucket/a/item.json", "s3://bucket/x.tif"),
            ("/x.tif", "https://e.com/a/item.json", "https://e.com/x.tif"),
            ("/x.tif", "s3://bucket/a/item.json", "s3://bucket/x.tif"),
            ("/x.tif", "/data/item.json", "/x.tif"),
            ("//e.com/x.tif", "https://e.com/a/item.json", "https://e.com/x.tif"),
            ("a.tif?sig=1", "https://e.com/a/item.json?token=2", "https://e.com/a/a.tif?sig=1"),
            ("a.tif", "https://e.com/a/item.json?next=https://f.org/b/",
             "https://e.com/a/a.tif"),
            ("a.tif", "https://e.com", "https://e.com/a.tif"),
            ("a b.tif", "s3://bucket/my items #1/?/item.json", "s3://bucket/my items #1/?/a b.tif"),
            ("#1.tif", "s3://bucket/a/item.json", "s3://bucket/a/#1.tif"),
            ("a%20b.tif", "/my data/a%20b/item #1.json", "/my data/a%20b/a%20b.tif"),
            ("a.tif", "file:///my%20data/item.json", "file:///my%20data/a.tif"),
            ("2020-01-01T00:00:00.tif", "s3://bucket/item.json",
             "s3://bucket/2020-01-01T00:00:00.tif"),
        ],
    )  # fmt: skip
    def test_it_starts_where_the_item_is(self, href: str, base: str, expected: str) -> None:
        assert resolve(href, base) == expected

    @pytest.mark.parametrize(
        "base", ["https://e.com/a/item.json", "s3://bucket/item.json", "/data/item.json"]
    )
    @pytest.mark.parametrize("href", ["//evil.org/x.tif", "//bucket2/x.tif", "//e.com@evil.org/x"])
    def test_it_never_leads_to_another_host(self, href: str, base: str) -> None:
        with pytest.raises(ForbiddenHrefError, match="leads to another host"):
            resolve(href, base)

    @pytest.mark.parametrize("href", ["a.tif", "../a.tif", "//e.com/a.tif", "?a", ""])
    def test_from_nowhere_it_is_refused(self, href: str) -> None:
        with pytest.raises(InvalidItemError, match="is relative"):
            resolve(href, None)

    @pytest.mark.parametrize("href", ["s3://bucket/a #1/b.tif", "/data/my scenes/a #1?.tif"])
    def test_keys_and_local_paths_may_hold_what_means_something_in_urls(self, href: str) -> None:
        where = parse(href)
        assert href.endswith(where.path)
        AllowList(["s3://", "/data"]).check(href)

    def test_a_local_path_does_not_climb_behind_a_question_mark(self) -> None:
        with pytest.raises(ForbiddenHrefError, match=r"'\.\.'"):
            AllowList(["/data"]).check("/data/?/../../etc/passwd")


def asset(href: str, *alternates: str) -> dict[str, Any]:
    others = {f"a{n}": {"href": other} for n, other in enumerate(alternates)}
    return {"href": href, "type": "image/tiff", **({"alternate": others} if others else {})}


def chosen(given: dict[str, Any], *prefixes: str, base: str | None = None) -> str:
    return readable_assets({"x": given}, base, AllowList(prefixes)).hrefs["x"]


LANDSAT = asset("https://landsatlook.usgs.gov/x.TIF", "s3://usgs-landsat/x.TIF")


class TestAlternates:
    @pytest.mark.parametrize(
        ("given", "prefixes", "expected"),
        [
            pytest.param(
                LANDSAT, ("s3:// requester-pays", "https://"), "s3://usgs-landsat/x.TIF", id="both"
            ),
            pytest.param(
                LANDSAT, ("s3://", "https://"), "https://landsatlook.usgs.gov/x.TIF",
                id="nobody pays",
            ),
            pytest.param(LANDSAT, ("s3://usgs-landsat/",), "s3://usgs-landsat/x.TIF", id="named"),
            pytest.param(LANDSAT, ("https://",), "https://landsatlook.usgs.gov/x.TIF", id="no S3"),
            pytest.param(
                LANDSAT, ("s3://mine/", "https://"), "https://landsatlook.usgs.gov/x.TIF",
                id="another bucket",
            ),
            pytest.param(
                asset("gs://b/x", "https://a.com/x", "s3://one/x", "s3://two/x"),
                ("s3://two/", "https://"), "s3://two/x", id="the first of S3 that is allowed",
            ),
            pytest.param(
                asset("s3://one/x", "s3://two/x"), ("s3://",), "s3://one/x", id="its own first"
            ),
            pytest.param(
                asset("gs://b/x", "https://b.com/x", "https://a.com/x"), ("https://",),
                "https://b.com/x", id="in their order",
            ),
        ],
    )  # fmt: skip
    def test_s3_comes_first_of_what_is_allowed(
        self, given: dict[str, Any], prefixes: tuple[str, ...], expected: str
    ) -> None:
        assert chosen(given, *prefixes) == expected

    def test_they_are_relative_to_the_item_too(self) -> None:
        given = {"href": "gs://b/x", "alternate": {"near": {"href": "../x.tif"}}}
        assert chosen(given, "https://", base="https://e.com/a/i.json") == "https://e.com/x.tif"

    @pytest.mark.parametrize("alternate", [[], "x", {"s3": None}, {"s3": {}}, {"s3": {"href": 5}}])
    def test_what_is_no_alternate_is_none(self, alternate: Any) -> None:
        given = asset("https://e.com/x.tif") | {"alternate": alternate}
        assert chosen(given, "https://", "s3://") == "https://e.com/x.tif"


class TestLeftOut:
    ASSETS = {  # noqa: RUF012
        "visual": asset("https://example.com/a.tif"),
        "mirror": asset("gs://bucket/x.tif"),
    }

    def test_an_asset_that_may_not_be_read_keeps_no_other_out(self) -> None:
        parsed = StacItem.parse(item(assets=self.ASSETS), order=Order(NOW))
        found = parsed.scene(Mosaic(id="m"), AllowList())
        assert found.assets == {"visual": "https://example.com/a.tif"}
        assert found.left_out == {
            "mirror": "asset href 'gs://bucket/x.tif' has the scheme 'gs': it must start with "
            "s3:// or https:// to be read"
        }

    def test_an_item_with_none_left_is_refused_with_the_reasons(self) -> None:
        assets = {str(n): asset(f"gs://bucket/{n}.tif") for n in range(5)}
        found = StacItem.parse(item(assets=assets), order=Order(NOW))
        with pytest.raises(ForbiddenHrefError, match=r"none of its 5 assets.*/2\.tif.*and 2 more"):
            found.scene(Mosaic(id="m"), AllowList())
