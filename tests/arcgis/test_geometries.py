"""Geometries of requests: polygons that cross themselves, on every way into the server."""

import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from api.served import EDGE, LEFT, Server, serving
from arcgis.asking import url
from livemosaic.table.sqlite import SqliteTable


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("assets")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create()
        made.publish("left", [10], LEFT)
        yield made


def everywhere(west: float, south: float, east: float, north: float) -> list[list[float]]:
    """A ring of two kilobytes or so that crosses itself tens of thousands of times."""
    random = np.random.default_rng(3)
    ring = random.uniform((west, south), (east, north), (500, 2)).round(3).tolist()
    return [*ring, ring[0]]


def form(service: Server, operation: str, geometry: dict[str, Any], **more: str) -> Any:
    given = {"f": "json", "geometry": json.dumps(geometry, separators=(",", ":")), **more}
    return service.client.post(url(operation), data=given).json()


@pytest.mark.parametrize("operation", ["query", "identify", "getSamples", "computeHistograms"])
def test_a_polygon_that_crosses_itself_everywhere_is_refused(
    service: Server, operation: str
) -> None:
    answer = form(service, operation, {"rings": [everywhere(*EDGE)]})
    assert answer["error"]["code"] == 400
    assert "cross in more than 5,000 places" in str(answer["error"])


def test_searches_and_statistics_refuse_it_too(service: Server) -> None:
    polygon = {"type": "Polygon", "coordinates": [everywhere(7.7, 46.0, 8.0, 46.2)]}
    feature = {"type": "Feature", "properties": {}, "geometry": polygon}
    found = [
        service.client.post("/search", json={"intersects": polygon}),
        service.client.post("/mosaics/m/statistics", json=feature),
    ]
    assert [answer.status_code for answer in found] == [400, 400]
    assert all("cross in more than 5,000 places" in answer.text for answer in found)


def test_vertices_are_counted_before_rings_are_filled(service: Server) -> None:
    ring = [[0, 0], [1, 1], [0, 1]] * 17_000
    answer = form(service, "query", {"rings": [ring]})
    assert "51,001 vertices, at most 50,000 are read" in str(answer["error"])


def test_a_ring_that_crosses_itself_once_fills_by_the_even_odd_rule(service: Server) -> None:
    """A bow tie whose empty parts lie above and below its middle."""
    left, bottom, right, top = EDGE
    bow = [[left, bottom], [left, top], [right, bottom], [right, top], [left, bottom]]
    answer = form(service, "computeHistograms", {"rings": [bow]})
    (counts,) = [sum(band["counts"]) for band in answer["histograms"]]
    assert counts == pytest.approx(256 * 256 / 4, rel=0.02)
    assert form(service, "query", {"rings": [bow]}, returnCountOnly="true") == {"count": 1}
