"""The Lambdas of overviews: `handler` builds, on hints; `sweep` runs on a schedule."""

import os
from functools import cache, partial
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

    @cache
    def redelivery() -> Redelivery:
        """Returns it, opened for the first hint that has to wait."""
        return Redelivery.open(os.environ["AWS_REGION"])

    @cache
    def sweeping() -> Sweep:
        """Returns the sweep, opened for the first event: the builder needs no queue to send to."""
        queue = HintQueue.open(settings.overview_hints, os.environ["AWS_REGION"])
        return Sweep(services.index, queue, services.index.pool, settings.metrics)

    handler = Building(
        partial(building, services), lambda record: redelivery().soon(record), settings.metrics
    )

    def sweep(event: Any, context: Any) -> dict[str, int]:
        """Sends hints of what is overdue."""
        return sweeping()(event, context)
