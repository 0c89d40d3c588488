"""One deployment of the real app, with the real zip, for all tests of this folder."""

from collections.abc import Iterator

import pytest

from e2e.cloud import Cloud, Steps
from infra.local import deployed


@pytest.fixture(scope="session")
def everything(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloud]:
    """An account that was empty, in which signatures and policies count."""
    steps = Steps()
    log = tmp_path_factory.mktemp("cdk") / "output.txt"
    with log.open("w") as file, deployed(steps, file, authorize=True) as account:
        yield Cloud(account, steps)


@pytest.fixture
def cloud(everything: Cloud, request: pytest.FixtureRequest) -> Iterator[Cloud]:
    """The same; the steps that a test took are printed at the end of the run."""
    yield everything
    request.node.user_properties += [("step", step) for step in everything.step.done]
    everything.step.done.clear()
