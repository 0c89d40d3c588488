"""Bad Items, as bytes in batches of SQS among good ones: what becomes of each, and what is said."""

import json
import logging
import re
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
import shapely
from shapely.geometry import Point

from events.baditems import CASES, Case
from items import item, sqs_event
from livemosaic.geo.footprint import MAX_VERTICES
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest
from livemosaic.ingest.sqs import handler
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import Scene
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Table
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.views import area_of

PAGE = Path(__file__).parents[2] / "docs/bad-items.md"
GOOD = {"s2#good-1", "s2#good-2"}
WHOLE_BODY = {"not JSON", "top-level array", "duplicate keys", "NaN", "Infinity", "depth 10,000"}

cases = pytest.mark.parametrize("case", CASES, ids=lambda case: case.kind)


class Function:
    """The ingestion function on one mosaic."""

    def __init__(self, index: Index, **settings: Any) -> None:
        self._index = index
        self._mosaic = index.mosaics.create(Mosaic(id="m", properties=("note",), **settings))
        self._handle = handler(Ingest(index, AllowList(("s3://", "https://"))), index.pool)

    def __call__(self, *bodies: str) -> list[int]:
        """Which messages of a batch were answered as failed."""
        event = sqs_event(*bodies)
        names = [record["messageId"] for record in event["Records"]]
        answer = self._handle(event, None)["batchItemFailures"]
        return [names.index(failure["itemIdentifier"]) for failure in answer]

    def scenes(self) -> dict[str, Scene]:
        scenes, _ = self._index.list_scenes(self._mosaic, limit=100)
        return {scene.key: scene for scene in scenes}


Start = Callable[..., Function]


@pytest.fixture
def start(table: Table) -> Iterator[Start]:
    with ThreadPoolExecutor(4) as pool:
        yield lambda **settings: Function(Index(table, Mosaics(table), pool), **settings)


def good(n: int) -> str:
    return json.dumps(item(f"good-{n}"))


def reasons(caplog: pytest.LogCaptureFixture) -> str:
    return "\n".join(getattr(record, "reason", "") for record in caplog.records)


@cases
def test_it_has_its_fate_and_its_message_and_leaves_others_alone(
    case: Case, start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    function = start()
    refused = case.fate == "refused"
    assert function(good(1), case.body, good(2)) == [1] * refused
    scenes = function.scenes()
    assert scenes.keys() == (GOOD if refused else GOOD | {case.key})
    if refused:
        assert re.search(case.says, reasons(caplog))
    else:
        footprint = scenes[case.key].footprint
        assert footprint.is_valid
        assert all(footprint.contains(Point(place)) for place in case.shows)
        assert not any(footprint.intersects(Point(place)) for place in case.hides)
        assert shapely.get_num_coordinates(footprint) <= MAX_VERTICES
    assert not [record for record in caplog.records if record.levelno >= logging.ERROR]


@pytest.mark.parametrize(
    "case", [c for c in CASES if c.kind not in WHOLE_BODY], ids=lambda case: case.kind
)
def test_in_an_item_collection_the_others_go_on(
    case: Case, sqlite_table: SqliteTable, caplog: pytest.LogCaptureFixture
) -> None:
    with ThreadPoolExecutor(1) as pool:
        function = Function(Index(sqlite_table, Mosaics(sqlite_table), pool))
        features = ",".join([good(1), case.body, good(2)])
        refused = case.fate == "refused"
        body = f'{{"type": "FeatureCollection", "features": [{features}]}}'
        assert function(body) == [0] * refused
        assert function.scenes().keys() == (GOOD if refused else GOOD | {case.key})
        assert re.search(case.says, reasons(caplog))


@pytest.mark.parametrize("case", [c for c in CASES if len(c.body) > 50_000], ids=lambda c: c.kind)
def test_a_huge_one_takes_memory_in_proportion(case: Case, sqlite_table: SqliteTable) -> None:
    with ThreadPoolExecutor(1) as pool:
        function = Function(Index(sqlite_table, Mosaics(sqlite_table), pool))
        tracemalloc.start()
        try:
            function(case.body)
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
        assert peak < 20_000_000 + 25 * len(case.body)


def test_what_a_filter_cannot_read_is_refused_and_not_taken_out(
    start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    """A scene leaves a mosaic by not passing its filter, not by a filter that fails."""
    function = start(filter=Cql2Filter.parse("note = 'x'").document)
    properties = {"note": "x"}
    assert function(json.dumps(item("a", properties=properties))) == []
    for bad in ("\ud800", 10**400):
        worse = item("a", properties=properties | {"other": bad})
        assert function(json.dumps(worse)) == [0]
        assert "holds what no filter can read" in reasons(caplog)
    assert function.scenes().keys() == {"s2#a"}


def test_one_id_in_two_collections_is_two_scenes(start: Start) -> None:
    function = start()
    assert function(json.dumps(item("a")), json.dumps(item("a", collection="s1"))) == []
    assert function.scenes().keys() == {"s2#a", "s1#a"}


@pytest.mark.parametrize("order", [(0, 1), (1, 0)], ids=["first, second", "second, first"])
def test_of_one_version_with_two_contents_the_same_one_is_shown_and_it_is_said(
    order: Sequence[int], start: Start, caplog: pytest.LogCaptureFixture
) -> None:
    time = "2026-02-01T00:00:00Z"
    bodies = [json.dumps(item("a", updated=time, properties={"note": n})) for n in "xy"]
    function = start()
    assert [function(bodies[n]) for n in order] == [[], []]
    assert function.scenes()["s2#a"].properties == {"note": "x"}
    assert "two documents of one version" in caplog.text


@pytest.mark.parametrize("case", [c for c in CASES if len(c.body) > 50_000], ids=lambda c: c.kind)
def test_a_huge_one_has_small_rows(case: Case, sqlite_table: SqliteTable) -> None:
    with ThreadPoolExecutor(1) as pool:
        index = Index(sqlite_table, Mosaics(sqlite_table), pool)
        Function(index)(case.body)
        mosaic = index.mosaics.get("m")
        found = [*index.find(mosaic, area_of(mosaic, (5, 45, 9, 47)))]
    stored = [part for scene in found for _, part in scene.parts]
    assert all(len(part) <= 8_300 for part in stored)
    assert bool(stored) == (case.fate != "refused")


def test_the_page_tells_of_each_kind_and_its_fate() -> None:
    rows = re.findall(r"^\| (.+?) \| (accepted|repaired|refused) \|", PAGE.read_text(), re.M)
    told = [(case.kind, case.fate) for case in CASES]
    others = [
        ("one id in two collections", "accepted"),
        ("same version, other content", "accepted"),
    ]
    assert sorted(rows) == sorted(told + others)
