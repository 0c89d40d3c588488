"""CloudWatch alarms. Missing data does not raise an alarm: a mosaic without visitors has none."""

from collections.abc import Mapping

import aws_cdk as cdk
from aws_cdk import aws_apigatewayv2 as apigatewayv2
from aws_cdk import aws_cloudwatch as cloudwatch
from aws_cdk import aws_cloudwatch_actions as actions
from aws_cdk import aws_iam as iam
from aws_cdk import aws_lambda as lambda_
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from infra.inbox import Inbox

_PERIOD = cdk.Duration.minutes(5)


class Alarms(Construct):
    """Alarms on the queues, functions and API of a deployment, mailed to `email` if it is given."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        inbox: Inbox,
        functions: Mapping[str, lambda_.Function],
        api: apigatewayv2.HttpApi,
        email: str | None,
    ) -> None:
        super().__init__(scope, name)
        self._recipient = self._mail(email) if email else None
        self._watch_inbox(inbox)
        for title, function in functions.items():
            self._watch_function(title, function)
        self._alarm(
            "ApiErrors",
            api.metric_server_error(period=_PERIOD, statistic="Sum"),
            threshold=10,
            lasting=2,
            description="The API returns 5xx: see its access log and the logs of the functions.",
        )

    def _watch_inbox(self, inbox: Inbox) -> None:
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
            threshold=cdk.Duration.days(inbox.safe_days // 2).to_seconds(),
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
            description=f"{title} needs more concurrency than the account has.",
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
    ) -> None:
        """Goes off when `lasting` of the last three periods reach the threshold.

        With `lasting` 1 only the last period counts.
        """
        alarm = metric.create_alarm(
            self,
            name,
            alarm_description=description,
            threshold=threshold,
            comparison_operator=cloudwatch.ComparisonOperator.GREATER_THAN_OR_EQUAL_TO_THRESHOLD,
            evaluation_periods=1 if lasting == 1 else 3,
            datapoints_to_alarm=lasting,
            treat_missing_data=cloudwatch.TreatMissingData.NOT_BREACHING,
        )
        if self._recipient:
            alarm.add_alarm_action(actions.SnsAction(self._recipient))
            alarm.add_ok_action(actions.SnsAction(self._recipient))

    def _mail(self, email: str) -> sns.Topic:
        topic = sns.Topic(self, "Topic", display_name="livemosaic alarms", enforce_ssl=True)
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
