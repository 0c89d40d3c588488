"""What every table promises, whatever stores it."""

import math
import time
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event
from typing import Any

import pytest

from livemosaic.errors import ConditionFailedError, TableBusyError, TooLargeError
from livemosaic.table import ABSENT, MAX_ITEM_BYTES, Delete, Equals, Key, Put, Row, Table, item_size

WRITERS = 20


def fill(table: Table, pk: str, sks: Iterable[str]) -> None:
    puts = [Put(Key(pk, sk), {"name": sk}) for sk in sks]
    for i in range(0, len(puts), 100):
        table.transact(puts[i : i + 100])


def sks(
    table: Table,
    pk: str,
    *,
    prefix: str = "",
    after: str | None = None,
    limit: int | None = None,
) -> list[str]:
    return [row.key.sk for row in rows(table, pk, prefix=prefix, after=after, limit=limit)]


def rows(
    table: Table,
    pk: str,
    *,
    prefix: str = "",
    after: str | None = None,
    limit: int | None = None,
) -> list[Row]:
    found: list[Row] = []
    while True:
        page = table.query(pk, prefix=prefix, after=after, limit=limit, consistent=True)
        assert limit is None or len(page.rows) <= limit
        found += page.rows
        if page.next is None:
            return found
        after = page.next


def eventually(ask: Callable[[], Any], expected: Any) -> None:
    """For reads that may miss what was written just before."""
    for _ in range(50):
        if ask() == expected:
            return
        time.sleep(0.1)
    assert ask() == expected


class TestRows:
    def test_a_row_is_there_after_its_put_and_gone_after_its_delete(self, table: Table) -> None:
        key = Key("mosaics", "alps")
        assert table.get(key) is None
        table.transact([Put(key, {"title": "Alps"})])
        assert table.get(key) == {"title": "Alps"}
        table.transact([Delete(key)])
        assert table.get(key) is None

    def test_a_put_replaces_the_whole_row(self, table: Table) -> None:
        key = Key("mosaics", "alps")
        table.transact([Put(key, {"old": 1, "both": 1})])
        table.transact([Put(key, {"new": 2, "both": 2})])
        assert table.get(key) == {"new": 2, "both": 2}

    def test_deleting_what_is_not_there_succeeds(self, table: Table) -> None:
        table.transact([Delete(Key("mosaics", "none"))])

    def test_a_transaction_of_no_actions_does_nothing(self, table: Table) -> None:
        table.transact([])

    def test_partitions_are_apart(self, table: Table) -> None:
        fill(table, "a", ["1"])
        fill(table, "b", ["2"])
        assert sks(table, "a") == ["1"]
        assert table.get(Key("a", "2")) is None

    def test_an_item_may_be_empty(self, table: Table) -> None:
        table.transact([Put(Key("p", "s"), {})])
        assert table.get(Key("p", "s")) == {}
        assert rows(table, "p") == [Row(Key("p", "s"), {})]

    def test_the_longest_keys_fit(self, table: Table) -> None:
        key = Key("p" * (2048 - 40), "é" * 512)  # 40: `OwnPartitions` adds as much
        table.transact([Put(key, {"a": 1})])
        assert table.get(key) == {"a": 1}
        assert table.query(key.pk, prefix=key.sk, consistent=True).rows == [Row(key, {"a": 1})]

    @pytest.mark.parametrize(
        "key",
        [Key("", "s"), Key("p", ""), Key("p" * 2049, "s"), Key("p", "é" * 513)],
        ids=["empty pk", "empty sk", "long pk", "long sk"],
    )
    def test_a_key_that_cannot_be_is_refused_everywhere(self, table: Table, key: Key) -> None:
        calls: list[Callable[[], Any]] = [
            lambda: table.get(key),
            lambda: table.batch_get([key]),
            lambda: table.transact([Put(key, {})]),
            lambda: table.transact([Delete(key)]),
        ]
        for call in calls:
            with pytest.raises(TooLargeError, match="key takes 1 to"):
                call()


