"""The CDK command of this checkout, run for somebody."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, Self

ROOT: Final = Path(__file__).resolve().parent.parent
_TOLD: Final = 4000


class CdkError(Exception):
    """A CDK command failed; the message is the end of what it said."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """What a deployment tells, as the service stack names it."""

    ApiUrl: str
    TileUrlTemplate: str
    TopicArn: str
    QueueUrl: str
    DeadLetterQueueUrl: str
    TableName: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """From the file that `cdk deploy --outputs-file` wrote: names and values by stack."""
        found = {k: v for stack in json.loads(file.read_text()).values() for k, v in stack.items()}
        return cls(**{field.name: found[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Cdk:
    """The command with all that every call of it needs."""

    environment: Mapping[str, str]
    context: Mapping[str, str]
    log: IO[str] | None = None
    """Where its output goes; this process's own if None."""

    def run(self, *arguments: str) -> None:
        """Run it from the top of the checkout; CdkError if it fails."""
        given = [part for key, value in self.context.items() for part in ("-c", f"{key}={value}")]
        start = Path(self.log.name).stat().st_size if self.log else 0
        with TemporaryDirectory() as folder:  # two at once must not share their cdk.out
            command = [
                *(str(ROOT / "node_modules/.bin/cdk"), *arguments, *given),
                *("--app", f"{sys.executable} app.py", "--output", folder, "--ci"),
            ]
            done = subprocess.run(  # noqa: S603
                command, cwd=ROOT, env=dict(self.environment), stdout=self.log, stderr=self.log
            )
        if done.returncode:
            raise CdkError(f"cdk {arguments[0]} failed{self._said_since(start)}")

    def deploy(self, *arguments: str) -> Outputs:
        """Deploy all stacks without asking."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "outputs.json"
            self.run(
                *("deploy", "--all", "--require-approval", "never", "--progress", "events"),
                *("--outputs-file", str(file), *arguments),
            )
            return Outputs.read(file)

    def _said_since(self, start: int) -> str:
        if self.log is None:
            return ""
        said = Path(self.log.name).read_bytes()[start:].decode(errors="replace")
        return f":\n{said[-_TOLD:]}"
