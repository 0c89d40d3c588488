"""The stateful stack: a table, and a bucket of overviews; both are retained when it is deleted."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.code import publish


class Data(cdk.Stack):
    """The table, with the schema of `livemosaic.table.dynamodb.create_table`.

    The table is retained when the stack is deleted, and stays protected from deletion. The stack
    has no termination protection, so that `cdk destroy` works.
    """

    def __init__(self, scope: Construct, name: str, *, config: Config, **stack: Any) -> None:
        super().__init__(scope, name, **stack)
        # This stack is deployed first and publishes the code, although only the service stack uses
        # it: a bundle that cannot be built stops the deployment before any resource is created.
        publish(self, config.target)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            max_read_request_units=config.table_max_reads or None,
            max_write_request_units=config.table_max_writes or None,
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
        has_bucket = config.overviews and config.overview_bucket is None
        self.overviews = self._make_bucket() if has_bucket else None

    def _make_bucket(self) -> s3.Bucket:
        """Creates the bucket of overviews, retained like the table, whose rows name its objects.

        Objects are written once and deleted by the builder, so no versions are kept.
        """
        bucket = s3.Bucket(
            self,
            "Overviews",
            encryption=s3.BucketEncryption.S3_MANAGED,
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
