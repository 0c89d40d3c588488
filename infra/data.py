"""The stateful stack: one table, which is retained when the stack is deleted."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.code import publish
from infra.config import Config


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
