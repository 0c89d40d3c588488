"""Configuration of a deployment: one validated value, given by an app or read from CDK context.

Context comes from `-c KEY=VALUE`, always as text, or from cdk.json, as JSON; both are accepted.
"""

import json
import os
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Annotated, Any, Final, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from livemosaic.errors import InvalidRequestError
from livemosaic.settings import ORIGIN, Settings
from livemosaic.storage.allowlist import SETTING, AllowList, parse_prefix
from livemosaic_cdk.bundle import ONLY_EMULATED, PYTHONS, Target
from livemosaic_cdk.network import Vpc
from livemosaic_cdk.sources import BUCKET, Bus, ItemBucket, Topic
from livemosaic_cdk.ways import check_deployable, paid_buckets
from livemosaic_cdk.writers import Jwt

RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""Retention periods of CloudWatch Logs (PutRetentionPolicy, `retentionInDays`)."""

EMULATED: Final = "AWS_ENDPOINT_URL"
"""Variable that sends AWS's tools to an emulator."""
_WITHOUT_SNAPSHOTS: Final = ("3.11",)
"""Bundled Pythons without SnapStart, which needs 3.12 or newer on either architecture (Lambda
Developer Guide, "Improving startup performance with Lambda SnapStart")."""
_KEY: Final = r"^arn:aws[a-z-]*:kms:[a-z0-9-]+:\d{12}:key/[A-Za-z0-9-]+$"
_DEPLOYED: Final = {
    "index": "the table",
    "archive_store": "archive_bucket",
    "allowed_prefixes": "allowed_prefixes, buckets and item_buckets",
    "authorizer": "jwt",
    "cors_origins": "cors_origins",
    "dead_letters": "the queue",
    "metrics": "name",
    "origin_secret": "cdn",
    "overview_hints": "overviews",
    "overview_store": "overviews and overview_bucket",
    "public_url": "domain",
    "signing_keys": "private_mosaics",
    "traces": "traces",
    "token": "IAM or jwt, which authorize writes on AWS",
}
"""Settings that the deployment determines, and by what."""


class ConfigError(Exception):
    """The context cannot be deployed; the message names every bad key and value, and the remedy."""


