"""One deployment of the real app, with the real zip, for all tests of a file."""

import json
from collections.abc import Iterator

import pytest

from e2e.cloud import Cloud, Steps
from livemosaic_cdk.tools.local import BUCKET, Account, deployed

SOURCES = {
    "item_buckets": f"{BUCKET}/items",
    "buses": '[{"sources": ["org.example.stac"]}]',
}
"""Whom it hears, beside its own topic."""
SETTINGS = {**SOURCES, "private_mosaics": "true"}


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An account that was empty, in which signatures and policies count."""
    steps = Steps()
    log = tmp_path_factory.mktemp("cdk") / "output.txt"
    with (
        log.open("w") as file,
        deployed(steps, file, authorize=True, context=SETTINGS) as account,
    ):
        let_batches_be_sent(account)
        yield Cloud(account, steps)


def let_batches_be_sent(account: Account) -> None:
    """Who may SendMessage may SendMessageBatch (SQS Developer Guide, "Amazon SQS batch actions").

    The emulator takes them for two permissions.
    """
    iam = account.aws.client("iam")
    statement = {"Effect": "Allow", "Action": "sqs:SendMessageBatch", "Resource": "*"}
    policy = {"Version": "2012-10-17", "Statement": [statement]}
    names = [role["RoleName"] for role in iam.list_roles()["Roles"]]
    for name in names:
        if any(f"{who}Role" in name for who in ("Ingest", "Sweep", "Builder")):
            iam.put_role_policy(
                RoleName=name, PolicyName="batches", PolicyDocument=json.dumps(policy)
            )


@pytest.fixture
def cloud(everything: Cloud, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The same; the steps that a test took are printed at the end of the run."""
    yield everything
    request.node.user_properties += [("step", step) for step in everything.step.done]
    everything.step.done.clear()
