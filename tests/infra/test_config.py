"""Context becomes one validated value, or a message that names key, value and remedy."""

import json

import pytest

from livemosaic_cdk.config import Config, ConfigError
from livemosaic_cdk.context import read

HERE = {"CDK_DEFAULT_REGION": "us-west-2", "CDK_DEFAULT_ACCOUNT": "123456789012"}
SOME = {"allowed_prefixes": "s3://imagery/"}
TOPIC = "arn:aws:sns:us-west-2:210987654321:scenes"


def refusal(context, environ=HERE):
    with pytest.raises(ConfigError) as caught:
        read(context, environ)
    return str(caught.value)


def test_where_to_deploy_comes_from_the_profile():
    config = read(SOME, HERE)
    assert (config.region, config.account) == ("us-west-2", "123456789012")


def test_a_region_that_is_given_beats_that_of_the_profile():
    assert read(SOME | {"region": "eu-central-1"}, HERE).region == "eu-central-1"


def test_without_profile_a_deployment_is_of_no_region_yet():
    assert read(SOME, {}).region is None


@pytest.mark.parametrize(
    "given",
    [
        "s3://imagery/,https://example.com/cogs/",
        " s3://imagery/ , https://example.com/cogs/ ",
        '["s3://imagery/", "https://example.com/cogs/"]',
        ["s3://imagery/", "https://example.com/cogs/"],
    ],
    ids=["words", "words and spaces", "JSON as text", "JSON"],
)
def test_a_list_is_given_by_words_or_as_json(given):
    config = read({"allowed_prefixes": given}, HERE)
    assert config.allowed_prefixes == ("s3://imagery/", "https://example.com/cogs/")


@pytest.mark.parametrize(
    "given",
    [
        TOPIC,
        [TOPIC],
        [{"arn": TOPIC}],
        json.dumps([{"arn": TOPIC}]),
    ],
    ids=["word", "list of words", "JSON", "JSON as text"],
)
def test_topics_are_given_by_arn_or_as_json(given):
    [topic] = read(SOME | {"topics": given}, HERE).topics
    assert (topic.arn, topic.filter_policy) == (TOPIC, None)


def test_the_oldest_python_is_for_emulators_only():
    given = SOME | {"python": "3.11"}
    assert read(given, HERE | {"AWS_ENDPOINT_URL": "http://localhost"}).python == "3.11"


def test_a_python_without_snapshots_is_refused_with_those_that_have_them():
    given = SOME | {"python": "3.11", "snap_start": "true"}
    message = refusal(given, HERE | {"AWS_ENDPOINT_URL": "http://localhost"})
    assert "snap_start='true'" in message
    assert "Python 3.12 and newer, not of 3.11" in message


def test_granted_buckets_are_allowed_by_themselves():
    config = read({"buckets": "imagery,shared/sentinel-2/,imagery"}, HERE)
    assert config.buckets == ("imagery", "shared/sentinel-2")
    assert config.allowed_prefixes == ("s3://imagery/", "s3://shared/sentinel-2/")


@pytest.mark.parametrize(
    "given",
    [
        "stac/landsat/",
        ["stac/landsat"],
        [{"name": "stac", "prefix": "/landsat/"}],
        '[{"name": "stac", "prefix": "landsat", "suffix": ".json"}]',
    ],
    ids=["word", "list of words", "JSON", "JSON as text"],
)
def test_a_bucket_of_items_is_given_by_name_or_as_json_and_allowed_by_itself(given):
    config = read({"item_buckets": given}, HERE)
    [bucket] = config.item_buckets
    assert (bucket.path, bucket.keys) == ("stac/landsat", "landsat/*.json")
    assert config.allowed_prefixes == ("s3://stac/landsat/",)


def test_a_bucket_of_scenes_and_of_items_is_one_grant():
    config = read({"buckets": "scenes,stac", "item_buckets": "stac"}, HERE)
    assert config.readable == ("scenes", "stac")


def test_a_bus_is_named_once_for_each_kind_of_event():
    buses = [{"sources": ["a"]}, {"sources": ["b"], "detail_types": ["B"]}]
    assert [bus.name for bus in read(SOME | {"buses": buses}, HERE).buses] == ["default"] * 2


@pytest.mark.parametrize(
    ("key", "given", "read_as"),
    [
        ("tiler_memory", "3008", 3008),
        ("tracing", "true", True),
        ("requester_pays", "false", False),
        ("throttle_rate", "5", 5),
        ("cors_origins", "", ()),
        ("snap_start", "true", True),
    ],
)
def test_text_of_the_command_line_becomes_a_value(key, given, read_as):
    assert getattr(read(SOME | {key: given}, HERE), key) == read_as


