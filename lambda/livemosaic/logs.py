"""Logs as JSON, one object per line, for CloudWatch Logs Insights and `jq`.

Lambda's own JSON formatter is not used: of an exception it logs only the last of a chain, without
the causes behind `raise … from`, and `serve` needs a formatter anyway.
"""

import json
import logging
import sys
import time
import warnings
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, Final

from livemosaic.traces import trace_id

NAMESPACE: Final = "livemosaic"
"""Namespace of our metrics in CloudWatch."""
DEPLOYMENT: Final = "Deployment"
"""Dimension of all our metrics: one value a deployment."""

_UNITS: Final = ("Percent", "Seconds")
"""Units of CloudWatch, by the end of a metric's name; any other metric counts."""

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record; any other comes from `extra`."""


class JsonFormatter(logging.Formatter):
    """Formats time, level, logger, message, `extra`, the trace, an exception with its causes."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line of JSON."""
        line: dict[str, Any] = {
            # By this name and in this form, Lambda's filter of levels applies to the line (Lambda
            # Developer Guide, "Log-level filtering").
            "timestamp": datetime.fromtimestamp(record.created, UTC).isoformat("T", "milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if found := trace_id():
            line["trace_id"] = found
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def metrics(
    deployment: str, values: Mapping[str, float], dimensions: Mapping[str, str] | None = None
) -> dict[str, Any]:
    """Returns the fields of a log line that CloudWatch takes metrics from, for `extra`.

    None without a deployment. Each set of dimensions is a metric that costs money, so their values
    must be few: no mosaic, no bucket. See the CloudWatch User Guide, "Specification: Embedded
    metric format".
    """
    if not deployment:
        return {}
    named = {DEPLOYMENT: deployment, **(dimensions or {})}
    described = [
        {"Name": name, "Unit": next((u for u in _UNITS if name.endswith(u)), "Count")}
        for name in values
    ]
    metric = {"Namespace": NAMESPACE, "Dimensions": [list(named)], "Metrics": described}
    now_ms = int(time.time() * 1000)
    return {"_aws": {"Timestamp": now_ms, "CloudWatchMetrics": [metric]}, **named, **values}


def configure(level: str = "INFO") -> None:
    """Sends the package's logs to standard error as JSON; called by programs, not by the package.

    On Lambda, the runtime's handler on the root logger receives none of them a second time.
    """
    # rasterio hides this warning when it warps arrays, but not from a second thread.
    warnings.filterwarnings("ignore", "Dataset has no geotransform")
    _send(logging.getLevelNamesMapping().get(level, logging.INFO), JsonFormatter())


def configure_terminal() -> None:
    """Prints unexpected errors with their tracebacks to standard error, as text for people.

    Outcomes, which are logged as warnings, are left to the commands that print them.
    """
    _send(logging.ERROR, logging.Formatter("%(levelname)s %(name)s: %(message)s"))


def _send(level: int, formatter: logging.Formatter) -> None:
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(formatter)
    logger = logging.getLogger("livemosaic")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
