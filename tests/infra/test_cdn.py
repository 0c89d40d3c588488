"""The CDN of a deployment: the only way in, for everybody who cannot write."""

import json

import pytest

from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read

DOMAIN = "maps.example.com"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234-abcd"
ELSEWHERE = CERTIFICATE.replace("us-east-1", "eu-central-1")
ACL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"
REGIONAL = ACL.replace("global", "regional")
SOME = {"allowed_prefixes": "s3://imagery/", "region": "eu-central-1"}


@pytest.fixture
def cdn(deployment):
    return deployment("cdn")


def config_of(made):
    [found] = made.of_type("AWS::CloudFront::Distribution").values()
    return found["DistributionConfig"]


def environment(made, name):
    return made.function(name)["Environment"]["Variables"]


def test_without_a_domain_there_is_none(default):
    assert not default.of_type("AWS::CloudFront::Distribution")
    unset = {"LIVEMOSAIC_ORIGIN_SECRET", "LIVEMOSAIC_SHARED_MAX_AGE_S"}
    assert not environment(default, "Tiler").keys() & unset


def test_without_a_domain_links_begin_with_the_api_whatever_host_a_client_names(default):
    url = default.outputs["ApiUrl"]["Value"]
    assert default.outputs["PublicUrl"]["Value"] == url
    for name in ("Tiler", "Manager"):
        assert environment(default, name)["LIVEMOSAIC_PUBLIC_URL"] == url


def test_a_domain_is_what_all_links_begin_with(cdn):
    for name in ("Tiler", "Manager"):
        assert environment(cdn, name)["LIVEMOSAIC_PUBLIC_URL"] == f"https://{DOMAIN}"
    assert cdn.outputs["PublicUrl"]["Value"] == f"https://{DOMAIN}"
    assert cdn.outputs["TileUrlTemplate"]["Value"].startswith(f"https://{DOMAIN}/mosaics/")
    assert "execute-api" not in json.dumps(cdn.outputs["PublicUrl"])
    assert config_of(cdn)["Aliases"] == [DOMAIN]


def test_without_a_domain_they_begin_with_its_own_name(deployment):
    bare = deployment("bare cdn")
    text = json.dumps(environment(bare, "Tiler")["LIVEMOSAIC_PUBLIC_URL"])
    assert "CdnDistribution" in text
    assert "Aliases" not in config_of(bare)
    assert config_of(bare).get("ViewerCertificate") is None


def test_only_the_function_of_reads_wants_the_secret_which_no_template_shows(cdn):
    [origin] = config_of(cdn)["Origins"]
    [header] = origin["OriginCustomHeaders"]
    assert header["HeaderName"] == "X-Livemosaic-Origin"
    reference = json.dumps(header["HeaderValue"])
    assert "{{resolve:secretsmanager:" in reference
    arn = environment(cdn, "Tiler")["LIVEMOSAIC_ORIGIN_SECRET"]
    assert json.dumps(arn) in reference
    assert "secretsmanager:GetSecretValue" in cdn.grants("Tiler")[json.dumps(arn)]
    for other in ("Manager", "Ingest", "Builder", "Sweep"):
        assert "LIVEMOSAIC_ORIGIN_SECRET" not in environment(cdn, other)
        assert json.dumps(arn) not in cdn.grants(other)


def test_everything_between_viewer_and_api_is_encrypted(cdn):
    config = config_of(cdn)
    for behavior in (config["DefaultCacheBehavior"], *config["CacheBehaviors"]):
        assert behavior["ViewerProtocolPolicy"] == "redirect-to-https"
        assert behavior["Compress"] is True
    assert config["ViewerCertificate"]["MinimumProtocolVersion"] == "TLSv1.2_2021"
    [origin] = config["Origins"]
    assert origin["CustomOriginConfig"]["OriginProtocolPolicy"] == "https-only"
    assert origin["CustomOriginConfig"]["OriginSSLProtocols"] == ["TLSv1.2"]


