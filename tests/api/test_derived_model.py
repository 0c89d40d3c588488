"""A derived mosaic of eight sources beside one mosaic with all of their scenes.

Whatever changes in a source, or in how it is shown, by any rule both list the same scenes in the
same order, but that z_orders come first; and each pixel of a tile is that of the scenes listed, as
the model paints them. LIVEMOSAIC_TEST_DEPTH=full looks longer.
"""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import hypothesis.strategies as st
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)

from api.served import AUTHORIZED, SIZE, WHOLE, Part, Server, Z, footprint, raster, scene, serving
from api.served import tile_url as url_of
from livemosaic.table.sqlite import SqliteTable

STORED = tuple(f"s{n}" for n in range(8))
SHOWN = (*STORED[:6], "nested")
VALUES = range(1, 7)
# None has the centre, or the distance from the middle, of another: a box in degrees and a tile have
# not quite the same middle.
PARTS: tuple[Part, ...] = (
    WHOLE,
    (0, 0, 128, 256),
    (132, 0, 256, 250),
    (70, 60, 200, 180),
    (0, 0, 64, 64),
    (200, 10, 250, 250),
)
ORDERS: tuple[dict[str, Any], ...] = (
    {},
    {"ascending": False},
    {"sortby": "-datetime"},
    {"sortby": "datetime"},
    {"sortby": "gsd"},
    {"sortby": "-gsd"},
    {"sortby": "datetime", "sort_value": "2026-01-03"},
    {"sortby": "gsd", "sort_value": 2},
    {"method": "center"},
    {"method": "northwest"},
    {"method": "nadir"},
    {"viewpoint": "7.9,45.8"},
)
CHOICES: tuple[dict[str, Any], ...] = (
    {},
    {"datetime": "2026-01-02/2026-01-04"},
    {"filter": "gsd < 2.5"},
    {"filter": "gsd between 2 and 3 or datetime > TIMESTAMP('2026-01-03T00:00:00Z')"},
)
OPERATIONS = ("first", "last", "min", "max", "mean", "sum", "count", "median")
PAINTED = {"min": np.min, "max": np.max, "mean": np.mean, "sum": np.sum, "median": np.median}
pytestmark = pytest.mark.slow
FULL = os.environ.get("LIVEMOSAIC_TEST_DEPTH") == "full"


@dataclass
class Scene:
    """A scene of the model."""

    source: str
    part: Part
    value: int
    gsd: float


@dataclass
class Shown:
    """How a source is shown."""

    z_order: int = 0
    filter: bool = False
    is_hidden: bool = False

    def setting(self, mosaic: str) -> dict[str, Any]:
        return {
            "mosaic": mosaic,
            "z_order": self.z_order,
            "filter": "gsd < 2" if self.filter else None,
            "minzoom": Z + 1 if self.is_hidden else 0,
        }


@dataclass
class Model:
    """What the mosaics show."""

    scenes: dict[str, Scene] = field(default_factory=dict)
    shown: dict[str, Shown] = field(default_factory=lambda: {name: Shown() for name in SHOWN})
    inner: tuple[int, int] = (0, 0)

    def way(self, source: str) -> Shown:
        return self.shown["nested" if source in STORED[6:] else source]

    def layer(self, source: str) -> tuple[int, int]:
        nested = self.inner[STORED.index(source) - 6] if source in STORED[6:] else 0
        return self.way(source).z_order, nested

    def takes(self, name: str, *, at_scale: bool) -> bool:
        scene = self.scenes[name]
        way = self.way(scene.source)
        return not (way.filter and scene.gsd >= 2) and not (at_scale and way.is_hidden)


