"""What a deployment is told: one validated value, read from CDK context.

Context comes from `-c KEY=VALUE`, always as text, and from cdk.json, as JSON; both are taken.
"""

import json
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

from infra.bundle import ONLY_EMULATED, PYTHONS, Target
from infra.sources import BUCKET, Bus, ItemBucket, Topic
from infra.writers import Jwt
from livemosaic.errors import InvalidRequestError
from livemosaic.settings import ORIGIN
from livemosaic.storage.allowlist import SETTING, AllowList

RETENTION_DAYS: Final = (
    *(1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731),
    *(1096, 1827, 2192, 2557, 2922, 3288, 3653),
)
"""What CloudWatch Logs takes (PutRetentionPolicy, `retentionInDays`)."""

_CLI_KEYS: Final = ("acknowledged-issue-numbers", "cli-telemetry")
"""What the CDK CLI keeps in context without a `:`, `@` or `/` in its name."""
_ENVIRONMENT: Final = {"account": "CDK_DEFAULT_ACCOUNT", "region": "CDK_DEFAULT_REGION"}
_WITHOUT_SNAPSHOTS: Final = ("3.11",)
"""Of those that are bundled. Lambda's SnapStart begins with 3.12, on either architecture (Lambda
Developer Guide, "Improving startup performance with Lambda SnapStart")."""
_SHOWN: Final = 200


class ConfigError(Exception):
    """The context asks for what cannot be deployed; the text names every key, value and remedy."""


def _as_list(value: Any) -> Any:
    """A list as JSON, or as words between commas."""
    if not isinstance(value, str):
        return value
    if not value.lstrip().startswith(("[", "{")):
        return [word.strip() for word in value.split(",") if word.strip()]
    try:
        return json.loads(value)
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


def _as_json(value: Any) -> Any:
    """An object, be it as text."""
    try:
        return json.loads(value) if isinstance(value, str) else value
    except ValueError as error:
        raise ValueError(f"is not JSON: {error}") from error


Words = Annotated[tuple[str, ...], BeforeValidator(_as_list)]


