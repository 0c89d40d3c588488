"""The stack of us-east-1: a certificate and a firewall for the CDN of a deployment elsewhere."""

import json

import aws_cdk as cdk
import pytest
from aws_cdk import assertions
from cdk_nag import AwsSolutionsChecks

from handlers.faulty import faulty
from infra.conftest import ROOT
from livemosaic_cdk import Config, ConfigError, Edge, Livemosaic
from livemosaic_cdk.context import read
from livemosaic_cdk.stacks import build
from livemosaic_cdk.tools.deploy import _is_prepared, _plan, _regions

DOMAIN, ZONE = "maps.example.com", "Z0123456789ABC"
CERTIFICATE = "arn:aws:acm:us-east-1:123456789012:certificate/1234-abcd"
ACL = "arn:aws:wafv2:us-east-1:123456789012:global/webacl/a/b"
SOME = {"allowed_prefixes": "s3://imagery/", "region": "eu-central-1"}
ASKED = SOME | {"domain": DOMAIN, "hosted_zone": ZONE, "firewall": "600"}


@pytest.fixture
def made(deployment):
    return deployment("edge")


def resources(made, kind):
    own = made.templates["livemosaic-edge"]["Resources"].values()
    return [one["Properties"] for one in own if one["Type"] == kind]


def distribution(made):
    [found] = made.of_type("AWS::CloudFront::Distribution").values()
    return found["DistributionConfig"]


def value_of(made, reference):
    """What an output that another stack reads is."""
    [(function, wanted)] = reference.items()
    assert function == "Fn::GetStackOutput"
    assert wanted["Region"] == "us-east-1"
    return made.templates[wanted["StackName"]]["Outputs"][wanted["OutputName"]]["Value"]


def test_it_is_in_us_east_1_and_deployed_before_the_service(made):
    stacks = {stack.stack_name: stack for stack in made.app.synth().stacks}
    assert stacks["livemosaic-edge"].environment.region == "us-east-1"
    assert stacks["livemosaic-service"].environment.region == "eu-central-1"
    before = {one.id for one in stacks["livemosaic-service"].dependencies}
    assert {"livemosaic-edge", "livemosaic-data"} <= before


def test_the_certificate_is_proved_by_the_zone_of_the_domain(made):
    [certificate] = resources(made, "AWS::CertificateManager::Certificate")
    assert certificate["DomainName"] == DOMAIN
    assert certificate["ValidationMethod"] == "DNS"
    assert certificate["DomainValidationOptions"] == [{"DomainName": DOMAIN, "HostedZoneId": ZONE}]


def test_the_firewall_counts_the_requests_of_each_address(made):
    [acl] = resources(made, "AWS::WAFv2::WebACL")
    assert acl["Scope"] == "CLOUDFRONT"
    assert acl["DefaultAction"] == {"Allow": {}}
    [rule] = acl["Rules"]
    assert rule["Action"] == {"Block": {}}
    counted = rule["Statement"]["RateBasedStatement"]
    assert (counted["Limit"], counted["EvaluationWindowSec"]) == (600, 300)
    assert counted["AggregateKeyType"] == "IP"


def test_the_distribution_of_the_other_region_has_both(made):
    config = distribution(made)
    certificate = config["ViewerCertificate"]["AcmCertificateArn"]
    [id_] = value_of(made, certificate).values()
    assert id_ in made.templates["livemosaic-edge"]["Resources"]
    firewall, attribute = value_of(made, config["WebACLId"])["Fn::GetAtt"]
    assert attribute == "Arn"
    assert made.templates["livemosaic-edge"]["Resources"][firewall]["Type"] == "AWS::WAFv2::WebACL"
    assert config["Aliases"] == [DOMAIN]


def test_no_function_of_cdk_carries_a_reference_to_another_region(made):
    for template in made.templates.values():
        kinds = {one["Type"] for one in template["Resources"].values()}
        assert not {kind for kind in kinds if kind.startswith("Custom::")}


