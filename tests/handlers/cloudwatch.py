"""CloudWatch's evaluation of alarms, on the alarms of a template and the metrics of its functions.

What it models is in the CloudWatch User Guide: "Using Amazon CloudWatch alarms" (M of N periods,
missing data), "Specification: Embedded metric format" (lines of logs become metrics). The emulator
ignores dimensions, periods, M of N and log lines.
"""

import json
import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Literal

State = Literal["ALARM", "OK", "INSUFFICIENT_DATA"]
Metric = tuple[str, str, frozenset[tuple[str, str]]]
"""Namespace, name, and dimensions with their values as text: a template has references there."""


@dataclass(frozen=True)
class Datapoint:
    """A value of a metric; `at` is in seconds."""

    metric: Metric
    value: float
    at: float


def metric(namespace: str, name: str, dimensions: Mapping[str, Any]) -> Metric:
    named = frozenset((key, _text(value)) for key, value in dimensions.items())
    return namespace, name, named


def _text(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, sort_keys=True)


def of_log(lines: Iterable[Mapping[str, Any]]) -> list[Datapoint]:
    """The metrics in lines of a log; a line that is no EMF has none."""
    return [
        Datapoint(
            metric(described["Namespace"], each["Name"], {name: line[name] for name in names}),
            line[each["Name"]],
            line["_aws"]["Timestamp"] / 1000,
        )
        for line in lines
        for described in line.get("_aws", {}).get("CloudWatchMetrics", ())
        for names in described["Dimensions"]
        for each in described["Metrics"]
    ]


@dataclass
class CloudWatch:
    """Metrics of an account."""

    points: list[Datapoint] = field(default_factory=list)

    def repeat(self, points: Iterable[Datapoint], *, every_s: float, for_s: float) -> None:
        """Puts the same again and again from second 0 on, as a fault that lasts makes it."""
        points = list(points)
        for n in range(math.ceil(for_s / every_s)):
            self.points += [replace(point, at=n * every_s) for point in points]

    def state(self, alarm: Mapping[str, Any], now: float) -> State:
        """The state of an alarm at the end of a period."""
        periods, length = alarm["EvaluationPeriods"], alarm["Period"]
        found = [self._breaches(alarm, now - n * length, length) for n in range(periods)]
        if all(breach is None for breach in found):
            return {"notBreaching": "OK", "breaching": "ALARM"}.get(  # type: ignore[return-value]
                alarm["TreatMissingData"], "INSUFFICIENT_DATA"
            )
        missing = alarm["TreatMissingData"] == "breaching"
        count = sum(missing if breach is None else breach for breach in found)
        return "ALARM" if count >= alarm.get("DatapointsToAlarm", periods) else "OK"

    def raised_after(self, alarm: Mapping[str, Any], until: float) -> float | None:
        """Seconds until an alarm goes off, None if it does not by then."""
        length = alarm["Period"]
        ends = (n * length for n in range(1, int(until // length) + 1))
        return next((end for end in ends if self.state(alarm, end) == "ALARM"), None)

    def _breaches(self, alarm: Mapping[str, Any], end: float, length: float) -> bool | None:
        wanted = metric(
            alarm["Namespace"],
            alarm["MetricName"],
            {each["Name"]: each["Value"] for each in alarm["Dimensions"]},
        )
        values = [
            point.value
            for point in self.points
            if point.metric == wanted and end - length <= point.at < end
        ]
        if not values:
            return None
        assert alarm["ComparisonOperator"] == "GreaterThanOrEqualToThreshold"
        return statistic(alarm, values) >= alarm["Threshold"]


def statistic(alarm: Mapping[str, Any], values: list[float]) -> float:
    match alarm.get("Statistic") or alarm["ExtendedStatistic"]:
        case "Sum":
            return sum(values)
        case "Average":
            return sum(values) / len(values)
        case "Maximum":
            return max(values)
        case "p99":
            return sorted(values)[math.ceil(0.99 * len(values)) - 1]
    raise AssertionError("a statistic that is not modelled")
