"""The ingestion Lambda: SQS batches in, the messages that failed out."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from livemosaic import logs
from livemosaic.events import sqs_messages
from livemosaic.services import build
from livemosaic.settings import Settings

logs.configure()
services = build(Settings())
_pool = ThreadPoolExecutor(8, thread_name_prefix="ingest")


def handler(event: Mapping[str, Any], _context: object) -> dict[str, Any]:
    """Apply a batch and answer with its failures, each alone (`ReportBatchItemFailures`)."""
    outcomes = services.ingest.batch(sqs_messages(event), pool=_pool)
    failed = [{"itemIdentifier": outcome.message_id} for outcome in outcomes if not outcome.ok]
    return {"batchItemFailures": failed}
