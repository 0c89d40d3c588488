"""Settings, from the environment (`LIVEMOSAIC_…`) or given by the caller."""

import re
from ipaddress import IPv6Address
from pathlib import Path
from typing import Annotated, Any, Final, Literal

from pydantic import Field, SecretStr, field_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict

from livemosaic.index_url import SQLITE
from livemosaic.storage.coalesce import COALESCE_GAP, COALESCED_MAX

ORIGIN: Final = re.compile(r"\*|https?://[^/,\s*]+")
"""Any origin, or one (RFC 6454)."""
_HOST: Final = re.compile(
    r"(?:[A-Za-z0-9.-]{1,253}|\[(?P<ipv6>[0-9A-Fa-f:.]+)\])(?::(?P<port>\d{1,5}))?", re.ASCII
)
PREFIX: Final = re.compile(r"(?:/(?!\.{1,2}(?:/|$))[\w.~-]+)*", re.ASCII)
"""Path before that of an API, or none: clients take segments `.` and `..` out of a URL."""
PUBLIC_URL: Final = re.compile(
    rf"(?P<scheme>https?)://(?P<host>[^/]+)(?P<prefix>{PREFIX.pattern})/?", re.ASCII
)
"""URL of an API: a host (`is_host`), and perhaps a path."""
_PORTS: Final = range(1, 2**16)

ForwardingHeader = Literal[
    "forwarded", "x-forwarded-host", "x-forwarded-proto", "x-forwarded-prefix"
]
"""A header in which proxies say by which URL a request came (RFC 7239, 5)."""


def is_host(text: str) -> bool:
    """Whether a text is the name or address of a host, perhaps with a port (RFC 3986, 3.2.2)."""
    found = _HOST.fullmatch(text)
    if found is None or int(found["port"] or 1) not in _PORTS:
        return False
    return found["ipv6"] is None or _is_ipv6(found["ipv6"])


def _is_ipv6(text: str) -> bool:
    try:
        IPv6Address(text)
    except ValueError:
        return False
    return True


