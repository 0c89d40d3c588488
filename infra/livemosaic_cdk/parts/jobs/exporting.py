"""What makes scheduled archives (`exports` of mosaics): a schedule, a state machine, a function."""

from collections.abc import Callable, Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_stepfunctions as sfn
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.grants import READ, grant_objects
from livemosaic_cdk.parts.jobs.machines import STEP_TIMEOUT_S, States, grant_work, job_machine
from livemosaic_cdk.parts.overviews import OverviewStore
from livemosaic_cdk.parts.store import make_bucket

_MEMORY_MB: Final = 2048
_START_MEMORY_MB: Final = 512
_START_TIMEOUT_S: Final = 120
_EVERY_MINUTES: Final = 5
_KEPT_DAYS: Final = 7
_FOLDER: Final = "exports/"
_PUBLISHED: Final = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:PutObject",
)

MakeFunction = Callable[..., lambda_.Function]
"""`Livemosaic`'s way to make a function."""


class ArchiveBucket:
    """A bucket that exists, or a folder in it, with the archives of mosaics."""

    def __init__(self, scope: Construct, place: str) -> None:
        """Names it by `NAME` or `NAME/PREFIX`."""
        name, _, prefix = place.partition("/")
        self._bucket = s3.Bucket.from_bucket_name(scope, "Archives", name)
        self._prefix = f"{prefix}/" if prefix else ""
        self._place = place

    def grant(self, function: lambda_.Function, *actions: str) -> None:
        """Allows a function these actions on archives, and to know that one is missing.

        There is no condition on `s3:prefix` of ListBucket: a GetObject request has no prefix.
        """
        grant_objects(
            function,
            self._bucket,
            *actions,
            prefix=self._prefix,
            reason="The bucket, or this folder of it, has an archive of each mosaic.",
        )
        iam.Grant.add_to_principal(
            grantee=function, actions=["s3:ListBucket"], resource_arns=[self._bucket.bucket_arn]
        )
        function.add_environment("LIVEMOSAIC_ARCHIVE_STORE", f"s3://{self._place}")


class Exporting(Construct):
    """Makes archives that are due, each by many jobs. It costs while idle what a look takes."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        archives: ArchiveBucket,
        overviews: OverviewStore,
        table: dynamodb.ITable,
        make: MakeFunction,
    ) -> None:
        super().__init__(scope, name)
        self.bucket = make_bucket(self, "Work", config)
        """What jobs hand to each other."""
        self.bucket.add_lifecycle_rule(
            id="exports that are over", expiration=cdk.Duration.days(_KEPT_DAYS), prefix=_FOLDER
        )
        self.function = self._make_function(config, archives, overviews, table, make)
        self.machine = self._make_machine(config)
        self.start = self._make_start(archives, table, make)

    @property
    def functions(self) -> Mapping[str, lambda_.Function]:
        """The functions by their titles in alarms."""
        return {"Export": self.function, "StartExports": self.start}

    def _make_function(
        self,
        config: Config,
        archives: ArchiveBucket,
        overviews: OverviewStore,
        table: dynamodb.ITable,
        make: MakeFunction,
    ) -> lambda_.Function:
        made = make(
            "Export",
            handler="exports.handler",
            description="Draws regions of archives (PMTiles), and puts archives together",
            memory=_MEMORY_MB,
            concurrency=config.export_concurrency,
            timeout_s=STEP_TIMEOUT_S,
        )
        table.grant(made, *READ)
        overviews.grant_read(made)
        archives.grant(made, *_PUBLISHED)
        grant_work(
            made,
            self.bucket,
            folder=_FOLDER,
            reason="The objects of exports are made and read by this function; how many there are "
            "depends on the mosaic.",
        )
        return made

    def _make_machine(self, config: Config) -> sfn.StateMachine:
        final, unfinished = ("InvalidRequestError", "NotFoundError"), ("UnfinishedError",)
        make = States(self.function, self.bucket, final, unfinished)
        of = {"mosaic.$": "$.mosaic", "render.$": "$.render"}

        def task(step: str, **more: str) -> dict[str, Any]:
            return make.task({"work.$": "$.work", "step": step, **more})

        def each(step: str, entries: str, entry: str) -> dict[str, Any]:
            given = {"work.$": "$.work", "step": step, f"{entry}.$": "$$.Map.Item.Value"}
            return make.each(step, entries, config.export_concurrency, given)

        return job_machine(
            self,
            title=f"{config.name}-export",
            comment="An archive (PMTiles) of a mosaic, by many jobs",
            role="Role of the state machine that makes archives",
            make=make,
            folder=_FOLDER,
            states={
                "Plan": task("plan", **of),
                "Draw": each("draw", "units.json", "unit"),
                "LayOut": task("lay out"),
                "Upload": each("upload", "pieces.json", "piece"),
                "Finish": task("finish"),
            },
            failing={"work.$": "$.work", "step": "fail", **of},
        )

    def _make_start(
        self, archives: ArchiveBucket, table: dynamodb.ITable, make: MakeFunction
    ) -> lambda_.Function:
        made = make(
            "StartExports",
            handler="exports.start",
            description="Finds archives that are due, and starts to make them",
            memory=_START_MEMORY_MB,
            concurrency=1,
            timeout_s=_START_TIMEOUT_S,
            reads_assets=False,
        )
        table.grant(made, *READ)
        archives.grant(made, "s3:GetObject")
        made.add_environment("LIVEMOSAIC_EXPORT_MACHINE", self.machine.state_machine_arn)
        work = f"s3://{self.bucket.bucket_name}/{_FOLDER}".rstrip("/")
        made.add_environment("LIVEMOSAIC_EXPORT_WORK", work)
        iam.Grant.add_to_principal(
            grantee=made,
            actions=["states:ListExecutions", "states:StartExecution"],
            resource_arns=[self.machine.state_machine_arn],
        )
        events.Rule(
            self,
            "Schedule",
            description="Looks for archives that are due",
            schedule=events.Schedule.rate(cdk.Duration.minutes(_EVERY_MINUTES)),
            # The next one is never far.
            targets=[targets.LambdaFunction(made, retry_attempts=0)],
        )
        return made