def test_in_us_east_1_it_is_the_same_two_stacks(deployment):
    made = deployment("edge in us-east-1")
    [acl] = resources(made, "AWS::WAFv2::WebACL")
    assert acl["Rules"][0]["Statement"]["RateBasedStatement"]["Limit"] == 10
    assert not resources(made, "AWS::CertificateManager::Certificate")
    assert value_of(made, distribution(made)["WebACLId"])
    assert "Aliases" not in distribution(made)


@pytest.mark.parametrize("name", ["cdn", "bare cdn", "own proxy", "default"])
def test_it_is_there_only_where_something_is_asked_of_it(deployment, name):
    made = deployment(name)
    assert not [stack for stack in made.templates if stack.endswith("-edge")]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"firewall": "600"}, "-c cdn=true"),
        ({"firewall": "9", "cdn": "true"}, "greater than or equal to 10"),
        ({"firewall": "600", "cdn": "true", "web_acl": ACL}, "leave out one of the two"),
        ({"firewall": "600", "domain": DOMAIN, "cdn": "false"}, "-c cdn=true"),
        ({"domain": DOMAIN}, "hosted_zone=Z"),
    ],
)
def test_what_cannot_be_is_refused_with_what_to_do(given, message):
    with pytest.raises(ConfigError) as caught:
        read(SOME | given, {})
    assert message in str(caught.value)


def test_a_zone_beside_a_certificate_of_ones_own_makes_none():
    given = {"domain": DOMAIN, "hosted_zone": ZONE, "certificate": CERTIFICATE}
    assert not read(SOME | given, {}).has_edge


def test_a_proxy_of_ones_own_needs_no_certificate():
    assert not read(SOME | {"domain": DOMAIN, "cdn": "false"}, {}).has_edge


def test_an_unknown_region_is_refused_before_cdk_speaks_of_tokens():
    usual = json.loads((ROOT / "cdk.json").read_text())["context"]
    nowhere = {key: value for key, value in ASKED.items() if key != "region"}
    with pytest.raises(ConfigError, match="-c region="):
        build(cdk.App(context=usual), read(nowhere, {}))


def test_an_app_of_ones_own_makes_both_stacks(tmp_path):
    app = cdk.App(outdir=str(tmp_path))
    config = Config(
        name="maps", buckets=("imagery",), domain=DOMAIN, hosted_zone=ZONE, firewall=600
    )
    edge = Edge(app, "maps-edge", config=config, env=cdk.Environment(region="us-east-1"))
    stack = cdk.Stack(app, "maps", env=cdk.Environment(region="eu-central-1"))
    with pytest.raises(ConfigError, match="certificate"):
        Livemosaic(stack, "Bare", config)
    with pytest.raises(ConfigError, match="firewall"):
        Livemosaic(stack, "Open", config, certificate=edge.certificate)
    other = cdk.Stack(app, "whole", env=cdk.Environment(region="eu-central-1"))
    Livemosaic(other, "Maps", config, certificate=edge.certificate, web_acl=edge.web_acl)
    text = json.dumps(assertions.Template.from_stack(other).to_json())
    assert text.count("Fn::GetStackOutput") == 2
    broken = AwsSolutionsChecks().validate_scope(edge).violations
    assert [violation.rule_name for violation in broken] == []


def test_make_deploy_names_it_and_what_it_costs():
    plan = _plan(read(ASKED, {}), "123456789012", first=False)
    assert f"livemosaic-edge     in us-east-1: the certificate of {DOMAIN}, free" in plan
    assert "a firewall ($6 a month, $0.60 per million requests)" in plan
    assert "livemosaic-edge" not in _plan(read(SOME, {}), "123456789012", first=False)


def test_make_deploy_prepares_both_regions(monkeypatch):
    assert _regions(read(ASKED, {})) == ("eu-central-1", "us-east-1")
    assert _regions(read(ASKED | {"region": "us-east-1"}, {})) == ("us-east-1",)
    assert _regions(read(SOME, {})) == ("eu-central-1",)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "nobody")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "nobody")
    for found, expected in (([], False), ([{"Name": "n", "Value": "30"}], True)):
        with faulty(200, json.dumps({"Parameters": found}).encode()) as service:
            monkeypatch.setenv("AWS_ENDPOINT_URL_SSM", service.url)
            assert _is_prepared("us-east-1", "maps0001") is expected
