"""The bucket, the queue and the functions of overviews, as templates have them."""

import json
from pathlib import Path

import pytest

from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read
from livemosaic_cdk.costs import overviews as costs
from livemosaic_cdk.parts.overviews import BUILD_TIMEOUT_S

KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
READ = {"dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:Query"}
WRITE = {"dynamodb:BatchWriteItem", "dynamodb:DeleteItem", "dynamodb:PutItem"}
LOG = {"logs:CreateLogStream", "logs:PutLogEvents"}
CONSUME = {
    "sqs:ChangeMessageVisibility",
    "sqs:DeleteMessage",
    "sqs:GetQueueAttributes",
    "sqs:GetQueueUrl",
    "sqs:ReceiveMessage",
}
BUILD = {"s3:AbortMultipartUpload", "s3:DeleteObject", "s3:GetObject", "s3:PutObject"}


def only(found):
    [one] = found.values()
    return one


def bucket_of(made):
    resources = made.templates["livemosaic-data"]["Resources"]
    return only({n: r for n, r in resources.items() if r["Type"] == "AWS::S3::Bucket"})


def store_of(made, name):
    return json.dumps(made.function(name)["Environment"]["Variables"]["LIVEMOSAIC_OVERVIEW_STORE"])


def of_bucket(made, name):
    """Actions on objects and on the bucket of overviews."""
    grants = {r: a for r, a in made.grants(name).items() if "Overviews" in r and "s3:" in str(a)}
    return [*grants.values()]


# The bucket


def test_the_manager_may_wake_builders_to_remove_deleted_mosaics(deployment):
    made = deployment("overviews")
    sends = {r for r, allowed in made.grants("Manager").items() if "sqs:SendMessage" in allowed}
    assert len(sends) == 1
    assert "HintsQueue" in sends.pop()
    own = made.function("Manager")["Environment"]["Variables"]
    builder = made.function("Builder")["Environment"]["Variables"]
    assert own["LIVEMOSAIC_OVERVIEW_HINTS"] == builder["LIVEMOSAIC_OVERVIEW_HINTS"]


def test_there_are_none_where_they_are_off(default):
    text = json.dumps(default.templates)
    assert "OVERVIEW" not in text
    assert "AWS::S3::Bucket" not in text


def test_the_bucket_stays_like_the_table_whose_rows_name_its_objects(overviews):
    bucket = bucket_of(overviews)
    assert bucket["DeletionPolicy"] == bucket["UpdateReplacePolicy"] == "Retain"
    assert "BucketName" not in bucket["Properties"]


def test_the_bucket_is_private_encrypted_and_takes_nothing_over_plain_http(overviews):
    bucket = bucket_of(overviews)["Properties"]
    assert bucket["PublicAccessBlockConfiguration"] == dict.fromkeys(
        ("BlockPublicAcls", "BlockPublicPolicy", "IgnorePublicAcls", "RestrictPublicBuckets"), True
    )
    [rule] = bucket["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"]["SSEAlgorithm"] == "AES256"
    assert "BucketOwnerEnforced" in json.dumps(bucket["OwnershipControls"])
    resources = overviews.templates["livemosaic-data"]["Resources"].values()
    [policy] = (r for r in resources if r["Type"] == "AWS::S3::BucketPolicy")
    statements = policy["Properties"]["PolicyDocument"]["Statement"]
    assert {s["Effect"] for s in statements} == {"Deny"}
    assert "aws:SecureTransport" in json.dumps(statements)
    assert "s3:TlsVersion" in json.dumps(statements)


def test_uploads_that_were_never_completed_do_not_cost_for_ever(overviews):
    [rule] = bucket_of(overviews)["Properties"]["LifecycleConfiguration"]["Rules"]
    assert rule["AbortIncompleteMultipartUpload"] == {"DaysAfterInitiation": 2}
    assert not {"ExpirationInDays", "ExpirationDate"} & rule.keys(), "cells live on"


def test_every_function_knows_the_bucket_so_that_no_item_can_name_its_objects(deployment):
    for name in ("Tiler", "Manager", "Ingest", "Builder", "Sweep"):
        assert "Overviews" in store_of(deployment("overviews"), name)
        assert store_of(deployment("kept overviews"), name) == '"s3://imagery/low/zooms"'


# Permissions


