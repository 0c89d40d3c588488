"""The stacks of one deployment."""

import aws_cdk as cdk
from cdk_nag import AwsSolutionsChecks

from livemosaic_cdk.config import Config, ConfigError
from livemosaic_cdk.stacks.data import Data
from livemosaic_cdk.stacks.edge import REGION, Edge
from livemosaic_cdk.stacks.service import Service


def build(app: cdk.App, config: Config) -> Service:
    """Creates the stacks: service, data unless a table is adopted, edge where the CDN needs it.

    cdk-nag checks them during synthesis. Raises `ConfigError` for an edge without a region.
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
        edge=_edge(app, config) if config.has_edge else None,
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


def _edge(app: cdk.App, config: Config) -> Edge:
    if config.region is None:
        raise ConfigError(f"no region is set, and what {REGION} has is for another: -c region=…")
    return Edge(
        app,
        f"{config.name}-edge",
        config=config,
        description="livemosaic: what CloudFront takes from us-east-1 alone",
        env=cdk.Environment(account=config.account, region=REGION),
    )