class Machine(RuleBasedStateMachine):
    """Changes sources, and compares."""

    table: Path

    def __init__(self) -> None:
        super().__init__()
        self.model, self.names = Model(), count()
        folder = self.table / f"run-{id(self)}-{next(RUNS)}"
        folder.mkdir()
        self.server_of = serving(SqliteTable(folder / "table.db"), folder)
        self.server: Server = self.server_of.__enter__()
        self.hrefs = [self.server.url(raster(folder / f"{v}.tif", v)) for v in VALUES]

    @initialize()
    def create(self) -> None:
        shared = {"rules": {"default": {"clip": True}}}
        for name in (*STORED, "all"):
            self.server.create(name, properties=["gsd"], **shared)
        inner = [{"mosaic": name} for name in STORED[6:]]
        self.server.create("nested", sources=inner)
        self.server.create("d", sources=self.sources(), **shared)

    def sources(self) -> list[dict[str, Any]]:
        return [self.model.shown[name].setting(name) for name in SHOWN]

    def teardown(self) -> None:
        self.server_of.__exit__(None, None, None)

    @precondition(lambda self: len(self.model.scenes) < 16)
    @rule(
        source=st.sampled_from(STORED),
        part=st.sampled_from(PARTS),
        value=st.sampled_from(VALUES),
        day=st.integers(1, 5),
        gsd=st.sampled_from([1.0, 2.0, 3.0]),
    )
    def add(self, source: str, part: Part, value: int, day: int, gsd: float) -> None:
        self.put(f"{source}-{next(self.names)}", Scene(source, part, value, gsd), day)

    @precondition(lambda self: self.model.scenes)
    @rule(
        data=st.data(),
        part=st.sampled_from(PARTS),
        value=st.sampled_from(VALUES),
        day=st.integers(1, 5),
        gsd=st.sampled_from([1.0, 2.0, 3.0]),
    )
    def move(self, data: Any, part: Part, value: int, day: int, gsd: float) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.scenes)))
        self.put(name, Scene(self.model.scenes[name].source, part, value, gsd), day)

    def put(self, name: str, to: Scene, day: int) -> None:
        self.model.scenes[name] = to
        href = self.hrefs[to.value - 1]
        document = scene(name, href, to.part, day=day, properties={"gsd": to.gsd})
        for mosaic in (to.source, "all"):
            self.server.add(document, mosaic=mosaic)

    @precondition(lambda self: self.model.scenes)
    @rule(data=st.data())
    def delete(self, data: Any) -> None:
        name = data.draw(st.sampled_from(sorted(self.model.scenes)))
        for mosaic in (self.model.scenes.pop(name).source, "all"):
            url = f"/mosaics/{mosaic}/items/{name}?collection=s2"
            assert self.server.client.delete(url, headers=AUTHORIZED).status_code == 204

    @rule(
        source=st.sampled_from(SHOWN),
        z_order=st.integers(-1, 1),
        filtered=st.booleans(),
        hidden=st.booleans(),
    )
    def arrange(self, source: str, z_order: int, filtered: bool, hidden: bool) -> None:
        if source == "nested" and self.model.inner != (0, 0):
            z_order = 7
        self.model.shown[source] = Shown(z_order, filtered, hidden)
        self.change("d", self.sources())

    @rule(inner=st.sampled_from([(0, 0), (0, 1), (1, 0)]))
    def arrange_within(self, inner: tuple[int, int]) -> None:
        self.model.shown["nested"].z_order = 7
        self.change("d", self.sources())
        self.model.inner = inner
        found = zip(STORED[6:], inner, strict=True)
        self.change("nested", [{"mosaic": name, "z_order": z} for name, z in found])

    def change(self, mosaic: str, sources: list[dict[str, Any]]) -> None:
        body = {"sources": sources}
        answer = self.server.client.patch(f"/mosaics/{mosaic}", json=body, headers=AUTHORIZED)
        assert answer.status_code == 200, answer.text

    @precondition(lambda self: self.model.scenes)
    @rule(
        order=st.sampled_from(ORDERS),
        choice=st.sampled_from(CHOICES),
        operation=st.sampled_from(OPERATIONS),
    )
    def compare(self, order: Mapping[str, Any], choice: Mapping[str, Any], operation: str) -> None:
        self.agree({**order, **choice, "operation": operation})

    @precondition(lambda self: self.model.scenes)
    @rule(data=st.data(), operation=st.sampled_from(OPERATIONS))
    def compare_named(self, data: Any, operation: str) -> None:
        names = st.lists(st.sampled_from(sorted(self.model.scenes)), min_size=1, unique=True)
        way = data.draw(st.sampled_from(["ids", "lock"]))
        chosen = [f"s2/{name}" for name in data.draw(names)]
        self.agree({way: chosen, "operation": operation})

    @invariant()
    def agrees(self) -> None:
        if self.model.scenes:
            self.agree({"operation": "first"})

    def agree(self, query: Mapping[str, Any]) -> None:
        expected = self.in_order(query)
        listed = [name for name in expected if self.model.takes(name, at_scale=False)]
        assert self.listed("d", query) == listed
        shown = [name for name in expected if self.model.takes(name, at_scale="lock" not in query)]
        self.check_pixels(shown, query)

    def in_order(self, query: Mapping[str, Any]) -> list[str]:
        """What the one mosaic lists, with z_orders first."""
        listed = self.listed("all", query)
        if "lock" in query:
            return listed
        is_last = query["operation"] == "last"
        top_first = listed[::-1] if is_last else listed
        found = sorted(top_first, key=lambda name: self.model.layer(self.model.scenes[name].source))
        return found[::-1] if is_last else found

    def listed(self, mosaic: str, query: Mapping[str, Any]) -> list[str]:
        corners = footprint(WHOLE)["coordinates"][0]
        (west, south), (east, north) = np.min(corners, 0), np.max(corners, 0)
        bbox = f"{west + 1e-6},{south + 1e-6},{east - 1e-6},{north - 1e-6}"
        answer = self.server.get(f"/mosaics/{mosaic}/items", bbox=bbox, **query)
        if answer.status_code in (400, 404):  # a filter, or a name, that fits none of the scenes
            return []
        assert answer.status_code == 200, answer.text
        return [each["id"] for each in answer.json()["features"]]

    def check_pixels(self, names: list[str], query: Mapping[str, Any]) -> None:
        answer = self.server.get(f"{url_of(mosaic='d')}.npy", **query)
        if not names:
            assert answer.status_code in (200, 400, 404)
            return
        made = self.server.picture(url_of(mosaic="d"), **query)
        for row, column in ((5, 5), (128, 100), (128, 150), (20, 220), (250, 20), (100, 70)):
            over = [self.model.scenes[name] for name in names]
            values = [s.value for s in over if covers(s.part, column, row)]
            expected = painted(values, query["operation"])
            found = made.at(column, row)
            assert (found is None) == (expected is None)
            if found is not None and expected is not None:
                assert found[0] == expected, (values, names, query)


RUNS = count()


def covers(part: Part, column: int, row: int) -> bool:
    assert SIZE == 256
    return part[0] <= column < part[2] and part[1] <= row < part[3]


def painted(values: list[int], operation: str) -> float | None:
    """A pixel of scenes, top first; for `last` they are listed from the bottom."""
    if not values:
        return None
    if operation in ("first", "last"):
        return values[0]
    if operation == "count":
        return len(values)
    return int(PAINTED[operation](values))  # whole numbers stay so, as in rio-tiler


def test_a_derived_mosaic_is_as_one_with_all_scenes(tmp_path: Path) -> None:
    """Any change of a source, any rule: the same scenes in the same order, and their pixels."""

    class Here(Machine):
        table = tmp_path

    run_state_machine_as_test(
        Here,
        settings=settings(
            max_examples=200 if FULL else 12,
            stateful_step_count=40 if FULL else 25,
            deadline=None,
            phases=[Phase.explicit, Phase.generate] + ([Phase.shrink] if FULL else []),
            suppress_health_check=list(HealthCheck),
        ),
    )
