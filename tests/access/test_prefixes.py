"""What a prefix of the setting may say after itself, and what an href becomes by it."""

import base64
import json
from datetime import UTC, datetime, timedelta

import pytest

from livemosaic.errors import ForbiddenHrefError, InvalidRequestError
from livemosaic.settings import Settings
from livemosaic.storage.access.signed import find_signature
from livemosaic.storage.access.way import Way, split
from livemosaic.storage.allowlist import AllowList

ROLE = "arn:aws:iam::111122223333:role/team/reader"
SECRET = "arn:aws:secretsmanager:us-west-2:111122223333:secret:edl-Ab12"


@pytest.fixture(autouse=True)
def plain_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("AWS_REQUEST_PAYER", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"):
        monkeypatch.delenv(name, raising=False)


def way(line: str, href: str) -> Way:
    return AllowList([line]).find(href)[1]


@pytest.mark.parametrize(
    ("line", "href", "expected"),
    [
        ("s3://b-c/ requester-pays", "s3://b-c/x", Way(requester_pays=True)),
        ("s3://b-c requester-pays", "s3://b-c/x", Way(requester_pays=True)),
        ("s3:// anonymous region=us-west-2", "s3://b-c/x", Way(True, region="us-west-2")),
        (f"s3://b-c/a b/  role={ROLE}", "s3://b-c/a b/x", Way(role=ROLE)),
        ("s3://b-c/a b anonymous", "s3://b-c/a b/x", Way(anonymous=True)),
        ("https://*.x.org/ anonymous", "https://a.x.org/x", Way(anonymous=True)),
        (
            "s3://b-c/ endpoint=http://minio:9000/ anonymous",
            "s3://b-c/x",
            Way(True, endpoint="http://minio:9000"),
        ),
        ("s3://lp-prod-protected/ earthdata", "s3://lp-prod-protected/x", Way(earthdata=True)),
        ("https://a.gov/ earthdata", "https://a.gov/x", Way(earthdata=True)),
        (
            "https://*.blob.core.windows.net/ planetary-computer",
            "https://naipeuwest.blob.core.windows.net/naip/x",
            Way(planetary_computer=True),
        ),
    ],
)
def test_a_way_in_stands_after_its_prefix(line: str, href: str, expected: Way) -> None:
    assert way(line, href) == expected


@pytest.mark.parametrize(
    "line", ["s3://", "https://", "s3://b-c/a b", "/data/a b anonymous", "https://a.com/x"]
)
def test_a_prefix_alone_names_none(line: str) -> None:
    assert split(line) == (line, ())
    assert all(not prefix.way.is_named for prefix in AllowList([line]).parsed)


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("s3://b-c/ anonimous", "did you mean anonymous?"),
        ("https://a.com/ bearer", "bearer needs a value"),
        ("https://a.com/ Bearer eyJhbGciOiJIUzI1NiJ9", "did you mean bearer?"),
        ("https://a.com/ eyJhbGciOiJIUzI1NiJ9", "a word after it is no way in"),
        ("https://a.com/ bearer=eyJhbGciOiJIUzI1NiJ9", "never the secret itself"),
        ("https:// bearer=env:T", "needs a host"),
        ("https://*.a.com/ bearer=env:T", "needs one host"),
        ("https://*.com/", "all of a top-level domain"),
        ("http://a.com/ bearer=env:T", "needs https"),
        ("http://localhost.a.com/ earthdata", "needs https"),
        ("https://a.com/ requester-pays", "not for https prefixes"),
        ("https://a.com/ planetary-computer", "https://ACCOUNT.blob.core.windows.net"),
        ("https://blob.core.windows.net.evil.org/ planetary-computer", "ACCOUNT"),
        ("s3://b-c/ bearer=env:T", "not for s3 prefixes"),
        ("s3://b-c/ anonymous requester-pays", "who pays signs"),
        ("s3://b-c/ anonymous keys=env:K", "exclude each other"),
        (f"s3://b-c/ role={ROLE} earthdata", "exclude each other"),
        ("s3://b-c/ role=reader", "arn:aws:iam::ACCOUNT:role/NAME"),
        ("s3://b-c/ earthdata", "s3credentials="),
        ("s3://b-c/ s3credentials=https://a.gov/s3credentials", "add the word earthdata"),
        ("s3://b-c/ earthdata s3credentials=http://a.gov/s3credentials", "must be https"),
        ("s3://b-c/ external-id=ab", "add role=ARN"),
        ("s3://b-c/ region=us-west-2 region=us-west-2", "there twice"),
        ("s3://b-c/ anonymous=yes", "takes no value"),
        ("s3://b-c/ endpoint=https://u:p@a.com", "endpoint= takes"),
    ],
)
def test_a_way_that_cannot_be_gone_is_refused(line: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match="LIVEMOSAIC_ALLOWED_PREFIXES") as caught:
        AllowList([line])
    assert says in str(caught.value)
    assert "eyJ" not in str(caught.value)


