"""`make deploy` looks at what the account has before it reserves any of it."""

import json

import boto3
import pytest

from handlers.faulty import faulty
from livemosaic_cdk.context import read
from livemosaic_cdk.tools.deploy import _has_room, _plan

BUCKETS = {"buckets": "scenes", "region": "us-west-2"}


def account() -> boto3.Session:
    return boto3.Session(
        region_name="us-west-2", aws_access_key_id="nobody", aws_secret_access_key="nobody"
    )


@pytest.mark.parametrize(
    ("limit", "context", "enough"),
    [
        (1000, {}, True),
        (225, {}, True),
        (224, {}, False),
        (220, {"overviews": "false"}, True),
        (10, {}, False),
        (10, {"reserve_concurrency": "false"}, True),
        (
            115,
            {"tiler_concurrency": "6", "manager_concurrency": "2", "ingest_concurrency": "2"},
            True,
        ),
    ],
)
def test_an_account_with_too_little_concurrency_reserves_none(
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    limit: int,
    context: dict[str, str],
    enough: bool,
) -> None:
    settings = {"AccountLimit": {"ConcurrentExecutions": limit}, "AccountUsage": {}}
    with faulty(200, json.dumps(settings).encode()) as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
        assert _has_room(account(), read(BUCKETS | context, {})) is enough
    said = capsys.readouterr().err
    assert (f"may run {limit} Lambda functions" in said) is not enough


def test_who_may_not_ask_leaves_it_to_cloudformation(monkeypatch: pytest.MonkeyPatch) -> None:
    with faulty(403, b'{"Message": "no"}') as service:
        monkeypatch.setenv("AWS_ENDPOINT_URL_LAMBDA", service.url)
        assert _has_room(account(), read(BUCKETS, {}))


def test_the_plan_counts_the_alarms_and_states_the_ceiling(default: object) -> None:
    plan = _plan(read(BUCKETS | {"overviews": "false"}, {}), "123456789012", first=False)
    count = len(default.of_type("AWS::CloudWatch::Alarm"))  # type: ignore[attr-defined]
    assert f"${count / 10:.2f} a month for {count} alarms" in plan
    assert "at most $10,980 a month" in plan


def test_the_plan_counts_the_alarms_that_end_a_release(deployment: object) -> None:
    made = deployment("canary")  # type: ignore[operator]
    given = BUCKETS | {"canary": "Canary10Percent5Minutes"}
    plan = _plan(read(given, {}), "123456789012", first=False)
    assert f"for {len(made.of_type('AWS::CloudWatch::Alarm'))} alarms" in plan


def test_the_plan_says_whether_overviews_are_kept(overviews: object) -> None:
    count = len(overviews.of_type("AWS::CloudWatch::Alarm"))  # type: ignore[attr-defined]
    plan = _plan(read(BUCKETS, {}), "123456789012", first=False)
    assert f"for {count} alarms" in plan
    assert "for overviews a bucket" in plan
    assert "Overviews take $0.99 more, of it $0.60 for 2 metrics" in plan
    assert "$4 where they come together, up to $99 where each comes alone" in plan
    off = _plan(read(BUCKETS | {"overviews": "false"}, {}), "123456789012", first=False)
    assert "no overviews" in off
    assert "come together" not in off


def test_the_plan_says_how_an_adopted_table_gets_its_overviews_back() -> None:
    adopted = BUCKETS | {"table": "old-table"}
    plan = _plan(read(adopted, {}), "123456789012", first=False)
    assert "`-c overview_bucket=` names the bucket" in plan
    both = read(adopted | {"overview_bucket": "low"}, {})
    assert "for overviews the bucket low, " in _plan(both, "123456789012", first=False)


def test_the_plan_says_where_nothing_limits_the_bill() -> None:
    free = read(BUCKETS | {"reserve_concurrency": "false"}, {})
    assert "and what nothing limits a month" in _plan(free, "123456789012", first=False)


@pytest.mark.parametrize(
    ("given", "named"),
    [
        ({}, "no CDN"),
        ({"cdn": "true"}, "a CloudFront distribution with its own name"),
        (
            {
                "domain": "maps.example.com",
                "certificate": "arn:aws:acm:us-east-1:123456789012:certificate/1",
            },
            "a CloudFront distribution for maps.example.com",
        ),
    ],
)
def test_the_plan_names_the_cdn(given: dict[str, str], named: str) -> None:
    assert named in _plan(read(BUCKETS | given, {}), "123456789012", first=False)
