"""Two Items mean the same by an asset, or they do not: every pair of catalogues, against what their
assets really are."""

from collections.abc import Mapping
from datetime import UTC, datetime
from itertools import product
from random import Random
from time import process_time
from typing import Any

import pytest

from items import item
from livemosaic.index.learning.meanings import Meaning, differences, learned
from livemosaic.ingest.assets.meaning import stated_meanings
from livemosaic.ingest.item import StacItem
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.order import Order
from livemosaic.model.scene import Scene
from livemosaic.storage.allowlist import AllowList
from tests.unit.ingest.catalogues import Excerpt, asset
from tests.unit.ingest.shapes import SHAPES, UNSTATED, Shape

MOSAIC = Mosaic(id="m")


def scene_of(shape: Shape) -> Scene:
    excerpt = shape.item
    document = item(
        excerpt.id,
        collection=excerpt.collection,
        assets=excerpt.assets,
        properties=excerpt.properties,
    )
    parsed = StacItem.parse(document, order=Order(datetime(2026, 3, 1, tzinfo=UTC)))
    return parsed.scene(MOSAIC, AllowList(("https://example.com/",)))


@pytest.fixture(scope="module")
def scenes() -> list[tuple[Shape, Scene]]:
    return [(shape, scene_of(shape)) for shape in SHAPES]


class TestCatalogues:
    def test_no_pair_mixes_and_none_is_kept_apart_for_nothing(
        self, scenes: list[tuple[Shape, Scene]]
    ) -> None:
        """Of every asset name that two Items share: they differ where the truth does."""
        pairs, faults = 0, []
        for (one, first), (other, second) in product(scenes, scenes):
            known = learned({}, first.meanings())
            found = differences(known, second.meanings())
            for name in {*first.assets} & {*second.assets}:
                pairs += 1
                truths = {one.truth(name), other.truth(name)}
                differ = len(truths) > 1 and UNSTATED not in truths
                if differ != (name in found):
                    meant = first.meanings().get(name), second.meanings().get(name)
                    faults.append((one.label, other.label, name, truths, found.get(name), meant))
        assert faults == []
        assert pairs > 400

    def test_numbers_of_what_was_compared(self, scenes: list[tuple[Shape, Scene]]) -> None:
        """The table is no use without contradictions in it, nor without catalogues."""
        contradictions = sum(
            bool(differences(first.meanings(), second.meanings()))
            for (_, first), (_, second) in product(scenes, scenes)
        )
        assert contradictions > 150
        assert len({shape.item.collection for shape, _ in scenes}) > 45


class TestNonsense:
    @pytest.mark.parametrize(
        "stated",
        [
            {"eo:bands": value, "bands": value, "raster:bands": value, "title": value}
            for value in (None, 3, "red", [], [None], [7], [{"name": 3}], [[]], {}, [True], [{}])
        ],
        ids=str,
    )
    def test_values_of_the_wrong_type_state_nothing(self, stated: Mapping[str, Any]) -> None:
        shape = Shape(Excerpt("x", "c", "id-1", {"a": asset("a.tif") | stated}, ()))
        assert not {*scene_of(shape).meanings().get("a", "").split("|")} - {"", "red", ",,"}

    @pytest.mark.parametrize(
        "text", ["swir (" * 100_000, "near infrared " * 50_000, "b" * 10**6, "0" * 10**6, "\ud800"]
    )
    def test_long_texts_take_no_time_and_nothing_is_stored_that_is_no_text(self, text: str) -> None:
        assets = {
            "a": asset(
                "a.tif", title=text, description=text, bands=(), **{"sar:polarizations": [text]}
            ),
            "b": asset("a.tif", **{"raster:bands": [{"unit": text}], "eo:bands": [{"name": text}]}),
        }
        began = process_time()
        stated = stated_meanings({k: (k, a) for k, a in assets.items()}, {}, "i", "c")
        assert process_time() - began < 2
        assert all(len(meaning.encode()) < 200 for meaning in stated.values())

    def test_a_meaning_is_the_same_after_it_was_stored(self) -> None:
        for meaning in (
            Meaning(),
            Meaning(("red",)),
            Meaning(("", "", "nir08"), "", "k"),
            Meaning((), "aux+vza", "", "aux"),
            Meaning((), "", "watt/steradian/square_meter"),
        ):
            assert Meaning.of(meaning.text) == meaning


class TestOrders:
    def test_what_is_accepted_never_contradicts_whatever_the_order(
        self, scenes: list[tuple[Shape, Scene]]
    ) -> None:
        """Of all Items that are taken into a mosaic, no two contradict each other."""
        for seed in range(20):
            shuffled = [scene for _, scene in scenes]
            Random(seed).shuffle(shuffled)
            known: dict[str, str] = {}
            taken: dict[str, list[str]] = {}
            for scene in shuffled:
                unlike = differences(known, scene.meanings())
                known = learned(known, scene.meanings())
                for name, text in scene.meanings().items():
                    if name not in unlike:
                        taken.setdefault(name, []).append(text)
            for name, texts in taken.items():
                for one, other in product(texts, texts):
                    assert not differences({name: one}, {name: other}), (name, one, other)
