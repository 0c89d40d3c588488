"""Logs as JSON, one object a line: what CloudWatch Logs Insights and `jq` read as fields."""

import json
import logging
import sys
import warnings
from typing import Any, Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes that every record has; any other came in by `extra`."""


class JsonFormatter(logging.Formatter):
    """Time, level, logger, message, what came in by `extra`, and the traceback if there is one."""

    def format(self, record: logging.LogRecord) -> str:
        """One line of JSON."""
        line: dict[str, Any] = {
            "time": self.formatTime(record, "%Y-%m-%dT%H:%M:%S%z"),
            "level": record.levelname,
            "logger": record.name,
            "message": record.getMessage(),
        }
        line |= {name: value for name, value in vars(record).items() if name not in _USUAL}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str, ensure_ascii=False)


def configure(level: int = logging.INFO) -> None:
    """Send the package's logs to standard error as JSON; called by programs, never by the package.

    On Lambda the root logger has a handler of the runtime's own already; it is left alone, and told
    nothing twice.
    """
    # Of arrays that rasterio warps; it hides the warning itself, from all threads but the second.
    warnings.filterwarnings("ignore", "Dataset has no geotransform")
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonFormatter())
    logger = logging.getLogger("livemosaic")
    logger.handlers[:] = [handler]
    logger.setLevel(level)
    logger.propagate = False
