"""Our answers are those of titiler.mosaic 2.4, but for what `differences.py` gives a reason for."""

import pytest

from peers.asking import Ask, Pair
from peers.compare import differences
from peers.differences import DIFFERENCES, Difference
from peers.grid import grid

GRID = grid()


@pytest.fixture(scope="module")
def met() -> set[Difference]:
    """Listed differences that a request has shown."""
    return set()


@pytest.mark.parametrize("ask", GRID, ids=[ask.name for ask in GRID])
def test_both_say_the_same(pair: Pair, met: set[Difference], ask: Ask) -> None:
    theirs, ours = pair.ask(ask)
    unlisted = []
    for what in differences(theirs, ours, ask):
        listed = [known for known in DIFFERENCES if known.is_of(ask.name, what)]
        met.update(listed)
        if not listed:
            unlisted.append(what)
    assert not unlisted, f"{unlisted}; theirs: {theirs.text[:300]}; ours: {ours.text[:300]}"


def test_what_is_listed_differs(request: pytest.FixtureRequest, met: set[Difference]) -> None:
    """After all the others: a difference that is gone leaves the list."""
    if len(request.session.items) < len(GRID):
        pytest.skip("only some of the requests were asked")
    assert set(DIFFERENCES) - met == set()
