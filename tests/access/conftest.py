"""Time that passes for credentials, while that of their servers stands still."""

import time
from collections.abc import Callable

import pytest

from livemosaic.storage.access.expiring import Expiring


@pytest.fixture
def pass_s(monkeypatch: pytest.MonkeyPatch) -> Callable[[float], None]:
    """Moves the clock by which credentials are replaced: a delay of the machine does so, too."""
    passed = [0.0]
    clock = (lambda: time.time() + passed[0],)
    monkeypatch.setattr(Expiring.__init__, "__defaults__", clock)
    return lambda seconds: passed.append(passed.pop() + seconds)