def test_no_policy_keeps_what_has_no_cache_control_nor_names_more_than_aws_allows(cdn):
    policies = cdn.of_type("AWS::CloudFront::CachePolicy").values()
    assert len(policies) == 3
    for policy in policies:
        config = policy["CachePolicyConfig"]
        assert (config["MinTTL"], config["DefaultTTL"]) == (0, 0)
        assert config["MaxTTL"] > 0, "CloudFront compresses nothing else"
        key = config["ParametersInCacheKeyAndForwardedToOrigin"]
        assert key["EnableAcceptEncodingBrotli"]
        assert key["EnableAcceptEncodingGzip"]
        assert len(key["HeadersConfig"].get("Headers", [])) <= 10
        assert len(key["QueryStringsConfig"].get("QueryStrings", [])) <= 10


def test_the_functions_fit_and_run_on_all_but_static_files(cdn):
    functions = cdn.of_type("AWS::CloudFront::Function").values()
    assert len(functions) == 2
    for made in functions:
        assert made["FunctionConfig"]["Runtime"] == "cloudfront-js-2.0"
        assert made["AutoPublish"] is True
        assert len(made["FunctionCode"].encode()) <= 10_240
    config = config_of(cdn)
    *images, static = config["CacheBehaviors"]
    paths = [behavior["PathPattern"] for behavior in images]
    tiles = ["/mosaics/*/tiles/*/*/*/*", "/mosaics/*/vector/*/*/*/*"]
    assert paths == [*tiles, "/mosaics/*/wms", "/wms"]
    assert len({str(one["CachePolicyId"]) for one in images}) == 1
    for behavior in (config["DefaultCacheBehavior"], *images):
        events = {one["EventType"] for one in behavior["FunctionAssociations"]}
        assert events == {"viewer-request", "viewer-response"}
    assert static["PathPattern"] == "/static/*"
    assert "FunctionAssociations" not in static


def test_a_firewall_and_records_are_there_where_they_are_asked_for(cdn, deployment):
    assert config_of(cdn)["WebACLId"].endswith("webacl/maps/1234-abcd")
    records = cdn.of_type("AWS::Route53::RecordSet").values()
    assert {record["Type"] for record in records} == {"A", "AAAA"}
    assert {record["Name"] for record in records} == {f"{DOMAIN}."}
    bare = deployment("bare cdn")
    assert "WebACLId" not in config_of(bare)
    assert not bare.of_type("AWS::Route53::RecordSet")


def test_a_proxy_of_ones_own_needs_no_distribution(deployment):
    own = deployment("own proxy")
    assert not own.of_type("AWS::CloudFront::Distribution")
    assert environment(own, "Tiler")["LIVEMOSAIC_PUBLIC_URL"] == f"https://{DOMAIN}"
    assert "LIVEMOSAIC_ORIGIN_SECRET" not in environment(own, "Tiler")


def test_how_long_images_are_kept_can_be_set(deployment):
    assert environment(deployment("cdn"), "Tiler")["LIVEMOSAIC_SHARED_MAX_AGE_S"] == "10"


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"domain": DOMAIN}, "request-certificate --region us-east-1"),
        ({"domain": "https://maps.example.com"}, "domain='https://maps.example.com'"),
        (
            {"domain": DOMAIN, "certificate": ELSEWHERE},
            "us-east-1",
        ),
        ({"certificate": CERTIFICATE}, "-c domain="),
        ({"domain": DOMAIN, "cdn": "false", "certificate": CERTIFICATE}, "-c domain="),
        ({"hosted_zone": "Z0123456789ABC", "cdn": "true"}, "-c domain="),
        ({"web_acl": ACL}, "-c cdn=true"),
        (
            {
                "web_acl": REGIONAL,
                "cdn": "true",
            },
            "CLOUDFRONT",
        ),
        ({"settings": {"public_url": "https://a.example"}}, "follows from domain"),
        ({"settings": {"origin_secret": "a"}}, "follows from cdn"),
        ({"region": "us-gov-west-1", "cdn": "true"}, "cdn=false"),
        ({"region": "cn-north-1", "domain": DOMAIN, "certificate": CERTIFICATE}, "cdn=false"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(given, message):
    with pytest.raises(ConfigError) as caught:
        read(SOME | given, {})
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("given", "has"),
    [
        ({}, False),
        ({"domain": DOMAIN, "certificate": CERTIFICATE}, True),
        ({"domain": DOMAIN, "cdn": "false"}, False),
        ({"cdn": "true"}, True),
        ({"region": "us-gov-west-1", "domain": DOMAIN, "cdn": "false"}, False),
    ],
)
def test_a_domain_brings_a_cdn(given, has):
    assert read(SOME | given, {}).has_cdn is has
