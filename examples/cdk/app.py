"""A CDK app of your own with a live mosaic of the scenes in a bucket.

pip install 'livemosaic[cdk]'
npx cdk deploy
"""

import aws_cdk as cdk
from aws_cdk import aws_s3 as s3
from aws_cdk import aws_sns as sns
from aws_cdk import aws_sns_subscriptions as subscriptions
from constructs import Construct

from livemosaic_cdk import Config, Livemosaic


class Maps(cdk.Stack):
    """Scenes in a bucket, a topic that says which are new, and their map."""

    def __init__(self, scope: Construct, name: str, *, on_call: str | None = None) -> None:
        super().__init__(scope, name)
        scenes = s3.Bucket(self, "Scenes", enforce_ssl=True)
        processed = sns.Topic(self, "Processed", enforce_ssl=True)

        maps = Livemosaic(
            self,
            "Livemosaic",
            Config(
                name="maps",
                tiler_concurrency=50,
                settings={"max_scenes": 40},
            ),
            assets=[scenes],
            topics=[processed],
        )
        if on_call:
            maps.alarm_topic.add_subscription(subscriptions.EmailSubscription(on_call))

        cdk.CfnOutput(self, "Url", value=maps.url)
        cdk.CfnOutput(self, "PublishItemsTo", value=processed.topic_arn)
        cdk.CfnOutput(self, "PutScenesInto", value=scenes.bucket_name)


app = cdk.App()
Maps(app, "maps", on_call=app.node.try_get_context("on_call"))
app.synth()
