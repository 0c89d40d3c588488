"""The stateful stack: a table, and a bucket of overviews; both are retained when it is deleted."""

from typing import Any

import aws_cdk as cdk
from constructs import Construct

from livemosaic_cdk.config import Config
from livemosaic_cdk.parts.code import publish
from livemosaic_cdk.parts.store import make_bucket, make_table


class Data(cdk.Stack):
    """The table, and a bucket of overviews.

    The stack has no termination protection, so that `cdk destroy` works.
    """

    def __init__(self, scope: Construct, name: str, *, config: Config, **stack: Any) -> None:
        super().__init__(scope, name, **stack)
        # This stack is deployed first and publishes the code, although only the service stack uses
        # it: a bundle that cannot be built stops the deployment before any resource is created.
        publish(self, config.target)
        self.table = make_table(self, "Table", config)
        has_bucket = config.overviews and config.overview_bucket is None
        self.overviews = make_bucket(self, "Overviews", config) if has_bucket else None
