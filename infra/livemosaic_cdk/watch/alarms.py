"""CloudWatch alarms, each on one metric, and the topic that all of them go to.

docs/runbook.md describes each alarm by its name. Missing data does not raise an alarm: a mosaic
without visitors has none.
"""

from collections.abc import Mapping, Sequence
from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from livemosaic import logs
from livemosaic.export.jobs.steps import FAILED_EXPORTS, LATE_EXPORTS
from livemosaic.ingest.sqs import FAILED_EVENTS
from livemosaic.overviews.functions import FAILED_BUILDS, OLDEST_STALE_SECONDS
from livemosaic.tiler.watch import UNREADABLE_PERCENT
from livemosaic_cdk.parts.inbox import DEAD_LETTER_LATE_DAYS, Inbox
from livemosaic_cdk.parts.jobs.exporting import Exporting
from livemosaic_cdk.parts.overviews import Overviews

_PERIOD: Final = cdk.Duration.minutes(5)
_SLOW_MS: Final = 8000
"""Beyond a cold start, and far below the 29 s of a function."""
_UNREADABLE: Final = 10
"""Percent of the wanted scenes: fewer are single files, which the log and responses name."""
_JUDGED: Final = cdk.Duration.minutes(1)
"""Shortest period of AWS's own metrics: a canary may be over after five minutes."""
_UNREADABLE_CANARY: Final = 5
"""The same percent, where a tenth of the traffic goes to a version that can read nothing."""
_BEHIND_S: Final = 900
"""Three sweeps: overviews are usually seconds behind."""
_BUSY: Final = 0.8
"""Share of the throttle."""
_TILE_BYTES: Final = 50_000
"""Twice an average tile of satellite imagery, in PNG or JPEG."""


def own_metric(deployment: str, name: str, statistic: str) -> cloudwatch.Metric:
    """Returns a metric that the functions log (`livemosaic.logs.metrics`)."""
    return cloudwatch.Metric(
        namespace=logs.NAMESPACE,
        metric_name=name,
        dimensions_map={logs.DEPLOYMENT: deployment},
        statistic=statistic,
        period=_PERIOD,
    )


