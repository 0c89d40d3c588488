"""The CloudWatch dashboard: one page to look at after an alarm."""

from collections.abc import Callable, Iterable, Mapping

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_lambda as lambda_
from constructs import Construct

from livemosaic import logs
from livemosaic.export.jobs.steps import FAILED_EXPORTS, LATE_EXPORTS
from livemosaic.overviews.functions import FAILED_BUILDS, OLDEST_STALE_SECONDS
from livemosaic.tiler.watch import (
    IMAGES,
    REASON,
    SKIPPED_SCENES,
    TRUNCATED_IMAGES,
    UNREADABLE_PERCENT,
)
from livemosaic_cdk.parts.inbox import Inbox
from livemosaic_cdk.parts.jobs.exporting import Exporting
from livemosaic_cdk.parts.overviews import Overviews
from livemosaic_cdk.watch.alarms import own_metric

_PERIOD = cdk.Duration.minutes(5)


def dashboard(
    scope: Construct,
    name: str,
    *,
    deployment: str,
    inbox: Inbox,
    functions: Mapping[str, lambda_.Function],
    api: apigatewayv2.HttpApi,
    table: dynamodb.ITable,
    overviews: Overviews | None = None,
    exporting: Exporting | None = None,
) -> cloudwatch.Dashboard:
    """Creates graphs of images, requests, events, functions and table.

    The dashboard stays below 50 metrics: CloudWatch's free tier has three dashboards of that size.
    """

    def each(measure: Callable[[lambda_.Function], cloudwatch.Metric]) -> list[cloudwatch.Metric]:
        return [measure(made).with_(label=title) for title, made in functions.items()]

    queue, dead_letters = inbox.queue, inbox.dead_letters
    page = cloudwatch.Dashboard(scope, name, default_interval=cdk.Duration.hours(3))
    page.add_widgets(
        _graph(
            "Requests",
            "Sum",
            [api.metric_count(), api.metric_client_error(), api.metric_server_error()],
        ),
        _graph("Latency of a request, p99 (ms)", "p99", [api.metric_latency()]),
        _graph(
            "Events, arrived and done",
            "Sum",
            [queue.metric_number_of_messages_sent(), queue.metric_number_of_messages_deleted()],
        ),
        _graph(
            "Oldest event (s), and dead letters",
            "Maximum",
            [
                queue.metric_approximate_age_of_oldest_message(),
                dead_letters.metric_approximate_number_of_messages_visible(),
            ],
        ),
    )
    page.add_widgets(
        _graph("Calls", "Sum", each(lambda_.Function.metric_invocations)),
        _graph("Errors", "Sum", each(lambda_.Function.metric_errors)),
        _graph("Duration, p99 (ms)", "p99", each(lambda_.Function.metric_duration)),
        _graph(
            "Units of the table",
            "Sum",
            [
                table.metric_consumed_read_capacity_units(),
                table.metric_consumed_write_capacity_units(),
            ],
        ),
    )
    page.add_widgets(
        _graph(
            "Images, and the part from which a limit left scenes out",
            "Sum",
            [own_metric(deployment, name, "Sum") for name in (IMAGES, TRUNCATED_IMAGES)],
        ),
        _graph(
            "Unreadable scenes (%)",
            "Average",
            [own_metric(deployment, UNREADABLE_PERCENT, "Average")],
        ),
        _skipped_by_reason(deployment),
        _graph(
            "Throttled by the table",
            "Sum",
            [table.metric(f"{what}ThrottleEvents") for what in ("Read", "Write")],
        ),
    )
    if overviews:
        _add_overviews(page, deployment, overviews)
    if exporting:
        _add_exports(page, deployment, exporting)
    return page


def _add_overviews(page: cloudwatch.Dashboard, deployment: str, overviews: Overviews) -> None:
    hints = overviews.hints
    builder = overviews.builder
    page.add_widgets(
        _graph(
            "Overviews: oldest change that they lack (s)",
            "Maximum",
            [own_metric(deployment, OLDEST_STALE_SECONDS, "Maximum")],
        ),
        _graph(
            "Overviews: hints, done",
            "Sum",
            [
                hints.queue.metric_number_of_messages_sent(),
                hints.queue.metric_number_of_messages_deleted(),
            ],
        ),
        _graph(
            "Overviews: failures",
            "Sum",
            [own_metric(deployment, FAILED_BUILDS, "Sum"), builder.metric_errors()],
        ),
        _graph("Overviews: a pass, p99 (ms)", "p99", [builder.metric_duration()]),
    )


def _add_exports(page: cloudwatch.Dashboard, deployment: str, exporting: Exporting) -> None:
    machine, function = exporting.machine, exporting.function
    page.add_widgets(
        _graph(
            "Archives: late, and failed",
            "Maximum",
            [own_metric(deployment, name, "Maximum") for name in (LATE_EXPORTS, FAILED_EXPORTS)],
        ),
        _graph(
            "Archives: made, and not",
            "Sum",
            [machine.metric_succeeded(), machine.metric_failed()],
        ),
        _graph("Archives: jobs", "Sum", [function.metric_invocations(), function.metric_errors()]),
        _graph("Archives: a job, p99 (ms)", "p99", [function.metric_duration()]),
    )


def _skipped_by_reason(deployment: str) -> cloudwatch.GraphWidget:
    """Finds the reasons by a search: a metric exists only where a reason has occurred."""
    named = f'{{{logs.NAMESPACE},{logs.DEPLOYMENT},{REASON}}} {logs.DEPLOYMENT}="{deployment}"'
    found = cloudwatch.MathExpression(
        expression=f"SEARCH('{named} MetricName=\"{SKIPPED_SCENES}\"', 'Sum', 300)",
        using_metrics={},
        label="",
        period=_PERIOD,
    )
    return cloudwatch.GraphWidget(title="Skipped scenes, by reason", left=[found], width=6)


def _graph(
    title: str, statistic: str, metrics: Iterable[cloudwatch.Metric]
) -> cloudwatch.GraphWidget:
    left = [metric.with_(statistic=statistic, period=_PERIOD) for metric in metrics]
    return cloudwatch.GraphWidget(title=title, left=left, width=6)
