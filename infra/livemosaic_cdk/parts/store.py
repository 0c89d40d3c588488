"""What outlives a deployment: the table, and the bucket of overviews."""

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_kms as kms
from aws_cdk import aws_s3 as s3
from constructs import Construct

from livemosaic_cdk.config import Config


def make_table(scope: Construct, name: str, config: Config) -> dynamodb.Table:
    """Creates a table with the schema of `livemosaic.table.dynamodb.create_table`.

    It is retained when its stack is deleted, and stays protected from deletion.
    """
    key = kms.Key.from_key_arn(scope, f"{name}Key", config.key) if config.key else None
    return dynamodb.Table(
        scope,
        name,
        partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
        sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
        billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
        max_read_request_units=config.table_max_reads or None,
        max_write_request_units=config.table_max_writes or None,
        time_to_live_attribute="expires",
        encryption=dynamodb.TableEncryption.CUSTOMER_MANAGED if key else None,
        encryption_key=key,
        point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
            point_in_time_recovery_enabled=True
        ),
        deletion_protection=True,
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )


def make_bucket(scope: Construct, name: str, config: Config) -> s3.Bucket:
    """Creates a bucket of overviews, retained like the table, whose rows name its objects.

    Objects are written once and deleted by the builder, so no versions are kept.
    """
    arn = config.bucket_key
    key = kms.Key.from_key_arn(scope, f"{name}Key", arn) if arn else None
    bucket = s3.Bucket(
        scope,
        name,
        encryption=s3.BucketEncryption.KMS if key else s3.BucketEncryption.S3_MANAGED,
        encryption_key=key,
        bucket_key_enabled=True if key else None,  # else KMS is asked for each object
        enforce_ssl=True,
        minimum_tls_version=1.2,
        block_public_access=s3.BlockPublicAccess.BLOCK_ALL,
        object_ownership=s3.ObjectOwnership.BUCKET_OWNER_ENFORCED,
        lifecycle_rules=[
            s3.LifecycleRule(
                id="uploads that were never completed",
                abort_incomplete_multipart_upload_after=cdk.Duration.days(2),
            )
        ],
        removal_policy=cdk.RemovalPolicy.RETAIN,
    )
    cdk.Validations.of(bucket).acknowledge(
        cdk.Acknowledgment(
            id="AwsSolutions-S1",
            reason="Only the functions of the deployment read it. Access logs would need a "
            "bucket of their own, cost more than the overviews, and tell what the access log "
            "of the API tells already. CloudTrail data events do the same, where wanted.",
        )
    )
    return bucket
