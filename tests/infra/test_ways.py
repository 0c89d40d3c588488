"""What the functions may do follows from the ways in of the prefixes that they read."""

import json
from collections import defaultdict

import pytest

from livemosaic.storage.allowlist import AllowList
from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read

FUNCTIONS = ("Tiler", "Manager", "Ingest")
EARTHDATA = "arn:aws:secretsmanager:us-west-2:123456789012:secret:edl-AbCdEf"
TOKEN = "arn:aws:ssm:us-west-2:123456789012:parameter/livemosaic/token"
HERE = {"CDK_DEFAULT_REGION": "us-west-2"}


@pytest.mark.parametrize("name", FUNCTIONS)
def test_what_prefixes_name_is_granted_and_nothing_else(deployment, name):
    plain, ours = deployment("default").grants(name), deployment("logged in").grants(name)
    more = defaultdict(set)
    for resource, actions in ours.items():
        if added := actions - plain.get(resource, set()):
            more[resource] |= added
    [bucket] = (resource for resource in more if "usgs-landsat" in resource)
    assert "usgs-landsat/collection02/*" in bucket
    assert more == {
        bucket: {"s3:GetObject"},
        "arn:aws:iam::210987654321:role/reader": {"sts:AssumeRole"},
        EARTHDATA: {"secretsmanager:GetSecretValue"},
        TOKEN: {"ssm:GetParameter"},
    }


@pytest.mark.parametrize("name", FUNCTIONS)
def test_functions_read_the_prefixes_as_they_were_given(deployment, name):
    variables = deployment("logged in").function(name)["Environment"]["Variables"]
    given = variables["LIVEMOSAIC_ALLOWED_PREFIXES"].split(",")
    allow = AllowList(given)
    assert allow.find("s3://usgs-landsat/collection02/x.TIF")[1].requester_pays
    assert allow.find("https://api.example.com/x.tif")[1].secrets == (TOKEN,)
    assert "AWS_REQUEST_PAYER" not in variables
    assert "external-id=us" in json.dumps(given)


@pytest.mark.parametrize(
    ("prefixes", "says"),
    [
        ("https://a.com/ bearer=env:TOKEN", "by its ARN"),
        ("s3://b-c/ endpoint=https://s3.a.com keys=env:K", "by its ARN"),
        ("https://data.lpdaac.earthdatacloud.nasa.gov/ earthdata", "write earthdata=ARN"),
        ("s3://b-c/ anonimous", "did you mean anonymous?"),
        ("s3://b-c/ anonymous,s3://b-c/ requester-pays", "two ways in"),
    ],
)
def test_a_way_that_no_function_can_go_is_refused(prefixes, says):
    with pytest.raises(ConfigError) as error:
        read({"allowed_prefixes": prefixes}, HERE)
    assert says in str(error.value)


def test_a_secret_in_the_wrong_place_is_not_repeated():
    for value in ("https://a.com/ bearer=hunter2", ["https://a.com/ bearer=hunter2", "s3://b-c/"]):
        with pytest.raises(ConfigError, match="never the secret itself") as error:
            read({"allowed_prefixes": value}, HERE)
        assert "hunter2" not in str(error.value)


def test_a_bucket_that_is_granted_keeps_its_way():
    config = read({"allowed_prefixes": "s3://b-c/ requester-pays", "buckets": "b-c"}, HERE)
    assert config.readable == ("b-c",)
    assert AllowList(config.allowed_prefixes).find("s3://b-c/x")[1].requester_pays
