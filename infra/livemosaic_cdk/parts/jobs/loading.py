"""What `livemosaic load` runs: a state machine, its function, and a bucket for what they write."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.code import publish_arrow
from livemosaic_cdk.parts.grants import grant_objects
from livemosaic_cdk.parts.store import make_bucket

STEP_TIMEOUT_S: Final = 900
"""The longest of Lambda; a unit takes some minutes."""
_MEMORY_MB: Final = 1769
_KEPT_DAYS: Final = 30
_FOLDER: Final = "loads/"
_ATTEMPTS: Final = 4

MakeFunction = Callable[..., lambda_.Function]
"""`Livemosaic`'s way to make a function."""


class Loading(Construct):
    """Turns stac-geoparquet into files that DynamoDB imports. Nothing of it costs while idle."""

    def __init__(self, scope: Construct, name: str, *, config: Config, make: MakeFunction) -> None:
        super().__init__(scope, name)
        self.bucket = self._make_bucket(config)
        self.function = self._make_function(config, make)
        self.machine = self._make_machine(config)

    @property
    def place(self) -> str:
        """URL below which each load has a folder."""
        return f"s3://{self.bucket.bucket_name}/{_FOLDER}".rstrip("/")

    def _make_bucket(self, config: Config) -> s3.Bucket:
        bucket = make_bucket(self, "Work", config)
        bucket.add_lifecycle_rule(
            id="loads that are over", expiration=cdk.Duration.days(_KEPT_DAYS), prefix=_FOLDER
        )
        return bucket

    def _make_function(self, config: Config, make: MakeFunction) -> lambda_.Function:
        made = make(
            "Load",
            handler="bulk.handler",
            description="Makes rows of stac-geoparquet for an import",
            memory=_MEMORY_MB,
            concurrency=config.load_concurrency,
            timeout_s=STEP_TIMEOUT_S,
        )
        grant_objects(
            made,
            self.bucket,
            *("s3:GetObject", "s3:PutObject"),
            prefix=_FOLDER,
            reason="The objects of loads are made and read by this function; how many there are "
            "depends on the files that are loaded.",
        )
        iam.Grant.add_to_principal(
            grantee=made, actions=["s3:ListBucket"], resource_arns=[self.bucket.bucket_arn]
        )
        if self.bucket.encryption_key:
            self.bucket.encryption_key.grant(made, "kms:Decrypt", "kms:GenerateDataKey")
        self._grant_arrow(made, config)
        return made

    def _grant_arrow(self, made: lambda_.Function, config: Config) -> None:
        stack = cdk.Stack.of(self)
        place = publish_arrow(stack, config.target)
        arn = f"arn:{stack.partition}:s3:::{place.bucket_name}/{place.object_key}"
        iam.Grant.add_to_principal(grantee=made, actions=["s3:GetObject"], resource_arns=[arn])
        made.add_environment("LIVEMOSAIC_ARROW", f"s3://{place.bucket_name}/{place.object_key}")

    def _make_machine(self, config: Config) -> sfn.StateMachine:
        stack = cdk.Stack.of(self)
        name = f"{config.name}-load"
        own = f"arn:{stack.partition}:states:{stack.region}:{stack.account}"
        role = self._make_role(f"{own}:stateMachine:{name}", f"{own}:execution:{name}/*")
        machine = sfn.StateMachine(
            self,
            "Machine",
            state_machine_name=name,
            comment="livemosaic load: rows of stac-geoparquet for an import",
            # CDK's own states would grant it all versions of the function, and traces.
            definition_body=sfn.DefinitionBody.from_string(
                stack.to_json_string(self._definition(config.load_concurrency))
            ),
            role=role.without_policy_updates(),
        )
        for rule, reason in _REASONS.items():
            cdk.Validations.of(machine).acknowledge(cdk.Acknowledgment(id=rule, reason=reason))
        return machine

    def _make_role(self, machine: str, children: str) -> iam.Role:
        """Creates the machine's role: it starts machines of its own for the entries of a list."""
        role = iam.Role(
            self,
            "Role",
            description="Role of the state machine that loads archives",
            assumed_by=iam.ServicePrincipal("states.amazonaws.com"),
        )
        lists = self.bucket.arn_for_objects(f"{_FOLDER}*")
        grants = {
            self.function.function_arn: ("lambda:InvokeFunction",),
            lists: ("s3:GetObject",),
            machine: ("states:StartExecution",),
            children: ("states:DescribeExecution", "states:StopExecution"),
        }
        for resource, actions in grants.items():
            role.add_to_policy(iam.PolicyStatement(actions=[*actions], resources=[resource]))
        if self.bucket.encryption_key:
            self.bucket.encryption_key.grant(role, "kms:Decrypt")
        home = self.bucket.node.default_child
        assert isinstance(home, s3.CfnBucket)  # noqa: S101 (for the type)
        bucket = cdk.Stack.of(self).get_logical_id(home)
        account = "<AWS::AccountId>" if cdk.Token.is_unresolved(cdk.Stack.of(self).account) else ""
        shown = children.replace(cdk.Aws.PARTITION, "<AWS::Partition>")
        shown = shown.replace(cdk.Aws.ACCOUNT_ID, account).replace(cdk.Aws.REGION, "<AWS::Region>")
        for wildcard in (f"<{bucket}.Arn>/{_FOLDER}*", shown):
            cdk.Validations.of(role).acknowledge(
                cdk.Acknowledgment(
                    id=f"AwsSolutions-IAM5[Resource::{wildcard}]",
                    reason="Its own executions have random names, and each load a folder.",
                )
            )
        return role

    def _definition(self, at_once: int) -> Mapping[str, Any]:
        """Returns the machine in the Amazon States Language."""
        states = {
            "Survey": self._each("survey", "units", at_once),
            "Settle": self._each("settle", "shards", at_once),
            "Fold": self._task({"work.$": "$.work", "step": "fold"}),
            "Write": self._each("write", "units", at_once),
            "Finish": self._task({"work.$": "$.work", "step": "finish"}),
        }
        names = [*states]
        follows = [{"Next": name} for name in names[1:]] + [{"End": True}]
        steps = {
            name: states[name] | {"ResultPath": "$.done"} | after
            for name, after in zip(names, follows, strict=True)
        }
        return {"StartAt": names[0], "States": steps}

    def _each(self, step: str, entries: str, at_once: int) -> dict[str, Any]:
        """Returns a state that runs a step for each entry of a list of the load."""
        given = {"work.$": "$.work", "step": step, "n.$": "$$.Map.Item.Value.n"}
        return {
            "Type": "Map",
            "Label": step,
            "MaxConcurrency": at_once,
            "ItemReader": {
                "Resource": f"arn:{cdk.Aws.PARTITION}:states:::s3:getObject",
                "ReaderConfig": {"InputType": "JSON"},
                "Parameters": {
                    "Bucket": self.bucket.bucket_name,
                    "Key.$": f"States.Format('{{}}/{entries}.json', $.key)",
                },
            },
            "ItemSelector": given,
            "ItemProcessor": {
                # Express executions end after five minutes.
                "ProcessorConfig": {"Mode": "DISTRIBUTED", "ExecutionType": "STANDARD"},
                "StartAt": "Run",
                "States": {"Run": self._task() | {"End": True}},
            },
        }

    def _task(self, parameters: Mapping[str, str] | None = None) -> dict[str, Any]:
        """Returns a state that calls the function, and again where it fails."""
        return {
            "Type": "Task",
            "Resource": self.function.function_arn,
            **({"Parameters": dict(parameters)} if parameters else {}),
            "TimeoutSeconds": STEP_TIMEOUT_S + 60,
            "Retry": [
                {
                    "ErrorEquals": ["States.ALL"],
                    "IntervalSeconds": 5,
                    "BackoffRate": 2,
                    "MaxAttempts": _ATTEMPTS,
                    "JitterStrategy": "FULL",
                }
            ],
        }


_REASONS: Final = {
    "AwsSolutions-SF1": "Step Functions keeps the history of each execution for 90 days, and its "
    "function logs what fails.",
    "AwsSolutions-SF2": "Nobody waits for a load, and its history has the time of each step.",
}
