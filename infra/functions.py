"""Lambda functions: each with a role and a log group of its own."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from infra.bundle import PYTHONS
from infra.config import Config
from infra.logs import log_group


def function(
    scope: Construct,
    name: str,
    *,
    config: Config,
    code: lambda_.Code,
    handler: str,
    description: str,
    memory: int,
    timeout_s: int,
    environment: Mapping[str, str],
    snap_start: bool = False,
) -> lambda_.Function:
    """A function that may write its log, be traced if so configured, and nothing else yet."""
    home = Construct(scope, name)
    group = log_group(home, "Logs", days=config.log_retention_days)
    role = iam.Role(
        home,
        "Role",
        description=f"Of the function: {description}",
        assumed_by=iam.ServicePrincipal("lambda.amazonaws.com"),
    )
    group.grant_write(role)
    made = lambda_.Function(
        home,
        "Function",
        description=description,
        code=code,
        handler=handler,
        runtime=lambda_.Runtime(
            f"python{config.python}", lambda_.RuntimeFamily.PYTHON, supports_snap_start=snap_start
        ),
        architecture=_ARCHITECTURES[config.architecture],
        memory_size=memory,
        timeout=cdk.Duration.seconds(timeout_s),
        environment=dict(environment),
        role=role,
        log_group=group,
        logging_format=lambda_.LoggingFormat.JSON,  # the package writes JSON, too
        tracing=lambda_.Tracing.ACTIVE if config.tracing else lambda_.Tracing.DISABLED,
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        # Each version that stays is a snapshot that is paid for.
        current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.DESTROY),
    )
    _acknowledge(made, role, config)
    return made


def live(function: lambda_.Function) -> lambda_.Alias:
    """What to call where snapshots are used: only published versions have them.

    Whatever changes in the function, its code too, makes `current_version` another one, which
    CloudFormation publishes and points the alias at before it deletes the last.
    """
    return lambda_.Alias(
        function,
        "Live",
        alias_name="live",
        version=function.current_version,
        description="The version that answers",
    )


_ARCHITECTURES = {"arm64": lambda_.Architecture.ARM_64, "x86_64": lambda_.Architecture.X86_64}


def _acknowledge(made: lambda_.Function, role: iam.Role, config: Config) -> None:
    cdk.Validations.of(made).acknowledge(
        cdk.Acknowledgment(
            id="AwsSolutions-L1",
            reason=f"The bundle is built and tested for Python {PYTHONS[-1]} at most, which Lambda "
            "supports with security updates.",
        )
    )
    if config.tracing:
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="X-Ray's PutTraceSegments and PutTelemetryRecords name no resource (Service "
                "Authorization Reference, AWS X-Ray). Only these two have it.",
            )
        )
