"""The ingestion Lambda: SQS batches in, the messages that failed out."""

import gc

gc.disable()  # nothing that a start makes is garbage, and looking for it takes a tenth of the time

from concurrent.futures import ThreadPoolExecutor  # noqa: E402

from livemosaic import logs, sqs  # noqa: E402
from livemosaic.services import build  # noqa: E402
from livemosaic.settings import Settings  # noqa: E402

logs.configure()
services = build(Settings())
handler = sqs.handler(services.ingest, ThreadPoolExecutor(8, thread_name_prefix="ingest"))
gc.freeze()  # all of it stays, so no later collection looks at it either
gc.enable()
