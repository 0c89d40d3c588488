"""From units of AWS to dollars, at the price list in `prices.json`."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

PRICES: Final[Mapping[str, Any]] = json.loads(
    (Path(__file__).parent / "prices.json").read_text("utf-8")
)
_GB: Final = 1024**3
_INGEST_S: Final = 0.05
"""Measured: an event alone in its batch, on a warm function of `_INGEST_MB`."""
_INGEST_MB: Final = 1024
_SQS_REQUESTS: Final = 3
"""Of an event alone in its batch: it is received and deleted, and polls in between find nothing."""
_INGEST_LOG_BYTES: Final = 1000
_TILE_S: Final = 0.15
_TILE_READS: Final = 2.0
"""Read units of a tile inside scenes: a page of its cells, and its share of headers."""
_TILE_GETS: Final = 2.5
_TILE_LOG_BYTES: Final = 1300
_TILE_BYTES: Final = 25_000


@dataclass(frozen=True, slots=True)
class SceneUnits:
    """What one scene takes of DynamoDB in one mosaic, on average."""

    write_units: float
    """Of its rows, and of what is written with them."""
    header_units: float
    """Write units of the headers of its COGs."""
    read_units: float
    stored_bytes: float
    """Of its rows and headers."""


def million_items(units: SceneUnits) -> dict[str, float]:
    """Returns what a million new Items cost, an event each, alone in its batch."""
    writes, reads = PRICES["dynamodb_million_writes"], PRICES["dynamodb_million_reads"]
    return {
        "rows": units.write_units * writes,
        "headers": units.header_units * writes,
        "reads": units.read_units * reads,
        "Lambda": million_calls(_INGEST_S, _INGEST_MB),
        "SNS": PRICES["sns_million_publishes"],
        "SQS": _SQS_REQUESTS * PRICES["sqs_million_requests"],
        "logs": _INGEST_LOG_BYTES / 1000 * PRICES["logs_gb"],
    }


def million_tiles(memory_mb: int, architecture: str = "arm64") -> dict[str, float]:
    """Returns what a million tiles inside scenes cost, none of them from a cache."""
    return {
        "HTTP API": PRICES["http_api_million_requests"],
        "Lambda": million_calls(_TILE_S, memory_mb, architecture),
        "table": _TILE_READS * PRICES["dynamodb_million_reads"],
        "S3": _TILE_GETS * PRICES["s3_million_gets"],
        "logs": _TILE_LOG_BYTES / 1000 * PRICES["logs_gb"],
        "traffic": _TILE_BYTES / 1000 * PRICES["traffic_gb"][0][1],
    }


def million_calls(seconds: float, memory_mb: int, architecture: str = "arm64") -> float:
    """Returns what a million calls of a function cost."""
    per_s = PRICES["lambda_gb_second"][architecture] * memory_mb / 1024
    return float(PRICES["lambda_million_requests"] + 1_000_000 * seconds * per_s)


def month_of_storage(stored_bytes: float) -> dict[str, float]:
    """Returns what rows cost a month, with their point-in-time recovery."""
    gb = stored_bytes / _GB
    return {
        "storage": gb * PRICES["dynamodb_gb_month"],
        "backup": gb * PRICES["dynamodb_backup_gb_month"],
    }
