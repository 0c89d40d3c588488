"""The construct: a live mosaic service in a stack of any app."""

from collections.abc import Iterator, Sequence
from typing import Final
from urllib.parse import quote

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_certificatemanager as acm
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sqs as sqs
from aws_cdk.aws_lambda_event_sources import SqsEventSource
from aws_cdk.aws_sns_subscriptions import SqsSubscription
from constructs import Construct

from livemosaic_cdk.config import Config, ConfigError
from livemosaic_cdk.network import security_groups
from livemosaic_cdk.parts.api import Api
from livemosaic_cdk.parts.cdn import SHARED_MAX_AGE_S, Cdn
from livemosaic_cdk.parts.code import code
from livemosaic_cdk.parts.functions import XRAY, function, live
from livemosaic_cdk.parts.grants import READ, WRITE, grant_key, grant_objects
from livemosaic_cdk.parts.inbox import Inbox
from livemosaic_cdk.parts.jobs.exporting import ArchiveBucket, Exporting
from livemosaic_cdk.parts.jobs.loading import Loading
from livemosaic_cdk.parts.overviews import Overviews, OverviewStore
from livemosaic_cdk.parts.secret import GeneratedSecret, origin_secret, signing_key
from livemosaic_cdk.parts.store import make_bucket, make_table
from livemosaic_cdk.watch.alarms import Alarms
from livemosaic_cdk.watch.budget import Budget
from livemosaic_cdk.watch.canary import Canary
from livemosaic_cdk.watch.dashboard import dashboard
from livemosaic_cdk.ways import grant_ways

REQUEST_TIMEOUT_S: Final = 29
"""Just below API Gateway's own timeout of 30 s (HTTP API quotas, "Maximum integration timeout")."""
INGEST_TIMEOUT_S: Final = 60
VISIBILITY_S: Final = 6 * INGEST_TIMEOUT_S
"""AWS's advice for the queue of a function (Lambda, "Using Lambda with Amazon SQS")."""


