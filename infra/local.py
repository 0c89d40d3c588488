"""The whole deployment on an emulated AWS on this machine: what `make aws-local` and tests use."""

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final

from infra.bundle import Target, build
from infra.cdk import Cdk, Outputs
from infra.emulator import REGION, Emulator, emulator

BUCKET: Final = "scenes"
"""Where COGs are put, and the tiler may read."""

Step = Callable[[str], AbstractContextManager[object]]
"""Says what is being done while it is entered."""


class NotHereError(Exception):
    """This machine cannot run what Lambda runs."""


@dataclass
class Account:
    """An emulated account with a deployment in it and a bucket of COGs."""

    aws: Emulator
    cdk: Cdk
    outputs: Outputs

    def put(self, path: Path) -> str:
        """Upload a COG; its href."""
        self.aws.client("s3").upload_file(str(path), BUCKET, path.name)
        return f"s3://{BUCKET}/{path.name}"

    def publish(self, message: Any, **attributes: str) -> None:
        """Publish to the deployed topic: an Item, or text as it is."""
        self.aws.client("sns").publish(
            TopicArn=self.outputs.TopicArn,
            Message=message if isinstance(message, str) else json.dumps(message),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def changed(self, **context: str) -> Cdk:
        """The CDK command with other settings."""
        return replace(self.cdk, context=dict(self.cdk.context) | context)


@contextmanager
def deployed(
    step: Step,
    log: IO[str],
    *,
    authorize: bool = False,
    context: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Account]:
    """From nothing to a deployment with these settings; all of it is gone afterwards.

    `log` gets what CDK says. BundleError, EmulatorError, CdkError and NotHereError say why not.
    """
    target = _this_machine()
    with step("Lambda bundle"):
        build(target)
    with emulator(authorize=authorize) as aws:
        own = {"architecture": target.architecture, "python": target.python, "buckets": BUCKET}
        yield _deploy(aws, Cdk(aws.environment, own | dict(context), log), step)


def _deploy(aws: Emulator, cdk: Cdk, step: Step) -> Account:
    with step("cdk bootstrap"):
        cdk.run("bootstrap")
    with step("cdk deploy"):
        outputs = cdk.deploy()
    aws.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return Account(aws, cdk, outputs)


def _this_machine() -> Target:
    """What the emulator's functions run on: this interpreter."""
    if sys.platform != "linux":
        raise NotHereError(
            f"Lambda's code is for Linux and this is {sys.platform}: use a virtual machine, or WSL"
        )
    arm = platform.machine() in ("aarch64", "arm64")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target("arm64" if arm else "x86_64", version)
