"""The Lambdas of scheduled archives: `handler` runs a step of one; `start` runs on a schedule."""

import os

import boto3

from livemosaic.process import keep_freed, starting

with starting():
    from livemosaic import logs
    from livemosaic.export.jobs.steps import ExportStarter, ExportSteps
    from livemosaic.export.tiles.store import ArchiveStore
    from livemosaic.services import build
    from livemosaic.settings import Settings

    logs.configure(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    keep_freed()
    services = build(Settings())
    settings = services.settings
    store = ArchiveStore(settings.archives)

    handler = ExportSteps(services.mosaics, services.publisher(), store, boto3.client("s3"))
    start = ExportStarter(
        services.mosaics,
        store,
        os.environ.get("LIVEMOSAIC_EXPORT_MACHINE", ""),
        os.environ.get("LIVEMOSAIC_EXPORT_WORK", ""),
        boto3.client("stepfunctions"),
        settings.metrics,
    )
