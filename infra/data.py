"""The stack that holds state: one table, which outlives it."""

from typing import Any

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from constructs import Construct

from infra.bundle import Target
from infra.code import publish


class Data(cdk.Stack):
    """The table, shaped as `livemosaic.table.dynamodb.create_table` makes it.

    It stays when the stack is removed, and is protected from deletion even then. The stack itself
    has no termination protection, so that `cdk destroy` works.
    """

    def __init__(self, scope: Construct, name: str, *, target: Target, **stack: Any) -> None:
        super().__init__(scope, name, **stack)
        # Deployed first, this stack publishes the code that only the other one uses: a bundle that
        # cannot be built ends the deployment before anything is made.
        publish(self, target)
        self.table = dynamodb.Table(
            self,
            "Table",
            partition_key=dynamodb.Attribute(name="pk", type=dynamodb.AttributeType.STRING),
            sort_key=dynamodb.Attribute(name="sk", type=dynamodb.AttributeType.STRING),
            billing_mode=dynamodb.BillingMode.PAY_PER_REQUEST,
            time_to_live_attribute="expires",
            point_in_time_recovery_specification=dynamodb.PointInTimeRecoverySpecification(
                point_in_time_recovery_enabled=True
            ),
            deletion_protection=True,
            removal_policy=cdk.RemovalPolicy.RETAIN,
        )
