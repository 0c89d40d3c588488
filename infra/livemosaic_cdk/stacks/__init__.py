"""The stacks of one deployment."""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from livemosaic_cdk.config import Config
from livemosaic_cdk.stacks.data import Data
from livemosaic_cdk.stacks.service import Service


def build(app: cdk.App, config: Config) -> Service:
    """Creates both stacks, or only the service stack if it adopts a table.

    cdk-nag checks them during synthesis.
    """
    cdk.Validations.of(app).add_plugins(AwsSolutionsChecks(app))
    for key, value in config.all_tags.items():
        cdk.Tags.of(app).add(key, value)
    place = cdk.Environment(account=config.account, region=config.region)
    data = None if config.table else _data(app, config, place)
    return Service(
        app,
        f"{config.name}-service",
        config=config,
        table=data.table if data else None,
        overviews=data.overviews if data else None,
        description="livemosaic: events in, tiles out",
        env=place,
    )


def _data(app: cdk.App, config: Config, place: cdk.Environment) -> Data:
    return Data(
        app,
        f"{config.name}-data",
        config=config,
        description="livemosaic: the table, which is retained when this stack is deleted",
        env=place,
    )
