"""The Lambdas of overviews: `handler` builds, on hints; `sweep` runs on a schedule."""

import os
from functools import partial

from livemosaic.process import keep_freed, starting

with starting():
    from livemosaic import logs
    from livemosaic.ingest.redelivery import Redelivery
    from livemosaic.overviews.functions import Building, Sweep
    from livemosaic.overviews.hints import HintQueue
    from livemosaic.services import build, building
    from livemosaic.settings import Settings

    logs.configure(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    keep_freed()
    services = build(Settings())
    settings = services.settings

    region = os.environ.get("AWS_REGION", "")
    hints = HintQueue.open(settings.overview_hints, region)
    handler = Building(
        partial(building, services), Redelivery.open(region), hints, settings.metrics
    )
    sweep = Sweep(services.index, hints, services.index.pool, settings.metrics)
