"""No chance, and no pauses, in what must follow from the answers of a table alone."""

import pytest


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemosaic.table.retry.random.uniform", lambda *_: 0)
