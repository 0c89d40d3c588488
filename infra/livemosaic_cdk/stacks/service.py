"""The stateless, replaceable stack: events in, tiles out."""

from collections.abc import Mapping
from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk.aws_lambda_event_sources import SqsEventSource
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.api import Api
from livemosaic_cdk.parts.code import code
from livemosaic_cdk.parts.functions import function, live
from livemosaic_cdk.parts.inbox import Inbox
from livemosaic_cdk.parts.overviews import READ, WRITE, Overviews, OverviewStore
from livemosaic_cdk.parts.signing import SigningKey
from livemosaic_cdk.watch.alarms import Alarms
from livemosaic_cdk.watch.budget import Budget
from livemosaic_cdk.watch.dashboard import dashboard
from livemosaic_cdk.ways import grant_ways

_CONSOLES: Final = {
    "aws": {"host": "console.aws.amazon.com"},
    "aws-us-gov": {"host": "console.amazonaws-us-gov.com"},
    "aws-cn": {"host": "console.amazonaws.cn"},
}
REQUEST_TIMEOUT_S: Final = 29
"""Just below API Gateway's own timeout of 30 s (HTTP API quotas, "Maximum integration timeout")."""
INGEST_TIMEOUT_S: Final = 60
VISIBILITY_S: Final = 6 * INGEST_TIMEOUT_S
"""AWS's advice for the queue of a function (Lambda, "Using Lambda with Amazon SQS")."""


