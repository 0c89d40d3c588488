"""Buckets in an emulator."""

from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import boto3
import pytest


@pytest.fixture
def s3(dynamodb_endpoint: str | None, aws_credentials: None) -> Iterator[Any]:
    """The emulator's S3; it answers where its DynamoDB does."""
    if dynamodb_endpoint is None:
        pytest.skip("makes buckets, which is left to an emulator")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ENDPOINT_URL_S3", dynamodb_endpoint)
        patch.setenv("AWS_REGION", "eu-central-1")
        client = boto3.client("s3", region_name="eu-central-1")
        yield client
        client.close()


@pytest.fixture
def bucket(s3: Any) -> str:
    name = f"items-{uuid4()}"
    s3.create_bucket(Bucket=name, CreateBucketConfiguration={"LocationConstraint": "eu-central-1"})
    return name
