"""TIME: moments, intervals and periods of scenes that take part (OGC 06-042, C and D)."""

from collections.abc import Iterator
from pathlib import Path

import pytest

from api.served import AUTHORIZED, raster, scene, serving
from livemosaic.table.sqlite import SqliteTable
from wms.conftest import Service


@pytest.fixture(scope="module")
def days(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    """A scene a day, from 1 to 9 January 2026, at midnight; each on a stripe of its own."""
    folder = tmp_path_factory.mktemp("days")
    with serving(SqliteTable(folder / "table.db"), folder) as server:
        server.create()
        for day in range(1, 10):
            server.publish(f"d{day}", day, (day * 10, 0, day * 10 + 10, 256), day=day)
        yield Service(server)


def shown(days: Service, time: str, **more: str) -> str:
    """The days that a map shows, oldest first."""
    answer = days.map(TIME=time, **more)
    assert "X-Scenes" in answer.headers, answer.text
    return "".join(sorted(answer.headers["X-Scenes"].replace("d", "").replace(",", "")))


@pytest.mark.parametrize(
    ("time", "expected"),
    [
        ("2026-01-03", "3"),
        ("2026-01-03T00:00:00Z", "3"),
        ("2026-01-03T00:00:00.000Z", "3"),
        ("2026-01-03T01:00:00+01:00", "3"),
        ("2026-01-03T00:00Z", "3"),
        ("2026-01-03T00:00:01Z", ""),
        ("2026-01", "123456789"),
        ("2026", "123456789"),
        ("2025", ""),
        ("2026-01-03/2026-01-05", "345"),
        ("2026-01-03T00:00:00Z/2026-01-04T23:59:59Z", "34"),
        ("2026-01-08/..", "89"),
        ("../2026-01-02", "12"),
        ("2026-01-01,2026-01-04,2026-01-09", "149"),
        (" 2026-01-01 , 2026-01-04/2026-01-05", "145"),
        ("2026-01-09,2026-01-08,2026-01-07", "789"),
        ("2026-01-01/2026-01-09/P2D", "13579"),
        ("2026-01-02/2026-01-09/P1W", "29"),
        ("2026-01-01/2026-01-09/P1M", "1"),
        ("2025-11-05/2026-01-09/P1M", "5"),
        ("2024-01-06/2026-01-09/P1Y", "6"),
        ("2026-01-01T00:00:00Z/2026-01-03T00:00:00Z/PT24H", "123"),
        ("2026-01-01T00:00:00Z/2026-01-03T00:00:00Z/PT36H", "1"),
        ("2026-01-01/2026-01-03/PT0S", "123"),
        ("2026-01-01/2026-01-03/0", "123"),
        ("2026-01-01/2026-01-04/P1D,2026-01-09", "12349"),
        ("2026-01-01/2026-01-04/P3D,2026-01-08/..", "1489"),
        ("current", "123456789"),
        ("CURRENT", "123456789"),
    ],
)
def test_the_scenes_of_a_time_take_part(days: Service, time: str, expected: str) -> None:
    assert shown(days, time) == expected


def test_a_moment_at_midnight_is_its_day(tmp_path: Path) -> None:
    """QGIS asks so for the days that the capabilities list."""
    with serving(SqliteTable(tmp_path / "table.db"), tmp_path) as server:
        server.create()
        server.publish("d2", 2, (0, 0, 128, 256), day=2)
        path = raster(server.folder / "d3.tif", 3, (128, 0, 256, 256))
        third = scene("d3", server.url(path), (128, 0, 256, 256), day=3)
        third["properties"]["datetime"] = "2026-01-03T10:30:00Z"
        server.add(third)
        days = Service(server)
        assert shown(days, "2026-01-03T00:00:00Z") == "3"
        assert shown(days, "2026-01-03T00:00:00.000Z,2026-01-02T00:00:00Z") == "23"
        for text in ("T00:00:00", "t00:00:00z", " 00:00:00Z", "T00:00Z", "T00:00:00+00:00"):
            assert shown(days, f"2026-01-03{text}") == "3"
        for period in ("P1D", "PT24H", "P1M"):
            assert shown(days, f"2026-01-03T00:00:00.000Z/2026-01-03T00:00:00.000Z/{period}") == "3"
        assert shown(days, "2026-01-02T00:00:00Z/2026-01-09T00:00:00Z/P1D") == "23"
        assert shown(days, "2026-01-03T00:00:00Z/2026-01-04T00:00:00Z/PT1H") == ""
        assert shown(days, "2026-01-03T00:00:00Z/2026-01-03T00:00:00Z") == ""
        assert shown(days, "2026-01-01T00:00:00Z/2026-01-03T00:00:00Z") == "2"


def test_a_time_and_a_filter_both_count(days: Service) -> None:
    listed = "2026-01-01,2026-01-04,2026-01-09"
    assert shown(days, listed, filter="id='d4' or id='d5'") == "4"
    assert shown(days, listed, ids="d9") == "9"
    assert shown(days, "2026-01-04", filter="id='d4' or id='d5'") == "4"


@pytest.mark.parametrize(
    ("time", "expected"), [("2026-01-03", "3"), ("2026-01-03,2026-01-09", "39")]
)
def test_it_stands_for_the_time_of_the_mosaics_default_rule(
    days: Service, time: str, expected: str
) -> None:
    server = days.server
    server.create("first", rules={"default": {"datetime": "2026-01-01"}})
    for day in (1, 3, 9):
        server.publish(f"d{day}", day, (day * 10, 0, day * 10 + 10, 256), day=day, mosaic="first")
    first = Service(server, "/mosaics/first/wms", "first")
    assert first.map().headers["X-Scenes"] == "d1"
    assert shown(first, time) == expected
    server.client.delete("/mosaics/first", headers=AUTHORIZED).raise_for_status()


def test_old_clients_mean_the_same(days: Service) -> None:
    old = days.map(TIME="2026-01-03", VERSION="1.1.1", CRS=None, SRS="EPSG:3857")
    assert old.content == days.map(TIME="2026-01-03").content


def test_each_time_has_a_place_of_its_own_in_caches(days: Service, tmp_path: Path) -> None:
    found = [days.map(TIME=time) for time in ("2026-01-03", "2026-01-04", "2026-01-03,2026-01-09")]
    assert len({answer.headers["ETag"] for answer in found}) == 3


def test_a_period_that_ends_before_it_starts_is_refused(days: Service) -> None:
    for text in ("2026-02-01/2026-01-01/P1D", "2026-01-03T12:00:00Z/2026-01-03T11:00:00Z/PT1H"):
        answer = days.map(TIME=text)
        assert "InvalidDimensionValue" in answer.text
        assert "ends before it starts" in answer.text
