"""The ingestion Lambda: SQS batches in, the messages that failed out."""

import gc

gc.disable()  # nothing that a start makes is garbage, and looking for it takes a tenth of the time

import os  # noqa: E402
from concurrent.futures import ThreadPoolExecutor  # noqa: E402
from functools import cache  # noqa: E402

from livemosaic import logs  # noqa: E402
from livemosaic.ingest import sqs  # noqa: E402
from livemosaic.ingest.dead_letters import DeadLetterQueue  # noqa: E402
from livemosaic.services import build  # noqa: E402
from livemosaic.settings import Settings  # noqa: E402

logs.configure()
services = build(Settings())
url = services.settings.dead_letters


@cache
def dead_letters() -> DeadLetterQueue:
    """Made for the first of them: a client of SQS takes a tenth of a second, and most runs none."""
    return DeadLetterQueue.open(url, os.environ["AWS_REGION"])


handler = sqs.handler(
    services.ingest,
    ThreadPoolExecutor(8, thread_name_prefix="ingest"),
    (lambda letters: dead_letters().send(letters)) if url else None,
)
gc.freeze()  # all of it stays, so no later collection looks at it either
gc.enable()