class TestValues:
    @pytest.mark.parametrize(
        "value",
        [
            "",
            "text",
            "zero \x00, line \u2028, beyond \U0001f5fa\U0010ffff",
            0,
            -1,
            2**63 - 1,
            -(2**63),
            0.0,
            -0.5,
            1.0,
            0.1 + 0.2,
            math.pi * 1e-9,
            1e-130,
            1e-7,
            1.2345678901234567e18,
            2.0**53 + 2,
            1e22,
            1e23,
            -9.87654321e125,
            True,
            False,
            None,
            b"",
            bytes(range(256)),
            [],
            {},
            [1, "two", 3.5, None, True, b"six", [7], {"eight": 8}],
            {"a": {"b": {"c": [{"d": b"\x00\xff"}]}}, "ü": "ü"},
        ],
        ids=repr,
    )
    def test_a_value_comes_back_equal_and_of_its_type(self, table: Table, value: Any) -> None:
        key = Key("p", "s")
        table.transact([Put(key, {"value": value, "kept": 1})])
        item = table.get(key)
        assert item == {"value": value, "kept": 1}
        found = table.query("p", consistent=True).rows[0].item["value"]
        assert found == value
        if not isinstance(value, int | float) or isinstance(value, bool):
            assert type(found) is type(value)

    def test_a_float_comes_back_as_float_and_an_int_as_int(self, table: Table) -> None:
        table.transact([Put(Key("p", "s"), {"float": 0.25, "int": 25})])
        item = table.get(Key("p", "s"))
        assert item is not None
        assert (type(item["float"]), type(item["int"])) == (float, int)

    def test_a_tuple_comes_back_as_list(self, table: Table) -> None:
        table.transact([Put(Key("p", "s"), {"bounds": (1.5, 2)})])
        assert table.get(Key("p", "s")) == {"bounds": [1.5, 2]}

    @pytest.mark.parametrize(
        "value", [math.nan, math.inf, -math.inf, 1e126, 1e-131, 2**63, -(2**63) - 1], ids=repr
    )
    @pytest.mark.parametrize("nest", [False, True], ids=["plain", "nested"])
    def test_a_number_that_a_table_cannot_hold_is_refused(
        self, table: Table, value: float, nest: bool
    ) -> None:
        with pytest.raises(ValueError, match="cannot hold the number"):
            table.transact([Put(Key("p", "s"), {"value": [{"v": value}] if nest else value})])
        assert table.get(Key("p", "s")) is None

    @pytest.mark.parametrize("value", [{1, 2}, object()], ids=["set", "object"])
    def test_a_type_that_a_table_cannot_hold_is_refused(self, table: Table, value: Any) -> None:
        with pytest.raises(TypeError, match="cannot hold a"):
            table.transact([Put(Key("p", "s"), {"value": value})])

    @pytest.mark.parametrize("name", ["pk", "sk"])
    def test_an_attribute_cannot_hide_the_key(self, table: Table, name: str) -> None:
        with pytest.raises(ValueError, match="name the key"):
            table.transact([Put(Key("p", "s"), {name: "other"})])

    def test_thirty_two_levels_fit_and_one_more_does_not(self, table: Table) -> None:
        value: Any = "deep"
        for _ in range(31):
            value = [value]
        table.transact([Put(Key("p", "s"), {"value": value})])
        assert table.get(Key("p", "s")) == {"value": value}
        with pytest.raises(TooLargeError, match="32 levels"):
            table.transact([Put(Key("p", "s"), {"value": [value]})])

    @pytest.mark.parametrize("kind", ["bytes", "text", "numbers"])
    def test_a_row_of_nearly_400_kb_fits_and_one_beyond_is_refused(
        self, table: Table, kind: str
    ) -> None:
        key = Key("p", "s")
        room = MAX_ITEM_BYTES - item_size(key, {"v": ""}) - 40  # `OwnPartitions` takes as much
        full: Any = {
            "bytes": b"x" * room,
            "text": "é" * (room // 2),
            "numbers": [0.1234567890123456] * ((room - 3) // 12),
        }[kind]
        table.transact([Put(key, {"v": full})])
        assert table.get(key) == {"v": full}
        with pytest.raises(TooLargeError, match="at most 400,000 per row"):
            table.transact([Put(key, {"v": [full, full[:200]]})])
        assert table.get(key) == {"v": full}


class TestRanges:
    ODD = ("B", "a", "a!", "a\x00", "z", "~", "é", "\ud7ff", "\uffff", "\U0001f5fa", "\U0010ffff")

    def test_rows_come_in_the_order_of_their_utf8_bytes(self, table: Table) -> None:
        """U+1F5FA follows U+FFFF, though its UTF-16 surrogates would precede it."""
        fill(table, "p", self.ODD)
        assert sks(table, "p") == sorted(self.ODD, key=str.encode)
        assert sks(table, "p", limit=1) == sorted(self.ODD, key=str.encode)

    @pytest.mark.parametrize(
        "prefix", ["a", "a\x7f", "a\uffff", "a\U0010ffff", "a\U0010ffff\U0010ffff", "é", "~"]
    )
    def test_a_prefix_finds_what_begins_with_it_and_nothing_else(
        self, table: Table, prefix: str
    ) -> None:
        ends = ["", "\x00", "0", "\x7f", "\u0080", "\uffff", "\U00010000", "\U0010ffff"]
        names = {begin + end for begin in ("a", prefix, "b", "`", "ê", "è") for end in ends}
        names.add(prefix + "\U0010ffff" * 3)
        fill(table, "p", names - {""})
        expected = sorted((n for n in names if n.startswith(prefix)), key=str.encode)
        assert sks(table, "p", prefix=prefix) == expected
        assert sks(table, "p", prefix=prefix, limit=3) == expected

    def test_a_prefix_that_is_a_pattern_elsewhere_is_taken_literally(self, table: Table) -> None:
        fill(table, "p", ["%", "_", "*", "a", "[a]"])
        for prefix in ("%", "_", "*", "["):
            assert all(sk.startswith(prefix) for sk in sks(table, "p", prefix=prefix))
            assert len(sks(table, "p", prefix=prefix)) == 1

    def test_pages_join_to_the_whole_range(self, table: Table) -> None:
        names = [f"{i:03}" for i in range(25)]
        fill(table, "p", names)
        for limit in (1, 7, 24, 25, 26, 1000, None):
            assert sks(table, "p", limit=limit) == names

    def test_a_page_ends_at_its_limit_and_says_where_to_go_on(self, table: Table) -> None:
        fill(table, "p", "abcde")
        page = table.query("p", limit=2, consistent=True)
        assert ([row.key.sk for row in page.rows], page.next) == (["a", "b"], "b")

    def test_a_range_of_nothing_is_one_empty_page(self, table: Table) -> None:
        page = table.query("p", prefix="x", consistent=True)
        assert (list(page.rows), page.next) == ([], None)

    @pytest.mark.parametrize(
        ("after", "expected"),
        [
            ("", ["b1", "b3"]),
            ("a", ["b1", "b3"]),
            ("b", ["b1", "b3"]),
            ("b1", ["b3"]),
            ("b2", ["b3"]),
            ("b3", []),
            ("b\U0010ffff", []),
            ("c", []),
        ],
    )
    def test_a_range_may_begin_after_any_key(
        self, table: Table, after: str, expected: list[str]
    ) -> None:
        """Also after one that was never there, or lies outside of the prefix."""
        fill(table, "p", ["a", "b1", "b3", "c"])
        assert sks(table, "p", prefix="b", after=after) == expected

    def test_rows_deleted_between_pages_do_not_break_the_range(self, table: Table) -> None:
        fill(table, "p", "abcdef")
        first = table.query("p", limit=2, consistent=True)
        table.transact([Delete(Key("p", sk)) for sk in "bc"])
        assert sks(table, "p", after=first.next) == ["d", "e", "f"]

    def test_rows_put_between_pages_are_seen_where_they_lie_ahead(self, table: Table) -> None:
        fill(table, "p", "bd")
        first = table.query("p", limit=1, consistent=True)
        fill(table, "p", "ace")
        assert sks(table, "p", after=first.next) == ["c", "d", "e"]

    def test_a_page_ends_at_about_a_megabyte_whatever_the_limit(self, table: Table) -> None:
        big = {"data": b"x" * 300_000}
        for sk in "abcdefg":
            table.transact([Put(Key("p", sk), big)])
        page = table.query("p", limit=1000, consistent=True)
        assert 1 <= len(page.rows) < 7
        assert page.next == page.rows[-1].key.sk
        assert rows(table, "p", limit=1000) == [Row(Key("p", sk), big) for sk in "abcdefg"]

    @pytest.mark.parametrize("limit", [0, -1])
    def test_a_page_of_no_rows_is_refused(self, table: Table, limit: int) -> None:
        with pytest.raises(ValueError, match="at least one row"):
            table.query("p", limit=limit)


class TestBatchGet:
    def test_all_that_exist_among_many_keys_are_found_once(self, table: Table) -> None:
        names = [f"{i:03}" for i in range(250)]
        fill(table, "p", names[::2])
        keys = [Key("p", name) for name in names[:30] + names + names[:30]]
        expected = {Key("p", name): {"name": name} for name in names[::2]}
        eventually(lambda: table.batch_get(keys), expected)

    def test_keys_may_lie_in_several_partitions(self, table: Table) -> None:
        fill(table, "a", "1")
        fill(table, "b", "1")
        keys = [Key("a", "1"), Key("b", "1"), Key("c", "1")]
        eventually(lambda: set(table.batch_get(keys)), set(keys[:2]))

    def test_no_keys_are_no_rows(self, table: Table) -> None:
        assert table.batch_get([]) == {}

    def test_a_batch_beyond_one_answer_comes_whole(self, table: Table) -> None:
        keys = [Key("p", str(i)) for i in range(45)]  # 16 MB is the most in one answer
        for key in keys:
            table.transact([Put(key, {"data": b"x" * 390_000})])
        eventually(lambda: len(table.batch_get(keys)), 45)


class TestTransactions:
    @pytest.mark.parametrize("count", [2, 100])
    def test_one_condition_that_fails_leaves_nothing_done(self, table: Table, count: int) -> None:
        fill(table, "p", ["kept", "last"])
        puts = [Put(Key("p", f"new {i}"), {}) for i in range(count - 2)]
        last = Put(Key("p", "last"), {"name": "changed"}, ABSENT)
        with pytest.raises(ConditionFailedError, match="'last'"):
            table.transact([Delete(Key("p", "kept")), *puts, last])
        assert sks(table, "p") == ["kept", "last"]
        assert table.get(Key("p", "last")) == {"name": "last"}

    def test_a_hundred_actions_are_done_together(self, table: Table) -> None:
        fill(table, "p", [f"old {i:03}" for i in range(50)])
        table.transact(
            [Delete(Key("p", f"old {i:03}")) for i in range(50)]
            + [Put(Key("p", f"new {i:03}"), {}) for i in range(50)]
        )
        assert sks(table, "p") == [f"new {i:03}" for i in range(50)]

    def test_more_than_a_hundred_actions_are_refused(self, table: Table) -> None:
        with pytest.raises(TooLargeError, match="100 actions, not 101"):
            table.transact([Put(Key("p", str(i)), {}) for i in range(101)])
        assert sks(table, "p") == []

    def test_nearly_4_mb_fit_and_more_are_refused(self, table: Table) -> None:
        """Text, as the emulator counts bytes in base64."""
        actions = [Put(Key("p", str(i)), {"data": "x" * 395_000}) for i in range(10)]
        table.transact(actions)
        with pytest.raises(TooLargeError, match="4,000,000 fit"):
            table.transact([*actions, Put(Key("p", "more"), {"data": "x" * 60_000})])
        assert len(sks(table, "p")) == 10

    def test_a_key_twice_is_refused(self, table: Table) -> None:
        with pytest.raises(ValueError, match="one key twice"):
            table.transact([Put(Key("p", "s"), {}), Delete(Key("p", "s"))])

    @pytest.mark.parametrize("act", [Put, Delete], ids=["put", "delete"])
    @pytest.mark.parametrize("alone", [True, False], ids=["alone", "with another"])
    @pytest.mark.parametrize(
        ("stored", "expect", "holds"),
        [
            ({"v": 1}, Equals("v", 1), True),
            ({"v": 1.0}, Equals("v", 1), True),
            ({"v": 2}, Equals("v", 1), False),
            ({"v": "1"}, Equals("v", 1), False),
            ({"v": True}, Equals("v", 1), False),
            ({"v": "new"}, Equals("v", "new"), True),
            ({"v": "old"}, Equals("v", "new"), False),
            ({"v": None}, Equals("v", ""), False),
            ({"size": 1}, Equals("size", 1), True),  # a reserved word of DynamoDB
            ({"other": 1}, Equals("v", 1), False),
            (None, Equals("v", 1), False),
            (None, ABSENT, True),
            ({}, ABSENT, False),
            ({}, None, True),
            (None, None, True),
        ],
        ids=str,
    )
    def test_an_expectation_decides(
        self, table: Table, act: Any, alone: bool, stored: Any, expect: Any, holds: bool
    ) -> None:
        key, other = Key("p", "s"), Key("p", "other")
        if stored is not None:
            table.transact([Put(key, stored)])
        action = Put(key, {"done": 1}, expect=expect) if act is Put else Delete(key, expect=expect)
        actions = [action] if alone else [Put(other, {}), action]
        if holds:
            table.transact(actions)
            assert table.get(key) == ({"done": 1} if act is Put else None)
        else:
            with pytest.raises(ConditionFailedError, match="'s' is not as expected"):
                table.transact(actions)
            assert table.get(key) == stored
            assert table.get(other) is None

    def test_a_row_that_expires_later_is_kept(self, table: Table) -> None:
        item = {"expires": int(time.time()) + 3600}
        table.transact([Put(Key("p", "s"), item)])
        table.transact([Put(Key("p", "other"), {})])
        assert table.get(Key("p", "s")) == item

    def test_a_row_that_has_expired_and_is_still_there_can_be_expected(self, table: Table) -> None:
        """Or whoever read it could never write it."""
        key = Key("p", "s")
        table.transact([Put(key, {"v": 1, "expires": 1})])
        item = table.get(key)
        expect = ABSENT if item is None else Equals("v", 1)
        table.transact([Put(key, {"v": 2}, expect)])
        assert table.get(key) == {"v": 2}


def at_once(work: Callable[[int], Any]) -> list[Any]:
    """Do the work in many threads, which begin together."""
    start = Barrier(WRITERS)

    def begin(writer: int) -> Any:
        start.wait()
        return work(writer)

    with ThreadPoolExecutor(WRITERS) as pool:
        return list(pool.map(begin, range(WRITERS)))


def increment(table: Table, key: Key) -> None:
    while True:
        item = table.get(key)
        n = item["n"] if item else 0
        try:
            table.transact([Put(key, {"n": n + 1}, Equals("n", n) if item else ABSENT)])
        except (ConditionFailedError, TableBusyError):
            continue
        return


class TestConcurrency:
    def test_no_update_of_one_row_by_many_writers_is_lost(self, table: Table) -> None:
        key = Key("p", "counter")
        at_once(lambda writer: [increment(table, key) for _ in range(3)])
        assert table.get(key) == {"n": 3 * WRITERS}

    def test_only_one_of_many_writers_makes_a_row(self, table: Table) -> None:
        key = Key("p", "s")

        def claim(writer: int) -> bool:
            try:
                table.transact([Put(key, {"writer": writer}, ABSENT)])
            except ConditionFailedError:
                return False
            return True

        won = at_once(claim)
        assert won.count(True) == 1
        assert table.get(key) == {"writer": won.index(True)}

    def test_many_writers_to_one_partition_all_leave_their_rows(self, table: Table) -> None:
        def write(writer: int) -> None:
            for i in range(4):
                names = [f"{writer:02}-{i}-{j}" for j in range(3)]
                table.transact([Put(Key("cell", name), {"name": name}) for name in names])

        at_once(write)
        found = rows(table, "cell", limit=17)
        assert [row.item["name"] for row in found] == [row.key.sk for row in found]
        assert len(found) == WRITERS * 4 * 3

    def test_a_reader_beside_writers_sees_no_half_row(self, table: Table) -> None:
        key, written = Key("p", "s"), Event()

        def item(n: int) -> dict[str, Any]:
            return {"first": n, "data": bytes([n]) * 50_000, "last": n}

        def read(seen: Any) -> None:
            assert seen is not None
            assert seen == item(seen["first"])

        def work(writer: int) -> None:
            if writer % 2:
                while not written.is_set():
                    read(table.get(key))
                    read(table.query("p", consistent=True).rows[0].item)
            elif writer:
                for n in range(3):
                    table.transact([Put(key, item(writer * 3 + n))])
            else:
                for n in range(100, 112):
                    table.transact([Put(key, item(n)), Put(Key("p", f"{n}"), item(n))])
                written.set()

        table.transact([Put(key, item(1))])
        at_once(lambda writer: work(writer))


class TestScan:
    def test_it_finds_the_rows_of_all_partitions_of_a_prefix_and_no_others(
        self, table: Table
    ) -> None:
        for pk in ("m.1#a", "m.1#b", "m.1", "m.10#a", "m.2#a", "l"):
            fill(table, pk, ["x", "y"])
        found = [row.key for row in table.scan("m.1#")]
        assert sorted(found) == [Key(pk, sk) for pk in ("m.1#a", "m.1#b") for sk in ("x", "y")]

    def test_it_gives_whole_rows_of_any_number(self, table: Table) -> None:
        names = [f"{n:04}" for n in range(1200)]
        for shard in range(3):
            fill(table, f"m#{shard}", names[shard * 400 : shard * 400 + 400])
        found = sorted(table.scan("m#"), key=lambda row: row.key)
        assert [row.item for row in found] == [{"name": name} for name in names]

    def test_it_turns_pages(self, table: Table) -> None:
        """A megabyte ends a page of DynamoDB, even one of which nothing passes."""
        for name in ("a", "b"):
            for n in range(8):
                table.transact([Put(Key(f"{name}#{n}", "x"), {"large": b"x" * 300_000})])
        assert len(list(table.scan("a#"))) == 8

    def test_rows_may_be_deleted_on_the_way(self, table: Table) -> None:
        fill(table, "m#", [f"{n:04}" for n in range(1200)])
        for row in table.scan("m#"):
            table.transact([Delete(row.key)])
        assert list(table.scan("m#")) == []


class TestRemove:
    def test_rows_are_removed_and_others_stay(self, table: Table) -> None:
        names = [f"{n:03}" for n in range(130)]
        fill(table, "p", names)
        fill(table, "q", names[:3])
        doomed = [Key("p", sk) for sk in names if sk != "064"]
        table.remove([*doomed, doomed[0], Key("q", "001"), Key("nowhere", "x")])
        assert sks(table, "p") == ["064"]
        assert sks(table, "q") == ["000", "002"]

    def test_nothing_is_removed_where_no_row_is_named(self, table: Table) -> None:
        fill(table, "p", "ab")
        table.remove([])
        assert sks(table, "p") == ["a", "b"]
