"""Logs as JSON, one object per line, for CloudWatch Logs Insights and `jq`.

Lambda's own JSON formatter is not used: of an exception it logs only the last of a chain, without
the causes behind `raise … from`, and `serve` needs a formatter anyway.
"""

import json
import logging
import sys
import warnings
from typing import Any, Final

_USUAL: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
"""Attributes of every record; any other comes from `extra`."""


class JsonFormatter(logging.Formatter):
    """Formats time, level, logger, message, `extra` fields, and an exception with its causes."""

    def format(self, record: logging.LogRecord) -> str:
        """Returns one line of JSON."""
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
    """Sends the package's logs to standard error as JSON; called by programs, not by the package.

    On Lambda, the runtime's handler on the root logger receives none of them a second time.
    """
    # rasterio hides this warning when it warps arrays, but not from a second thread.
    warnings.filterwarnings("ignore", "Dataset has no geotransform")
    _send(level, JsonFormatter())


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
