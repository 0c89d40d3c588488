"""Where events arrive: topics, a queue, and a queue for what never succeeds."""

import aws_cdk as cdk
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from aws_cdk import aws_sqs as sqs
from constructs import Construct

from infra.config import Topic

ATTEMPTS = 5
"""Deliveries of one message before it is a dead letter."""


class Inbox(Construct):
    """SNS → SQS. Raw delivery stays off: SQS drops a raw message of more than ten attributes."""

    def __init__(self, scope: Construct, name: str, *, visibility_s: int) -> None:
        super().__init__(scope, name)
        self.worst_age_s = ATTEMPTS * visibility_s
        """How old a message grows that always fails, before it is a dead letter."""
        self.dead_letters = sqs.Queue(
            self,
            "DeadLetters",
            # A dead letter keeps its age, so this must be longer than the other queue's.
            retention_period=cdk.Duration.days(14),
            encryption=sqs.QueueEncryption.SQS_MANAGED,
            enforce_ssl=True,
        )
        self.queue = sqs.Queue(
            self,
            "Queue",
            visibility_timeout=cdk.Duration.seconds(visibility_s),
            retention_period=cdk.Duration.days(4),
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
