"""The import: DynamoDB makes a new table of the files that a load wrote."""

import hashlib
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import boto3

from livemosaic.load.machine import LoadError, call
from livemosaic.load.work import DATA
from livemosaic.table.dynamodb import SCHEMA

_POLL_S: Final = 2.0


@dataclass(frozen=True, slots=True)
class ImportState:
    """How far an import is."""

    status: str
    """As DynamoDB names it: `IN_PROGRESS`, `COMPLETED`, `FAILED`, `CANCELLING` or `CANCELLED`."""
    processed: int
    imported: int
    errors: int
    reason: str = ""


class TableImport:
    """An import into a new table."""

    def __init__(self, region: str, table: str, client: Any = None) -> None:
        """`client` is a client of boto3 for DynamoDB."""
        self.table = table
        self._client = client or boto3.Session(region_name=region).client("dynamodb")

    def exists(self) -> bool:
        """Returns whether there is a table of that name."""
        try:
            call(self._client, "describe_table", TableName=self.table)
        except LoadError as error:
            if "ResourceNotFoundException" in str(error):
                return False
            raise
        return True

    def begin(self, bucket: str, prefix: str, *, key: str | None = None) -> str:
        """Starts an import of the load at a place in S3; returns its ARN.

        It is one import, however often it is started. `key` is the ARN of the KMS key that encrypts
        the table. Raises `LoadError` where there is a table of that name.
        """
        token = hashlib.sha256(f"{self.table} {bucket}/{prefix}".encode()).hexdigest()[:36]
        own = {"SSESpecification": _encrypted(key)} if key else {}
        answer = call(
            self._client,
            "import_table",
            ClientToken=token,
            S3BucketSource={"S3Bucket": bucket, "S3KeyPrefix": f"{prefix}/{DATA}"},
            InputFormat="DYNAMODB_JSON",
            InputCompressionType="GZIP",
            TableCreationParameters={"TableName": self.table, **SCHEMA, **own},
        )
        arn: str = answer["ImportTableDescription"]["ImportArn"]
        return arn

    def state(self, arn: str) -> ImportState:
        """Returns how far an import is."""
        found = call(self._client, "describe_import", ImportArn=arn)["ImportTableDescription"]
        return ImportState(
            found["ImportStatus"],
            found.get("ProcessedItemCount", 0),
            found.get("ImportedItemCount", 0),
            found.get("ErrorCount", 0),
            f"{found.get('FailureCode', '')} {found.get('FailureMessage', '')} "
            f"(log group {found.get('CloudWatchLogGroupArn', '')})",
        )

    def follow(self, arn: str, rows: int, done: Callable[[int], None]) -> None:
        """Waits for an import, and checks that all rows are there. Raises `LoadError`.

        `done` is called with the number of rows that DynamoDB has processed.
        """
        while (state := self.state(arn)).status == "IN_PROGRESS":
            done(state.processed)
            time.sleep(_POLL_S)
        done(state.processed)
        if state.status != "COMPLETED" or state.errors or state.imported != rows:
            raise LoadError(
                f"the import of {self.table!r} ended as {state.status}: {state.imported:,} of "
                f"{rows:,} rows are there, {state.errors:,} were refused: {state.reason.strip()}; "
                "delete that table, and give the same command to begin the import anew"
            )

    def protect(self) -> None:
        """Turns on what a deployment's own table has: expiry of rows, backups, protection."""
        name = self.table
        ttl = {"Enabled": True, "AttributeName": "expires"}
        backups = {"PointInTimeRecoveryEnabled": True}
        found = call(self._client, "describe_time_to_live", TableName=name)
        status = found["TimeToLiveDescription"].get("TimeToLiveStatus")
        if status not in ("ENABLED", "ENABLING"):
            call(self._client, "update_time_to_live", TableName=name, TimeToLiveSpecification=ttl)
        call(
            self._client,
            "update_continuous_backups",
            TableName=name,
            PointInTimeRecoverySpecification=backups,
        )
        call(self._client, "update_table", TableName=name, DeletionProtectionEnabled=True)


def _encrypted(key: str) -> dict[str, Any]:
    return {"Enabled": True, "SSEType": "KMS", "KMSMasterKeyId": key}
