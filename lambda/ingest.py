"""The ingestion Lambda: SQS batches in, the messages that failed out."""

import os
from concurrent.futures import ThreadPoolExecutor
from functools import cache

from livemosaic.process import starting

with starting():
    from livemosaic import logs
    from livemosaic.ingest import sqs
    from livemosaic.ingest.dead_letters import DeadLetterQueue
    from livemosaic.ingest.redelivery import Redelivery
    from livemosaic.overviews.hints import HintQueue, announcing
    from livemosaic.services import build
    from livemosaic.settings import Settings

    logs.configure(os.environ.get("AWS_LAMBDA_LOG_LEVEL", "INFO"))
    services = build(Settings())
    url = services.settings.dead_letters

    @cache
    def dead_letters() -> DeadLetterQueue:
        """Returns the queue, opened for the first dead letter: its client takes 0.1 s to make."""
        return DeadLetterQueue.open(url, os.environ["AWS_REGION"])

    @cache
    def redelivery() -> Redelivery:
        """Returns it, opened for the first message that has to wait."""
        return Redelivery.open(os.environ["AWS_REGION"])

    @cache
    def hints() -> HintQueue:
        """Returns it, opened for the first change of a mosaic with overviews."""
        return HintQueue.open(services.settings.overview_hints, os.environ["AWS_REGION"])

    handler = sqs.handler(
        services.ingest,
        ThreadPoolExecutor(8, thread_name_prefix="ingest"),
        (lambda letters: dead_letters().send(letters)) if url else None,
        lambda record: redelivery().soon(record),
        services.settings.metrics,
        announcing(services.ingest, hints) if services.settings.overview_hints else None,
    )
    if services.settings.traces:
        from livemosaic.telemetry.otlp import tracer_of

        handler = tracer_of(services.settings).traced(handler, "process events")
