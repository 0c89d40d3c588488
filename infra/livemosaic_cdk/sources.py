"""Event sources in the context of a deployment, as validated values."""

import re
from collections.abc import Mapping
from typing import Any, Final, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, field_validator, model_validator

_TOPIC_ARN: Final = re.compile(
    r"arn:aws[a-z-]*:sns:(?P<region>[a-z]{2}(-[a-z]+)+-\d):\d{12}:(?P<name>[A-Za-z0-9_-]{1,256})"
)
_BUS: Final = re.compile(r"[A-Za-z0-9._/-]{1,256}")
_BUCKET: Final = r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]"
_FOLDER: Final = r"[^,*?$\s]+"
BUCKET: Final = re.compile(f"{_BUCKET}(/{_FOLDER})?")
"""`NAME` of a bucket, or `NAME/PREFIX` of a folder in it."""


class Topic(BaseModel):
    """An existing SNS topic to which the queue subscribes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arn: str
    filter_policy: dict[str, Any] | None = None
    """SNS filter policy ("Amazon SNS subscription filter policies")."""
    filter_policy_scope: Literal["MessageAttributes", "MessageBody"] = "MessageAttributes"

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        return {"arn": value} if isinstance(value, str) else value

    @field_validator("arn")
    @classmethod
    def _is_topic(cls, arn: str) -> str:
        if arn.endswith(".fifo"):
            raise ValueError(
                "is a FIFO topic, which delivers to FIFO queues only; the queue is a standard one, "
                "because the index orders events itself: use a standard topic"
            )
        if not _TOPIC_ARN.fullmatch(arn):
            raise ValueError(
                "is not an SNS topic: it must look like arn:aws:sns:REGION:ACCOUNT:NAME"
            )
        return arn

    @field_validator("filter_policy")
    @classmethod
    def _has_lists(cls, policy: dict[str, Any] | None) -> dict[str, Any] | None:
        if policy is not None:
            _check_policy(policy)
        return policy

    @property
    def region(self) -> str:
        """AWS region of the topic."""
        return self.arn.split(":")[3]


def _check_policy(policy: Mapping[str, Any]) -> None:
    for name, wanted in policy.items():
        if isinstance(wanted, Mapping):
            _check_policy(wanted)
        elif not isinstance(wanted, list):
            raise ValueError(f"{name!r} must be a list of values to match, not {wanted!r}")  # noqa: TRY004
    if not policy:
        raise ValueError("is empty: omit it to receive every message")


class ItemBucket(BaseModel):
    """A bucket with one STAC Item per object; scenes are added and removed with the objects."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{_BUCKET}$")
    prefix: str = Field("", pattern=f"^({_FOLDER})?$")
    """Folder in the bucket: whole segments of keys, without leading or trailing slash."""
    suffix: str = Field(".json", pattern=r"^[A-Za-z0-9._-]*\.(geo)?json$")
    """Suffix of the keys of Items; other objects are ignored."""
    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Account that owns the bucket; None for the account of the deployment."""

    @model_validator(mode="before")
    @classmethod
    def _bare(cls, value: Any) -> Any:
        if not isinstance(value, str):
            return value
        name, _, prefix = value.partition("/")
        return {"name": name, "prefix": prefix}

    @field_validator("prefix")
    @classmethod
    def _is_folder(cls, prefix: str) -> str:
        return prefix.strip("/")

    @property
    def path(self) -> str:
        """Bucket and folder as `NAME` or `NAME/PREFIX`."""
        return f"{self.name}/{self.prefix}".rstrip("/")

    @property
    def keys(self) -> str:
        """Pattern of the keys of Items, where `*` matches any text."""
        return f"{self.prefix}/*{self.suffix}".lstrip("/")


class Bus(BaseModel):
    """An EventBridge bus of the account, and a filter for its events about Items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    sources: tuple[str, ...] = ()
    """Accepted values of `source`; empty for any."""
    detail_types: tuple[str, ...] = ()
    """Accepted values of `detail-type`; empty for any."""

    @field_validator("name")
    @classmethod
    def _is_bus(cls, name: str) -> str:
        if not _BUS.fullmatch(name):
            raise ValueError(
                "is not the name of an event bus: use what follows `event-bus/` in its ARN. Events "
                "of another account must be forwarded to a bus of this one"
            )
        return name

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if not (self.sources or self.detail_types):
            raise ValueError(
                f"would match every event of the bus {self.name!r}: set sources or detail_types"
            )
        return self
