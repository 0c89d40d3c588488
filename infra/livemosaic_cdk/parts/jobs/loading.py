"""What `livemosaic load` runs: a state machine, its function, and a bucket for what they write."""

from collections.abc import Callable
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.code import publish_arrow
from livemosaic_cdk.parts.jobs.machines import STEP_TIMEOUT_S, States, grant_work, job_machine
from livemosaic_cdk.parts.store import make_bucket

_MEMORY_MB: Final = 1769
_KEPT_DAYS: Final = 30
_FOLDER: Final = "loads/"

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
        grant_work(
            made,
            self.bucket,
            folder=_FOLDER,
            reason="The objects of loads are made and read by this function; how many there are "
            "depends on the files that are loaded.",
        )
        self._grant_arrow(made, config)
        return made

    def _grant_arrow(self, made: lambda_.Function, config: Config) -> None:
        stack = cdk.Stack.of(self)
        place = publish_arrow(stack, config.target)
        arn = f"arn:{stack.partition}:s3:::{place.bucket_name}/{place.object_key}"
        iam.Grant.add_to_principal(grantee=made, actions=["s3:GetObject"], resource_arns=[arn])
        made.add_environment("LIVEMOSAIC_ARROW", f"s3://{place.bucket_name}/{place.object_key}")

    def _make_machine(self, config: Config) -> sfn.StateMachine:
        make, at_once = States(self.function, self.bucket), config.load_concurrency

        def each(step: str, entries: str) -> dict[str, Any]:
            given = {"work.$": "$.work", "step": step, "n.$": "$$.Map.Item.Value.n"}
            return make.each(step, f"{entries}.json", at_once, given)

        return job_machine(
            self,
            title=f"{config.name}-load",
            comment="livemosaic load: rows of stac-geoparquet for an import",
            role="Role of the state machine that loads archives",
            make=make,
            folder=_FOLDER,
            states={
                "Survey": each("survey", "units"),
                "Settle": each("settle", "shards"),
                "Fold": make.task({"work.$": "$.work", "step": "fold"}),
                "Write": each("write", "units"),
                "Finish": make.task({"work.$": "$.work", "step": "finish"}),
            },
        )
