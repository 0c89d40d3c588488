"""The assets that a mosaic shows by default are the ones that a person would choose."""

import json
from collections.abc import Iterator
from itertools import permutations
from pathlib import Path
from random import Random
from typing import Any

import pytest

from livemosaic.ingest.assets.choice import choose_assets
from livemosaic.ingest.assets.names import select_assets
from tests.unit.ingest.catalogues import COG, EXCERPTS, Excerpt, asset

SHARED = Path(__file__).parents[3].parent / "shared" / "data"


def shown(excerpt: Excerpt, assets: Any = None) -> list[str]:
    """The choice for an Item, by the names under which its assets are stored."""
    given = assets or excerpt.assets
    kept = select_assets(excerpt.id, given, (), ())
    found = {name: given[key] for name, key in kept.items()}
    return list(choose_assets(found, excerpt.properties, excerpt.id, excerpt.collection))


@pytest.mark.parametrize("excerpt", EXCERPTS, ids=lambda e: f"{e.catalogue}: {e.collection}")
class TestCatalogues:
    def test_shows_what_a_person_expects(self, excerpt: Excerpt) -> None:
        assert shown(excerpt) == list(excerpt.shows)

    def test_the_order_of_assets_does_not_count(self, excerpt: Excerpt) -> None:
        keys = list(excerpt.assets)
        for seed in range(10):
            Random(seed).shuffle(keys)
            shuffled = {key: excerpt.assets[key] for key in keys}
            assert shown(excerpt, shuffled) == list(excerpt.shows)


class TestDisagreement:
    def test_unknown_sensors_have_no_colors(self) -> None:
        """B4, B3, B2 are red, green, blue of Landsat 8 but near infrared, red, green of Landsat 7:
        numbers alone make no picture."""
        assets = {f"B{n}": asset(f"B{n}.tif") for n in (4, 3, 2)}
        assert choose_assets(assets, {}, "a", "c") == ("B2",)

    def test_other_roles_do_not_hide_data(self) -> None:
        for order in permutations(("mask", "height")):
            assets = {
                "mask": asset("m.tif", COG, "data-mask"),
                "height": asset("h.tif", COG, "data"),
            }
            assert choose_assets({k: assets[k] for k in order}, {}) == ("height",)

    def test_masks_are_shown_where_there_is_nothing_else(self) -> None:
        assert choose_assets({"qa": asset("qa.tif")}, {}) == ("qa",)

    def test_bands_that_are_nonsense_are_ignored(self) -> None:
        for bands in (None, "red", [None], [7], [{"name": 3}], [[]], {}, [True]):
            assets = {"a": asset("a.tif", COG, **{"eo:bands": bands, "bands": bands})}
            assert choose_assets(assets, {"eo:bands": 3, "platform": []}) == ("a",)

    def test_bands_without_names_do_not_hide_eo_bands(self) -> None:
        assets = {
            name: asset(f"{name}.tif", COG, bands=(color,)) | {"bands": [{"data_type": "uint16"}]}
            for name, color in (("x", "blue"), ("y", "green"), ("z", "red"))
        }
        assert choose_assets(assets, {}) == ("z", "y", "x")

    def test_numbers_may_be_of_the_bands(self) -> None:
        assets = {
            name: {**asset(f"{name}.tif"), "bands": [{"name": band}]}
            for name, band in (("x", "B02"), ("y", "B03"), ("z", "B04"), ("q", "B8A"))
        }
        assert choose_assets(assets, {"platform": "Sentinel-2A"}) == ("z", "y", "x")


class TestNames:
    def test_patterns_of_settings_are_bands_too(self) -> None:
        names = [f"*_SR_B{n}.TIF" for n in (2, 3, 4, 5)]
        assets = {f"{name[1:]}": asset(f"LC09_1_{name[2:]}") for name in names}
        kept = select_assets("LC09_1", assets, names, ())
        found = {name: assets[key] for name, key in kept.items()}
        assert choose_assets(found, {"platform": "landsat-9"}) == (names[2], names[1], names[0])

    def test_ordinary_keys_stay(self) -> None:
        keys = ["B01", "B02", "data", "250m_16_days_NDVI", "LST_Day_1km", "band1", "S2", "cog"]
        assets = {key: asset(f"scene-1/{key}.tif") for key in keys}
        assert select_assets("scene-1", assets, (), ()) == {key: key for key in keys}

    def test_names_that_would_be_the_same_are_left_as_they_are(self) -> None:
        assets = {
            "data": asset("x.tif", COG, title="B04"),
            "data1": asset("y.tif", COG, title="B05"),
            "B04": asset("z.tif"),
        }
        assert set(select_assets("a", assets, (), ())) == {"data", "data1", "B04"}

    def test_long_patterns_take_no_time(self) -> None:
        assets = {"a": asset(f"{'a' * 500}.tif")}
        assert select_assets("i", assets, ["*a" * 100 + "*b.tif"], ()) == {}


class TestRealItems:
    @pytest.mark.skipif(not SHARED.exists(), reason="needs ../shared/data")
    def test_items_of_one_collection_agree(self) -> None:
        """Of every collection in ../shared/data, all Items give the same choice, whatever the
        order of their assets."""
        choices: dict[str, set[tuple[str, ...]]] = {}
        for item in real_items():
            kept = select_assets(item["id"], item["assets"], (), ())
            found = {name: item["assets"][key] for name, key in kept.items()}
            if found:
                collection = item.get("collection") or ""
                chosen = choose_assets(found, item["properties"], item["id"], collection)
                choices.setdefault(collection, set()).add(chosen)
        assert len(choices) >= 5, choices
        assert {name: found for name, found in choices.items() if len(found) > 1} == {}


def real_items() -> Iterator[dict[str, Any]]:
    """The Items in ../shared/data."""
    for path in sorted(SHARED.rglob("*json")):
        for document in _documents(path.read_text()):
            for item in document.get("features", [document]):
                if isinstance(item.get("assets"), dict) and isinstance(item.get("id"), str):
                    yield item


def _documents(text: str) -> list[dict[str, Any]]:
    """JSON, or a line each."""
    try:
        return [json.loads(text)]
    except json.JSONDecodeError:
        return [json.loads(line) for line in text.splitlines() if line.strip()]