class Alarms(Construct):
    """Alarms of a deployment. All go to `topic`, which mails to `email` if that is given."""

    def __init__(
        self, scope: Construct, name: str, *, email: str | None, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, name)
        self.topic = self._make_topic(email, key)

    def watch_images(self, deployment: str) -> None:
        """Watches the scenes that images lack."""
        self._alarm(
            "UnreadableScenes",
            own_metric(deployment, UNREADABLE_PERCENT, "Average"),
            threshold=_UNREADABLE,
            lasting=2,
            description="Images lack scenes whose files cannot be read: objects or grants are "
            "gone, or a store fails. The tiler's log names reason, bucket and mosaic.",
        )

    def watch_table(self, table: dynamodb.ITable) -> None:
        """Watches requests that DynamoDB throttles."""
        for what in ("Read", "Write"):
            self._alarm(
                f"Table{what}Throttles",
                table.metric(f"{what}ThrottleEvents", period=_PERIOD, statistic="Sum"),
                threshold=1,
                lasting=2,
                description=f"DynamoDB throttles {what.lower()}s: beyond the table's maximum "
                "throughput, or of one partition.",
            )

    def watch_api(self, api: apigatewayv2.HttpApi, *, rate: int) -> None:
        """Watches errors, latency and load of the API, whose throttle is `rate` per second."""
        self._alarm(
            "ApiErrors",
            api.metric_server_error(period=_PERIOD, statistic="Sum"),
            threshold=5,
            lasting=2,
            description="The API returns 5xx: see its access log and the logs of the functions.",
        )
        self._alarm(
            "ApiLatency",
            api.metric_latency(period=_PERIOD, statistic="p99"),
            threshold=_SLOW_MS,
            lasting=3,
            description=f"One in a hundred requests takes {_SLOW_MS // 1000} s or longer.",
        )

        self._alarm(
            "ApiRequests",
            api.metric_count(period=_PERIOD, statistic="Sum"),
            threshold=_BUSY * rate * _PERIOD.to_seconds(),
            lasting=2,
            description="Requests come close to the throttle: a success, or abuse.",
        )
        self._alarm(
            "ApiTraffic",
            api.metric_data_processed(period=_PERIOD, statistic="Sum"),
            threshold=rate * _TILE_BYTES * _PERIOD.to_seconds(),
            lasting=2,
            description="More bytes leave the API than tiles at its throttle have: somebody "
            "loads large images.",
        )

    def judge_releases(
        self, api: apigatewayv2.HttpApi, deployment: str, ingest: lambda_.Function
    ) -> Sequence[cloudwatch.Alarm]:
        """Returns alarms that end a deployment: within minutes, on a tenth of the traffic.

        Beside deployments they mean little, so they tell nobody.
        """
        errors = api.metric_server_error(period=_JUDGED, statistic="Sum")
        latency = api.metric_latency(period=_JUDGED, statistic="p99")
        crashes = ingest.metric_errors(period=_JUDGED, statistic="Sum")
        failed = own_metric(deployment, FAILED_EVENTS, "Sum").with_(period=_JUDGED)
        unreadable = own_metric(deployment, UNREADABLE_PERCENT, "Average").with_(period=_JUDGED)
        return [
            self._alarm(
                f"Release{name}",
                metric,
                threshold=threshold,
                lasting=2,
                description="Ends a deployment, which is undone.",
                is_silent=True,
            )
            for name, metric, threshold in (
                ("ApiErrors", errors, 1),
                ("ApiLatency", latency, _SLOW_MS),
                ("IngestErrors", crashes, 1),
                ("FailedEvents", failed, 1),
                ("UnreadableScenes", unreadable, _UNREADABLE_CANARY),
            )
        ]

    def watch_inbox(self, inbox: Inbox, deployment: str) -> None:
        """Watches events that fail, wait or are dead letters."""
        self._alarm(
            "FailedEvents",
            own_metric(deployment, FAILED_EVENTS, "Sum"),
            threshold=5,
            lasting=2,
            description="Ingestion fails and will be repeated: the table or a source of Items is "
            "unavailable. The log of Ingest gives the reason.",
        )
        self._alarm(
            "DeadLetters",
            inbox.dead_letters.metric_approximate_number_of_messages_visible(
                period=cdk.Duration.minutes(1), statistic="Maximum"
            ),
            threshold=1,
            lasting=1,
            description="Events failed permanently: `livemosaic dlq list` shows the reasons. Fix "
            "the cause, then run `livemosaic dlq redrive`.",
        )
        self._alarm(
            "OldestDeadLetter",
            inbox.dead_letters.metric_approximate_age_of_oldest_message(
                period=_PERIOD, statistic="Maximum"
            ),
            threshold=cdk.Duration.days(DEAD_LETTER_LATE_DAYS).to_seconds(),
            lasting=1,
            description="Dead letters that nobody has handled will soon expire.",
        )
        self._alarm(
            "OldestMessage",
            inbox.queue.metric_approximate_age_of_oldest_message(
                period=_PERIOD, statistic="Maximum"
            ),
            threshold=2 * inbox.worst_age_s,
            lasting=1,
            description="Events are waiting: ingestion is too slow or not running at all.",
        )

    def watch_overviews(self, overviews: Overviews, deployment: str) -> None:
        """Watches how far overviews are behind, passes that fail, and their functions."""
        self._alarm(
            "OldestStale",
            own_metric(deployment, OLDEST_STALE_SECONDS, "Maximum"),
            threshold=_BEHIND_S,
            lasting=1,
            description=f"Overviews lack a change for {_BEHIND_S // 60} minutes: they are not "
            "built, or too slowly.",
        )
        self._alarm(
            "FailedBuilds",
            own_metric(deployment, FAILED_BUILDS, "Sum"),
            threshold=1,
            lasting=2,
            description="Overviews cannot be built, or hints of them not be sent, and it will be "
            "tried again. The log of Builder gives the reason.",
        )
        self._alarm(
            "HintDeadLetters",
            overviews.hints.dead_letters.metric_approximate_number_of_messages_visible(
                period=_PERIOD, statistic="Maximum"
            ),
            threshold=1,
            lasting=1,
            description="Overviews of a mosaic could not be built five times.",
        )
        self.watch_functions(overviews.functions)

    def watch_exports(self, exporting: Exporting, deployment: str) -> None:
        """Watches archives that are late or cannot be made, and their functions."""
        self._alarm(
            "LateExports",
            own_metric(deployment, LATE_EXPORTS, "Maximum"),
            threshold=1,
            lasting=1,
            description="An archive (`exports` of a mosaic) is overdue by hours: `livemosaic "
            "export MOSAIC --status` gives the reason, or the executions of the state machine.",
        )
        self._alarm(
            "FailedExports",
            own_metric(deployment, FAILED_EXPORTS, "Maximum"),
            threshold=1,
            lasting=1,
            description="An archive (`exports` of a mosaic) could not be made, and it will be "
            "tried again in an hour: `livemosaic export MOSAIC --status` gives the reason.",
        )
        self.watch_functions(exporting.functions)

    def watch_functions(self, functions: Mapping[str, lambda_.Function]) -> None:
        """Watches functions, by the title that begins the names of their alarms."""
        for title, function in functions.items():
            self._watch_function(title, function)

    def _watch_function(self, title: str, function: lambda_.Function) -> None:
        self._alarm(
            f"{title}Errors",
            function.metric_errors(period=_PERIOD, statistic="Sum"),
            threshold=1,
            lasting=2,
            description=f"{title} keeps crashing, timing out or running out of memory.",
        )
        self._alarm(
            f"{title}Throttles",
            function.metric_throttles(period=_PERIOD, statistic="Sum"),
            threshold=1,
            lasting=2,
            description=f"{title} needs more concurrency than it, or the account, has.",
        )
        timeout = function.timeout
        assert timeout is not None  # noqa: S101 (for the type)
        self._alarm(
            f"{title}Duration",
            function.metric_duration(period=_PERIOD, statistic="p99"),
            threshold=0.8 * timeout.to_milliseconds(),
            lasting=3,
            description=f"One in a hundred invocations of {title} comes close to its timeout.",
        )

    def _alarm(
        self,
        name: str,
        metric: cloudwatch.Metric,
        *,
        threshold: float,
        lasting: int,
        description: str,
        is_silent: bool = False,
    ) -> cloudwatch.Alarm:
        """Goes off when `lasting` of the last three periods reach the threshold.

        With `lasting` 1 only the last period counts.
        """
        alarm = metric.create_alarm(
            self,
            name,
            alarm_description=f"{description} Runbook: {name}.",
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1 if lasting == 1 else 3,
            datapoints_to_alarm=lasting,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if not is_silent:
            alarm.add_alarm_action(actions.SnsAction(self.topic))
            alarm.add_ok_action(actions.SnsAction(self.topic))
        return alarm

    def _make_topic(self, email: str | None, key: kms.IKey | None) -> sns.Topic:
        topic = sns.Topic(
            self, "Topic", display_name="livemosaic alarms", enforce_ssl=True, master_key=key
        )
        if email:
            topic.add_subscription(subscriptions.EmailSubscription(email))
        # The policy that denies plain HTTP replaces the default one, which allows CloudWatch.
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("cloudwatch.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": cdk.Stack.of(self).account}},
            )
        )
        return topic
