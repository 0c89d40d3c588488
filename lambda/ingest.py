"""The ingestion Lambda: SQS batches in, the messages that failed out."""

from concurrent.futures import ThreadPoolExecutor

from livemosaic import logs, sqs
from livemosaic.services import build
from livemosaic.settings import Settings

logs.configure()
services = build(Settings())
handler = sqs.handler(services.ingest, ThreadPoolExecutor(8, thread_name_prefix="ingest"))
