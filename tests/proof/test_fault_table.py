"""Every promise of docs/faults.md names a test that is there."""

import ast
import re
from pathlib import Path

import pytest

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "faults.md"
NAMED = sorted(set(re.findall(r"`(\S+\.py::\S+)`", TABLE.read_text())))


def test_it_names_some() -> None:
    assert len(NAMED) > 15


@pytest.mark.parametrize("named", NAMED)
def test_the_test_is_there(named: str) -> None:
    file, *names = named.split("::")
    here: ast.AST = ast.parse((TESTS / file).read_text())
    for name in names:
        (here,) = (
            node
            for node in ast.iter_child_nodes(here)
            if isinstance(node, ast.ClassDef | ast.FunctionDef) and node.name == name
        )
