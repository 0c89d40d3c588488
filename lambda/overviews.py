"""The Lambdas of overviews: `handler` builds, on hints; `sweep` runs on a schedule."""

import os
from collections.abc import Callable
from functools import partial
from typing import Any

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
    handler: Callable[[Any, Any], Any] = Building(
        partial(building, services), Redelivery.open(region), hints, settings.metrics
    )
    sweep: Callable[[Any, Any], Any] = Sweep(
        services.index, hints, services.index.pool, settings.metrics
    )
    if settings.traces:
        from livemosaic.telemetry.otlp import tracer_of

        handler = tracer_of(settings).traced(handler, "build overviews")
        sweep = tracer_of(settings).traced(sweep, "sweep overviews", "internal")
