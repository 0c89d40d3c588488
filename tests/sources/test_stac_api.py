"""What a STAC API finds, page by page."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
import shapely

from items import NOW, box, item
from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.sources import Entry
from livemosaic.ingest.sources.stac_api import Search, Slice, newest, slices
from sources.catalogue import CORE, SEARCH, Catalogue

SECOND, HOUR = timedelta(seconds=1), timedelta(hours=1)
PAGINGS = pytest.mark.parametrize("paging", ["merge", "body", "get"])


def many(count: int, **rest: Any) -> list[dict[str, Any]]:
    days = [f"2026-01-{1 + n % 28:02}T{n % 24:02}:00:00Z" for n in range(count)]
    return [item(f"s{n:03}", datetime=day, **rest) for n, day in enumerate(days)]


def ids(entries: Sequence[Entry]) -> list[str]:
    return [entry.message.body["id"] for entry in entries]  # type: ignore[index, call-overload]


def all_of(sources: Sequence[Slice]) -> list[Entry]:
    return [entry for source in sources for entry in source.read(NOW, None)]


@PAGINGS
def test_every_page_is_read(paging: Any) -> None:
    with Catalogue(many(25), paging=paging) as api:
        sources, total = slices(Search(api.url, limit=10))
        found = all_of(sources)
    assert ids(found) == [f"s{n:03}" for n in range(25)]
    assert total == 25
    orders = [entry.message.order for entry in found]
    assert all(order.snapshot and order.moment == NOW for order in orders)


def test_a_snapshot_is_of_the_clock_that_is_behind() -> None:
    """Ours, which is an hour ahead here, or that of the API; a second is what `Date` cuts."""
    now = datetime.now(UTC)
    with Catalogue(many(3)) as api:
        (source,), _ = slices(Search(api.url))
        moments = {entry.message.order.moment for entry in source.read(now + HOUR, None)}
    assert all(now - SECOND <= moment <= now + HOUR / 2 for moment in moments)


@PAGINGS
def test_reading_goes_on_at_the_page_that_was_not_read_to_its_end(paging: Any) -> None:
    with Catalogue(many(25), paging=paging) as api:
        (source,), _ = slices(Search(api.url, limit=10))
        marks = [entry.mark for entry in source.read(NOW, None)]
        assert [n for n, mark in enumerate(marks) if mark] == [9, 19, 24]
        assert marks[9] and marks[24]
        assert ids(list(source.read(NOW, marks[9].place))) == [f"s{n:03}" for n in range(10, 25)]
        before = len(api.searches)
        assert list(source.read(NOW, marks[24].place)) == []
        assert len(api.searches) == before


def test_the_search_says_what_is_wanted_and_in_which_order() -> None:
    with Catalogue(many(3)) as api:
        wanted = Search(
            api.url, ["s2", "s1"], [5, 44, 17, 48], "2026-01", "eo:cloud_cover < 20", limit=7
        )
        list(slices(wanted)[0][0].read(NOW, None))
        asked = api.searches[-1]
    assert asked["collections"] == ["s2", "s1"]
    assert asked["bbox"] == [5, 44, 17, 48]
    assert asked["limit"] == 7
    assert asked["filter"] == {"op": "<", "args": [{"property": "eo:cloud_cover"}, 20]}
    assert asked["filter-lang"] == "cql2-json"
    assert [by["field"] for by in asked["sortby"]] == ["properties.datetime", "id"]


def test_an_api_that_does_not_sort_is_not_asked_to() -> None:
    with Catalogue(many(3), conforms=[CORE, SEARCH]) as api:
        assert len(all_of(slices(Search(api.url))[0])) == 3
    assert "sortby" not in api.searches[-1]


def test_a_filter_that_would_be_overlooked_is_refused() -> None:
    with (
        Catalogue(many(3), conforms=[CORE, SEARCH]) as api,
        pytest.raises(InvalidRequestError, match="does not filter: leave out --filter"),
    ):
        slices(Search(api.url, filter="eo:cloud_cover < 20"))


def test_a_closed_range_of_time_is_cut_into_parts_that_hold_everything() -> None:
    items = many(100)
    with Catalogue(items) as api:
        sources, total = slices(Search(api.url, datetime="2026-01-01/2026-01-28"))
        found = all_of(sources)
    assert len(sources) == 16
    assert len({source.name for source in sources}) == 16
    assert total == 100
    assert set(ids(found)) == {document["id"] for document in items}


@pytest.mark.parametrize("times", ["2026-01-01/..", "2026-01-01", None])
def test_other_ranges_are_not(times: str | None) -> None:
    with Catalogue([]) as api:
        assert len(slices(Search(api.url, datetime=times))[0]) == 1


def test_an_api_that_does_not_count_gives_no_total() -> None:
    with Catalogue(many(3), counts=False) as api:
        assert slices(Search(api.url))[1] is None


TRIANGLE = shapely.from_wkt("POLYGON ((6 44, 8.5 44, 6 46.5, 6 44))")
IN_IT, BESIDE = box(6, 44, 7, 45), box(8, 46, 9, 47)


def scattered() -> list[dict[str, Any]]:
    """Items in the triangle and beside it, in turn, in the box of it all."""
    places = [(f"s{n:03}", BESIDE if n % 2 else IN_IT) for n in range(40)]
    days = [f"2026-01-{1 + n % 28:02}T00:00:00Z" for n in range(40)]
    return [item(*place, datetime=day) for place, day in zip(places, days, strict=True)]


@PAGINGS
def test_an_area_finds_what_it_intersects(paging: Any) -> None:
    """Of an API with GET only, too."""
    with Catalogue(scattered(), paging=paging) as api:
        sources, total = slices(Search(api.url, limit=7, intersects=TRIANGLE))
        found = all_of(sources)
    assert set(ids(found)) == {f"s{n:03}" for n in range(0, 40, 2)}
    assert total == 20


def test_an_area_too_long_for_a_url_is_asked_by_its_box() -> None:
    """And what lies beside it is left out here; the total is not known."""
    detailed = shapely.segmentize(TRIANGLE, 0.005)
    with Catalogue(scattered(), paging="get") as api:
        sources, total = slices(Search(api.url, limit=7, intersects=detailed))
        found = all_of(sources)
        assert {"intersects", "bbox"} & set(api.searches[-1]) == {"bbox"}
    assert set(ids(found)) == {f"s{n:03}" for n in range(0, 40, 2)}
    assert total is None


def test_an_area_of_any_length_is_posted() -> None:
    detailed = shapely.segmentize(TRIANGLE, 0.005)
    with Catalogue(scattered()) as api:
        assert slices(Search(api.url, intersects=detailed))[1] == 20


@PAGINGS
@pytest.mark.parametrize("count", [1, 9, 10, 11, 24, 25, 26])
def test_of_so_many_items_at_most_the_newest_are_read(paging: Any, count: int) -> None:
    """And no page after them."""
    with Catalogue(many(25), paging=paging) as api:
        source, total = newest(Search(api.url, limit=10), count)
        before = len(api.searches)
        found = list(source.read(NOW, None))
        pages = len(api.searches) - before
    assert ids(found) == [f"s{n:03}" for n in range(24, -1, -1)][:count]
    assert total == min(count, 25)
    assert pages == -(-min(count, 25) // min(count, 10))


@PAGINGS
@pytest.mark.parametrize("stop", [1, 10, 13, 20, 23])
def test_reading_of_so_many_goes_on_where_it_was_marked(paging: Any, stop: int) -> None:
    with Catalogue(many(25), paging=paging) as api:
        source, _ = newest(Search(api.url, limit=10), 23)
        entries = list(source.read(NOW, None))[:stop]
        done = max((n for n, entry in enumerate(entries, 1) if entry.mark), default=0)
        mark = entries[done - 1].mark if done else None
        found = list(source.read(NOW, mark.place if mark else None))
    assert ids(entries[:done]) + ids(found) == [f"s{n:03}" for n in range(24, 1, -1)]


def test_of_an_api_that_does_not_sort_the_first_are_read() -> None:
    with Catalogue(many(25), conforms=[CORE, SEARCH], counts=False) as api:
        source, total = newest(Search(api.url, limit=10), 3)
        assert ids(list(source.read(NOW, None))) == ["s000", "s001", "s002"]
    assert total is None


@pytest.mark.parametrize("fault", [503, 429, 502, "cut"])
def test_what_passes_is_asked_for_again(fault: Any) -> None:
    with Catalogue(many(25)) as api:
        sources, _ = slices(Search(api.url, limit=10))
        api.faults += [fault]
        assert len(all_of(sources)) == 25


def test_what_does_not_pass_is_told_with_what_the_api_says() -> None:
    with Catalogue(many(25)) as api:
        sources, _ = slices(Search(api.url, limit=10))
        api.faults += [400]
        with pytest.raises(InvalidRequestError, match=r"/search: HTTP 400: .*told 400"):
            all_of(sources)


def test_an_api_that_stays_busy_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemosaic.ingest.sources.stac_api._ATTEMPTS", 2)
    with Catalogue(many(25)) as api:
        sources, _ = slices(Search(api.url, limit=10))
        api.faults += [503] * 9
        with pytest.raises(InvalidRequestError, match="/search: too many 503 error responses"):
            all_of(sources)


def test_a_page_that_links_to_itself_ends_it() -> None:
    with Catalogue(many(25), repeat=10) as api:
        sources, _ = slices(Search(api.url, limit=10))
        with pytest.raises(InvalidRequestError, match="links to itself"):
            all_of(sources)


@pytest.mark.parametrize(
    ("search", "says"),
    [
        (Search("http://127.0.0.1:9"), "http://127.0.0.1:9: [Errno 111] Connection refused"),
        (Search("nowhere"), "'nowhere' is no URL of a STAC API: use https://HOST/PATH"),
        (Search("", datetime="yesterday"), "yesterday"),
        (Search("", filter="<<"), "cannot search http"),
    ],
    ids=["nobody listens", "no URL", "datetime", "filter"],
)
def test_a_search_that_cannot_be_made_names_what_is_wrong(
    search: Search, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("livemosaic.ingest.sources.stac_api._ATTEMPTS", 1)
    with Catalogue([]) as api:
        url = search.url or api.url
        wanted = Search(url, datetime=search.datetime, filter=search.filter)
        with pytest.raises(InvalidRequestError) as told:
            slices(wanted)
    assert says in str(told.value)


def test_another_server_is_told_from_a_stac_api() -> None:
    with Catalogue([], conforms=[]) as api, pytest.raises(InvalidRequestError, match="ITEM_SEARCH"):
        slices(Search(api.url))


def test_a_feature_that_is_no_object_is_an_entry_that_will_be_rejected() -> None:
    with Catalogue([item("a"), "oops", item("b")]) as api:
        bodies = [entry.message.body for entry in all_of(slices(Search(api.url))[0])]
    assert bodies[1] == '"oops"'
