"""Overviews: where they are kept, a queue of hints, and the functions that build and sweep."""

from collections.abc import Callable, Mapping
from typing import Final, Self

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import SqsEventSource
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.grants import READ, WRITE, encryption, grant_objects

BUILD_TIMEOUT_S: Final = 900
"""The longest of Lambda. The function itself stops earlier, between two cells."""
SWEEP_TIMEOUT_S: Final = 120
_SWEEP_MEMORY: Final = 512
_SWEEP_MINUTES: Final = 5
_ATTEMPTS: Final = 6
"""Five, and one at which a hint came too early."""
_RETENTION_DAYS: Final = 4
_BUILDING: Final = (
    "s3:AbortMultipartUpload",
    "s3:DeleteObject",
    "s3:GetObject",
    "s3:PutObject",
)

MakeFunction = Callable[..., lambda_.Function]
"""`Livemosaic`'s way to make a function."""


class OverviewStore:
    """A bucket, or a folder in it, with nothing but overviews."""

    def __init__(self, bucket: s3.IBucket, prefix: str, key: kms.IKey | None) -> None:
        self._bucket = bucket
        self._prefix = f"{prefix}/" if prefix else ""
        self._key = key

    @classmethod
    def of(cls, scope: Construct, bucket: s3.IBucket | str, key_arn: str | None) -> Self:
        """Returns the store in a bucket of the app, or in `NAME/PREFIX` that exists.

        `key_arn` is the KMS key that encrypts a bucket whose own key CDK does not know.
        """
        key = kms.Key.from_key_arn(scope, "OverviewKey", key_arn) if key_arn else None
        if not isinstance(bucket, str):
            return cls(bucket, "", bucket.encryption_key or key)
        name, _, prefix = bucket.partition("/")
        return cls(s3.Bucket.from_bucket_name(scope, "KeptOverviews", name), prefix, key)

    @property
    def place(self) -> str:
        """`NAME` or `NAME/PREFIX` of the bucket."""
        return f"{self._bucket.bucket_name}/{self._prefix}".rstrip("/")

    @property
    def environment(self) -> Mapping[str, str]:
        """The setting of each function: none of them accepts an Item that names these objects."""
        return {"LIVEMOSAIC_OVERVIEW_STORE": f"s3://{self.place}"}

    def grant_read(self, function: lambda_.Function) -> None:
        """Allows a function to read objects. Where one is missing it reads scenes instead."""
        self._grant(function, "s3:GetObject")
        if self._key:
            self._key.grant(function, "kms:Decrypt")

    def grant_build(self, function: lambda_.Function) -> None:
        """Allows a function to write and delete objects, and to know that one is missing.

        There is no condition on `s3:prefix` of ListBucket: a GetObject request has no prefix.
        """
        self._grant(function, *_BUILDING)
        if self._key:
            self._key.grant(function, "kms:Decrypt", "kms:GenerateDataKey")
        iam.Grant.add_to_principal(
            grantee=function,
            actions=["s3:ListBucket"],
            resource_arns=[self._bucket.bucket_arn],
        )

    def _grant(self, function: lambda_.Function, *actions: str) -> None:
        grant_objects(
            function,
            self._bucket,
            *actions,
            prefix=self._prefix,
            reason="The bucket, or this folder of it, holds nothing but overviews, whose objects "
            "change with the scenes.",
        )


class Hints(Construct):
    """The queue that wakes the builder. Hints may be lost: the sweep finds what they were about."""

    def __init__(self, scope: Construct, name: str, *, key: kms.IKey | None) -> None:
        super().__init__(scope, name)
        self._key = key
        self.dead_letters = self._queue("DeadLetters")
        self.queue = self._queue(
            "Queue",
            # A group waits as long for a run that died, and SQS asks for the timeout at least.
            visibility_timeout=cdk.Duration.seconds(BUILD_TIMEOUT_S + 60),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=_ATTEMPTS
            ),
        )

    def _queue(self, name: str, **more: object) -> sqs.Queue:
        return sqs.Queue(
            self,
            name,
            fifo=True,
            deduplication_scope=sqs.DeduplicationScope.MESSAGE_GROUP,
            fifo_throughput_limit=sqs.FifoThroughputLimit.PER_MESSAGE_GROUP_ID,
            retention_period=cdk.Duration.days(_RETENTION_DAYS),
            enforce_ssl=True,
            **encryption(self._key),
            **more,  # type: ignore[arg-type]
        )

    def allow_sending(self, function: lambda_.Function) -> None:
        """Allows a function to send hints, and sets the queue in its environment."""
        self.queue.grant(function, "sqs:SendMessage")
        function.add_environment("LIVEMOSAIC_OVERVIEW_HINTS", self.queue.queue_url)


class Overviews(Construct):
    """Keeps overviews in a store up to date."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        store: OverviewStore,
        table: dynamodb.ITable,
        make: MakeFunction,
        key: kms.IKey | None,
    ) -> None:
        super().__init__(scope, name)
        self.place = store.place
        """`NAME` or `NAME/PREFIX` of the bucket."""
        self.hints = Hints(self, "Hints", key=key)
        self.builder = self._make_builder(config, store, table, make)
        self.sweep = self._make_sweep(table, make)

    @property
    def functions(self) -> Mapping[str, lambda_.Function]:
        """The functions by their titles in alarms."""
        return {"Builder": self.builder, "Sweep": self.sweep}

    def _make_builder(
        self, config: Config, store: OverviewStore, table: dynamodb.ITable, make: MakeFunction
    ) -> lambda_.Function:
        made = make(
            "Builder",
            handler="overviews.handler",
            description="Makes overviews anew where scenes changed",
            memory=config.overview_memory,
            concurrency=config.overview_concurrency,
            timeout_s=BUILD_TIMEOUT_S,
        )
        table.grant(made, *READ, *WRITE)
        store.grant_build(made)
        self.hints.allow_sending(made)
        made.add_event_source(
            SqsEventSource(
                self.hints.queue,
                batch_size=1,  # builders share the places of a mosaic, each its own
                report_batch_item_failures=True,
                max_concurrency=config.overview_concurrency,
            )
        )
        return made

    def _make_sweep(self, table: dynamodb.ITable, make: MakeFunction) -> lambda_.Function:
        made = make(
            "Sweep",
            handler="overviews.sweep",
            description="Finds overviews that are behind, and wakes the builder",
            memory=_SWEEP_MEMORY,
            concurrency=1,
            timeout_s=SWEEP_TIMEOUT_S,
            reads_assets=False,
        )
        table.grant(made, *READ)
        self.hints.allow_sending(made)
        events.Rule(
            self,
            "Schedule",
            description="Sweeps overviews that are behind",
            schedule=events.Schedule.rate(cdk.Duration.minutes(_SWEEP_MINUTES)),
            # The next one is never far.
            targets=[targets.LambdaFunction(made, retry_attempts=0)],
        )
        return made