def test_only_the_builder_writes_objects_and_the_tiler_reads_them(overviews):
    assert of_bucket(overviews, "Tiler") == [{"s3:GetObject"}]
    assert sorted(map(sorted, of_bucket(overviews, "Builder"))) == [
        sorted(BUILD),
        ["s3:ListBucket"],
    ]
    for name in ("Manager", "Ingest", "Sweep"):
        assert of_bucket(overviews, name) == []


def test_the_builder_reads_scenes_and_the_table_and_takes_hints(overviews):
    grants = overviews.grants("Builder")
    assert sorted(map(sorted, grants.values())) == sorted(
        map(sorted, (BUILD, {"s3:ListBucket"}, READ | WRITE, LOG, CONSUME | {"sqs:SendMessage"}))
    )
    [queue] = (resource for resource, allowed in grants.items() if allowed >= CONSUME)
    assert "OverviewsHintsQueue" in queue


def test_the_sweep_reads_the_table_and_sends_hints(overviews):
    grants = overviews.grants("Sweep")
    sends = {"sqs:SendMessage"}
    assert sorted(map(sorted, grants.values())) == sorted(map(sorted, (READ, LOG, sends)))
    [queue] = (resource for resource, allowed in grants.items() if allowed == sends)
    assert "OverviewsHintsQueue" in queue


def test_ingestion_may_send_hints_besides_what_it_may_anyway(default, overviews):
    before, now = default.grants("Ingest"), overviews.grants("Ingest")
    [allowed] = (a for queue, a in now.items() if "OverviewsHintsQueue" in queue)
    assert allowed == {"sqs:SendMessage"}
    assert len(now) == len(before) + 1
    for name in ("Ingest", "Sweep", "Builder"):
        variables = overviews.function(name)["Environment"]["Variables"]
        assert "OverviewsHintsQueue" in json.dumps(variables["LIVEMOSAIC_OVERVIEW_HINTS"])


def test_in_a_bucket_of_the_operator_only_the_folder_of_overviews_is_touched(deployment):
    made = deployment("kept overviews")
    objects = "arn:aws:s3:::imagery/low/zooms/*"
    assert made.grants("Builder")[objects] == BUILD
    assert made.grants("Builder")["arn:aws:s3:::imagery"] == {"s3:ListBucket"}
    assert made.grants("Tiler")[objects] == {"s3:GetObject"}
    assert made.grants("Manager")[objects] == {"s3:GetObject"}, "it makes images, too"
    assert made.outputs["OverviewBucket"]["Value"] == "imagery/low/zooms"
    assert list(made.templates) == ["livemosaic-service"]


# Hints


def queues_of(made):
    found = {n: q for n, q in made.of_type("AWS::SQS::Queue").items() if n.startswith("Overviews")}
    [queue] = (q for q in found.values() if "RedrivePolicy" in q)
    letters = found[queue["RedrivePolicy"]["deadLetterTargetArn"]["Fn::GetAtt"][0]]
    assert len(found) == 2
    return queue, letters


def test_a_hint_is_delivered_at_once_and_once(overviews):
    """The builder puts back what is not due yet, which counts as one of six deliveries."""
    queue, letters = queues_of(overviews)
    assert queue["FifoQueue"] is letters["FifoQueue"] is True
    assert "DelaySeconds" not in queue
    assert queue["DeduplicationScope"] == "messageGroup"
    assert queue["SqsManagedSseEnabled"] is letters["SqsManagedSseEnabled"] is True
    assert queue["RedrivePolicy"]["maxReceiveCount"] == 6


def test_a_group_of_hints_waits_for_a_run_that_died_no_longer_than_needed(overviews):
    queue, _ = queues_of(overviews)
    timeout = overviews.function("Builder")["Timeout"]
    assert timeout == BUILD_TIMEOUT_S
    assert timeout < queue["VisibilityTimeout"] <= timeout + 60


def test_each_builder_has_a_place_of_its_own_as_many_as_its_concurrency(deployment):
    for name, most in (("overviews", 4), ("kept overviews", 7)):
        made = deployment(name)
        mappings = made.of_type("AWS::Lambda::EventSourceMapping")
        [mapping] = (m for n, m in mappings.items() if n.startswith("Builder"))
        assert mapping["BatchSize"] == 1
        assert mapping["FunctionResponseTypes"] == ["ReportBatchItemFailures"]
        assert mapping["ScalingConfig"] == {"MaximumConcurrency": most}
        assert "MaximumBatchingWindowInSeconds" not in mapping, "FIFO queues have none"
        assert made.function("Builder")["ReservedConcurrentExecutions"] == most


