"""Where events come from that a deployment is told of in its context: each one a checked value."""

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
"""A bucket, or a folder in one."""


class Topic(BaseModel):
    """An SNS topic of somebody else, to which our queue subscribes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    arn: str
    filter_policy: dict[str, Any] | None = None
    """As SNS documents it ("Amazon SNS subscription filter policies")."""
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
                "is a FIFO topic, which delivers to FIFO queues only; ours is a standard queue, "
                "as the index puts events into order itself: name a standard topic"
            )
        if not _TOPIC_ARN.fullmatch(arn):
            raise ValueError("is no SNS topic: it must look like arn:aws:sns:REGION:ACCOUNT:NAME")
        return arn

    @field_validator("filter_policy")
    @classmethod
    def _has_lists(cls, policy: dict[str, Any] | None) -> dict[str, Any] | None:
        if policy is not None:
            _check_policy(policy)
        return policy

    @property
    def region(self) -> str:
        """Where the topic is."""
        return self.arn.split(":")[3]


def _check_policy(policy: Mapping[str, Any]) -> None:
    for name, wanted in policy.items():
        if isinstance(wanted, Mapping):
            _check_policy(wanted)
        elif not isinstance(wanted, list):
            raise ValueError(f"{name!r} must be a list of what matches, not {wanted!r}")  # noqa: TRY004
    if not policy:
        raise ValueError("is empty: leave it away to get every message")


class ItemBucket(BaseModel):
    """A bucket of STAC Items, each an object of its own, which come and go as the objects do."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = Field(pattern=f"^{_BUCKET}$")
    prefix: str = Field("", pattern=f"^({_FOLDER})?$")
    """A folder: whole segments of keys, without a slash at either end."""
    suffix: str = Field(".json", pattern=r"^[A-Za-z0-9._-]*\.(geo)?json$")
    """How keys of Items end; nothing else is taken for one."""
    account: str | None = Field(None, pattern=r"^\d{12}$")
    """Whose bucket it is; that of the deployment by default."""

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
        """`NAME` or `NAME/PREFIX`."""
        return f"{self.name}/{self.prefix}".rstrip("/")

    @property
    def keys(self) -> str:
        """What keys of Items match, with `*` for any text."""
        return f"{self.prefix}/*{self.suffix}".lstrip("/")


class Bus(BaseModel):
    """An EventBridge bus of the account, and which of its events are about Items."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str = "default"
    sources: tuple[str, ...] = ()
    """Values of `source`; any if empty."""
    detail_types: tuple[str, ...] = ()
    """Values of `detail-type`; any if empty."""

    @field_validator("name")
    @classmethod
    def _is_bus(cls, name: str) -> str:
        if not _BUS.fullmatch(name):
            raise ValueError(
                "is no name of an event bus: give what follows `event-bus/` in its ARN. Events of "
                "another account must be forwarded to a bus of this one"
            )
        return name

    @model_validator(mode="after")
    def _chooses(self) -> Self:
        if not (self.sources or self.detail_types):
            raise ValueError(
                f"would take every event of the bus {self.name!r}: name sources or detail_types"
            )
        return self
