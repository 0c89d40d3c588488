"""The most that strangers can make a deployment cost in a month, by its configuration.

Only what configuration limits is in it, at the prices of `livemosaic cost`. docs/costs.md states
the result for the defaults, and what is not in it.
"""

from dataclasses import dataclass
from typing import Final, Self

from livemosaic.api.gateway import LIMIT
from livemosaic.cli.cost.dollars import PRICES
from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.api import is_open, throttles

BODILESS: Final = ("HEAD ", "OPTIONS ")
"""Beginnings of the keys of routes whose responses have no body."""
MONTH_S: Final = 30 * 86_400
_MILLION: Final = 1_000_000
_GB: Final = 1024**3
_LOGGED_BYTES: Final = 600
"""Upper bound of a line of the access log with a path of 200 bytes."""
_BODY_BYTES: Final = LIMIT * 3 // 4
"""Largest body of a response: it is base64 in the response of a function."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What a deployment lets strangers cause; None for what it does not limit."""

    open_per_s: float
    """Requests a second of routes that need no credential."""
    sending_per_s: float
    """The part of them that may return a large body: neither `HEAD` nor `OPTIONS`."""
    refused_per_s: float
    """Requests a second of routes that API Gateway refuses without a credential."""
    concurrency: int | None
    """Concurrent requests in the function that answers open routes."""
    memory_mb: int
    architecture: str
    reads_per_s: int | None
    """Read units a second of the table."""
    has_cdn: bool = False
    """Whether a CDN is in front, whose hits no throttle counts."""

    @classmethod
    def of(cls, config: Config) -> Self:
        """Returns the limits of a configuration."""
        rates = {key: throttle.rate for key, throttle in throttles(config).items()}
        opened = {key: rate for key, rate in rates.items() if is_open(key, config)}
        return cls(
            open_per_s=sum(opened.values()),
            sending_per_s=sum(r for k, r in opened.items() if not k.startswith(BODILESS)),
            refused_per_s=sum(rates.values()) - sum(opened.values()),
            concurrency=config.tiler_concurrency if config.reserve_concurrency else None,
            memory_mb=config.tiler_memory,
            architecture=config.architecture,
            reads_per_s=None if config.table else config.table_max_reads or None,
            has_cdn=config.has_cdn,
        )


def ceiling(limits: Limits) -> dict[str, float | None]:
    """Returns dollars a month by what they are paid for; None where nothing limits them."""
    per_s = limits.open_per_s + limits.refused_per_s
    return {
        "requests": _millions(per_s, "http_api_million_requests")
        + _millions(limits.open_per_s, "lambda_million_requests"),
        "compute": None if limits.concurrency is None else _compute(limits, limits.concurrency),
        "table reads": None
        if limits.reads_per_s is None
        else _millions(limits.reads_per_s, "dynamodb_million_reads"),
        "access log": per_s * MONTH_S * _LOGGED_BYTES / _GB * PRICES["logs_gb"],
        "traffic": None
        if limits.has_cdn
        else _traffic(limits.sending_per_s * MONTH_S * _BODY_BYTES / _GB),
    }


def _millions(per_s: float, price: str) -> float:
    dollars: float = per_s * MONTH_S / _MILLION * PRICES[price]
    return dollars


def _compute(limits: Limits, concurrency: int) -> float:
    price: float = PRICES["lambda_gb_second"][limits.architecture]
    return concurrency * limits.memory_mb / 1024 * MONTH_S * price


def _traffic(gb: float) -> float:
    """Returns the price of traffic out, by tiers."""
    dollars = 0.0
    for size, price in PRICES["traffic_gb"]:
        part = gb if size is None else min(gb, size)
        dollars, gb = dollars + part * price, gb - part
    return dollars