def _as_list(value: Any) -> Any:
    """Parses a list from JSON or from comma-separated words."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return [word.strip() for word in value.split(",") if word.strip()]
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _as_json(value: Any) -> Any:
    """Parses JSON from text; other values pass unchanged."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Config(BaseModel):
    """Configuration of one deployment. Fields are validated in the order of their declaration."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field("livemosaic", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    """Prefix of the stacks, `{name}-data`, `{name}-service` and `{name}-edge`: letters, digits and
    hyphens."""
    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Account to deploy to; by default the account of the credentials."""
    region: str | None = Field(None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """Region to deploy to, ideally that of the assets; by default the region of the AWS profile."""
    architecture: Literal["arm64", "x86_64"] = "arm64"
    """Processor architecture of the functions."""
    python: str = "3.13"
    """Python version of the functions, as text in cdk.json; 3.11 is for emulators only."""
    planets: bool = False
    """Whether mosaics may be of other bodies than the Earth: TileMatrixSets of planetcantile are in
    the bundle, 10 MB of them (docs/planets.md)."""
    tiler_memory: int = Field(1769, ge=256, le=10240)
    """Memory in MB of the function that answers reads. 1769 MB give one whole vCPU."""
    ingest_memory: int = Field(512, ge=256, le=10240)
    """Memory in MB of the two functions that write: ingestion, and writes over HTTP."""
    snap_start: bool = False
    """Whether the tiler starts from a snapshot of its memory (SnapStart) instead of importing its
    modules. Off by default because it costs money while idle for Python: about 1.5e-6 USD per GB
    and second that the snapshot is kept, which is 7 USD a month at 1769 MB, and 1.4e-4 USD per GB
    at each start from it."""
    canary: (
        Literal[
            "AllAtOnce",
            "Canary10Percent5Minutes",
            "Canary10Percent10Minutes",
            "Canary10Percent15Minutes",
            "Canary10Percent30Minutes",
            "Linear10PercentEvery1Minute",
            "Linear10PercentEvery2Minutes",
            "Linear10PercentEvery3Minutes",
            "Linear10PercentEvery10Minutes",
        ]
        | None
    ) = None
    """How traffic shifts to a new version of the functions that answer requests and apply events,
    as CodeDeploy names it. An alarm meanwhile shifts it back, and CloudFormation undoes the whole
    deployment. `AllAtOnce` keeps versions and watches nothing; by default there are none."""
    buckets: Words = ()
    """Buckets that the functions may read, as `NAME` or `NAME/PREFIX`, without `s3://`."""
    item_buckets: Annotated[tuple[ItemBucket, ...], BeforeValidator(_as_list)] = ()
    """Buckets whose objects are STAC Items; creating or deleting an object adds or removes its
    scene. Comma-separated `NAME` or `NAME/PREFIX`, or JSON `[{"name": …, "prefix": …, "suffix":
    ".json", "account": …}]`. Assets may be there too: the functions may read them as with
    `buckets`."""
    allowed_prefixes: Words = Field((), validate_default=True)
    """Prefixes of allowed asset URLs, like `s3://BUCKET/,https://HOST/PATH/`, each perhaps with its
    way in (docs/prefixes.md); `buckets` and `item_buckets` are added. The functions may assume the
    roles, read the secrets and pay for the buckets that are named here."""
    requester_pays: bool = False
    """Whether to pay for reads of requester-pays buckets."""
    topics: Annotated[tuple[Topic, ...], BeforeValidator(_as_list)] = ()
    """SNS topics to subscribe to: comma-separated ARNs, or JSON `[{"arn": …, "filter_policy": …,
    "filter_policy_scope": "MessageAttributes" or "MessageBody"}]`."""
    buses: Annotated[tuple[Bus, ...], BeforeValidator(_as_list)] = ()
    """EventBridge buses of the account that carry events about Items, as JSON `[{"name":
    "default", "sources": […], "detail_types": […]}]`."""
    private_mosaics: bool = False
    """Whether mosaics may be private, readable with access tokens. The signing key is a secret in
    Secrets Manager, which costs 0.40 USD a month."""
    jwt: Annotated[Jwt | None, BeforeValidator(_as_json)] = None
    """OpenID Connect provider whose JWTs allow writes, instead of IAM: JSON `{"issuer":
    "https://…", "audience": […], "scopes": […]}`."""
    cors_origins: Words = ("*",)
    """Origins whose pages may read tiles (CORS), like `https://maps.example.com`; `*` is any."""
    throttle_rate: int = Field(200, ge=1, le=10_000)
    """Sustained reads per second that the API accepts, tiles among them; of all other requests it
    accepts 50 a second of each kind, at most."""
    throttle_burst: int = Field(400, ge=1, le=5_000)
    """Reads that the API accepts in a burst."""
    expensive_rate: int = Field(10, ge=1, le=10_000)
    """Sustained requests per second of each of the routes that take long: statistics, features,
    boxes, maps."""
    expensive_burst: int = Field(20, ge=1, le=5_000)
    """Requests of each of these routes that the API accepts in a burst."""
    anonymous_posts: bool = True
    """Whether everyone may POST for statistics and images of features, which write nothing; if not,
    these need the credential of a writer."""
    reserve_concurrency: bool = True
    """Whether each function has its own part of the account's concurrency, which is also the most
    it can use: below, and `ingest_concurrency`. The account must have 100 more than these together;
    `make deploy` turns it off where it has not."""
    tiler_concurrency: int = Field(100, ge=1, le=10_000)
    """Reads answered at once."""
    manager_concurrency: int = Field(10, ge=1, le=10_000)
    """Writes over HTTP answered at once."""
    table_max_reads: int = Field(6000, ge=0, le=1_000_000)
    """Read units per second that the table accepts at most; 0 for no limit of its own."""
    table_max_writes: int = Field(0, ge=0, le=1_000_000)
    """Write units per second that the table accepts at most; 0 for no limit of its own."""
    monthly_budget: float | None = Field(None, gt=0, allow_inf_nan=False)
    """Dollars that the whole account may cost a month before notices go to the topic of the alarms,
    at 50, 80 and 100 %, and where 100 % are forecast; none by default."""
    log_retention_days: int = 30
    """Days that logs are kept."""
    log_level: Literal["DEBUG", "INFO"] = "INFO"
    """Least level of the functions' own log lines. The alarms need INFO: metrics are such lines."""
    system_log_level: Literal["DEBUG", "INFO", "WARN"] = "WARN"
    """Least level of Lambda's log lines; INFO adds three lines an invocation, with its duration and
    memory."""
    alarm_email: str | None = Field(None, pattern=r"^[^@\s,]+@[^@\s,]+\.[^@\s,]+$")
    """Address that gets mail when an alarm goes off, once confirmed by mail; none by default. The
    topic of the alarms (output `AlarmTopicArn`) is there in any case."""
    domain: str | None = Field(
        None,
        pattern=r"^([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]$",
        max_length=253,
    )
    """Name by which clients come, like `maps.example.com`: links begin with it."""
    cdn: bool | None = Field(None, validate_default=True)
    """Whether a CloudFront distribution is in front of the API; by default where there is a
    `domain`. With a domain and `false`, a proxy of your own is (docs/cdn.md)."""
    hosted_zone: str | None = Field(None, pattern=r"^Z[A-Z0-9]{3,31}$", validate_default=True)
    """Id of the Route 53 zone that gets the records of `domain`, and the one that proves its
    certificate, where `certificate` names none; none are made by default."""
    certificate: str | None = Field(
        None,
        pattern=r"^arn:aws:acm:us-east-1:\d{12}:certificate/\S+$",
        validate_default=True,
    )
    """ARN of the certificate of `domain` for the CDN, in us-east-1, where CloudFront wants it
    whatever the region of the deployment. With a `hosted_zone` one is made by default, in a stack
    of that region, `{name}-edge`."""
    web_acl: str | None = Field(
        None, pattern=r"^arn:aws:wafv2:us-east-1:\d{12}:global/webacl/\S+$", validate_default=True
    )
    """ARN of a web ACL of AWS WAF for the CDN, of the scope CLOUDFRONT; none by default."""
    firewall: int | None = Field(None, ge=10, le=2_000_000_000, validate_default=True)
    """Requests of one address in five minutes beyond which AWS WAF refuses it at the CDN: makes a
    web ACL in the stack `{name}-edge` of us-east-1; none by default."""
    settings: Annotated[dict[str, str | int | float], BeforeValidator(_as_json)] = Field(
        default_factory=dict
    )
    """Settings of the functions, `LIVEMOSAIC_…` without that prefix and in lower case, as JSON
    `{"max_scenes": 40}` (docs/limits.md). The ones that other keys determine are refused."""
    tags: Annotated[dict[str, str], BeforeValidator(_as_json)] = Field(default_factory=dict)
    """Tags of all resources, as JSON `{"team": "maps"}`, beside `livemosaic`: the name."""
    tracing: bool = False
    """Whether X-Ray traces the functions."""
    traces: str | None = Field(None, pattern=r"^(xray|https?://[^\s/?#@]+/\S*)$")
    """Where the functions send traces of their steps by OTLP/HTTP: `xray` for X-Ray's own endpoint
    of the region, or the URL of a collector's traces, `https://HOST/v1/traces`
    (docs/operations.md)."""
    vpc: Annotated[Vpc | None, BeforeValidator(_as_json)] = None
    """Subnets in which the functions run, as JSON `{"id": "vpc-…", "subnets": ["subnet-…"],
    "security_groups": ["sg-…"]}`; by default they run in Lambda's own network. The VPC must have
    ways to AWS's services and to the assets (docs/operations.md)."""
    ingest_concurrency: int = Field(10, ge=2, le=1000)
    """Maximum number of batches of events processed at once (SQS allows 2 to 1000)."""
    overview_memory: int = Field(1769, ge=1024, le=10240)
    """Memory in MB of the builder of overviews."""
    overview_concurrency: int = Field(4, ge=2, le=1000)
    """Regions of mosaics whose overviews are built at once (SQS allows 2 to 1000)."""
    load: bool = False
    """Whether the deployment can load archives at once (`livemosaic load`, docs/load.md): a state
    machine, a function and a bucket, which cost nothing while idle."""
    load_concurrency: int = Field(50, ge=1, le=1000)
    """Units of a load that are worked on at once."""
    export_concurrency: int = Field(20, ge=2, le=1000)
    """Regions of archives that are drawn at once (`exports`)."""
    key: str | None = Field(None, pattern=_KEY)
    """ARN of your KMS key that encrypts what the deployment keeps: table, overviews, queues,
    topics, logs and secrets. Its policy must let AWS's services use it (docs/operations.md). By
    default AWS's own keys do, free of charge."""
    table: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    """Name of an existing table to adopt, such as one retained from a removed deployment; no new
    table is created then."""
    archive_bucket: str | None = None
    """Existing bucket of PMTiles that the API serves (docs/pmtiles.md), as `NAME` or `NAME/PREFIX`:
    `livemosaic export` publishes them there. Requests for them are redirected to it."""
    overview_bucket: str | None = None
    """Existing bucket of overviews, as `NAME` or `NAME/PREFIX`, such as the one that belongs to an
    adopted table; no new bucket is created then. Nothing else may be kept there."""
    overviews: bool = Field(None, validate_default=True)
    """Whether the deployment keeps overviews (docs/overviews.md): a bucket, a builder, and a sweep
    each five minutes. By default it does, unless a table is adopted without `overview_bucket`. New
    mosaics have overviews then; one that is stored keeps what it has."""
    overview_key: str | None = Field(None, pattern=_KEY)
    """ARN of your KMS key that encrypts overviews: a new bucket gets it, and the functions may use
    it. By default that is `key`, else S3's own, free of charge."""

    exports: bool = False
    """Whether the deployment makes the archives that `exports` of mosaics ask for
    (docs/pmtiles.md), in `archive_bucket`: a state machine, two functions and a bucket. Needs
    overviews."""

    @property
    def target(self) -> Target:
        """Architecture and Python version that the bundle is built for, and its planets."""
        return Target(self.architecture, self.python, self.planets)

    @property
    def reserved(self) -> int:
        """Concurrency that the functions reserve of the account's."""
        parts = [self.tiler_concurrency, self.manager_concurrency, self.ingest_concurrency]
        if self.overviews:
            parts += [self.overview_concurrency, 1]
        if self.load:
            parts.append(self.load_concurrency)
        if self.exports:
            parts += [self.export_concurrency, 1]
        return sum(parts) if self.reserve_concurrency else 0

    @property
    def bucket_key(self) -> str | None:
        """ARN of the KMS key that encrypts overviews; None for S3's own."""
        return self.overview_key or self.key

    @property
    def all_tags(self) -> Mapping[str, str]:
        """Tags of all resources, with the name of the deployment."""
        return {**self.tags, "livemosaic": self.name}

    @property
    def has_cdn(self) -> bool:
        """Whether a CloudFront distribution is in front of the API."""
        return self.domain is not None if self.cdn is None else self.cdn

    @property
    def makes_certificate(self) -> bool:
        """Whether the domain's certificate is made, and proved by its zone."""
        return self.has_cdn and bool(self.hosted_zone) and not self.certificate

    @property
    def has_edge(self) -> bool:
        """Whether there is a stack of us-east-1, with what the CDN takes from there alone."""
        return self.makes_certificate or self.firewall is not None

    @property
    def public_url(self) -> str:
        """URL by which clients come to the domain; empty without a domain."""
        return f"https://{self.domain}" if self.domain else ""

    @property
    def readable(self) -> tuple[str, ...]:
        """Buckets, or `NAME/PREFIX` folders in them, whose objects all functions may read."""
        paid = paid_buckets(self.allowed_prefixes)
        return tuple(dict.fromkeys((*_readable(dict(self)), *paid)))

    @field_validator("python")
    @classmethod
    def _is_bundled(cls, python: str, info: ValidationInfo) -> str:
        here = {"emulated": EMULATED in os.environ}
        emulated = (info.context or here)["emulated"]
        choices = PYTHONS if emulated else [p for p in PYTHONS if p not in ONLY_EMULATED]
        if python not in choices:
            raise ValueError(f"the bundle is built for one of {', '.join(choices)}")
        return python

    @field_validator("snap_start")
    @classmethod
    def _can_be_restored(cls, snap_start: bool, info: ValidationInfo) -> bool:
        python = info.data.get("python")  # missing if it is invalid itself
        if snap_start and python in _WITHOUT_SNAPSHOTS:
            raise ValueError(f"Lambda takes snapshots of Python 3.12 and newer, not of {python}")
        return snap_start

    @field_validator("buckets")
    @classmethod
    def _names_buckets(cls, buckets: Sequence[str]) -> tuple[str, ...]:
        for bucket in buckets:
            if not BUCKET.fullmatch(bucket):
                raise ValueError(f"{bucket!r} is neither NAME nor NAME/PREFIX of a bucket")
        return tuple(dict.fromkeys(bucket.rstrip("/") for bucket in buckets))

    @field_validator("item_buckets", "buses")
    @classmethod
    def _are_different(cls, sources: tuple[Any, ...]) -> tuple[Any, ...]:
        for source in sources:
            if sources.count(source) > 1:
                raise ValueError(f"{source.name!r} is listed twice with the same settings")
        return sources

    @field_validator("allowed_prefixes")
    @classmethod
    def _allows_something(cls, prefixes: Sequence[str], info: ValidationInfo) -> tuple[str, ...]:
        if not info.data.keys() >= {"buckets", "item_buckets"}:  # one of them is invalid itself
            return tuple(prefixes)
        granted = (f"s3://{bucket}/" for bucket in _readable(info.data))
        wanted = tuple(dict.fromkeys((*prefixes, *granted)))
        if not wanted and (info.context or {}).get("whole"):
            raise ValueError(
                "nothing could be read: set the location of assets, for example "
                "-c allowed_prefixes=s3://BUCKET/,https://HOST/ or -c buckets=BUCKET"
            )
        for prefix in wanted:
            _check_prefix(prefix)
        _check_together(wanted)
        return wanted

    @field_validator("topics")
    @classmethod
    def _are_here(cls, topics: tuple[Topic, ...], info: ValidationInfo) -> tuple[Topic, ...]:
        if "region" not in info.data:  # invalid itself
            return topics
        here = info.data["region"]
        for topic in topics:
            if sum(other.arn == topic.arn for other in topics) > 1:
                raise ValueError(f"{topic.arn} is listed twice: a subscription has one filter")
            if here != topic.region:
                raise ValueError(
                    f"{topic.arn} is in {topic.region} but the deployment is in "
                    f"{here or 'no region yet'}: deploy to the region of the topic with "
                    f"-c region={topic.region}"
                )
        return topics

    @field_validator("cors_origins")
    @classmethod
    def _are_origins(cls, origins: Sequence[str]) -> Sequence[str]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is neither * nor an origin like https://HOST")
        return origins

    @field_validator("monthly_budget")
    @classmethod
    def _is_watched_here(cls, budget: float | None, info: ValidationInfo) -> float | None:
        region = info.data.get("region") or ""
        if budget and region.startswith("us-gov-"):
            raise ValueError(
                f"{region} has no AWS Budgets: make one in the account that pays for this one"
            )
        return budget

    @field_validator("cdn")
    @classmethod
    def _is_offered(cls, cdn: bool | None, info: ValidationInfo) -> bool | None:
        wanted = cdn or (cdn is None and info.data.get("domain"))
        region = info.data.get("region") or ""
        if wanted and region.startswith(("us-gov-", "cn-")):
            raise ValueError(
                f"{region} has no CloudFront like that of other partitions: set cdn=false, and use "
                "a proxy of your own"
            )
        return cdn

    @field_validator("certificate")
    @classmethod
    def _belongs_to_domain(cls, certificate: str | None, info: ValidationInfo) -> str | None:
        if not info.data.keys() >= {"domain", "cdn"}:  # one of them is invalid itself
            return certificate
        domain, cdn = info.data["domain"], info.data["cdn"]
        if domain and cdn is not False and not (certificate or info.data.get("hosted_zone")):
            raise ValueError(
                f"is missing: the CDN needs one of {domain} in us-east-1. It is made where "
                "-c hosted_zone=Z… names the domain's zone of Route 53; else request it (`aws acm "
                f"request-certificate --region us-east-1 --validation-method DNS --domain-name "
                f"{domain}`), or set cdn=false where a proxy of your own is in front"
            )
        if certificate and (not domain or cdn is False):
            raise ValueError("is for a CDN with a domain: add -c domain=…")
        return certificate

    @field_validator("hosted_zone", "web_acl", "firewall")
    @classmethod
    def _belongs_to_cdn(cls, value: str | int | None, info: ValidationInfo) -> str | int | None:
        domain, cdn = info.data.get("domain"), info.data.get("cdn")
        if value and info.field_name == "hosted_zone" and not domain:
            raise ValueError("gets the records of a domain: add -c domain=…")
        if value and not (domain if cdn is None else cdn):
            raise ValueError("is for the CDN, which is off: add -c cdn=true")
        if value and info.field_name == "firewall" and info.data.get("web_acl"):
            raise ValueError("makes a web ACL, and web_acl names one: leave out one of the two")
        return value

    @field_validator("settings")
    @classmethod
    def _are_settings(cls, given: dict[str, Any]) -> dict[str, Any]:
        for name in given:
            if name not in Settings.model_fields:
                near = get_close_matches(name, Settings.model_fields, n=1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ValueError(f"there is no setting {name!r}{hint}")
            if name in _DEPLOYED:
                raise ValueError(f"{name!r} follows from {_DEPLOYED[name]}")
        _check_settings(given)
        return given

    @field_validator("exports")
    @classmethod
    def _can_export(cls, exports: bool, info: ValidationInfo) -> bool:
        if exports and not info.data.get("archive_bucket"):
            raise ValueError("needs archive_bucket, in which archives are published")
        if exports and not info.data.get("overviews"):
            raise ValueError("needs overviews, which are off")
        return exports

    @field_validator("archive_bucket", "overview_bucket")
    @classmethod
    def _is_place_of_objects(cls, bucket: str | None) -> str | None:
        if bucket and not BUCKET.fullmatch(bucket):
            raise ValueError("is neither NAME nor NAME/PREFIX of a bucket")
        return bucket.rstrip("/") if bucket else None

    @field_validator("overviews", mode="before")
    @classmethod
    def _are_kept_where_possible(cls, overviews: Any, info: ValidationInfo) -> Any:
        if overviews is not None:
            return overviews
        return not info.data.get("table") or bool(info.data.get("overview_bucket"))

    @field_validator("overviews")
    @classmethod
    def _have_their_place(cls, overviews: bool, info: ValidationInfo) -> bool:
        bucket = info.data.get("overview_bucket")
        if bucket and not overviews:
            raise ValueError("are off, and overview_bucket is for them: leave out one of the two")
        if overviews and info.data.get("table") and not bucket:
            raise ValueError(
                "need overview_bucket: the ones of an adopted table are in the bucket that the "
                "table was deployed with (output OverviewBucket); any empty bucket does, too, if "
                "they are made anew"
            )
        return overviews

    @field_validator("overview_key")
    @classmethod
    def _encrypts_overviews(cls, key: str | None, info: ValidationInfo) -> str | None:
        if not key:
            return None
        if info.data.get("overviews") is False:
            raise ValueError("is for overviews, which are off")
        if not info.data.get("overview_bucket"):
            _check_region(key, info)
        return key

    @field_validator("key")
    @classmethod
    def _is_of_the_region(cls, key: str | None, info: ValidationInfo) -> str | None:
        if key:
            _check_region(key, info)
        return key or None

    @field_validator("log_retention_days")
    @classmethod
    def _is_retention(cls, days: int) -> int:
        if days not in RETENTION_DAYS:
            raise ValueError(f"CloudWatch keeps logs for one of {RETENTION_DAYS} days")
        return days


def _check_region(key: str, info: ValidationInfo) -> None:
    own, home = key.split(":")[3], info.data.get("region")
    if home and own != home:
        raise ValueError(f"is in {own}, and the deployment in {home}: keys are of one region")


def _check_settings(given: Mapping[str, Any]) -> None:
    try:
        Settings(**given)
    except ValidationError as error:
        problems = [each for each in error.errors() if each["loc"][0] in given]
        if problems:
            raise ValueError(
                "; ".join(f"{each['loc'][0]}={each['input']!r}: {each['msg']}" for each in problems)
            ) from None


def _readable(fields: Mapping[str, Any]) -> tuple[str, ...]:
    items = (bucket.path for bucket in fields["item_buckets"])
    return tuple(dict.fromkeys((*fields["buckets"], *items)))


def _check_prefix(prefix: str) -> None:
    """Refuses prefixes that the functions refuse or that their environment cannot hold."""
    if prefix.startswith("/") or prefix.lower().startswith("file:"):
        raise ValueError(
            f"{prefix!r} is a local folder, which a Lambda function cannot have: use s3 or https"
        )
    if "," in prefix:
        raise ValueError(
            f"{prefix!r} contains a comma, which separates prefixes: percent-encode it"
        )
    try:
        check_deployable(parse_prefix(prefix))
    except InvalidRequestError as error:
        raise ValueError(str(error).removeprefix(f"{SETTING}: ")) from error


def _check_together(prefixes: Sequence[str]) -> None:
    try:
        AllowList(prefixes)
    except InvalidRequestError as error:
        raise ValueError(str(error).removeprefix(f"{SETTING}: ")) from error