class Service(cdk.Stack):
    """All resources except the table and the bucket of overviews."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        table: dynamodb.ITable | str,
        bucket: s3.IBucket | str | None = None,
        **stack: Any,
    ) -> None:
        """`table` is a construct, or the name of an existing table to adopt.

        So is `bucket`, the one of overviews; None for none.
        """
        super().__init__(scope, name, **stack)
        self._config = config
        self._table = (
            dynamodb.Table.from_table_name(self, "Table", table)
            if isinstance(table, str)
            else table
        )
        self._code = code(self, config.target)
        self._store = OverviewStore.of(self, bucket) if bucket is not None else None
        self._inbox = Inbox(self, "Inbox", visibility_s=VISIBILITY_S)
        self._subscribe(config)
        tiler, manager, ingest = self._make_tiler(), self._make_manager(), self._make_ingest()
        if config.jwt:
            manager.add_environment("LIVEMOSAIC_AUTHORIZER", "jwt")
        if config.private_mosaics:
            self._keep_private(tiler, manager)
        answering = live(tiler) if config.snap_start else tiler
        api = Api(self, "Api", config=config, tiler=answering, manager=manager)
        functions = {"Tiler": tiler, "Manager": manager, "Ingest": ingest}
        overviews = self._keep_overviews(self._store, ingest) if self._store else None
        self._watch(functions, api.api, overviews)
        self._add_outputs(api.url)

    def _subscribe(self, config: Config) -> None:
        for topic in config.topics:
            self._inbox.subscribe(topic)
        for bucket in config.item_buckets:
            self._inbox.subscribe_bucket(bucket)
        for bus in config.buses:
            self._inbox.subscribe_bus(bus)

    def _make_tiler(self) -> lambda_.Function:
        made = self._function(
            "Tiler",
            handler="tiler.handler",
            description="Serves reads: tiles, and all other requests that write nothing",
            memory=self._config.tiler_memory,
            concurrency=self._config.tiler_concurrency,
            timeout_s=REQUEST_TIMEOUT_S,
            snap_start=self._config.snap_start,
        )
        self._table.grant(made, *READ)
        if self._store:
            self._store.grant_read(made)
        return made

    def _make_manager(self) -> lambda_.Function:
        made = self._function(
            "Manager",
            handler="tiler.handler",
            description="Serves writes: POST, PUT and DELETE, for authorized callers",
            memory=self._config.ingest_memory,
            concurrency=self._config.manager_concurrency,
            timeout_s=REQUEST_TIMEOUT_S,
        )
        self._table.grant(made, *READ, *WRITE)
        if self._store and not self._config.anonymous_posts:  # then it makes images, too
            self._store.grant_read(made)
        return made

    def _make_ingest(self) -> lambda_.Function:
        made = self._function(
            "Ingest",
            handler="ingest.handler",
            description="Applies events about STAC Items to the mosaics that accept them",
            memory=self._config.ingest_memory,
            concurrency=self._config.ingest_concurrency,
            timeout_s=INGEST_TIMEOUT_S,
        )
        self._table.grant(made, *READ, *WRITE)
        for bucket in self._config.item_buckets:
            self._grant_absence(made, bucket.name)
        dead_letters = self._inbox.dead_letters
        dead_letters.grant(made, "sqs:SendMessage")
        made.add_environment("LIVEMOSAIC_DEAD_LETTERS", dead_letters.queue_url)
        made.add_event_source(
            SqsEventSource(
                self._inbox.queue,
                batch_size=10,  # no batching window: available messages are processed at once
                report_batch_item_failures=True,
                max_concurrency=self._config.ingest_concurrency,
            )
        )
        return made

    def _keep_overviews(self, store: OverviewStore, ingest: lambda_.Function) -> Overviews:
        made = Overviews(
            self,
            "Overviews",
            config=self._config,
            store=store,
            table=self._table,
            make=self._function,
        )
        made.hints.allow_sending(ingest)
        return made

    def _keep_private(self, *answering: lambda_.Function) -> None:
        key = SigningKey(self, "SigningKey")
        for each in answering:
            key.grant_read(each)
        cdk.CfnOutput(
            self, "SigningKeyArn", value=key.arn, description="Secret that signs access tokens"
        )

    def _function(
        self,
        name: str,
        *,
        handler: str,
        description: str,
        memory: int,
        concurrency: int,
        timeout_s: int,
        snap_start: bool = False,
        reads_assets: bool = True,
    ) -> lambda_.Function:
        made = function(
            self,
            name,
            config=self._config,
            code=self._code,
            handler=handler,
            description=description,
            memory=memory,
            concurrency=concurrency,
            timeout_s=timeout_s,
            environment=self._environment(),
            snap_start=snap_start,
        )
        if not reads_assets:
            return made
        for bucket in self._config.readable:  # pixels for tiles, headers and Items for ingestion
            self._grant_objects(made, bucket)
        grant_ways(made, self._config.allowed_prefixes)
        return made

    def _environment(self) -> dict[str, str]:
        config = self._config
        environment = {
            "LIVEMOSAIC_INDEX": f"dynamodb://{self.region}/{self._table.table_name}",
            "LIVEMOSAIC_ALLOWED_PREFIXES": ",".join(config.allowed_prefixes),
            "LIVEMOSAIC_CORS_ORIGINS": ",".join(config.cors_origins),
            "LIVEMOSAIC_METRICS": config.name,
        }
        payer = {"AWS_REQUEST_PAYER": "requester"} if config.requester_pays else {}
        own = {f"LIVEMOSAIC_{name.upper()}": str(value) for name, value in config.settings.items()}
        return own | environment | payer | dict(self._store.environment if self._store else {})

    def _grant_objects(self, reader: lambda_.Function, bucket: str) -> None:
        """Grants GetObject only, so that a missing object is a 403, like a denied one."""
        arn = f"arn:{self.partition}:s3:::{bucket}/*"
        iam.Grant.add_to_principal(grantee=reader, actions=["s3:GetObject"], resource_arns=[arn])
        shown = arn.replace(cdk.Aws.PARTITION, "<AWS::Partition>")
        cdk.Validations.of(reader.role or reader).acknowledge(
            cdk.Acknowledgment(
                id=f"AwsSolutions-IAM5[Resource::{shown}]",
                reason="The operator granted this bucket or prefix by name. Its objects change "
                "with the events, so they cannot be enumerated; they can only be read.",
            )
        )

    def _grant_absence(self, reader: lambda_.Function, bucket: str) -> None:
        """Grants ListBucket, so that a missing object is a 404: a deleted Item (S3 API, GetObject).

        There is no condition on `s3:prefix`, because a GetObject request has no prefix.
        """
        arn = f"arn:{self.partition}:s3:::{bucket}"
        iam.Grant.add_to_principal(grantee=reader, actions=["s3:ListBucket"], resource_arns=[arn])

    def _watch(
        self,
        functions: Mapping[str, lambda_.Function],
        api: apigatewayv2.HttpApi,
        overviews: Overviews | None,
    ) -> None:
        deployment = self._config.name
        alarms = Alarms(self, "Alarms", email=self._config.alarm_email)
        alarms.watch_images(deployment)
        alarms.watch_inbox(self._inbox, deployment)
        alarms.watch_functions(functions)
        alarms.watch_api(api, rate=self._config.throttle_rate)
        alarms.watch_table(self._table)
        if overviews:
            alarms.watch_overviews(overviews, deployment)
        if self._config.monthly_budget:
            Budget(self, "Budget", dollars=self._config.monthly_budget, topic=alarms.topic)
        page = dashboard(
            self,
            "Dashboard",
            deployment=deployment,
            inbox=self._inbox,
            functions=functions,
            api=api,
            table=self._table,
            overviews=overviews,
        )
        cdk.CfnOutput(
            self,
            "AlarmTopicArn",
            value=alarms.topic.topic_arn,
            description="Subscribe to this to hear of alarms",
        )
        console = f"https://{self.region}.{self._console()}/cloudwatch/home"
        cdk.CfnOutput(
            self,
            "DashboardUrl",
            value=f"{console}?region={self.region}#dashboards/dashboard/{page.dashboard_name}",
            description="Graphs of the whole deployment",
        )

    def _console(self) -> str:
        """Returns the host of the console, without a region: each partition has its own."""
        hosts = cdk.CfnMapping(self, "Consoles", mapping=_CONSOLES)
        return hosts.find_in_map(cdk.Aws.PARTITION, "host")

    def _add_outputs(self, url: str) -> None:
        tiles = f"{url}/mosaics/MOSAIC/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}"
        inbox = self._inbox
        outputs = {
            "ApiUrl": (url, "Base URL of the API"),
            "TileUrlTemplate": (tiles, "For map clients; replace MOSAIC with a mosaic's id"),
            "TopicArn": (inbox.topic.topic_arn, "Publish STAC Items here"),
            "QueueUrl": (inbox.queue.queue_url, "Pending events"),
            "DeadLetterQueueUrl": (inbox.dead_letters.queue_url, "Failed events"),
            "TableName": (
                self._table.table_name,
                "The index of mosaics; retained when the stack is deleted",
            ),
        }
        for name, (value, description) in outputs.items():
            cdk.CfnOutput(self, name, value=value, description=description)
