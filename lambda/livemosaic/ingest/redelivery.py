"""Messages that wait for a document to appear are delivered again soon."""

import logging
from collections.abc import Mapping
from functools import lru_cache
from typing import Any, Final, Self

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError

log = logging.getLogger(__name__)

_FIRST_S: Final = 20
_LONGEST_S: Final = 160


class Redelivery:
    """Shortens how long messages of SQS stay hidden. Thread-safe.

    Lambda leaves the messages that a run reports as failed hidden until their visibility timeout
    ends (Lambda Developer Guide, "Backoff strategy for failed invocations").
    """

    def __init__(self, client: Any) -> None:
        self._client = client
        self._url = lru_cache(8)(self._queue_url)

    @classmethod
    def open(cls, region: str) -> Self:
        """Returns the redelivery of queues in a region, with its own client."""
        config = Config(
            connect_timeout=2, read_timeout=5, retries={"mode": "standard", "total_max_attempts": 2}
        )
        return cls(boto3.Session(region_name=region).client("sqs", config=config))

    def soon(self, record: Mapping[str, Any]) -> None:
        """Shows a message of an SQS event, in Lambda's format, again after 20 s, 40 s, 80 s, …

        Where that fails it is logged, and the queue shows the message again in its own time.
        """
        received = int(record.get("attributes", {}).get("ApproximateReceiveCount", 1))
        self.after(record, min(_FIRST_S * 2 ** (max(received, 1) - 1), _LONGEST_S))

    def after(self, record: Mapping[str, Any], pause_s: int) -> None:
        """Shows a message again after some seconds; where that fails it is as for `soon`."""
        try:
            self._client.change_message_visibility(
                QueueUrl=self._url(record["eventSourceARN"]),
                ReceiptHandle=record["receiptHandle"],
                VisibilityTimeout=pause_s,
            )
        except (ClientError, BotoCoreError, KeyError):
            log.exception("message not shown again soon", extra={"message_id": record["messageId"]})

    def _queue_url(self, arn: str) -> str:
        """Returns the URL of a queue by `arn:{partition}:sqs:{region}:{account}:{name}`."""
        *_, account, name = arn.split(":")
        answer = self._client.get_queue_url(QueueName=name, QueueOwnerAWSAccountId=account)
        return str(answer["QueueUrl"])
