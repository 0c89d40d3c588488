"""Runs the CDK CLI of this checkout."""

import json
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import IO, Final, Self

ROOT: Final = Path(__file__).resolve().parents[3]
_MAX_SHOWN: Final = 4000


class CdkError(Exception):
    """A CDK command failed; the message ends with the last part of its output."""


@dataclass(frozen=True, slots=True)
class Outputs:
    """Outputs of a deployment, named as in the service stack."""

    ApiUrl: str
    PublicUrl: str
    TileUrlTemplate: str
    TopicArn: str
    QueueUrl: str
    DeadLetterQueueUrl: str
    TableName: str

    @classmethod
    def read(cls, file: Path) -> Self:
        """Reads the file that `cdk deploy --outputs-file` writes: names and values by stack."""
        found = {k: v for stack in json.loads(file.read_text()).values() for k, v in stack.items()}
        return cls(**{field.name: found[field.name] for field in fields(cls)})


@dataclass(frozen=True, slots=True)
class Cdk:
    """The CDK CLI with the environment and context of every call."""

    environment: Mapping[str, str]
    context: Mapping[str, str]
    log: IO[str] | None = None
    """Receives the output of the command; None for the output of this process."""

    def run(self, *arguments: str) -> None:
        """Runs the command in the root of the checkout; raises `CdkError` if it fails."""
        given = [part for key, value in self.context.items() for part in ("-c", f"{key}={value}")]
        with TemporaryDirectory() as folder:  # concurrent runs must not share a cdk.out
            app = ("--app", f"{sys.executable} app.py", "--output", folder)
            self._run(ROOT, *arguments, *given, *app)

    def bootstrap(self, account: str, region: str) -> None:
        """Prepares a region of an account without synthesizing the app."""
        with TemporaryDirectory() as elsewhere:  # cdk.json names the app
            self._run(Path(elsewhere), "bootstrap", f"aws://{account}/{region}")

    def deploy(self, *arguments: str) -> Outputs:
        """Deploys all stacks without confirmation and returns their outputs."""
        with TemporaryDirectory() as folder:
            file = Path(folder) / "outputs.json"
            self.run(
                *("deploy", "--all", "--require-approval", "never", "--progress", "events"),
                *("--outputs-file", str(file), *arguments),
            )
            return Outputs.read(file)

    def _run(self, folder: Path, *arguments: str) -> None:
        start = Path(self.log.name).stat().st_size if self.log else 0
        done = subprocess.run(  # noqa: S603
            [str(ROOT / "node_modules/.bin/cdk"), *arguments, "--ci"],
            cwd=folder,
            env=dict(self.environment),
            stdout=self.log,
            stderr=self.log,
        )
        if done.returncode:
            raise CdkError(f"cdk {arguments[0]} failed{self._output_since(start)}")

    def _output_since(self, start: int) -> str:
        if self.log is None:
            return ""
        output = Path(self.log.name).read_bytes()[start:].decode(errors="replace")
        return f":\n{output[-_MAX_SHOWN:]}"