def test_the_longest_prefix_decides() -> None:
    allow = AllowList(
        [
            "s3:// anonymous",
            "s3://b-c/",
            "s3://b-c/paid/ requester-pays",
            "https://*.a.org/ anonymous",
            "https://",
            "https://x.a.org/",
        ]
    )
    hrefs = ("s3://other/x", "s3://b-c/x", "s3://b-c/paid/x", "s3://b-c/paidx")
    found = [allow.find(href)[1] for href in hrefs]
    assert found == [Way(anonymous=True), Way(), Way(requester_pays=True), Way()]
    assert allow.find("https://y.a.org/x")[1].anonymous
    assert not allow.find("https://x.a.org/x")[1].is_named
    assert not allow.find("https://a.org/x")[1].is_named


def test_of_two_equal_prefixes_the_one_with_a_way_decides_and_two_ways_are_refused() -> None:
    assert way("s3://b-c/ anonymous", "s3://b-c/x").anonymous
    for lines in (["s3://b-c/", "s3://b-c anonymous"], ["s3://b-c/ anonymous", "s3://b-c/"]):
        assert AllowList(lines).find("s3://b-c/x")[1].anonymous
    with pytest.raises(InvalidRequestError, match="two ways in"):
        AllowList(["s3://b-c/ anonymous", "s3://b-c requester-pays"])


@pytest.mark.parametrize(
    "href",
    [
        "https://a.b.x.org/t.tif",
        "https://x.org/t.tif",
        "https://evil-x.org/t.tif",
        "https://a.x.org.evil.org/t.tif",
        "https://a.x.org:8443/t.tif",
        "http://a.x.org/t.tif",
    ],
)
def test_a_star_is_one_label(href: str) -> None:
    AllowList(["https://*.x.org/"]).check("https://a.x.org/t.tif")
    with pytest.raises(ForbiddenHrefError):
        AllowList(["https://*.x.org/"]).check(href)


def test_a_star_opens_no_private_host() -> None:
    with pytest.raises(ForbiddenHrefError, match="private host"):
        AllowList(["https://*.corp.internal/"]).check("https://a.corp.internal/t.tif")


def test_the_setting_holds_ways_in(monkeypatch: pytest.MonkeyPatch) -> None:
    text = f"s3:// anonymous, https://a.com/ bearer={SECRET} ,https://"
    monkeypatch.setenv("LIVEMOSAIC_ALLOWED_PREFIXES", text)
    prefixes = Settings().allowed_prefixes
    assert prefixes == ("s3:// anonymous", f"https://a.com/ bearer={SECRET}", "https://")
    assert AllowList(prefixes).find("https://a.com/x")[1].secrets == (SECRET,)


# What is known to be closed


