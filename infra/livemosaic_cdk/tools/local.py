"""A complete deployment to an emulated AWS on this machine, for `make aws-local` and tests."""

import json
import platform
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from types import MappingProxyType
from typing import IO, Any, Final
from urllib.parse import urlsplit

from livemosaic_cdk.bundle import Target, build
from livemosaic_cdk.tools.cdk import Cdk, Outputs
from livemosaic_cdk.tools.emulator import REGION, Emulator, emulator

BUCKET: Final = "scenes"
"""Bucket of the COGs, which the tiler may read."""

Step = Callable[[str], AbstractContextManager[object]]
"""Shows the name of a step while its context is open."""


class NotHereError(Exception):
    """This machine cannot run Lambda's code."""


@dataclass
class Account:
    """An emulated account with a deployment and a bucket of COGs."""

    aws: Emulator
    cdk: Cdk
    outputs: Outputs

    def put(self, path: Path) -> str:
        """Uploads a COG and returns its href."""
        self.aws.client("s3").upload_file(str(path), BUCKET, path.name)
        return f"s3://{BUCKET}/{path.name}"

    @property
    def url(self) -> str:
        """URL of the API by an address: systems and browsers differ in names below `localhost`."""
        api = urlsplit(self.outputs.ApiUrl).netloc.partition(".")[0]
        return f"{self.aws.url}/_aws/execute-api/{api}"

    def link(self) -> None:
        """Lets the API begin its links with `url`: API Gateway itself would have no port."""
        functions = self.aws.client("lambda")
        for made in functions.list_functions()["Functions"]:
            known = made["Environment"]["Variables"] | {"LIVEMOSAIC_PUBLIC_URL": self.url}
            functions.update_function_configuration(
                FunctionName=made["FunctionName"], Environment={"Variables": known}
            )

    def publish(self, message: Any, **attributes: str) -> None:
        """Publishes an Item as JSON, or text unchanged, to the deployed topic."""
        self.aws.client("sns").publish(
            TopicArn=self.outputs.TopicArn,
            Message=message if isinstance(message, str) else json.dumps(message),
            MessageAttributes={
                name: {"DataType": "String", "StringValue": value}
                for name, value in attributes.items()
            },
        )

    def changed(self, **context: str) -> Cdk:
        """Returns the CDK command with these settings changed."""
        return replace(self.cdk, context=dict(self.cdk.context) | context)


@contextmanager
def deployed(
    step: Step,
    log: IO[str],
    *,
    authorize: bool = False,
    context: Mapping[str, str] = MappingProxyType({}),
) -> Iterator[Account]:
    """Deploys livemosaic to a new emulated account with this context; removes both at the end.

    `log` receives the output of CDK. Raises `BundleError`, `EmulatorError`, `CdkError`, or
    `NotHereError` on systems other than Linux.
    """
    target = this_machine()
    with step("Lambda bundle"):
        build(target)
    with emulator(authorize=authorize) as aws:
        own = {"architecture": target.architecture, "python": target.python, "buckets": BUCKET}
        yield _deploy(aws, Cdk(aws.environment, own | dict(context), log), step)


def _deploy(aws: Emulator, cdk: Cdk, step: Step) -> Account:
    with step("cdk bootstrap"):
        cdk.bootstrap(aws.client("sts").get_caller_identity()["Account"], REGION)
    with step("cdk deploy"):
        outputs = cdk.deploy()
    aws.client("s3").create_bucket(
        Bucket=BUCKET, CreateBucketConfiguration={"LocationConstraint": REGION}
    )
    return Account(aws, cdk, outputs)


def this_machine() -> Target:
    """Returns the target of the emulator's functions, which run in this interpreter."""
    if sys.platform != "linux":
        raise NotHereError(
            f"Lambda's code is for Linux and this is {sys.platform}: use a virtual machine, or WSL"
        )
    arm = platform.machine() in ("aarch64", "arm64")
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    return Target("arm64" if arm else "x86_64", version)