class Livemosaic(Construct):
    """A live mosaic service: STAC Items come in by events, map tiles go out.

    In a stack of your own:

        maps = Livemosaic(
            self, "Maps", Config(name="maps"), assets=[scenes], topics=[new_scenes]
        )
        cdk.CfnOutput(self, "Url", value=maps.url)
    """

    def __init__(
        self,
        scope: Construct,
        name: str,
        config: Config,
        *,
        table: dynamodb.ITable | None = None,
        overviews: s3.IBucket | None = None,
        assets: Sequence[s3.IBucket] = (),
        topics: Sequence[sns.ITopic] = (),
        certificate: acm.ICertificate | None = None,
        web_acl: str | None = None,
    ) -> None:
        """Creates all resources, and a table and a bucket of overviews where none is given.

        `config.name` must differ from that of other deployments in the region: metrics have it.
        `config.account` and `config.region` are ignored: the stack has its own.

        `table` has the keys of `make_table`; a new one is retained when the stack is deleted, as is
        a new bucket of `overviews`. `config.table` and `config.overview_bucket` name existing ones.
        With a `table` and without a bucket there are no overviews, unless `config` was given
        `overviews=True`.
        `assets` are buckets of COGs that the functions may read, beside what `config` names.
        `topics` carry Items, as `config.topics` do.
        `certificate` and `web_acl`, an ARN, are for the CDN where `config` names none: they belong
        to an `Edge`, a stack of us-east-1, which `config.has_edge` asks for.

        Raises `ConfigError` if there is nothing that the functions could read, or if the CDN lacks
        what `config` asks for.
        """
        super().__init__(scope, name)
        self._config = config
        self._assets = tuple(assets)
        self._readable = [*self._named_buckets(), *((bucket, "") for bucket in assets)]
        if not (config.allowed_prefixes or assets):
            raise ConfigError("nothing could be read: give `assets`, or Config(buckets=…)")
        if config.makes_certificate and not certificate:
            raise ConfigError("the CDN has no certificate: give that of an Edge, in us-east-1")
        if config.firewall and not web_acl:
            raise ConfigError("the CDN has no firewall: give the web_acl of an Edge, in us-east-1")
        for key, value in config.all_tags.items():
            cdk.Tags.of(self).add(key, value)
        self._key = kms.Key.from_key_arn(self, "Key", config.key) if config.key else None
        self._groups = security_groups(self, config.vpc) if config.vpc else []
        self.table = table or self._find_table()
        """The index of mosaics."""
        bucket = overviews or self._find_bucket(table)
        self._store = OverviewStore.of(self, bucket, config.bucket_key) if bucket else None
        self._code = code(self, config.target)
        self._aliases: dict[str, lambda_.Alias] = {}
        self._inbox = Inbox(self, "Inbox", visibility_s=VISIBILITY_S, key=self._key)
        self._subscribe(config, topics)
        self.tiler = self._make_tiler()
        """The function that answers reads."""
        self.manager = self._make_manager()
        """The function that writes over HTTP."""
        self.ingest = self._make_ingest()
        """The function that applies events."""
        archives = ArchiveBucket(self, config.archive_bucket) if config.archive_bucket else None
        if archives:
            archives.grant(self.tiler, "s3:GetObject")
        if config.jwt:
            self.manager.add_environment("LIVEMOSAIC_AUTHORIZER", "jwt")
        self.signing_key = self._keep_private() if config.private_mosaics else None
        """The secret that signs access tokens of private mosaics."""
        self._api = Api(
            self,
            "Api",
            config=config,
            tiler=self._invoked(self.tiler, config.snap_start),
            manager=self._invoked(self.manager),
            key=self._key,
        )
        self.cdn = self._make_cdn(certificate, web_acl) if config.has_cdn else None
        """The CloudFront distribution in front of the API."""
        self.public_url = self.cdn.url if self.cdn else config.public_url or self.url
        """URL by which clients come, with which all links begin."""
        for each in (self.tiler, self.manager):
            each.add_environment("LIVEMOSAIC_PUBLIC_URL", self.public_url)
        self.overviews = self._keep_overviews(self._store) if self._store else None
        """What builds overviews, and where they are kept."""
        self.loading = (
            Loading(self, "Loading", config=config, make=self._function) if config.load else None
        )
        """What loads archives at once."""
        self.exporting = self._export(archives) if config.exports and archives else None
        """What makes archives of tiles that are due."""
        self.alarm_topic = self._watch()
        """Topic of all alarms: subscribe to it."""

    @property
    def url(self) -> str:
        """Base URL of the API, for the command and for writes."""
        return self._api.url

    @property
    def api(self) -> apigatewayv2.HttpApi:
        """The HTTP API."""
        return self._api.api

    @property
    def topic(self) -> sns.ITopic:
        """Topic to which STAC Items are published."""
        return self._inbox.topic

    @property
    def queue(self) -> sqs.IQueue:
        """Queue of pending events."""
        return self._inbox.queue

    @property
    def dead_letters(self) -> sqs.IQueue:
        """Queue of events that failed."""
        return self._inbox.dead_letters

    def _named_buckets(self) -> Iterator[tuple[s3.IBucket, str]]:
        """Yields each bucket that `config` names, with the beginning of its keys."""
        for place in self._config.readable:
            name, _, prefix = place.partition("/")
            bucket = s3.Bucket.from_bucket_name(self, f"Readable {quote(place, safe='')}", name)
            yield bucket, f"{prefix}/" if prefix else ""

    def _find_table(self) -> dynamodb.ITable:
        adopted = self._config.table
        if adopted:
            return dynamodb.Table.from_table_name(self, "Table", adopted)
        return make_table(self, "Table", self._config)

    def _find_bucket(self, table: dynamodb.ITable | None) -> s3.IBucket | str | None:
        """Returns where overviews are kept; a new bucket beside a table of the app's only if asked.

        Nothing says whether such a table is new, or has overviews in another bucket.
        """
        config = self._config
        if config.overview_bucket or not config.overviews:
            return config.overview_bucket
        is_asked = "overviews" in config.model_fields_set
        return make_bucket(self, "OverviewBucket", config) if is_asked or table is None else None

    def _subscribe(self, config: Config, topics: Sequence[sns.ITopic]) -> None:
        for own in topics:
            own.add_subscription(SqsSubscription(self._inbox.queue))
        for topic in config.topics:
            self._inbox.subscribe(topic)
        for bucket in config.item_buckets:
            self._inbox.subscribe_bucket(bucket)
        for bus in config.buses:
            self._inbox.subscribe_bus(bus)

    def _export(self, archives: ArchiveBucket) -> Exporting:
        if not self._store:
            raise ConfigError("exports need a bucket of overviews: give `overviews`")
        return Exporting(
            self,
            "Exporting",
            config=self._config,
            archives=archives,
            overviews=self._store,
            table=self.table,
            make=self._function,
        )

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
        self.table.grant(made, *READ)
        if self._store:
            self._store.grant_read(made)
        return made

    def _make_manager(self) -> lambda_.Function:
        made = self._function(
            "Manager",
            handler="tiler.handler",
            description="Serves writes: POST, PUT, PATCH and DELETE, for authorized callers",
            memory=self._config.ingest_memory,
            concurrency=self._config.manager_concurrency,
            timeout_s=REQUEST_TIMEOUT_S,
        )
        self.table.grant(made, *READ, *WRITE)
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
        self.table.grant(made, *READ, *WRITE)
        for bucket in self._config.item_buckets:
            self._grant_absence(made, bucket.name)
        dead_letters = self._inbox.dead_letters
        dead_letters.grant(made, "sqs:SendMessage")
        made.add_environment("LIVEMOSAIC_DEAD_LETTERS", dead_letters.queue_url)
        self._invoked(made).add_event_source(
            SqsEventSource(
                self._inbox.queue,
                batch_size=10,  # no batching window: available messages are processed at once
                report_batch_item_failures=True,
                max_concurrency=self._config.ingest_concurrency,
            )
        )
        return made

    def _invoked(self, made: lambda_.Function, has_version: bool = False) -> lambda_.IFunction:
        """Returns what is invoked: a function as it is now, or the alias of its version."""
        if not (has_version or self._config.canary):
            return made
        alias = live(made)
        self._aliases[_title(made)] = alias
        return alias

    def _keep_overviews(self, store: OverviewStore) -> Overviews:
        made = Overviews(
            self,
            "Overviews",
            config=self._config,
            store=store,
            table=self.table,
            make=self._function,
            key=self._key,
        )
        made.hints.allow_sending(self.ingest)
        made.hints.allow_sending(self.manager)  # of mosaics that are being deleted
        return made

    def _make_cdn(self, certificate: acm.ICertificate | None, web_acl: str | None) -> Cdn:
        """Puts a CDN before the API, whose reads are answered to the CDN alone from then on.

        Writes need no secret: API Gateway authorizes them, by signatures that name its own host.
        """
        secret = origin_secret(self, self._key)
        secret.grant_read(self.tiler)
        if "shared_max_age_s" not in self._config.settings:
            self.tiler.add_environment("LIVEMOSAIC_SHARED_MAX_AGE_S", str(SHARED_MAX_AGE_S))
        return Cdn(
            self,
            "Cdn",
            config=self._config,
            api=self.url,
            secret=secret.reference,
            certificate=certificate,
            web_acl=web_acl,
        )

    def _keep_private(self) -> GeneratedSecret:
        key = signing_key(self, self._key)
        for each in (self.tiler, self.manager):
            key.grant_read(each)
        return key

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
            key=self._key,
            groups=self._groups,
            snap_start=snap_start,
        )
        if self.table.encryption_key:
            grant_key(made, self.table.encryption_key)
        if not reads_assets:
            return made
        self._grant_assets(made)
        grant_ways(made, self._config.allowed_prefixes)
        return made

    def _environment(self) -> dict[str, str]:
        config = self._config
        own = (f"s3://{bucket.bucket_name}/" for bucket in self._assets)
        environment = {
            "LIVEMOSAIC_INDEX": f"dynamodb://{cdk.Stack.of(self).region}/{self.table.table_name}",
            "LIVEMOSAIC_ALLOWED_PREFIXES": ",".join((*config.allowed_prefixes, *own)),
            "LIVEMOSAIC_CORS_ORIGINS": ",".join(config.cors_origins),
            "LIVEMOSAIC_METRICS": config.name,
            **({"LIVEMOSAIC_TRACES": self._collector(config.traces)} if config.traces else {}),
        }
        payer = {"AWS_REQUEST_PAYER": "requester"} if config.requester_pays else {}
        given = {
            f"LIVEMOSAIC_{name.upper()}": str(value) for name, value in config.settings.items()
        }
        return given | environment | payer | dict(self._store.environment if self._store else {})

    def _collector(self, traces: str) -> str:
        """Returns the URL to which traces are sent."""
        if traces != XRAY:
            return traces
        stack = cdk.Stack.of(self)
        return f"https://xray.{stack.region}.{stack.url_suffix}/v1/traces"

    def _grant_assets(self, reader: lambda_.Function) -> None:
        """Grants pixels for tiles, and headers and Items for ingestion.

        GetObject only, so that a missing object is a 403, like a denied one.
        """
        for bucket, prefix in self._readable:
            grant_objects(
                reader,
                bucket,
                "s3:GetObject",
                prefix=prefix,
                reason="The operator granted this bucket or prefix by name. Its objects change "
                "with the events, so they cannot be enumerated; they can only be read.",
            )
            if bucket.encryption_key:
                bucket.encryption_key.grant_decrypt(reader)

    def _grant_absence(self, reader: lambda_.Function, bucket: str) -> None:
        """Grants ListBucket, so that a missing object is a 404: a deleted Item (S3 API, GetObject).

        There is no condition on `s3:prefix`, because a GetObject request has no prefix.
        """
        arn = f"arn:{cdk.Stack.of(self).partition}:s3:::{bucket}"
        iam.Grant.add_to_principal(grantee=reader, actions=["s3:ListBucket"], resource_arns=[arn])

    def _watch(self) -> sns.ITopic:
        deployment = self._config.name
        functions = {"Tiler": self.tiler, "Manager": self.manager, "Ingest": self.ingest}
        alarms = Alarms(self, "Alarms", email=self._config.alarm_email, key=self._key)
        alarms.watch_images(deployment)
        alarms.watch_inbox(self._inbox, deployment)
        alarms.watch_functions(functions)
        alarms.watch_api(self.api, rate=self._config.throttle_rate)
        alarms.watch_table(self.table)
        if self.overviews:
            alarms.watch_overviews(self.overviews, deployment)
        if self.exporting:
            alarms.watch_exports(self.exporting, deployment)
        if self._config.canary:
            judges = alarms.judge_releases(self.api, deployment, self.ingest)
            Canary(self, "Canary", shift=self._config.canary, aliases=self._aliases, alarms=judges)
        if self._config.monthly_budget:
            Budget(self, "Budget", dollars=self._config.monthly_budget, topic=alarms.topic)
        self.dashboard = dashboard(
            self,
            "Dashboard",
            deployment=deployment,
            inbox=self._inbox,
            functions=functions,
            api=self.api,
            table=self.table,
            overviews=self.overviews,
            exporting=self.exporting,
        )
        """Graphs of the whole deployment."""
        return alarms.topic


def _title(made: lambda_.Function) -> str:
    home = made.node.scope
    assert home is not None  # noqa: S101 (for the type)
    return home.node.id
