"""What overviews cost, at list prices."""

from dataclasses import dataclass
from typing import Final

from livemosaic.cli.cost.dollars import PRICES
from livemosaic_cdk.config import Config
from livemosaic_cdk.costs.ceiling import MONTH_S

ALARMS: Final = 9
"""Alarms that a deployment has besides where it keeps overviews."""
METRICS: Final = 2
"""Metrics that the sweep logs, whether or not anything changes."""
_MILLION: Final = 1_000_000
_SWEEPS: Final = MONTH_S / 300
_SWEEP_GB_S: Final = 0.25
"""Half a second of the sweep's 512 MB."""
_SWEEP_READS: Final = 64 * 0.5 + 1
"""Read units of a sweep for a mosaic: a query of each region, as of a second ago, and a tally."""
_POLLS: Final = 5 * MONTH_S / 20
"""Requests of Lambda, which polls an idle queue five times in 20 s."""


@dataclass(frozen=True, slots=True)
class Units:
    """What keeping overviews takes, for each scene that changes, rounded up.

    CPU and PUTs are from the measurements in docs/overviews.md; GETs and units of the table were
    counted with `bench.meter` in a mosaic of 144 scenes.
    """

    cpu_s: float
    """Of the builder, at 1769 MB."""
    runs: float
    """Invocations of the builder."""
    puts: float
    gets: float
    writes: float
    """Write units of the table."""
    reads: float
    """Read units of the table."""
    messages: float
    """Requests to the queue of hints."""


ALONE: Final = Units(cpu_s=0.8, runs=3, puts=5, gets=60, writes=28, reads=80, messages=7)
"""A scene that moves, and none with it: five cells, at five write units a row, and three for its
mark. Three runs: one builds, one puts the second hint back, one finds nothing more."""
BULK: Final = Units(
    cpu_s=0.019, runs=0.01, puts=0.0074, gets=2.5, writes=3.1, reads=5.5, messages=0.01
)
"""2,025 scenes at once, 15 cells."""


def per_million(units: Units, config: Config) -> float:
    """Returns dollars for a million scenes."""
    gb_s = units.cpu_s * config.overview_memory / 1024
    dollars: float = (
        gb_s * PRICES["lambda_gb_second"][config.architecture] * _MILLION
        + units.runs * PRICES["lambda_million_requests"]
        + units.puts * PRICES["s3_million_puts"]
        + units.gets * PRICES["s3_million_gets"]
        + units.writes * PRICES["dynamodb_million_writes"]
        + units.reads * PRICES["dynamodb_million_reads"]
        + units.messages * PRICES["sqs_fifo_million_requests"]
    )
    return dollars


def idle(config: Config, mosaics: int) -> float:
    """Returns dollars a month while nothing changes, beside the alarms.

    `mosaics` is how many have overviews.
    """
    sweeps = _SWEEPS * _SWEEP_GB_S * PRICES["lambda_gb_second"][config.architecture]
    reads = _SWEEPS * _SWEEP_READS * mosaics / _MILLION * PRICES["dynamodb_million_reads"]
    polls = _POLLS / _MILLION * PRICES["sqs_fifo_million_requests"]
    dollars: float = METRICS * PRICES["metric_month"] + sweeps + reads + polls
    return dollars


def most(config: Config) -> float:
    """Returns dollars a month of the builder where changes never end, by its concurrency."""
    gb_s = config.overview_concurrency * config.overview_memory / 1024 * MONTH_S
    dollars: float = gb_s * PRICES["lambda_gb_second"][config.architecture]
    return dollars
