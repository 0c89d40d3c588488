"""Which of two changes is the newer one, by what their sources say of when."""

from datetime import UTC, datetime, timedelta
from functools import reduce
from itertools import pairwise, permutations

import pytest

from livemosaic.model.order import Order, moment_of, raised, remade, unmarked, updated_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
SECOND = timedelta(seconds=1)
WEEK = timedelta(days=7)


def put(order: Order, updated: datetime | None = None, content: str = "f00d") -> str:
    return f"{order.of_item(updated)}#{content}"


def gone(order: Order) -> str:
    return order.of_deletion()


def listed(moment: datetime, read: datetime = NOON, line: int = 0) -> Order:
    return Order.listed(moment, read, line)


def snapshot(moment: datetime, read: datetime = NOON) -> Order:
    return Order.listed(moment, read, snapshot=True)


OLDER_FIRST = {
    "events by their time, whatever updated says": [
        put(Order(NOON), NOON + WEEK),
        put(Order(NOON + SECOND), NOON - WEEK),
        put(Order(NOON + 2 * SECOND)),
    ],
    "of one moment by updated, and a deletion last": [
        put(Order(NOON)),
        put(Order(NOON), NOON - WEEK),
        put(Order(NOON), NOON),
        gone(Order(NOON)),
        put(Order(NOON + SECOND), NOON - WEEK),
    ],
    "of one version the larger content": [
        put(Order(NOON), NOON, "0"),
        put(Order(NOON), NOON, "f"),
    ],
    "lines of a file by their number, commands among them": [
        put(listed(NOON, NOON, 1), NOON + WEEK),
        gone(listed(NOON, NOON, 2)),
        put(listed(NOON, NOON, 3), NOON - WEEK),
        put(listed(NOON, NOON, 10)),
        put(listed(NOON, NOON, 100)),
        put(listed(NOON, NOON + SECOND, 1)),
        put(listed(NOON + SECOND, NOON + SECOND, 1)),
    ],
    "an event of the same moment is newer than a list": [
        put(listed(NOON, NOON + WEEK)),
        put(Order(NOON), NOON - WEEK),
        gone(Order(NOON)),
    ],
    "a snapshot is as old as its Items, in whole seconds": [
        put(snapshot(NOON + WEEK), NOON - WEEK),
        put(snapshot(NOON + WEEK), NOON + SECOND / 2),
        put(Order(NOON), NOON + SECOND / 2),
        gone(Order(NOON)),
        put(snapshot(NOON + WEEK), NOON + 2 * SECOND),
    ],
    "of one updated the later snapshot": [
        put(snapshot(NOON), NOON - WEEK),
        put(snapshot(NOON + SECOND), NOON - WEEK),
        put(snapshot(NOON + SECOND, NOON + SECOND), NOON - WEEK),
    ],
    "a snapshot is no newer than itself": [
        put(snapshot(NOON), NOON + WEEK),
        put(Order(NOON + SECOND), NOON - WEEK),
    ],
    "events of S3 after what its listing said of that second": [
        put(listed(NOON, NOON + WEEK)),
        f"{NOON:%Y-%m-%dT%H:%M:%S.%fZ}~0055AED6DCD90281E6#~deleted",
    ],
}


@pytest.mark.parametrize("versions", OLDER_FIRST.values(), ids=OLDER_FIRST)
def test_the_newer_sorts_after_the_older(versions: list[str]) -> None:
    assert sorted(versions) == versions
    for some in permutations(versions, min(len(versions), 4)):
        assert max(some) == versions[max(map(versions.index, some))]


def test_parts_of_a_version_can_be_read_again() -> None:
    versions = [put(Order(NOON), NOON - SECOND), gone(Order(NOON)), put(listed(NOON))]
    assert {moment_of(version) for version in versions} == {"2026-03-01T12:00:00.000000Z"}
    assert updated_of(versions[0]) == "2026-03-01T11:59:59.000000Z"
    others = [*versions[1:], put(snapshot(NOON), NOON), put(Order(NOON)), ""]
    assert {updated_of(version) for version in others} == {""}


@pytest.mark.parametrize(
    ("newest", "expected"),
    [
        ("", "2026-03-01T12:00:00.000000Z#f00d"),
        (put(Order(NOON - WEEK)), "2026-03-01T12:00:00.000000Z#f00d"),
        (gone(Order(NOON)), "2026-03-01T12:00:00.000001Z#f00d"),
        (put(snapshot(NOON + WEEK)), "2026-03-08T12:00:00.000001Z#f00d"),
    ],
)
def test_a_version_is_raised_above_any_other(newest: str, expected: str) -> None:
    assert raised(put(Order(NOON - 2 * WEEK)), NOON, newest) == expected > newest


ORDERS = {
    "an event": put(Order(NOON)),
    "with updated": put(Order(NOON), NOON - SECOND),
    "a deletion": gone(Order(NOON)),
    "a line": put(listed(NOON)),
    "a sequencer": put(Order(NOON, "0055AED6DCD90281E5")),
    "a snapshot": put(snapshot(NOON), NOON - WEEK),
}


@pytest.mark.parametrize("version", ORDERS.values(), ids=ORDERS)
class TestMarks:
    def test_each_sorts_after_the_one_before_and_none_grows(self, version: str) -> None:
        marked = [version]
        for _ in range(200):
            marked.append(remade(marked[-1]))
        assert all(one < other for one, other in pairwise(marked))
        assert {unmarked(one) for one in marked} == {version}
        assert {updated_of(one) for one in marked} == {updated_of(version)}
        assert {moment_of(one) for one in marked} == {moment_of(version)}
        assert max(map(len, marked)) <= len(version) + len("~$000000")

    @pytest.mark.parametrize("mark", ["$", "$$", "$$$$$$$", "$000003$"])
    def test_those_of_earlier_releases_are_understood(self, version: str, mark: str) -> None:
        order, _, content = version.rpartition("#")
        stored = f"{order}{'' if '~' in order else '~'}{mark}#{content}"
        assert unmarked(stored) == version
        assert stored < remade(stored) < remade(remade(stored))
        assert unmarked(remade(stored)) == version

    def test_a_marked_version_is_older_than_what_is_newer(self, version: str) -> None:
        marked = reduce(lambda one, _: remade(one), range(3), version)
        newer = [other for other in ORDERS.values() if _order(other) > _order(version)]
        assert all(marked < other for other in newer)


def _order(version: str) -> str:
    return version.rpartition("#")[0]
