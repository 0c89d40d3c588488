"""Where events arrive: topics and rules, a queue, and a queue for what never succeeds."""

import aws_cdk as cdk
from aws_cdk import aws_events as events
from aws_cdk import aws_events_targets as targets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.sources import Bus, ItemBucket, Topic

ATTEMPTS = 5
"""Deliveries of one message before it is a dead letter."""
EVENT_DAYS = 4
"""How long events wait, if nothing takes them."""
DEAD_LETTER_DAYS = 14
"""As long as SQS keeps any message."""


class Inbox(Construct):
    """SNS, S3 and EventBridge → SQS.

    Raw delivery of SNS stays off: SQS drops a raw message of more than ten attributes.
    """

    def __init__(self, scope: Construct, name: str, *, visibility_s: int) -> None:
        super().__init__(scope, name)
        self.worst_age_s = ATTEMPTS * visibility_s
        """How old a message grows that always fails, before it is a dead letter."""
        self.safe_days = DEAD_LETTER_DAYS - EVENT_DAYS
        """How long every dead letter is there at least: one that SQS moved keeps its age, but the
        age that CloudWatch tells begins anew (SQS Developer Guide, "Setting-up dead-letter queue
        retention")."""
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            retention_period=cdk.Duration.days(DEAD_LETTER_DAYS),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=cdk.Duration.seconds(visibility_s),
            retention_period=cdk.Duration.days(EVENT_DAYS),
            dead_letter_queue=sqs.DeadLetterQueue(
                queue=self.dead_letters, max_receive_count=ATTEMPTS
            ),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.topic = sns.Topic(self, "Topic", display_name="STAC Items", enforce_ssl=True)
        self.topic.add_subscription(subscriptions.SqsSubscription(self.queue))

    def subscribe(self, topic: Topic) -> None:
        """Hear a topic of somebody else, who must let this account subscribe to it."""
        allowed = self.queue.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("sns.amazonaws.com")],
                actions=["sqs:SendMessage"],
                resources=[self.queue.queue_arn],
                conditions={"ArnEquals": {"aws:SourceArn": topic.arn}},
            )
        )
        # Not by SqsSubscription, which takes a filter policy in words of its own.
        subscription = sns.CfnSubscription(
            self,
            f"From {topic.arn}",
            topic_arn=topic.arn,
            protocol="sqs",
            endpoint=self.queue.queue_arn,
            filter_policy=topic.filter_policy,
            filter_policy_scope=topic.filter_policy_scope if topic.filter_policy else None,
        )
        if allowed.policy_dependable:  # else the first messages would be refused
            subscription.node.add_dependency(allowed.policy_dependable)

    def hear_bucket(self, bucket: ItemBucket) -> None:
        """Hear of the objects of a bucket, whichever way its owner chooses to send it.

        Either way must be turned on in the bucket: EventBridge, or notifications to our queue.
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

    def hear_bus(self, bus: Bus) -> None:
        """Hear those events of a bus that are about Items."""
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
        """EventBridge tries for a day to put an event into the queue, then it is a dead letter."""
        target = targets.SqsQueue(self.queue, dead_letter_queue=self.dead_letters)
        events.Rule(self, name, event_pattern=pattern, event_bus=bus, targets=[target])
