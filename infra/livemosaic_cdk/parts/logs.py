"""Log groups with a retention in days, deleted with the stack."""

import aws_cdk as cdk
from aws_cdk import aws_kms as kms
from aws_cdk import aws_logs as logs
from constructs import Construct


def log_group(
    scope: Construct, name: str, *, days: int, key: kms.IKey | None, group: str | None = None
) -> logs.LogGroup:
    """Creates a log group named `group`, or by CloudFormation if that is None."""
    made = logs.LogGroup(
        scope,
        name,
        log_group_name=group,
        encryption_key=key,
        removal_policy=cdk.RemovalPolicy.DESTROY,
    )
    resource = made.node.default_child
    assert isinstance(resource, logs.CfnLogGroup)  # noqa: S101 (for the type)
    resource.retention_in_days = days  # logs.RetentionDays has names only
    return made
