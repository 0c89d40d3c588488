"""Lambda functions, each with its own role and log group."""

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from livemosaic_cdk.bundle import PYTHONS
from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.grants import grant_key
from livemosaic_cdk.parts.logs import log_group

XRAY: Final = "xray"
"""Value of `Config.traces` for X-Ray's endpoint, to which `xray:PutTraceSegments` lets send (the
managed policy AWSXrayWriteOnlyAccess)."""


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
    concurrency: int,
    key: kms.IKey | None,
    groups: Sequence[str] = (),
    snap_start: bool = False,
) -> lambda_.Function:
    """Creates a function that may only write its log, and send traces to X-Ray where asked for.

    `concurrency` is reserved for it, and the most it has, if the deployment reserves any. `key`
    encrypts its log, and all else that the deployment keeps. `groups` are the ids of its security
    groups in `config.vpc`.
    """
    home = Construct(scope, name)
    group = log_group(home, "Logs", days=config.log_retention_days, key=key)
    role = iam.Role(
        home,
        "Role",
        description=f"Role of the function: {description}",
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
        reserved_concurrent_executions=concurrency if config.reserve_concurrency else None,
        environment=dict(environment),
        role=role,
        log_group=group,
        logging_format=lambda_.LoggingFormat.JSON,  # the package logs JSON too
        application_log_level_v2=lambda_.ApplicationLogLevel[config.log_level],
        system_log_level_v2=lambda_.SystemLogLevel[config.system_log_level],
        tracing=lambda_.Tracing.ACTIVE if config.tracing else lambda_.Tracing.DISABLED,
        snap_start=lambda_.SnapStartConf.ON_PUBLISHED_VERSIONS if snap_start else None,
        # Every retained version would cost money for its snapshot.
        current_version_options=lambda_.VersionOptions(removal_policy=cdk.RemovalPolicy.DESTROY),
    )
    if config.vpc:
        _place(made, role, config.vpc.subnets, groups)
    if key:
        grant_key(made, key)
    if config.traces == XRAY and not config.tracing:  # which grants it, too
        role.add_to_policy(iam.PolicyStatement(actions=["xray:PutTraceSegments"], resources=["*"]))
    _acknowledge(made, role, config)
    return made


def live(function: lambda_.Function) -> lambda_.Alias:
    """Returns an alias of the current version, to invoke instead of the function.

    Only published versions have snapshots (SnapStart), and only between versions can traffic shift.
    Any change of the function or its code makes a new `current_version`; CloudFormation publishes
    it and updates the alias before it deletes the old version.
    """
    return lambda_.Alias(
        function,
        "Live",
        alias_name="live",
        version=function.current_version,
        description="The version that serves requests",
    )


def _place(
    made: lambda_.Function, role: iam.Role, subnets: Sequence[str], groups: Sequence[str]
) -> None:
    """Runs a function in subnets, whose network interfaces Lambda makes in the role's name.

    The code of the function itself may not touch them (Lambda Developer Guide, "Giving Lambda
    functions access to resources in an Amazon VPC", IAM permissions).
    """
    resource = made.node.default_child
    assert isinstance(resource, lambda_.CfnFunction)  # noqa: S101 (for the type)
    resource.vpc_config = lambda_.CfnFunction.VpcConfigProperty(
        subnet_ids=[*subnets], security_group_ids=[*groups]
    )
    role.add_to_policy(iam.PolicyStatement(actions=[*_INTERFACES], resources=["*"]))
    role.add_to_policy(
        iam.PolicyStatement(
            effect=iam.Effect.DENY,
            actions=[*_INTERFACES],
            resources=["*"],
            conditions={"Null": {"lambda:SourceFunctionArn": "false"}},
        )
    )
    cdk.Validations.of(role).acknowledge(
        cdk.Acknowledgment(
            id="AwsSolutions-IAM5[Resource::*]",
            reason="Lambda makes network interfaces in the role's name, which have no ids before "
            "(AWSLambdaENIManagementAccess). A second statement denies them to the code.",
        )
    )


_INTERFACES: Final = (
    "ec2:AssignPrivateIpAddresses",
    "ec2:CreateNetworkInterface",
    "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces",
    "ec2:DescribeSubnets",
    "ec2:UnassignPrivateIpAddresses",
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
    if config.tracing or config.traces == XRAY:
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id="AwsSolutions-IAM5[Resource::*]",
                reason="X-Ray's PutTraceSegments and PutTelemetryRecords have no resource types "
                "(Service Authorization Reference, AWS X-Ray). Only these use the wildcard.",
            )
        )
