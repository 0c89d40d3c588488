"""The bucket of PMTiles that the API serves, as templates have it."""

import json

import pytest

from livemosaic_cdk.config import ConfigError
from livemosaic_cdk.context import read


def test_the_tiler_alone_may_read_archives(deployment):
    made = deployment("archives")
    grants = {r: actions for r, actions in made.grants("Tiler").items() if "maps" in r}
    assert sorted(map(sorted, grants.values())) == [["s3:GetObject"], ["s3:ListBucket"]]
    [objects] = [r for r, actions in grants.items() if "s3:GetObject" in actions]
    assert ":s3:::maps/world/*" in objects
    place = made.function("Tiler")["Environment"]["Variables"]["LIVEMOSAIC_ARCHIVE_STORE"]
    assert json.dumps(place) == '"s3://maps/world"'
    for other in ("Manager", "Ingest"):
        assert not [r for r in made.grants(other) if "maps" in r]
        assert "LIVEMOSAIC_ARCHIVE_STORE" not in made.function(other)["Environment"]["Variables"]


def test_without_a_bucket_nothing_is_allowed(default):
    assert "LIVEMOSAIC_ARCHIVE_STORE" not in default.function("Tiler")["Environment"]["Variables"]


def test_a_bucket_that_is_none() -> None:
    with pytest.raises(ConfigError, match="neither NAME nor NAME/PREFIX"):
        read({"buckets": "imagery", "archive_bucket": "s3://maps"}, {})
