"""State machines that call one function for each step of a job, and for each entry of a list."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from livemosaic_cdk.parts.grants import grant_objects

STEP_TIMEOUT_S: Final = 900
"""The longest of Lambda; a step takes some minutes."""
_ATTEMPTS: Final = 4
_NEXT_RUN: Final = {"IntervalSeconds": 1, "BackoffRate": 1, "MaxAttempts": 40}
_TELL: Final = "Tell"
_FAIL: Final = "Fail"


def grant_work(function: lambda_.Function, bucket: s3.Bucket, *, folder: str, reason: str) -> None:
    """Allows a function to read, write and list what jobs hand to each other in a folder.

    `reason` is why it may reach all objects of the folder, for cdk-nag.
    """
    actions = "s3:GetObject", "s3:PutObject"
    grant_objects(function, bucket, *actions, prefix=folder, reason=reason)
    iam.Grant.add_to_principal(
        grantee=function, actions=["s3:ListBucket"], resource_arns=[bucket.bucket_arn]
    )
    if bucket.encryption_key:
        bucket.encryption_key.grant(function, "kms:Decrypt", "kms:GenerateDataKey")


@dataclass(frozen=True, slots=True)
class States:
    """Makes states in the Amazon States Language."""

    function: lambda_.Function
    bucket: s3.Bucket
    final: tuple[str, ...] = ()
    """Names of errors that are not tried again."""
    unfinished: tuple[str, ...] = ()
    """Names of errors of runs that have come a part of the way: the next one goes on at once."""

    def task(self, parameters: Mapping[str, Any] | None = None) -> dict[str, Any]:
        """Returns a state that calls the function, and again where it fails."""
        never = [{"ErrorEquals": [*self.final], "MaxAttempts": 0}] if self.final else []
        more = [{"ErrorEquals": [*self.unfinished], **_NEXT_RUN}] if self.unfinished else []
        return {
            "Type": "Task",
            "Resource": self.function.function_arn,
            **({"Parameters": dict(parameters)} if parameters else {}),
            "TimeoutSeconds": STEP_TIMEOUT_S + 60,
            "Retry": [
                *never,
                *more,
                {
                    "ErrorEquals": ["States.ALL"],
                    "IntervalSeconds": 5,
                    "BackoffRate": 2,
                    "MaxAttempts": _ATTEMPTS,
                    "JitterStrategy": "FULL",
                },
            ],
        }

    def each(
        self, label: str, entries: str, at_once: int, given: Mapping[str, Any]
    ) -> dict[str, Any]:
        """Returns a state that calls the function for each entry of a list in the job's folder.

        `given` is what the function gets: `$$.Map.Item.Value` is the entry.
        """
        return {
            "Type": "Map",
            "Label": label,
            "MaxConcurrency": at_once,
            "ItemReader": {
                "Resource": f"arn:{cdk.Aws.PARTITION}:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {
                    "Bucket": self.bucket.bucket_name,
                    "Key.$": f"States.Format('{{}}/{entries}', $.key)",
                },
            },
            "ItemSelector": dict(given),
            "ItemProcessor": {
                # Express executions end after five minutes.
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Run",
                "States": {"Run": self.task() | {"End": True}},
            },
        }


def job_machine(
    scope: Construct,
    *,
    title: str,
    comment: str,
    role: str,
    make: States,
    folder: str,
    states: Mapping[str, Any],
    failing: Mapping[str, Any] | None = None,
) -> sfn.StateMachine:
    """Creates a machine of states that follow each other; its input names the folder of a job.

    The folder is below `folder` of the bucket, and the input has it as `work` (URL) and `key`.
    `role` describes the machine's role. `failing` is what the function gets where a state fails.
    """
    stack = cdk.Stack.of(scope)
    own = f"arn:{stack.partition}:states:{stack.region}:{stack.account}"
    made = _role(
        scope, role, make, folder, f"{own}:stateMachine:{title}", f"{own}:execution:{title}/*"
    )
    machine = sfn.StateMachine(
        scope,
        "Machine",
        state_machine_name=title,
        comment=comment,
        # CDK's own states would grant it all versions of the function, and traces.
        definition_body=sfn.DefinitionBody.from_string(
            stack.to_json_string(_definition(make, states, failing))
        ),
        role=made.without_policy_updates(),
    )
    for rule, reason in _REASONS.items():
        cdk.Validations.of(machine).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
    return machine


def _role(
    scope: Construct, description: str, make: States, folder: str, machine: str, children: str
) -> iam.Role:
    """Creates the machine's role: it starts machines of its own for the entries of a list."""
    role = iam.Role(
        scope,
        "Role",
        description=description,
        assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
    )
    grants = {
        make.function.function_arn: ("lambda:InvokeFunction",),
        make.bucket.arn_for_objects(f"{folder}*"): ("s3:GetObject",),
        machine: ("states:StartExecution",),
        children: ("states:DescribeExecution", "states:StopExecution"),
    }
    for resource, actions in grants.items():
        role.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=[resource]))
    if make.bucket.encryption_key:
        make.bucket.encryption_key.grant(role, "kms:Decrypt")
    home = make.bucket.node.default_child
    assert isinstance(home, s3.CfnBucket)  # noqa: S101 (for the type)
    bucket = cdk.Stack.of(scope).get_logical_id(home)
    account = "<AWS::AccountId>" if cdk.Token.is_unresolved(cdk.Stack.of(scope).account) else ""
    shown = children.replace(cdk.Aws.PARTITION, "<AWS::Partition>")
    shown = shown.replace(cdk.Aws.ACCOUNT_ID, account).replace(cdk.Aws.REGION, "<AWS::Region>")
    for wildcard in (f"<{bucket}.Arn>/{folder}*", shown):
        cdk.Validations.of(role).acknowledge(
            cdk.Acknowledgment(
                id=f"AwsSolutions-IAM5[Resource::{wildcard}]",
                reason="Its own executions have random names, and each job a folder.",
            )
        )
    return role


def _definition(
    make: States, states: Mapping[str, Any], failing: Mapping[str, Any] | None
) -> Mapping[str, Any]:
    """Returns the machine in the Amazon States Language."""
    caught = {"Catch": [{"ErrorEquals": ["States.ALL"], "ResultPath": "$.done", "Next": _TELL}]}
    follows = [{"Next": name} for name in [*states][1:]] + [{"End": True}]
    steps = {
        name: states[name] | {"ResultPath": "$.done"} | (caught if failing else {}) | after
        for name, after in zip(states, follows, strict=True)
    }
    if failing:
        steps[_TELL] = make.task(failing) | {"Next": _FAIL}
        steps[_FAIL] = {"Type": "Fail"}
    return {"StartAt": next(iter(states)), "States": steps}


_REASONS: Final = {
    "AwsSolutions-SF1": "Step Functions keeps the history of each execution for 90 days, and its "
    "function logs what fails.",
    "AwsSolutions-SF2": "Nobody waits for a job, and its history has the time of each step.",
}
