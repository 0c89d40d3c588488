"""Settings, from the environment (`LIVEMOSAIC_…`) or given by the caller."""

import re
from typing import Annotated, Any, Final

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

ORIGIN: Final = re.compile(r"\*|https?://[^/,\s*]+")
"""Any origin, or one (RFC 6454)."""


class Settings(BaseSettings):
    """Read once, in the handler or the CLI, and handed on."""

    model_config = SettingsConfigDict(env_prefix="LIVEMOSAIC_", extra="ignore")

    index: str = "sqlite:///livemosaic.db"
    """`sqlite:///FILE` or `dynamodb://REGION/TABLE`."""
    allowed_prefixes: Annotated[tuple[str, ...], NoDecode] = ("s3://", "https://")
    """Where assets may be, separated by commas in the environment."""
    token: SecretStr | None = None
    """Bearer token for writes; without one, nothing can be written over HTTP."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    """Origins whose pages may read answers, separated by commas in the environment."""
    dead_letters: str = ""
    """URL of the SQS queue for messages that can never succeed; without one they are tried until
    their own queue gives them up."""
    build: str = ""
    """Names the code that runs, beside its version; part of every ETag."""
    max_scenes: int = Field(20, ge=1, le=200)
    max_rows: int = Field(2000, ge=1, le=100_000)
    max_tile_size: int = Field(1024, ge=256, le=4096)
    """Pixels of a tile's edge, `tilesize` times the `@{n}x` factor."""
    max_query_bytes: int = Field(8192, ge=256)
    max_body_bytes: int = Field(10_000_000, ge=1000)
    mosaic_max_age_s: float = Field(2.0, ge=0)
    """How long a tile may work with settings of a mosaic that have since changed."""

    @field_validator("allowed_prefixes", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: write https://HOST, without a path")
        return origins
