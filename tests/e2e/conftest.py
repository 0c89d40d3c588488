"""Deployments of the real app, with the real zip: one that is changed, and one that works."""

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager

import pytest

from e2e.cloud import Cloud, Steps
from livemosaic_cdk.tools.local import BUCKET, Account, deployed

SOURCES = {
    "item_buckets": f"{BUCKET}/items",
    "buses": '[{"sources": ["org.example.stac"]}]',
}
"""Whom it hears, beside its own topic."""
SETTINGS = {**SOURCES, "private_mosaics": "true"}
WORK = {
    "exports": "true",
    "export_concurrency": "2",
    "archive_bucket": f"{BUCKET}/archives",
    "load": "true",
    "load_concurrency": "2",
    "allowed_prefixes": "https://",
}
"""What functions do beside tiles and events."""


@contextmanager
def _cloud(factory: pytest.TempPathFactory, settings: Mapping[str, str]) -> Iterator[Cloud]:
    """A deployment to an account that was empty, in which signatures and policies count."""
    steps = Steps()
    log = factory.mktemp("cdk") / "output.txt"
    with log.open("w") as file, deployed(steps, file, authorize=True, context=settings) as account:
        let_batches_be_sent(account)
        yield Cloud(account, steps)


@pytest.fixture(scope="module")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A deployment whose settings are changed, and which is removed."""
    with _cloud(tmp_path_factory, SETTINGS) as made:
        yield made


@pytest.fixture(scope="session")
def at_work(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """A deployment that keeps overviews, makes archives and loads."""
    with _cloud(tmp_path_factory, WORK) as made:
        yield made


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
    """The first; the steps that a test took are printed at the end of the run."""
    yield from _noted(everything, request)


@pytest.fixture
def working(at_work: Cloud, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The second, likewise."""
    yield from _noted(at_work, request)


def _noted(cloud: Cloud, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    yield cloud
    request.node.user_properties += [("step", step) for step in cloud.step.done]
    cloud.step.done.clear()
