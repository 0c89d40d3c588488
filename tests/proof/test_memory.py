"""The table that every schedule is explored on keeps the promises of the real ones."""

import pytest

from contract.test_table import (  # noqa: F401 (pytest runs what it finds here)
    TestBatchGet,
    TestConcurrency,
    TestRanges,
    TestRows,
    TestScan,
    TestTransactions,
    TestValues,
)
from proof.memory import MemoryTable


@pytest.fixture
def table() -> MemoryTable:
    return MemoryTable()
