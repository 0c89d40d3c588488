"""Times and kinds of values in filters; Python's own comparisons of times are the oracle."""

import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from livemosaic.errors import InvalidRequestError
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.time import parse_period, utc_text
from livemosaic.tiler.rules.literals import ComparedKinds, check_literals, with_times

Period = tuple[datetime, datetime]
COMPARE: dict[str, Any] = {
    "=": lambda t, p: p[0] <= t <= p[1],
    "<>": lambda t, p: not p[0] <= t <= p[1],
    "<": lambda t, p: t < p[0],
    "<=": lambda t, p: t <= p[1],
    ">": lambda t, p: t > p[1],
    ">=": lambda t, p: t >= p[0],
}
FLIPPED = {"=": "=", "<>": "<>", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
LENGTHS = (4, 7, 10, 20)


def _parsed(text: str) -> dict[str, Any]:
    document: dict[str, Any] = with_times(Cql2Filter.parse(text).document)
    return document


def _passes(text: str, time: datetime, offset: int = 0) -> bool:
    there = (time + timedelta(hours=offset)).replace(tzinfo=None).isoformat()
    zone = f"{'-' if offset < 0 else '+'}{abs(offset):02}:00" if offset else "Z"
    item = {"id": "a", "properties": {"datetime": there + zone}}
    return Cql2Filter(_parsed(text)).matches(item)


def test_any_form_of_a_time_is_compared_as_a_time() -> None:
    some = random.Random(14)
    day = datetime(2026, 1, 1, tzinfo=UTC)
    times = [day + timedelta(seconds=some.randrange(-(10**7), 10**7)) for _ in range(40)]
    times += [day, day - timedelta(seconds=1), day + timedelta(days=31)]
    for _ in range(600):
        literal, time = utc_text(some.choice(times))[: some.choice(LENGTHS)], some.choice(times)
        literal = literal[:19] + "Z" if len(literal) == 20 else literal
        period, sign = parse_period(literal), some.choice(list(COMPARE))
        for written in (f"'{literal}'", f"DATE('{literal}')", f"TIMESTAMP('{literal}')"):
            offset = some.choice((0, 2, -11))
            case = f"datetime {sign} {written}"
            assert _passes(case, time, offset) == COMPARE[sign](time, period), (case, time)
            case = f"{written} {FLIPPED[sign]} datetime"
            assert _passes(case, time, offset) == COMPARE[sign](time, period), (case, time)


def test_ranges_and_lists_take_whole_periods() -> None:
    last = datetime(2026, 2, 28, 23, 59, tzinfo=UTC)
    assert _passes("datetime BETWEEN '2026-01' AND '2026-02'", last)
    assert not _passes("datetime BETWEEN '2026-01' AND '2026-02-27'", last)
    assert _passes("datetime IN ('2025-02-28', '2026-02-28')", last)
    assert not _passes("datetime NOT IN ('2025', '2026')", last)
    assert _passes("NOT (datetime < '2026' OR datetime > '2026')", last)
    assert _passes("T_DURING(datetime, INTERVAL('2025-01-01', '2027-01-01'))", last)


def test_other_properties_and_what_is_computed_stay_as_they_are() -> None:
    for text in ("created > '2026'", "datetime > created", "n = 5", "datetime LIKE '2026%'"):
        document = Cql2Filter.parse(text).document
        assert with_times(document) == document
    strange = {"op": "=", "args": [{"property": "datetime"}]}
    assert with_times(strange) == strange


@pytest.mark.parametrize(
    "text",
    [
        "datetime > 'soon'", "datetime = 2026", "datetime = TIMESTAMP('junk')",
        "n > DATE('2026-13')",
        "datetime IN ('2026', 'x')", "datetime BETWEEN '2026' AND 3", "'yesterday' < datetime",
        "T_AFTER(datetime, TIMESTAMP('junk'))", "T_DURING(datetime, INTERVAL('junk', '..'))",
    ],
)  # fmt: skip
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(InvalidRequestError, match="for a time"):
        _parsed(text)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("n = null", "write IS NULL"), ("a = 1 AND NOT n <> null", "write IS NULL"),
        ("id = 3", "it is text"), ("collection IN ('a', 3)", "it is text"),
        ("n BETWEEN 5 AND 1", "the smaller first"), ("t BETWEEN 'b' AND 'a'", "the smaller first"),
    ],
)  # fmt: skip
def test_what_can_never_be_true_is_refused(text: str, says: str) -> None:
    with pytest.raises(InvalidRequestError, match=says):
        check_literals(Cql2Filter.parse(text).document)


@pytest.mark.parametrize(
    "text", ["n IS NULL", "id = '3'", "n BETWEEN 1 AND 1", "n NOT BETWEEN 1 AND 5", "f", "1 = 1"]
)
def test_anything_else_is_not(text: str) -> None:
    check_literals(Cql2Filter.parse(text).document)


class TestKinds:
    SCENES = ({"n": 5, "t": "x", "f": True, "mixed": 3}, {"n": 7, "t": "y", "mixed": "3"}, {})

    def _noted(self, text: str) -> ComparedKinds:
        where = Cql2Filter.parse(text)
        kinds = ComparedKinds.of(where.document)
        for scene in self.SCENES:
            kinds.note(scene, passed=where.matches({"id": "a", "properties": scene}))
        return kinds

    @pytest.mark.parametrize(
        ("text", "says"),
        [
            ("n = '5'", "'n' for a text, but it is a number"),
            ("n IN ('5')", "'n' for a text"),
            ("n LIKE '5%'", "'n' for a text"),
            ("t > 3", "'t' for a number, but it is a text"),
            ("n > TIMESTAMP('2026-01-01T00:00:00Z')", "'n' for a time"),
            ("n", "'n' for a boolean"),
            ("n > 9 OR t = 5", "'t' for a number"),
        ],
    )
    def test_a_property_of_another_kind_in_all_scenes_is_refused(
        self, text: str, says: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=says):
            self._noted(text).check()

    @pytest.mark.parametrize(
        "text",
        [
            "n = 5",
            "n = 99",
            "t = 'z'",
            "f",
            "mixed = 99",
            "mixed = 'z'",
            "gone = 5",
            "n = 5 OR t = 5",
        ],
    )
    def test_where_a_scene_could_pass_nothing_is_said(self, text: str) -> None:
        self._noted(text).check()