@pytest.mark.parametrize(
    ("href", "line"),
    [
        ("s3://usgs-landsat/c/x.TIF", "s3://usgs-landsat/ requester-pays region=us-west-2"),
        ("s3://sentinel-s2-l1c/x", "s3://sentinel-s2-l1c/ requester-pays region=eu-central-1"),
        (
            "https://naip-analytic.s3.us-west-2.amazonaws.com/x.tif",
            "s3://naip-analytic/ requester-pays region=us-west-2",
        ),
        (
            "https://s3.amazonaws.com/naip-analytic/x.tif",
            "s3://naip-analytic/ requester-pays region=us-west-2",
        ),
        ("s3://lp-prod-protected/x.tif", "s3://lp-prod-protected/ earthdata"),
        (
            "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-protected/a/x.tif",
            "https://data.lpdaac.earthdatacloud.nasa.gov/ earthdata",
        ),
        (
            "https://data.example.gov/lp-prod-protected/B11.tif",
            "https://data.example.gov/ earthdata",
        ),
        (
            "https://landsatlook.usgs.gov/data/x.TIF",
            "s3://usgs-landsat/ requester-pays region=us-west-2",
        ),
        (
            "https://sentinel2l2a01.blob.core.windows.net/sentinel2-l2/x.tif",
            "https://sentinel2l2a01.blob.core.windows.net/ planetary-computer",
        ),
        (
            "s3://eodata/x.tif",
            "s3://eodata/ endpoint=https://eodata.dataspace.copernicus.eu keys=env:VARIABLE",
        ),
    ],
)
def test_what_is_never_open_is_refused_with_the_prefix_that_opens_it(href: str, line: str) -> None:
    allow = AllowList()
    with pytest.raises(ForbiddenHrefError) as caught:
        allow.check(href)
    assert repr(line) in str(caught.value)
    allow.locate(href)  # what is stored is still asked for
    opened = AllowList(["s3://", "https://", line])
    if href.startswith(line.split("://")[0]):
        opened.check(href)


@pytest.mark.parametrize(
    "href",
    [
        "https://data.lpdaac.earthdatacloud.nasa.gov/lp-prod-public/a/x.png",
        "https://sentinel-cogs.s3.us-west-2.amazonaws.com/x.tif",
        "s3://sentinel-cogs/x.tif",
        "https://example.com/protected/x.tif",
        "https://naipeuwest.blob.core.windows.net/naip/x.tif",
    ],
)
def test_what_may_be_open_is_asked_for(href: str) -> None:
    AllowList().check(href)


def test_a_payer_in_the_environment_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AWS_REQUEST_PAYER", "requester")
    AllowList().check("s3://usgs-landsat/x.TIF")


def test_a_named_bucket_is_taken_with_a_warning() -> None:
    """The tiler's environment may pay; that of who ingests need not."""
    allow = AllowList(["s3://usgs-landsat/"])
    assert allow.admit("s3://usgs-landsat/x.TIF") == "s3://usgs-landsat/x.TIF"
    assert "requester-pays" in str(allow.doubt("s3://usgs-landsat/x.TIF"))
    assert AllowList().doubt("s3://sentinel-cogs/x.tif") is None


# Signed hrefs

LATER = datetime.now(UTC).replace(microsecond=0) + timedelta(hours=1)
EPOCH = int(LATER.timestamp())
SAS = (
    "st=2026-01-01T00%3A00%3A00Z&se="
    f"{LATER:%Y-%m-%dT%H}%3A{LATER:%M}%3A{LATER:%S}Z&sp=rl&sv=2024-05-04&sr=c"
    "&skoid=a&sktid=b&skt=c&ske=d&sks=b&skv=2024-05-04&sig=abc%2Bdef%3D"
)
POLICY = base64.b64encode(
    json.dumps({"Statement": [{"Condition": {"DateLessThan": {"AWS:EpochTime": EPOCH}}}]}).encode()
).decode()
FORMS = {
    "Azure SAS": SAS,
    "AWS": f"X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Credential=a%2Fb"
    f"&X-Amz-Date={LATER - timedelta(hours=2):%Y%m%dT%H%M%SZ}&X-Amz-Expires=7200"
    "&X-Amz-SignedHeaders=host&X-Amz-Security-Token=t&X-Amz-Signature=s&x-id=GetObject",
    "AWS 2": f"AWSAccessKeyId=a&Expires={EPOCH}&Signature=s%3D",
    "Google Cloud": "X-Goog-Algorithm=GOOG4-RSA-SHA256&X-Goog-Credential=a"
    f"&X-Goog-Date={LATER - timedelta(hours=2):%Y%m%dT%H%M%SZ}&X-Goog-Expires=7200"
    "&X-Goog-SignedHeaders=host&X-Goog-Signature=s",
    "Google Cloud 2": f"GoogleAccessId=a&Expires={EPOCH}&Signature=s",
    "CloudFront": f"Expires={EPOCH}&Signature=s&Key-Pair-Id=K",
    "CloudFront 2": "Policy="
    + POLICY.translate(str.maketrans("+=/", "-_~"))
    + "&Signature=s&Key-Pair-Id=K",
}


