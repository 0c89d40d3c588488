"""CQL2 filters, of mosaics and of requests."""

import pytest

from livemosaic.errors import InvalidRequestError
from livemosaic.model.cql2 import Cql2Filter


def test_a_document_that_is_no_filter_is_refused_and_never_matches_nothing() -> None:
    broken = Cql2Filter({"op": "=", "args": "nonsense"})
    with pytest.raises(InvalidRequestError, match="filter is not valid CQL2"):
        broken.matches({"id": "a", "properties": {}})


def test_a_comparison_with_a_missing_property_is_false() -> None:
    found = Cql2Filter.parse("cloud < 10")
    assert found.matches({"id": "a", "properties": {"cloud": 5}})
    assert not found.matches({"id": "a", "properties": {}})
