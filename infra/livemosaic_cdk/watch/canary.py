"""Deployments that shift traffic to a new version by and by, and back where an alarm goes off."""

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_codedeploy as codedeploy
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

_AT_ONCE: Final = "AllAtOnce"
_ROLE: Final = "service-role/AWSCodeDeployRoleForLambdaLimited"
"""What CDK gives the role of a deployment group."""


class Canary(Construct):
    """Lets CodeDeploy move aliases to a new version.

    Where an alarm goes off, or is on already, CodeDeploy moves the alias back and CloudFormation
    undoes the update of the whole stack.
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        shift: str,
        aliases: Mapping[str, lambda_.Alias],
        alarms: Sequence[cloudwatch.Alarm],
    ) -> None:
        """`shift` is a configuration of CodeDeploy; with `AllAtOnce` no alarm counts."""
        super().__init__(scope, name)
        self._application = codedeploy.LambdaApplication(self, "Application")
        self._shift = codedeploy.LambdaDeploymentConfig.from_lambda_deployment_config_name(
            self, "Shift", f"CodeDeployDefault.Lambda{shift}"
        )
        self._alarms = [] if shift == _AT_ONCE else [*alarms]
        for title, alias in aliases.items():
            self._lead(title, alias)

    def _lead(self, title: str, alias: lambda_.Alias) -> None:
        group = codedeploy.LambdaDeploymentGroup(
            self,
            title,
            application=self._application,
            alias=alias,
            deployment_config=self._shift,
            alarms=self._alarms,
        )
        cdk.Validations.of(group.role).acknowledge(
            cdk.Acknowledgment(
                id=f"AwsSolutions-IAM4[Policy::arn:<AWS::Partition>:iam::aws:policy/{_ROLE}]",
                reason="CodeDeploy's role has the policy that AWS maintains for it (CodeDeploy "
                'User Guide, "Create a service role"): aliases, hooks, and looking at alarms.',
            )
        )
