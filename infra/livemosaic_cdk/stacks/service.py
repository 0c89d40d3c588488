"""The stateless, replaceable stack: events in, tiles out."""

from typing import Any, Final

import aws_cdk as cdk
from aws_cdk import aws_dynamodb as dynamodb
from aws_cdk import aws_s3 as s3
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.construct import Livemosaic
from livemosaic_cdk.stacks.edge import Edge

_CONSOLES: Final = {
    "aws": {"host": "console.aws.amazon.com"},
    "aws-us-gov": {"host": "console.amazonaws-us-gov.com"},
    "aws-cn": {"host": "console.amazonaws.cn"},
}


class Service(cdk.Stack):
    """All resources except the table and the bucket of overviews."""

    def __init__(
        self,
        scope: Construct,
        name: str,
        *,
        config: Config,
        table: dynamodb.ITable | None,
        overviews: s3.IBucket | None,
        edge: Edge | None,
        **stack: Any,
    ) -> None:
        """`table` and `overviews` are the data stack's; None for what `config` names."""
        super().__init__(scope, name, **stack)
        # CDK leaves the name "Default" out of logical ids.
        self.mosaics = Livemosaic(
            self,
            "Default",
            config,
            table=table,
            overviews=overviews,
            certificate=edge.certificate if edge else None,
            web_acl=edge.web_acl if edge else None,
        )
        self._add_outputs(self.mosaics)

    def _add_outputs(self, made: Livemosaic) -> None:
        tiles = f"{made.public_url}/mosaics/MOSAIC/tiles/WebMercatorQuad/{{z}}/{{x}}/{{y}}"
        outputs = {
            "ApiUrl": (made.url, "Base URL of the API, for the command and for writes"),
            "PublicUrl": (made.public_url, "URL by which clients come"),
            "TileUrlTemplate": (tiles, "For map clients; replace MOSAIC with a mosaic's id"),
            "TopicArn": (made.topic.topic_arn, "Publish STAC Items here"),
            "QueueUrl": (made.queue.queue_url, "Pending events"),
            "DeadLetterQueueUrl": (made.dead_letters.queue_url, "Failed events"),
            "TableName": (
                made.table.table_name,
                "The index of mosaics; retained when the stack is deleted",
            ),
            "AlarmTopicArn": (made.alarm_topic.topic_arn, "Subscribe to this to hear of alarms"),
            "DashboardUrl": (self._dashboard_url(made), "Graphs of the whole deployment"),
        }
        if made.cdn:
            distribution = made.cdn.distribution
            outputs["CdnDomainName"] = (
                distribution.distribution_domain_name,
                "Where the domain has to lead",
            )
            outputs["CdnDistributionId"] = (
                distribution.distribution_id,
                "The CloudFront distribution",
            )
        if made.signing_key:
            outputs["SigningKeyArn"] = (made.signing_key.arn, "Secret that signs access tokens")
        if made.overviews:
            outputs["OverviewBucket"] = (
                made.overviews.place,
                "Overviews; the bucket is retained when the stacks are deleted",
            )
            outputs["OverviewDeadLetterQueueUrl"] = (
                made.overviews.hints.dead_letters.queue_url,
                "Hints whose overviews could not be built",
            )
        if made.loading:
            machine = made.loading.machine.state_machine_arn
            outputs["LoadMachineArn"] = (machine, "livemosaic load --machine")
            outputs["LoadFolder"] = (made.loading.place, "livemosaic load --work")
        for name, (value, description) in outputs.items():
            cdk.CfnOutput(self, name, value=value, description=description)

    def _dashboard_url(self, made: Livemosaic) -> str:
        hosts = cdk.CfnMapping(self, "Consoles", mapping=_CONSOLES)  # each partition has its own
        console = f"{self.region}.{hosts.find_in_map(cdk.Aws.PARTITION, 'host')}"
        query = f"region={self.region}#dashboards/dashboard/{made.dashboard.dashboard_name}"
        return f"https://{console}/cloudwatch/home?{query}"