class Config(BaseModel):
    """One deployment. Fields are in the order in which they are checked."""

    model_config = ConfigDict(frozen=True, extra="forbid", use_attribute_docstrings=True)

    name: str = Field("livemosaic", pattern=r"^[A-Za-z][A-Za-z0-9-]{0,63}$")
    """Prefix of the stacks, `{name}-data` and `{name}-service`: letters, digits and hyphens."""
    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Account to deploy to; that of the credentials by default."""
    region: str | None = Field(None, pattern=r"^[a-z]{2}(-[a-z]+)+-\d$")
    """Region to deploy to; that of the AWS profile by default. Best where the assets are."""
    architecture: Literal["arm64", "x86_64"] = "arm64"
    """Processor of the functions."""
    python: str = "3.13"
    """Python of the functions, as text in cdk.json; 3.11 is for emulators only."""
    tiler_memory: int = Field(1769, ge=256, le=10240)
    """MB of the function that answers GET. 1769 MB is one whole processor."""
    ingest_memory: int = Field(512, ge=256, le=10240)
    """MB of the two functions that write: events, and writes over HTTP."""
    snap_start: bool = False
    """Whether the tiler starts from a snapshot of its memory (SnapStart) instead of importing all.
    Off, as for Python it costs while idle: some 1.5e-6 USD per GB and second that the snapshot is
    kept, which is 7 USD a month at 1769 MB, and 1.4e-4 USD per GB at each start from it."""
    buckets: Words = ()
    """Buckets that the tiler may read, by `NAME` or `NAME/PREFIX`, without `s3://`."""
    item_buckets: Annotated[tuple[ItemBucket, ...], BeforeValidator(_as_list)] = ()
    """Buckets whose objects are STAC Items, which come and go with them: `NAME` or `NAME/PREFIX`
    between commas, or JSON `[{"name": …, "prefix": …, "suffix": ".json", "account": …}]`. Their
    assets may be there too: what is said of `buckets` holds for them."""
    allowed_prefixes: Words = Field((), validate_default=True)
    """Where assets may be, like `s3://BUCKET/,https://HOST/PATH/`; what `buckets` and
    `item_buckets` grant is added. A bucket that is public needs no grant: name it by its https
    URL, or grant it."""
    requester_pays: bool = False
    """Whether to pay for reads of requester-pays buckets."""
    topics: Annotated[tuple[Topic, ...], BeforeValidator(_as_list)] = ()
    """SNS topics to subscribe to: ARNs between commas, or JSON `[{"arn": …, "filter_policy": …,
    "filter_policy_scope": "MessageAttributes" or "MessageBody"}]`."""
    buses: Annotated[tuple[Bus, ...], BeforeValidator(_as_list)] = ()
    """EventBridge buses of the account whose events are about Items, as JSON `[{"name": "default",
    "sources": […], "detail_types": […]}]`."""
    private_mosaics: bool = False
    """Whether mosaics may be private, seen by access tokens: their signing key is a secret of
    Secrets Manager, for 0.40 USD a month."""
    jwt: Annotated[Jwt | None, BeforeValidator(_as_json)] = None
    """Who may write, instead of IAM identities: JSON `{"issuer": "https://…", "audience": […],
    "scopes": […]}` of an OpenID Connect provider whose JWTs are let in."""
    cors_origins: Words = ("*",)
    """Origins whose pages may read tiles, like `https://maps.example.com`; `*` is any."""
    throttle_rate: int = Field(200, ge=1, le=10_000)
    """Requests a second that the API lets through for long."""
    throttle_burst: int = Field(400, ge=1, le=5_000)
    """Requests that it lets through at once."""
    log_retention_days: int = 30
    """Days for which logs are kept."""
    alarm_email: str | None = Field(None, pattern=r"^[^@\s,]+@[^@\s,]+\.[^@\s,]+$")
    """Who gets mail when an alarm goes off, after confirming by mail; nobody by default."""
    tracing: bool = False
    """Whether the functions are traced by X-Ray."""
    ingest_concurrency: int = Field(10, ge=2, le=1000)
    """Batches of events that are worked on at once, at most (SQS allows 2 to 1000)."""
    table: str | None = Field(None, pattern=r"^[A-Za-z0-9_.-]{3,255}$")
    """Name of a table to adopt, as one that a removed deployment left; none is made then."""

    @property
    def target(self) -> Target:
        """What the bundle is built for."""
        return Target(architecture=self.architecture, python=self.python)

    @property
    def readable(self) -> tuple[str, ...]:
        """Buckets and folders in them whose objects all functions may read."""
        return _readable(dict(self))

    @field_validator("python")
    @classmethod
    def _is_bundled(cls, python: str, info: ValidationInfo) -> str:
        emulated = (info.context or {}).get("emulated")
        choices = PYTHONS if emulated else [p for p in PYTHONS if p not in ONLY_EMULATED]
        if python not in choices:
            raise ValueError(f"the bundle is built for one of {', '.join(choices)}")
        return python

    @field_validator("snap_start")
    @classmethod
    def _can_be_restored(cls, snap_start: bool, info: ValidationInfo) -> bool:
        python = info.data.get("python")  # missing if it has an error of its own
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
                raise ValueError(f"{source.name!r} is named twice with the same settings")
        return sources

    @field_validator("allowed_prefixes")
    @classmethod
    def _allows_something(cls, prefixes: Sequence[str], info: ValidationInfo) -> tuple[str, ...]:
        if not info.data.keys() >= {"buckets", "item_buckets"}:  # one has an error of its own
            return tuple(prefixes)
        granted = (f"s3://{bucket}/" for bucket in _readable(info.data))
        wanted = tuple(dict.fromkeys((*prefixes, *granted)))
        if not wanted:
            raise ValueError(
                "nothing could be read: say where assets are, as in "
                "-c allowed_prefixes=s3://BUCKET/,https://HOST/ or -c buckets=BUCKET"
            )
        for prefix in wanted:
            _check_prefix(prefix)
        return wanted

    @field_validator("topics")
    @classmethod
    def _are_here(cls, topics: tuple[Topic, ...], info: ValidationInfo) -> tuple[Topic, ...]:
        if "region" not in info.data:  # which has an error of its own
            return topics
        here = info.data["region"]
        for topic in topics:
            if sum(other.arn == topic.arn for other in topics) > 1:
                raise ValueError(f"{topic.arn} is named twice: one subscription has one filter")
            if here != topic.region:
                raise ValueError(
                    f"{topic.arn} is in {topic.region} but the deployment is in "
                    f"{here or 'no region yet'}: deploy where the topic is, with "
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

    @field_validator("log_retention_days")
    @classmethod
    def _is_retention(cls, days: int) -> int:
        if days not in RETENTION_DAYS:
            raise ValueError(f"CloudWatch keeps logs for one of {RETENTION_DAYS} days")
        return days


def _readable(fields: Mapping[str, Any]) -> tuple[str, ...]:
    items = (bucket.path for bucket in fields["item_buckets"])
    return tuple(dict.fromkeys((*fields["buckets"], *items)))


def _check_prefix(prefix: str) -> None:
    """Refuse what the functions would refuse, or could not be told."""
    if prefix.startswith("/") or prefix.lower().startswith("file:"):
        raise ValueError(f"{prefix!r} is a local folder, and a function has none: use s3 or https")
    if "," in prefix:
        raise ValueError(f"{prefix!r} holds a comma, which parts prefixes: percent-encode it")
    try:
        AllowList((prefix,))
    except InvalidRequestError as error:
        raise ValueError(str(error).removeprefix(f"{SETTING}: ")) from error


def read(context: Mapping[str, Any], environ: Mapping[str, str]) -> Config:
    """The configuration of a context, or a ConfigError that says all that is wrong with it.

    What the CDK CLI knows of profile and credentials comes by the environment.
    """
    defaults = {key: environ[name] for key, name in _ENVIRONMENT.items() if environ.get(name)}
    given = {key: value for key, value in context.items() if not _is_of_cdk(key)}
    emulated = "AWS_ENDPOINT_URL" in environ
    try:
        return Config.model_validate(defaults | given, context={"emulated": emulated})
    except ValidationError as error:
        raise ConfigError(_explained(error)) from None


def _explained(error: ValidationError) -> str:
    problems = (f"  {_told(problem)}" for problem in error.errors())
    return "\n".join(
        [
            "This context cannot be deployed:",
            *problems,
            "Values are given by -c KEY=VALUE or in the context of cdk.json.",
        ]
    )


def _is_of_cdk(key: str) -> bool:
    return key in _CLI_KEYS or any(sign in key for sign in ":@/")


def _told(problem: Any) -> str:
    key, *inner = problem["loc"]
    place = str(key) + "".join(f"[{p}]" if isinstance(p, int) else f".{p}" for p in inner)
    value = f"{place}={str(problem['input'])[:_SHOWN]!r}"
    if problem["type"] == "extra_forbidden" and not inner:
        near = get_close_matches(str(key), Config.model_fields, n=1, cutoff=0.5)
        known = ", ".join(Config.model_fields)
        return f"{value}: no such key; " + (f"is it {near[0]}?" if near else f"there are {known}")
    message = problem["msg"].removeprefix("Value error, ")
    if problem["type"] == "value_error":
        return f"{value}: {message}"
    meaning = Config.model_fields[key].description or ""
    return f"{value}: {message} ({' '.join(meaning.split())})"
