"""A KMS key of the operator encrypts all that a deployment keeps, and who needs it may use it."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).parents[2]
KEY = "arn:aws:kms:us-west-2:123456789012:key/1234abcd-12ab-34cd-56ef-1234567890ab"
USE = {"kms:Decrypt", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"}
FUNCTIONS = ("Tiler", "Manager", "Ingest", "Builder", "Sweep")
ENCRYPTED = {
    "AWS::DynamoDB::Table": lambda p: p["SSESpecification"]["KMSMasterKeyId"],
    "AWS::Logs::LogGroup": lambda p: p["KmsKeyId"],
    "AWS::S3::Bucket": lambda p: p["BucketEncryption"]["ServerSideEncryptionConfiguration"][0][
        "ServerSideEncryptionByDefault"
    ]["KMSMasterKeyID"],
    "AWS::SNS::Topic": lambda p: p["KmsMasterKeyId"],
    "AWS::SQS::Queue": lambda p: p["KmsMasterKeyId"],
    "AWS::SecretsManager::Secret": lambda p: p["KmsKeyId"],
}
"""What keeps data, and where its template names the key."""


@pytest.fixture
def encrypted(deployment: Any) -> Any:
    return deployment("encrypted")


def test_whatever_keeps_data_is_encrypted_with_the_key(encrypted: Any) -> None:
    kept = [
        resource
        for template in encrypted.templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] in ENCRYPTED
    ]
    assert {resource["Type"] for resource in kept} == set(ENCRYPTED)
    keys = [ENCRYPTED[resource["Type"]](resource["Properties"]) for resource in kept]
    assert [str(key) in (KEY, KEY.partition("/")[2]) for key in keys] == [True] * len(kept), keys


@pytest.mark.parametrize("name", ["encrypted", "encrypted and adopted"])
@pytest.mark.parametrize("function", FUNCTIONS)
def test_functions_may_use_the_key_also_of_a_table_that_is_adopted(
    deployment: Any, name: str, function: str
) -> None:
    assert deployment(name).grants(function)[KEY] >= USE


def services(made: Any) -> set[str]:
    """AWS's services that put messages into queues and topics, or lines into logs."""
    found = {"logs.REGION.amazonaws.com"}
    for kind in ("AWS::SQS::QueuePolicy", "AWS::SNS::TopicPolicy"):
        for policy in made.of_type(kind).values():
            for statement in policy["PolicyDocument"]["Statement"]:
                if statement["Effect"] == "Allow":
                    named = statement["Principal"]["Service"]
                    found |= {named} if isinstance(named, str) else {*named}
    return found


def test_the_documented_key_policy_lets_in_each_service_that_needs_it(encrypted: Any) -> None:
    chapter = (ROOT / "docs" / "operations.md").read_text().partition("## A key of your own")[2]
    statements = json.loads(re.findall(r"```json\n(.*?)```", chapter, re.DOTALL)[0])
    allowed: dict[str, set[str]] = {}
    for statement in statements:
        named = statement["Principal"].get("Service", [])
        for service in [named] if isinstance(named, str) else named:
            allowed[service] = set(statement["Action"])
    assert set(allowed) == services(encrypted)
    for actions in allowed.values():
        assert {"kms:Decrypt*", "kms:Decrypt"} & actions
        assert {"kms:GenerateDataKey*"} <= actions


def test_overviews_may_have_another_key(deployment: Any) -> None:
    [bucket] = (
        resource["Properties"]
        for template in deployment("everything with overviews").templates.values()
        for resource in template["Resources"].values()
        if resource["Type"] == "AWS::S3::Bucket"
    )
    assert ENCRYPTED["AWS::S3::Bucket"](bucket) == KEY
    assert "KmsMasterKeyId" not in json.dumps(deployment("everything with overviews").resources)