def test_the_sweep_runs_every_five_minutes(overviews):
    rule = only(overviews.of_type("AWS::Events::Rule"))
    assert rule["ScheduleExpression"] == "rate(5 minutes)"
    [target] = rule["Targets"]
    assert target["Arn"]["Fn::GetAtt"][0].startswith("SweepFunction")


def test_memory_is_as_configured(deployment):
    assert deployment("overviews").function("Builder")["MemorySize"] == 1769
    assert deployment("kept overviews").function("Builder")["MemorySize"] == 3008


# Configuration


@pytest.mark.parametrize(
    ("context", "says"),
    [
        ({"overview_bucket": "imagery", "overviews": "false"}, "leave out one of the two"),
        ({"overview_key": "alias/mine"}, "ARN of your KMS key"),
        ({"overview_key": KEY, "overviews": "false"}, "is for overviews, which are off"),
        ({"overview_key": KEY, "table": "old-table"}, "is for overviews, which are off"),
        ({"overview_key": KEY, "region": "us-east-1"}, "is in us-west-2"),
        ({"overviews": "true", "overview_bucket": "s3://imagery"}, "neither NAME nor NAME/PREFIX"),
        ({"overviews": "true", "table": "old-table"}, "output OverviewBucket"),
        ({"settings": '{"overview_store": "s3://x"}'}, "follows from overviews"),
        ({"overviews": "true", "overview_concurrency": "1"}, "greater than or equal to 2"),
    ],
)
def test_a_context_that_cannot_be_meant_is_refused(context, says):
    with pytest.raises(ConfigError, match=says):
        read({"allowed_prefixes": "https://x/", **context}, {})


def test_the_functions_of_overviews_are_counted_in_what_is_reserved():
    off = read({"allowed_prefixes": "https://x/", "overviews": "false"}, {})
    on = read({"allowed_prefixes": "https://x/"}, {})
    assert on.reserved == off.reserved + 4 + 1


@pytest.mark.parametrize(
    ("context", "on"),
    [
        ({}, True),
        ({"overviews": "false"}, False),
        ({"table": "old-table"}, False),
        ({"table": "old-table", "overview_bucket": "imagery"}, True),
        ({"overview_bucket": "imagery"}, True),
    ],
)
def test_they_are_kept_by_default_where_their_place_is_known(context, on):
    """An adopted table goes on as it was deployed: nothing says where its overviews are."""
    assert read({"allowed_prefixes": "https://x/", **context}, {}).overviews is on


# A key of the user


def test_objects_are_encrypted_with_a_key_of_the_user_that_who_needs_it_may_use(deployment):
    made = deployment("everything with overviews")
    [rule] = bucket_of(made)["Properties"]["BucketEncryption"]["ServerSideEncryptionConfiguration"]
    assert rule["ServerSideEncryptionByDefault"] == {
        "SSEAlgorithm": "aws:kms",
        "KMSMasterKeyID": KEY,
    }
    assert rule["BucketKeyEnabled"] is True, "else each object is a request to KMS"
    granted = {n: made.grants(n).get(KEY, set()) for n in ("Builder", "Tiler", "Manager", "Ingest")}
    assert granted == {
        "Builder": {"kms:Decrypt", "kms:GenerateDataKey"},
        "Tiler": {"kms:Decrypt"},
        "Manager": {"kms:Decrypt"},
        "Ingest": set(),
    }


def test_the_key_of_a_bucket_that_was_there_is_granted_too(deployment):
    made = deployment("kept overviews")
    assert made.grants("Builder")[KEY] == {"kms:Decrypt", "kms:GenerateDataKey"}
    assert made.grants("Tiler")[KEY] == {"kms:Decrypt"}


# Costs


def test_costs_md_states_what_the_price_list_makes_of_the_measured_units():
    config = read({"allowed_prefixes": "https://x/"}, {})
    page = (Path(__file__).parents[2] / "docs" / "costs.md").read_text()
    chapter = page.partition("## Overviews")[2].partition("\n## ")[0]
    for dollars in (
        f"${costs.per_million(costs.BULK, config):,.2f}",
        f"${costs.per_million(costs.ALONE, config):,.0f}",
        f"${costs.idle(config, 1):,.2f}",
        f"${costs.most(config):,.0f}",
    ):
        assert dollars in chapter
