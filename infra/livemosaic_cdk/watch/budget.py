"""A monthly budget of the account: tells when its costs come close to a limit, or will pass it."""

from typing import Final

import aws_cdk as cdk
from aws_cdk import aws_budgets as budgets
from aws_cdk import aws_iam as iam
from aws_cdk import aws_sns as sns
from constructs import Construct

_NOTICES: Final = (("ACTUAL", 50), ("ACTUAL", 80), ("ACTUAL", 100), ("FORECASTED", 100))
"""What is compared with the budget, and percent of it."""


class Budget(Construct):
    """Notices of the costs of the whole account, sent to a topic.

    Not only of this deployment: costs by tag are known only where somebody has activated the tag in
    Billing, and a budget that sees nothing never tells.
    """

    def __init__(self, scope: Construct, name: str, *, dollars: float, topic: sns.Topic) -> None:
        super().__init__(scope, name)
        account = cdk.Stack.of(self).account
        topic.add_to_resource_policy(
            iam.PolicyStatement(
                principals=[iam.ServicePrincipal("budgets.amazonaws.com")],
                actions=["sns:Publish"],
                resources=[topic.topic_arn],
                conditions={"StringEquals": {"aws:SourceAccount": account}},
            )
        )
        hearer = budgets.CfnBudget.SubscriberProperty(
            address=topic.topic_arn, subscription_type="SNS"
        )
        made = budgets.CfnBudget(
            self,
            "Budget",
            budget=budgets.CfnBudget.BudgetDataProperty(
                budget_type="COST",
                time_unit="MONTHLY",
                budget_limit=budgets.CfnBudget.SpendProperty(amount=dollars, unit="USD"),
            ),
            notifications_with_subscribers=[
                budgets.CfnBudget.NotificationWithSubscribersProperty(
                    notification=budgets.CfnBudget.NotificationProperty(
                        comparison_operator="GREATER_THAN",
                        notification_type=kind,
                        threshold=percent,
                        threshold_type="PERCENTAGE",
                    ),
                    subscribers=[hearer],
                )
                for kind, percent in _NOTICES
            ],
        )
        # Budgets tests the topic as it is created (Cost Management, "Creating an SNS topic").
        if topic.node.find_child("Policy"):
            made.node.add_dependency(topic.node.find_child("Policy"))