@pytest.mark.parametrize(
    "key",
    [
        "@aws-cdk/core:checkSecretUsage",
        "aws:cdk:bundling-stacks",
        "availability-zones:account=123456789012:region=us-west-2",
        "acknowledged-issue-numbers",
        "cli-telemetry",
    ],
)
def test_what_cdk_itself_keeps_in_context_passes(key):
    assert read(SOME | {key: True}, HERE) == read(SOME, HERE)


def test_every_key_says_what_it_means():
    assert all(field.description for field in Config.model_fields.values())


@pytest.mark.parametrize(
    ("context", "parts"),
    [
        ({"tiler_memry": "1024"}, ["tiler_memry='1024'", "did you mean tiler_memory?"]),
        ({"zzz": "1"}, ["zzz='1'", "tiler_memory", "allowed_prefixes"]),
        ({"allowed_prefixes": ""}, ["allowed_prefixes", "-c allowed_prefixes=", "-c buckets="]),
        ({"allowed_prefixes": []}, ["allowed_prefixes", "nothing could be read"]),
        ({"allowed_prefixes": "ftp://x/"}, ["allowed_prefixes", "ftp://x/", "s3:// or https://"]),
        ({"allowed_prefixes": "/data"}, ["'/data' is a local folder"]),
        ({"allowed_prefixes": "file:///data"}, ["'file:///data' is a local folder"]),
        ({"allowed_prefixes": ["s3://a-b/x,y/"]}, ["'s3://a-b/x,y/'", "comma"]),
        ({"allowed_prefixes": "https://10.0.0.1/"}, ["https://10.0.0.1/", "IP address"]),
        ({"allowed_prefixes": '["s3://x'}, ["allowed_prefixes", "is not JSON"]),
        ({"buckets": "s3://imagery"}, ["buckets", "'s3://imagery'", "NAME/PREFIX"]),
        ({"buckets": "imagery/*"}, ["'imagery/*'"]),
        ({"buckets": "*"}, ["'*'"]),
        ({"item_buckets": "s3://stac"}, ["item_buckets[0].name='s3:'", "`NAME/PREFIX`"]),
        ({"item_buckets": "stac/a/../b"}, ["allowed_prefixes", "s3://stac/a/../b/", "'..'"]),
        ({"item_buckets": [{"name": "stac/b"}]}, ["item_buckets[0].name='stac/b'"]),
        ({"item_buckets": [{"name": "stac", "suffix": "*"}]}, ["item_buckets[0].suffix='*'"]),
        ({"item_buckets": [{"name": "stac", "account": "me"}]}, ["item_buckets[0].account='me'"]),
        ({"item_buckets": "stac,stac/"}, ["'stac' is listed twice"]),
        ({"buses": "default"}, ["buses[0]='default'", "JSON"]),
        ({"buses": [{"name": "default"}]}, ["buses[0]", "every event", "detail_types"]),
        ({"buses": [{"sources": ["a"], "detail-type": ["b"]}]}, ["buses[0].detail-type"]),
        ({"buses": [{"sources": ["a"]}, {"sources": ["a"]}]}, ["'default' is listed twice"]),
        (
            {"buses": [{"name": "arn:aws:events:us-west-2:1:event-bus/b", "sources": ["a"]}]},
            ["buses[0].name=", "what follows `event-bus/`"],
        ),
        ({"name": "my mosaic"}, ["name='my mosaic'", "letters, digits and hyphens"]),
        ({"account": "42"}, ["account='42'", "Account to deploy to"]),
        ({"region": "Oregon"}, ["region='Oregon'", "Region to deploy to"]),
        ({"architecture": "riscv"}, ["architecture='riscv'", "'arm64' or 'x86_64'"]),
        ({"python": "3.14"}, ["python='3.14'", "3.12, 3.13"]),
        ({"python": "3.11"}, ["python='3.11'", "one of 3.12, 3.13"]),
        ({"python": 3.13}, ["python='3.13'", "as text in cdk.json"]),
        ({"tiler_memory": "much"}, ["tiler_memory='much'", "integer"]),
        ({"tiler_memory": "128"}, ["tiler_memory='128'", "256"]),
        ({"ingest_memory": "20000"}, ["ingest_memory='20000'", "10240"]),
        ({"requester_pays": "perhaps"}, ["requester_pays='perhaps'", "boolean"]),
        ({"tracing": "perhaps"}, ["tracing='perhaps'", "boolean"]),
        ({"snap_start": "perhaps"}, ["snap_start='perhaps'", "boolean"]),
        ({"cors_origins": "example.com"}, ["cors_origins", "'example.com'", "https://HOST"]),
        ({"cors_origins": "https://a.com/"}, ["'https://a.com/'"]),
        ({"vpc": "vpc-0123456789abcdef0"}, ["vpc=", "is not JSON"]),
        ({"vpc": {"id": "vpc-0123456789abcdef0"}}, ["vpc.subnets", "required"]),
        ({"vpc": {"id": "vpc-x", "subnets": ["subnet-1"]}}, ["vpc.id='vpc-x'"]),
        ({"key": "alias/mine"}, ["key='alias/mine'", "ARN of your KMS key"]),
        (
            {"key": "arn:aws:kms:eu-west-1:123456789012:key/1-a"},
            ["is in eu-west-1, and the deployment in us-west-2", "keys are of one region"],
        ),
        ({"canary": "10%"}, ["canary='10%'", "Canary10Percent5Minutes"]),
        ({"throttle_rate": "0"}, ["throttle_rate='0'"]),
        ({"throttle_burst": "99999"}, ["throttle_burst='99999'", "5000"]),
        ({"log_retention_days": "31"}, ["log_retention_days='31'", "30, 60"]),
        ({"alarm_email": "me"}, ["alarm_email='me'", "mail"]),
        ({"ingest_concurrency": "1"}, ["ingest_concurrency='1'", "2 to 1000"]),
        ({"settings": "40"}, ["settings=", "dictionary"]),
        ({"settings": {"max_scene": 40}}, ["'max_scene'", "did you mean max_scenes?"]),
        ({"settings": {"max_scenes": 0}}, ["max_scenes=0", "greater than or equal to 1"]),
        ({"settings": {"token": "s3cret"}}, ["'token' follows from IAM or jwt"]),
        ({"settings": {"index": "sqlite:///x"}}, ["'index' follows from the table"]),
        ({"tags": "maps"}, ["tags=", "is not JSON"]),
        (
            {"monthly_budget": "250", "region": "us-gov-west-1"},
            ["monthly_budget='250'", "us-gov-west-1 has no AWS Budgets"],
        ),
        ({"monthly_budget": "-1"}, ["monthly_budget='-1'", "greater than 0"]),
        ({"tiler_concurrency": "0"}, ["tiler_concurrency='0'"]),
        ({"log_level": "WARN"}, ["log_level='WARN'", "The alarms need INFO"]),
        ({"table": "a b"}, ["table='a b'", "table to adopt"]),
        ({"topics": "scenes"}, ["topics[0].arn='scenes'", "arn:aws:sns:REGION:ACCOUNT:NAME"]),
        ({"topics": f"{TOPIC}.fifo"}, [f"{TOPIC}.fifo", "standard topic"]),
        ({"topics": f"{TOPIC},{TOPIC}"}, [TOPIC, "listed twice"]),
        ({"topics": [{"filter_policy": {"id": ["a"]}}]}, ["topics[0].arn", "required"]),
        ({"topics": [{"arn": TOPIC, "filter_policy": {}}]}, ["topics[0].filter_policy", "empty"]),
        ({"topics": [{"arn": TOPIC, "filter": {}}]}, ["topics[0].filter"]),
        (
            {"topics": [{"arn": TOPIC, "filter_policy": {"collection": "s2"}}]},
            ["topics[0].filter_policy", "'collection' must be a list", "'s2'"],
        ),
        (
            {"topics": [{"arn": TOPIC, "filter_policy_scope": "Body"}]},
            ["topics[0].filter_policy_scope='Body'", "MessageBody"],
        ),
    ],
    ids=str,
)
def test_a_wrong_value_is_refused_by_name(context, parts):
    message = refusal(SOME | context)
    for part in parts:
        assert part in message
    assert len(message.splitlines()) == 3, "one problem, between what and how"


def test_a_topic_in_another_region_is_refused_with_both_named():
    message = refusal(SOME | {"topics": TOPIC, "region": "eu-central-1"})
    for part in (TOPIC, "us-west-2", "eu-central-1", "-c region=us-west-2"):
        assert part in message


def test_a_topic_needs_a_region_to_deploy_to():
    message = refusal(SOME | {"topics": TOPIC}, {})
    for part in (TOPIC, "no region yet", "-c region=us-west-2"):
        assert part in message


def test_every_problem_is_reported_at_once():
    message = refusal(
        {"regoin": "x", "tiler_memory": "x", "topics": TOPIC, "region": "eu-central-1"}
    )
    for part in ("regoin='x'", "tiler_memory='x'", "allowed_prefixes", TOPIC):
        assert part in message


def test_an_endless_value_is_cut():
    assert len(refusal(SOME | {"table": "x" * 10_000})) < 1000