class Settings(BaseSettings):
    """Settings, read once by a handler or the CLI and passed on."""

    model_config = SettingsConfigDict(env_prefix="LIVEMOSAIC_", extra="ignore")

    index: str = "sqlite:///livemosaic.db"
    """`sqlite:///FILE` or `dynamodb://REGION/TABLE`."""
    overview_store: str = ""
    """Where overviews are kept: `s3://BUCKET/PREFIX` or `file:///FOLDER`. Default: a folder beside
    an SQLite index; none for others."""
    archive_store: str = ""
    """Where PMTiles are published that the API serves: `s3://BUCKET/PREFIX` or `file:///FOLDER`.
    Default: a folder beside an SQLite index; none for others."""
    overview_hints: str = ""
    """URL of the SQS FIFO queue of hints for the builder of overviews (`overviews.hints`); without
    one, none are sent."""
    allowed_prefixes: Annotated[tuple[str, ...], NoDecode] = ("s3://", "https://")
    """Allowed prefixes of assets, each perhaps with its way in (`storage.access.way`), separated by
    commas in the environment."""
    token: SecretStr | None = None
    """Bearer token for writes; without one, nothing can be written over HTTP."""
    authorizer: Literal["iam", "jwt"] = "iam"
    """How API Gateway, if it is in front of us, authorizes writers."""
    tile_matrix_sets: Path | None = None
    """Folder of TileMatrixSets, an OGC JSON document `{id}.json` each, beside morecantile's and
    planetcantile's."""
    signing_keys: str = ""
    """Keys of access tokens: a file of one per line, newest first, or the ARN of a secret in AWS
    Secrets Manager. Default: a file beside an SQLite index, created with the first token."""
    max_token_age_s: int = Field(90 * 24 * 3600, ge=1)
    """The longest lifetime of a new access token."""
    public_url: str = ""
    """URL by which clients reach the API, `https://HOST` or `https://HOST/PATH`: all links begin
    with it. A proxy in front removes PATH from requests. Default: what each request says."""
    origin_secret: str = ""
    """Secret that a CDN in front shows in `X-Livemosaic-Origin`: a file, or the ARN of a secret in
    AWS Secrets Manager. Requests without it are sent to `public_url`. Default: all are answered."""
    shared_max_age_s: int = Field(0, ge=0, le=86_400)
    """How long shared caches, such as a CDN, may show an image of a mosaic without `max_age_s`;
    browsers ask them again each time."""
    trusted_headers: Annotated[tuple[ForwardingHeader, ...], NoDecode] = ()
    """Headers that a proxy in front sets in every request, whatever clients send, and that name the
    URL by which they came; separated by commas in the environment. `public_url` precedes them."""
    cors_origins: Annotated[tuple[str, ...], NoDecode] = ("*",)
    """Origins whose pages may read responses, separated by commas in the environment."""
    dead_letters: str = ""
    """URL of the SQS queue for messages that can never succeed; without one, they are retried until
    their own queue drops them."""
    metrics: str = ""
    """Name of the deployment in CloudWatch metrics (`logs.metrics`); without, none are logged."""
    traces: str = Field("", pattern=r"^(https?://[^\s/?#@]+/\S*)?$")
    """URL to which traces are sent by OTLP/HTTP (`telemetry.otlp`), such as `http://127.0.0.1:4318/v1/traces`
    of a collector; none by default."""
    trace_share: float = Field(0.05, ge=0, le=1)
    """Share of requests and batches of events that are traced, beside what X-Ray traces."""
    max_scenes: int = Field(20, ge=1, le=200)
    max_rows: int = Field(2000, ge=1, le=100_000)
    max_tile_size: int = Field(1024, ge=256, le=4096)
    """Largest tile edge in pixels: `tilesize` times the `@{n}x` factor."""
    max_image_pixels: int = Field(2048 * 2048, ge=256 * 256, le=8192 * 8192)
    """Largest image of a box or feature: width times height."""
    max_picture_bytes: int = Field(1024 * 1024 * 1024, ge=1_000_000)
    """Limit on the bytes of all scenes of one image, decoded or drawn; those beyond are skipped."""
    max_picture_s: float = Field(20.0, gt=0, allow_inf_nan=False)
    """Time limit for reading the scenes of one image; late ones are skipped."""
    max_large_images: int = Field(0, ge=0)
    """Requests with large images (`cog.budget.LargeTurns`) answered at once, while others wait; 0
    stands for as many as memory holds."""
    max_assets: int = Field(16, ge=1, le=64)
    """Assets of a scene that a request may name, also in its expression."""
    max_bands: int = Field(16, ge=1, le=64)
    """Bands of an asset that `bidx` may name."""
    max_expression_length: int = Field(1000, ge=1, le=8000)
    max_expression_depth: int = Field(30, ge=1, le=50)
    """Nested signs, parentheses and calls."""
    max_vertices: int = Field(50_000, ge=100)
    """Vertices of a feature."""
    max_features: int = Field(500, ge=1)
    """Features of a collection for statistics."""
    max_statistics_pixels: int = Field(64 * 1024 * 1024, ge=256 * 256)
    """Pixels read for one area's statistics, block by block: memory does not grow with them."""
    max_statistics_s: float = Field(25.0, gt=0)
    """Time limit for all areas of a request; API Gateway waits for 30 s (HTTP API quotas)."""
    coalesce_gap_bytes: int = Field(COALESCE_GAP, ge=0, le=COALESCED_MAX)
    """Bytes between two ranges of a file up to which one request reads both."""
    max_query_bytes: int = Field(8192, ge=256)
    max_body_bytes: int = Field(10_000_000, ge=1000)
    mosaic_max_age_s: float = Field(2.0, ge=0)
    """How long tiles may use a mosaic's settings after they changed."""

    @property
    def overviews(self) -> str:
        """The URL of the folder of overviews; empty where there is none."""
        return self.overview_store or self._beside_index("overviews")

    @property
    def archives(self) -> str:
        """The URL of the folder of archives; empty where there is none."""
        return self.archive_store or self._beside_index("archives")

    def _beside_index(self, suffix: str) -> str:
        local = SQLITE.fullmatch(self.index)
        return Path(f"{local['path']}.{suffix}").resolve().as_uri() if local else ""

    @field_validator("allowed_prefixes", "cors_origins", mode="before")
    @classmethod
    def _split(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(part.strip() for part in value.split(",") if part.strip())
        return value

    @field_validator("trusted_headers", mode="before")
    @classmethod
    def _headers(cls, value: Any) -> Any:
        if isinstance(value, str):
            return tuple(name.strip().lower() for name in value.split(",") if name.strip())
        return value

    @field_validator("public_url")
    @classmethod
    def _is_public_url(cls, url: str) -> str:
        found = PUBLIC_URL.fullmatch(url)
        if url and not (found and is_host(found["host"])):
            raise ValueError(
                f"{url!r} is no URL of an API: write https://HOST or https://HOST/PATH"
            )
        return url.rstrip("/")

    @field_validator("cors_origins")
    @classmethod
    def _origins(cls, origins: tuple[str, ...]) -> tuple[str, ...]:
        for origin in origins:
            if not ORIGIN.fullmatch(origin):
                raise ValueError(f"{origin!r} is no origin: write https://HOST, without a path")
        return origins
