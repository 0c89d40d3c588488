"""Entry point of events: topics, EventBridge rules, a queue and its dead-letter queue."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_kms as kms
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from livemosaic_cdk.parts.grants import encryption
from livemosaic_cdk.sources import Bus, ItemBucket, Topic

ATTEMPTS = 5
"""Deliveries of one message before SQS moves it to the dead-letter queue."""
RETENTION_DAYS = 14
"""Retention of events and of dead letters: the maximum of SQS.

What expires in the queue is lost, and becomes no dead letter. An event that SQS moves keeps its
age: if it had waited for N days, of which the alarm `OldestMessage` tells from the first hour on,
its dead letter lives for 14 - N days. Dead letters that the function sends live for 14.
"""
DEAD_LETTER_LATE_DAYS = 5
"""Age of a dead letter, in days, that nobody seems to handle."""


class Inbox(Construct):
    """Queues that receive events from SNS, S3 and EventBridge.

    Raw delivery of SNS stays off: SQS drops raw messages with more than ten attributes.
    """

    def __init__(
        self, scope: Construct, name: str, *, visibility_s: int, key: kms.IKey | None
    ) -> None:
        super().__init__(scope, name)
        self.worst_age_s = ATTEMPTS * visibility_s
        """Age of a message that always fails when it becomes a dead letter."""
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=cdk.Duration.days(RETENTION_DAYS),
            enforce_ssl=True,
            **encryption(key),
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=cdk.Duration.seconds(visibility_s),
            retention_period=cdk.Duration.days(RETENTION_DAYS),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=ATTEMPTS
            ),
            enforce_ssl=True,
            **encryption(key),
        )
        self.topic = sns.Topic(
            self, "Topic", display_name="STAC Items", enforce_ssl=True, master_key=key
        )
        self.topic.add_subscription(subscriptions.SqsSubscription(self.queue))

    def subscribe(self, topic: Topic) -> None:
        """Subscribes the queue to an existing topic, whose policy must allow this account."""
        allowed = self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("sns.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": topic.arn}},
            )
        )
        # Not SqsSubscription, which has its own classes for filter policies.
        subscription = sns.CfnSubscription(
            self,
            f"From {topic.arn}",
            topic_arn=topic.arn,
            protocol="sqs",
            endpoint=self.queue.queue_arn,
            filter_policy=topic.filter_policy,
            filter_policy_scope=topic.filter_policy_scope if topic.filter_policy else None,
        )
        if allowed.policy_dependable:  # otherwise the first messages would be refused
            subscription.node.add_dependency(allowed.policy_dependable)

    def subscribe_bucket(self, bucket: ItemBucket) -> None:
        """Receives events about the objects of a bucket, by EventBridge or S3 notifications.

        The owner must turn on one of them in the bucket: EventBridge, or notifications to the
        queue.
        """
        stack = cdk.Stack.of(self)
        self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("s3.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={
                    "ArnEquals": {"aws:SourceArn": f"arn:{stack.partition}:s3:::{bucket.name}"},
                    "StringEquals": {"aws:SourceAccount": bucket.account or stack.account},
                },
            )
        )
        self._rule(
            f"Objects of {bucket.name}/{bucket.keys}",
            events.EventPattern(
                source=["aws.s3"],
                detail_type=["Object Created", "Object Deleted"],
                detail={
                    "bucket": {"name": [bucket.name]},
                    "object": {"key": [{"wildcard": bucket.keys}]},
                },
            ),
        )

    def subscribe_bus(self, bus: Bus) -> None:
        """Receives the events of a bus that match its `sources` and `detail_types`."""
        name = f"Events of {bus.name} {bus.sources} {bus.detail_types}"
        self._rule(
            name,
            events.EventPattern(
                source=[*bus.sources] or None, detail_type=[*bus.detail_types] or None
            ),
            events.EventBus.from_event_bus_name(self, f"{name} bus", bus.name),
        )

    def _rule(
        self, name: str, pattern: events.EventPattern, bus: events.IEventBus | None = None
    ) -> None:
        """Sends matching events to the queue.

        EventBridge retries for a day; after that, the event becomes a dead letter.
        """
        target = targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)
        events.Rule(self, name, event_pattern=pattern, event_bus=bus, targets=[target])
