"""What a process logs about the scenes that its images lack, by a clock of the test."""

import json
import logging
from collections.abc import Callable, Iterator
from typing import Any, get_args

import pytest

from livemosaic.errors import ForbiddenHrefError, InvalidRequestError, Reason, UnreadableAssetError
from livemosaic.logs import JsonFormatter
from livemosaic.tiler.watch import Skip, Watch

DENIED = Skip("a", "asset 'visual' (s3://scenes/a.tif) may not be read", "denied", "scenes")
Lines = Callable[[], list[dict[str, Any]]]


class Clock:
    """Seconds that pass when the test lets them."""

    def __init__(self) -> None:
        self.now = 1_700_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> Iterator[Lines]:
    """The JSON lines logged since the last call."""
    caplog.set_level(logging.INFO, "livemosaic.tiler.watch")
    formatter = JsonFormatter()

    def taken() -> list[dict[str, Any]]:
        found = [json.loads(formatter.format(record)) for record in caplog.records]
        caplog.clear()
        return found

    yield taken


def metrics(lines: list[dict[str, Any]], name: str) -> list[float]:
    return [line[name] for line in lines if name in line]


def test_a_healthy_process_logs_its_counts_once_a_minute(clock: Clock, lines: Lines) -> None:
    watch = Watch("ours", clock)
    for _ in range(200):
        watch.saw("m", 3, [], "")
        clock.now += 1
    found = lines()
    assert metrics(found, "Images") == [1, 60, 60, 60]
    assert metrics(found, "UnreadablePercent") == [0, 0, 0, 0]
    assert not metrics(found, "SkippedScenes")
    assert {line["level"] for line in found} == {"INFO"}


def test_the_first_skip_is_logged_at_once_and_the_rest_once_a_minute(
    clock: Clock, lines: Lines
) -> None:
    watch = Watch("ours", clock)
    watch.saw("m", 4, [], "")
    lines()
    clock.now += 5
    watch.saw("m", 1, [DENIED], "")
    first = lines()
    assert metrics(first, "UnreadablePercent") == [50]
    assert metrics(first, "SkippedScenes") == [1]
    for _ in range(120):
        clock.now += 1
        watch.saw("m", 0, [DENIED, DENIED], "")
    rest = lines()
    assert metrics(rest, "SkippedScenes") == [120, 120]
    assert metrics(rest, "UnreadablePercent") == [100, 100]


def test_a_line_names_reason_place_and_an_example(clock: Clock, lines: Lines) -> None:
    Watch("ours", clock).saw("alps", 0, [DENIED], "")
    [line] = (line for line in lines() if "SkippedScenes" in line)
    assert line["level"] == "WARNING"
    assert line["message"] == "1 scenes skipped: denied"
    assert line["reason"] == line["Reason"] == "denied"
    assert (line["mosaics"], line["hosts"]) == ({"alps": 1}, {"scenes": 1})
    assert (line["scene"], line["why"]) == (DENIED.scene, DENIED.why)


def test_mosaics_and_buckets_are_fields_and_never_dimensions(clock: Clock, lines: Lines) -> None:
    """A metric of a dimension's value costs 0.30 USD a month: 14 of them are the bound."""
    watch = Watch("ours", clock)
    sets = set()
    for n in range(300):
        for reason in get_args(Reason):
            watch.saw(f"m{n}", 1, [Skip("a", "why", reason, f"bucket-{n}")], "max_rows=1")
        clock.now += 7
    for line in lines():
        assert len(line.get("mosaics", ())) <= 5
        assert len(line.get("hosts", ())) <= 5
        for described in line["_aws"]["CloudWatchMetrics"]:
            for metric in described["Metrics"]:
                [names] = described["Dimensions"]
                values = tuple((name, line[name]) for name in names)
                sets.add((described["Namespace"], metric["Name"], values))
    assert len(sets) == 4 + len(get_args(Reason)) <= 13


def test_what_a_request_asks_too_much_of_is_no_fault_of_the_deployment(
    clock: Clock, lines: Lines
) -> None:
    skips = [Skip("a", "has no band 9", "request"), Skip("b", "needs more bytes", "limit", "h")]
    Watch("ours", clock).saw("m", 2, skips, "")
    found = lines()
    assert metrics(found, "UnreadablePercent") == [0]
    assert metrics(found, "SkippedScenes") == [1, 1]


def test_truncated_images_are_counted(clock: Clock, lines: Lines) -> None:
    watch = Watch("ours", clock)
    watch.saw("m", 20, [], "max_scenes=20")
    assert metrics(lines(), "TruncatedImages") == [1]


def test_without_a_deployment_only_skips_are_logged_and_as_no_metric(
    clock: Clock, lines: Lines
) -> None:
    watch = Watch(clock=clock)
    watch.saw("m", 3, [], "")
    watch.saw("m", 3, [DENIED], "")
    [line] = lines()
    assert line["reason"] == "denied"
    assert "_aws" not in line


def test_a_clock_that_is_set_back_silences_nothing(clock: Clock, lines: Lines) -> None:
    watch = Watch("ours", clock)
    watch.saw("m", 0, [DENIED], "")
    clock.now -= 86_400
    watch.saw("m", 0, [DENIED], "")
    assert metrics(lines(), "SkippedScenes") == [1, 1]


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (UnreadableAssetError("x", "missing", "scenes"), "missing"),
        (ForbiddenHrefError("x"), "not_allowed"),
        (InvalidRequestError("x"), "request"),
    ],
    ids=["unreadable", "outside the allow-list", "a band that the scene lacks"],
)
def test_the_reason_follows_from_the_error(error: Exception, reason: Reason) -> None:
    assert Skip.of("a", error).reason == reason