@pytest.mark.parametrize("kind", FORMS)
def test_a_signature_is_recognized_with_its_end(kind: str) -> None:
    found = find_signature(f"versionId=7&{FORMS[kind]}&x=%26")
    assert found is not None
    assert found.kind == kind.removesuffix(" 2")
    assert found.expires == LATER
    assert found.rest == "versionId=7&x=%26"
    assert "abc" not in repr(found)


@pytest.mark.parametrize(
    "query", ["", "sig=1", "versionId=7", "Expires=3&x=1", "token=abc", "sv=1&sp=2"]
)
def test_another_query_is_none(query: str) -> None:
    assert find_signature(query) is None


@pytest.mark.parametrize("end", ["", "Expires=&", "Expires=never&", "Expires=9e99&"])
def test_an_end_that_cannot_be_read_is_none(end: str) -> None:
    found = find_signature(f"{end}Signature=s&Key-Pair-Id=K")
    assert found is not None
    assert found.expires is None


def test_a_signature_that_is_made_anew_is_dropped() -> None:
    allow = AllowList(["https://*.blob.core.windows.net/ planetary-computer", "https://"])
    href = "https://a.blob.core.windows.net/c/x.tif"
    assert allow.admit(f"{href}?{SAS}") == href
    assert allow.admit(f"{href}?snapshot=1&{SAS}") == f"{href}?snapshot=1"
    other = f"https://other.com/x.tif?{SAS}"
    assert allow.admit(other) == other
    assert "expires at" in str(allow.doubt(other))
    assert "sig=" not in str(allow.doubt(other))


def test_a_signature_for_a_public_place_is_dropped() -> None:
    allow = AllowList(["https://a.com/ anonymous"])
    assert allow.admit(f"https://a.com/x.tif?{FORMS['CloudFront']}") == "https://a.com/x.tif"


@pytest.mark.parametrize(
    ("prefix", "url", "expected"),
    [
        ("s3://b-c/", "https://b-c.s3.eu-west-1.amazonaws.com/a%20b/x.tif", "s3://b-c/a b/x.tif"),
        ("s3://b-c/ requester-pays", "https://b-c.s3.amazonaws.com/x.tif", "s3://b-c/x.tif"),
        ("s3://b-c/", "https://s3.us-west-2.amazonaws.com/b-c/x.tif", "s3://b-c/x.tif"),
        (
            "s3://b-c/ endpoint=https://s3.example.com keys=env:K",
            "https://s3.example.com/b-c/x.tif",
            "s3://b-c/x.tif",
        ),
    ],
)
def test_a_presigned_url_of_a_named_bucket_becomes_its_object(
    prefix: str, url: str, expected: str
) -> None:
    assert AllowList([prefix, "https://"]).admit(f"{url}?{FORMS['AWS']}") == expected
    assert AllowList([prefix]).admit(f"{url}?{FORMS['AWS']}") == expected


@pytest.mark.parametrize(
    ("prefixes", "url"),
    [
        (["s3://", "https://"], "https://b-c.s3.amazonaws.com/x.tif"),
        (["s3://other/", "https://"], "https://b-c.s3.amazonaws.com/x.tif"),
        (["s3://b-c/in/", "https://"], "https://b-c.s3.amazonaws.com/inside/x.tif"),
        (["s3://b-c/", "https://"], "https://b-c.s3.amazonaws.com.evil.org/x.tif"),
    ],
)
def test_others_stay_as_they_are(prefixes: list[str], url: str) -> None:
    signed = f"{url}?{FORMS['AWS']}"
    assert AllowList(prefixes).admit(signed) == signed


def test_a_version_of_an_object_stays_signed() -> None:
    """`s3://` hrefs cannot name a version."""
    signed = f"https://b-c.s3.amazonaws.com/x.tif?versionId=7&{FORMS['AWS']}"
    assert AllowList(["s3://b-c/", "https://"]).admit(signed) == signed


def test_an_expired_signature_is_refused_with_its_end() -> None:
    href = "https://a.com/x.tif?Expires=1767225600&Signature=hunter2&Key-Pair-Id=K"
    with pytest.raises(ForbiddenHrefError, match="expired at 2026-01-01T00:00:00Z") as caught:
        AllowList().check(href)
    assert "hunter2" not in str(caught.value)
    AllowList(["https://a.com/ anonymous"]).check(href)
