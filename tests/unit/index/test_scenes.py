"""The index: what readers find after, and during, anything that writers do. On every table."""

import hashlib
import random
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field, replace
from functools import cache
from pathlib import Path
from shutil import copy
from typing import Any

import morecantile
import pytest
from shapely.geometry import MultiPolygon, Polygon
from shapely.geometry import box as polygon

from livemosaic.errors import (
    AlreadyExistsError,
    InvalidRequestError,
    NotFoundError,
    TableBusyError,
    TooLargeError,
)
from livemosaic.geo.cells import CellGrid
from livemosaic.index.change import Effect, Newer
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.rank import rank
from livemosaic.model.scene import IndexedScene, Scene
from livemosaic.table import Delete, Item, Key, Page, Put, Table
from livemosaic.table.sqlite import SqliteTable
from livemosaic.tiler.rules.checks import check_settings
from livemosaic.tiler.views import TileAddress, area_of

TMS = morecantile.tms.get("WebMercatorQuad")
ALPS = polygon(7, 45, 8, 46)


@pytest.fixture
def pool() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(4) as pool:
        yield pool


@pytest.fixture
def index(table: Table, pool: ThreadPoolExecutor) -> Index:
    return Index(table, Mosaics(table, check_settings), pool)


@pytest.fixture
def mosaic(index: Index) -> Mosaic:
    return index.mosaics.create(Mosaic(id="alps"))


def scene(
    scene_id: str = "a",
    footprint: Polygon | MultiPolygon = ALPS,
    *,
    version: int = 1,
    day: int = 1,
    **rest: Any,
) -> Scene:
    time = f"2026-01-{day:02}T00:00:00Z"
    return Scene(
        collection="s2",
        id=scene_id,
        version=f"2026-02-{version:02}T00:00:00Z#{scene_id}{version}{day}{footprint.wkb_hex[-8:]}",
        footprint=footprint if isinstance(footprint, MultiPolygon) else MultiPolygon([footprint]),
        rank=rank("-datetime", {"datetime": time}),
        datetime=time,
        assets=rest.pop("assets", {"visual": f"https://example.com/{scene_id}.tif"}),
        **rest,
    )


def at(index: Index, mosaic_id: str, lon: float, lat: float, zoom: int = 12) -> list[IndexedScene]:
    """The scenes of the tile at a place, as a reader finds them who just asked."""
    mosaic = index.mosaics.get(mosaic_id)
    tile = TMS.tile(lon, lat, zoom)
    return list(
        index.find(
            mosaic, TileAddress("WebMercatorQuad", zoom, tile.x, tile.y).view(mosaic, 256).area
        )
    )


def shard(one: Scene) -> int:
    """Where its head is: the first two bytes of BLAKE2b, of 16 shards."""
    return int.from_bytes(hashlib.blake2b(one.key.encode(), digest_size=2).digest()) % 16


def ids(found: Sequence[IndexedScene]) -> list[str]:
    return [one.id for one in found]


class TestMosaics:
    def test_a_mosaic_is_as_it_was_made(self, index: Index) -> None:
        made = index.mosaics.create(
            Mosaic(
                id="m",
                title="Ünïcode",
                collections=("a", "b"),
                filter={"op": "<", "args": [{"property": "eo:cloud_cover"}, 10.5]},
                assets=("red",),
                minzoom=3,
                sortby="eo:cloud_cover",
            )
        )
        assert index.mosaics.get("m") == made
        assert index.mosaics.all() == [made]

    def test_a_mosaic_stored_before_a_setting_was_there_has_its_default(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        key = Key("mosaics", mosaic.id)
        stored = dict(index.table.get(key) or {})
        for name in ("max_age_s", "stale_while_revalidate_s"):
            del stored[name]
        index.table.transact([Put(key, stored)])
        assert index.mosaics.get(mosaic.id) == mosaic

    def test_one_id_is_one_mosaic(self, index: Index, mosaic: Mosaic) -> None:
        with pytest.raises(AlreadyExistsError, match="'alps' already exists"):
            index.mosaics.create(Mosaic(id="alps"))

    def test_an_unknown_mosaic_is_said_to_be_unknown(self, index: Index) -> None:
        with pytest.raises(NotFoundError, match="no mosaic 'x'"):
            index.mosaics.get("x")

    @pytest.mark.parametrize("bad", ["", "../x", "a#b", "a b", "é", "-a", "a" * 64, "🌍"])
    def test_a_bad_id_is_refused_with_its_value(self, bad: str) -> None:
        with pytest.raises(InvalidRequestError, match="mosaic id"):
            Mosaic(id=bad)

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"minzoom": 9, "maxzoom": 5}, "minzoom 9 and maxzoom 5"),
            ({"minzoom": 9, "quadkey_zoom": 5}, "quadkey_zoom 5"),
            ({"max_cells": 49}, "max_cells 49"),
            ({"max_age_s": -1}, "max_age_s -1"),
            ({"stale_while_revalidate_s": 10**9}, "stale_while_revalidate_s 1000000000"),
            ({"collections": ()}, "collections is empty"),
            ({"sortby": "-"}, "sortby '-'"),
        ],
    )
    def test_bad_settings_are_refused_with_their_values(
        self, settings: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=says):
            Mosaic(id="m", **settings)

    @pytest.mark.parametrize(
        ("settings", "says"),
        [
            ({"tms": "Nowhere"}, "unknown TileMatrixSet"),
            ({"filter": {"op": "nonsense"}}, "not valid CQL2"),
        ],
    )
    def test_settings_that_others_judge_are_refused_at_creation(
        self, index: Index, settings: dict[str, Any], says: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match=says):
            index.mosaics.create(Mosaic(id="m", **settings))

    def test_settings_change_but_not_those_that_rows_depend_on(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        assert index.mosaics.update("alps", {"title": "Alps"}).title == "Alps"
        with pytest.raises(InvalidRequestError, match="quadkey_zoom is part of every indexed row"):
            index.mosaics.update("alps", {"quadkey_zoom": 9})

    def test_bounds_and_levels_grow_with_scenes_and_are_written_only_then(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        first = index.mosaics.get("alps")
        assert first.bounds == (7, 45, 8, 46)
        index.apply(first, scene("b", polygon(7.01, 45.01, 7.99, 45.99)))
        again = index.mosaics.get("alps")
        assert (again.bounds, again.revision) == (first.bounds, first.revision)
        index.apply(again, scene("c", polygon(7, 45, 7.01, 45.01)))
        assert set(index.mosaics.get("alps").levels) > set(first.levels)

    def test_twenty_growing_at_once_lose_nothing(self, index: Index, mosaic: Mosaic) -> None:
        scenes = [scene(f"s{n}", polygon(n, n, n + 0.5, n + 0.5)) for n in range(20)]
        with ThreadPoolExecutor(20) as writers:
            list(writers.map(lambda s: index.apply(mosaic, s), scenes))
        assert index.mosaics.get("alps").bounds == (0, 0, 19.5, 19.5)

    def test_a_deleted_mosaic_leaves_no_rows_and_can_be_made_again(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        for n in range(30):
            index.apply(mosaic, scene(f"s{n}"))
        doomed = index.mosaics.mark_deleting("alps")
        with pytest.raises(NotFoundError):
            index.mosaics.get("alps")
        assert index.mosaics.all() == []
        assert sum(map(len, index.purge(doomed))) == 30
        index.mosaics.forget(mosaic)
        cells = CellGrid.of("WebMercatorQuad").cells_of((0, 5e6, 2e6, 7e6), 8)
        assert index.list_scenes(doomed, limit=10) == ([], None)
        for kind in ("cell", "coarse"):
            for cell in cells:
                pk = f"alps.{mosaic.generation}#{kind}#{cell.quadkey}"
                assert not index.table.query(pk, consistent=True).rows
        again = index.mosaics.create(Mosaic(id="alps"))
        assert again.generation != mosaic.generation
        index.apply(mosaic, scene("late"))  # an event that was under way with the old one
        assert at(index, "alps", 7.5, 45.5) == []


class TestFind:
    def test_a_scene_is_found_at_every_zoom_where_it_is_and_nowhere_else(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        for zoom in range(21):
            assert ids(at(index, "alps", 7.5, 45.5, zoom)) == ["a"], zoom
        assert at(index, "alps", -60, 0) == []

    def test_it_carries_all_that_a_tile_needs(self, index: Index, mosaic: Mosaic) -> None:
        put = scene("a", properties={"eo:cloud_cover": 3.5, "tags": ["x", "y"]})
        index.apply(mosaic, put)
        (found,) = at(index, "alps", 7.5, 45.5)
        assert (found.collection, found.id, found.version) == ("s2", "a", put.version)
        assert (found.assets, found.properties) == (put.assets, put.properties)
        assert found.datetime == put.datetime

    def test_the_centre_is_that_of_the_scene_in_each_of_its_cells(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a", polygon(7, 45, 8, 47)))
        corners = [at(index, "alps", lon, lat) for lon in (7.01, 7.99) for lat in (45.01, 46.99)]
        assert [found.centre for (found,) in corners] == [(7.5, 46.0)] * 4

    def test_scenes_come_in_rank_order_over_pages_and_levels(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        days = [n % 28 + 1 for n in range(90)]
        random.Random(1).shuffle(days)
        small = polygon(7.45, 45.45, 7.55, 45.55)
        for n, day in enumerate(days):
            index.apply(mosaic, scene(f"s{n:03}", small if n % 3 else ALPS, day=day))
        for zoom in (3, 12):
            found = at(index, "alps", 7.5, 45.5, zoom)
            assert len(found) == 90
            assert [(f.rank, f.key) for f in found] == sorted((f.rank, f.key) for f in found)

    def test_the_first_scenes_of_a_deep_stack_cost_one_page(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        for n in range(80):
            index.apply(mosaic, scene(f"s{n:02}"))
        counting = Counting(index.table)
        reader = Index(counting, index.mosaics, index.pool)
        mosaic = index.mosaics.get("alps")
        tile = TMS.tile(7.5, 45.5, 13)
        area = TileAddress("WebMercatorQuad", 13, tile.x, tile.y).view(mosaic, 256).area
        assert next(reader.find(mosaic, area)).id == "s00"
        assert counting.queries == 1

    @pytest.mark.parametrize("zoom", [3, 7, 12])
    def test_a_tile_never_asks_more_queries_than_there_are_levels(
        self, index: Index, mosaic: Mosaic, zoom: int
    ) -> None:
        for n in range(6):
            index.apply(
                mosaic, scene(f"s{n}", polygon(7, 45, 7 + 10 ** (1 - n), 45 + 10 ** (1 - n)))
            )
        counting = Counting(index.table)
        mosaic = index.mosaics.get("alps")
        tile = TMS.tile(7.0000001, 45.0000001, zoom)
        area = TileAddress("WebMercatorQuad", zoom, tile.x, tile.y).view(mosaic, 256).area
        assert len(list(Index(counting, index.mosaics, index.pool).find(mosaic, area))) == 6
        assert counting.queries <= len(mosaic.levels) + 1

    @pytest.mark.parametrize(("zoom", "least"), [(0, 64), (1, 16), (2, 4)])
    def test_a_tile_of_the_whole_world_asks_where_the_mosaic_is(
        self, index: Index, mosaic: Mosaic, zoom: int, least: int
    ) -> None:
        def queries() -> int:
            counting = Counting(index.table)
            known = index.mosaics.get("alps")
            tile = TMS.tile(7, 45, zoom)
            area = TileAddress("WebMercatorQuad", zoom, tile.x, tile.y).view(known, 256).area
            reader = Index(counting, index.mosaics, index.pool)
            assert "a" in ids(list(reader.find(known, area)))
            return counting.queries

        index.apply(mosaic, scene("a"))
        assert queries() <= 4
        index.apply(mosaic, scene("far", polygon(-179, -80, -178, -79)))
        index.apply(mosaic, scene("away", polygon(178, 79, 179, 80)))
        assert queries() == least

    def test_two_kinds_of_scenes_share_a_mosaic(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene("world", polygon(-180, -85, 180, 85), day=1))
        index.apply(mosaic, scene("drone", polygon(7, 45, 7.002, 45.002), day=2))
        for zoom in (0, 5, 10, 14, 18):
            assert ids(at(index, "alps", 7.001, 45.001, zoom)) == ["drone", "world"]
            assert ids(at(index, "alps", -7, -45, zoom)) == (
                ["world"] if zoom else ["drone", "world"]
            )

    def test_scenes_of_another_mosaic_stay_there(self, index: Index, mosaic: Mosaic) -> None:
        other = index.mosaics.create(Mosaic(id="alps.x"))
        index.apply(other, scene("a"))
        assert at(index, "alps", 7.5, 45.5) == []

    def test_the_same_id_in_two_collections_is_two_scenes(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene("a"))
        index.apply(mosaic, replace(scene("a"), collection="landsat"))
        assert sorted(f.collection for f in at(index, "alps", 7.5, 45.5)) == ["landsat", "s2"]

    @pytest.mark.parametrize(
        ("tms", "zoom"),
        [("WorldCRS84Quad", 6), ("EuropeanETRS89_LAEAQuad", 5), ("UTM31WGS84Quad", 7),
         ("UPSArcticWGS84Quad", 6), ("WorldMercatorWGS84Quad", 9)],
    )  # fmt: skip
    def test_a_tile_of_any_set_finds_the_scene(
        self, index: Index, mosaic: Mosaic, tms: str, zoom: int
    ) -> None:
        index.apply(mosaic, scene("a"))
        mosaic = index.mosaics.get("alps")
        tile = morecantile.tms.get(tms).tile(7.5, 45.5, zoom)
        area = TileAddress(tms, zoom, tile.x, tile.y).view(mosaic, 256).area
        assert ids(list(index.find(mosaic, area))) == ["a"]

    def test_a_scene_on_both_sides_of_the_antimeridian_is_found_on_both(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        halves = MultiPolygon([polygon(179, 10, 180, 11), polygon(-180, 10, -179, 11)])
        index.apply(mosaic, scene("fiji", halves))
        mosaic = index.mosaics.get("alps")
        for lon in (179.5, -179.5):
            assert ids(at(index, "alps", lon, 10.5)) == ["fiji"]
        assert ids(list(index.find(mosaic, area_of(mosaic, (179.9, 10.2, -179.9, 10.4))))) == [
            "fiji"
        ]
        assert at(index, "alps", 178, 10.5) == []

    def test_a_scene_that_moved_comes_between_no_parts_of_others(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """Its row at the old place in the order gives it, or not, but no other one twice."""
        wide = polygon(-1, 45, 1, 46)
        index.apply(mosaic, scene("a", wide, day=2))
        index.apply(mosaic, scene("b", wide, day=1))
        index.apply(mosaic, scene("b", wide, day=3, version=2))
        mosaic = index.mosaics.get("alps")
        assert ids(list(index.find(mosaic, area_of(mosaic, (-1, 45, 1, 46))))) == ["b", "a"]

    def test_a_point_is_an_area_too(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene("a"))
        mosaic = index.mosaics.get("alps")
        assert ids(list(index.find(mosaic, area_of(mosaic, (7.5, 45.5, 7.5, 45.5))))) == ["a"]
        assert list(index.find(mosaic, area_of(mosaic, (-7.5, 45.5, -7.5, 45.5)))) == []

    def test_an_area_of_too_many_cells_is_refused_not_enumerated(self, index: Index) -> None:
        mosaic = index.mosaics.create(Mosaic(id="deep", minzoom=12, quadkey_zoom=14))
        index.apply(mosaic, scene("a", polygon(7, 45, 7.001, 45.001)))
        mosaic = index.mosaics.get("deep")
        with pytest.raises(InvalidRequestError, match="16,777,216 index cells at zoom 12"):
            list(index.find(mosaic, area_of(mosaic, (-180, -85.05, 180, 85.05))))


class TestApply:
    def test_the_same_scene_twice_changes_nothing(self, index: Index, mosaic: Mosaic) -> None:
        assert index.apply(mosaic, scene()).change == "applied"
        assert index.apply(mosaic, scene()).change == "unchanged"
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]

    def test_what_its_item_states_is_read_once_for_each_event(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        """An event that comes again is compared no more: what was found is returned."""
        asked: list[str] = []

        def stating(kind: str, **rest: Any) -> Scene:
            def meanings() -> dict[str, str]:
                asked.append(kind)
                return {"visual": f"|{kind}"}

            return scene(**rest, meanings=cache(meanings))

        index.apply(mosaic, stating("ndvi", scene_id="first"))
        assert index.apply(mosaic, stating("lst")).other_kinds == {"visual": "lst, not ndvi"}
        again = index.apply(mosaic, stating("lst"))
        assert (again.change, again.other_kinds) == ("unchanged", {"visual": "lst, not ndvi"})
        assert index.apply(mosaic, stating("lst", version=0)).change == "outdated"
        assert asked == ["ndvi", "lst"]

    def test_a_newer_version_takes_its_place(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene(version=1))
        newer = scene(version=2, assets={"visual": "https://example.com/v2.tif"})
        assert index.apply(mosaic, newer).change == "applied"
        (found,) = at(index, "alps", 7.5, 45.5)
        assert (found.version, found.assets) == (newer.version, newer.assets)

    def test_a_late_event_older_than_the_stored_scene_changes_nothing(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(version=2))
        assert index.apply(mosaic, scene(version=1)).change == "outdated"
        assert at(index, "alps", 7.5, 45.5)[0].version == scene(version=2).version

    def test_a_later_event_with_equal_content_moves_the_version_only(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        first = scene()
        content = first.version.partition("#")[2]
        later = replace(first, version=f"2026-02-09T00:00:00Z#{content}")
        index.apply(mosaic, first)
        assert index.apply(mosaic, later).change == "unchanged"
        between = scene(version=5)
        assert index.apply(mosaic, between).change == "outdated"

    def test_a_list_has_the_scenes_that_images_show(self, index: Index, mosaic: Mosaic) -> None:
        """A truncation hides the rows of a scene although a later event of equal content raised
        its version: until its rows are written anew, no image shows it, and no list has it."""
        first = scene()
        later = replace(first, version=first.version.replace("-02-01T", "-02-09T"))
        index.apply(mosaic, first)
        index.apply(mosaic, later)
        index.truncate(mosaic, "s2", "2026-02-05T00:00:00Z#~deleted")
        truncated = index.mosaics.get(mosaic.id)
        assert at(index, "alps", 7.5, 45.5) == []
        assert index.list_scenes(truncated, limit=9) == ([], None)
        assert [*index.every_scene(truncated)] == [*index.scenes(truncated, [first.key])] == []
        with pytest.raises(NotFoundError):
            index.scene(truncated, first.key)
        index.apply_watermark(truncated, first.key)
        assert ids(at(index, "alps", 7.5, 45.5)) == [first.id]
        listed, _ = index.list_scenes(truncated, limit=9)
        assert listed == [*index.every_scene(truncated)]
        assert [one.id for one in listed] == [first.id]

    @pytest.mark.parametrize("day", [1, 20], ids=["same rank", "other rank"])
    @pytest.mark.parametrize(
        "footprint",
        [
            pytest.param(ALPS, id="same place"),
            pytest.param(polygon(7.5, 45.5, 8.5, 46.5), id="moved a bit"),
            pytest.param(polygon(20, 45, 21, 46), id="moved away"),
            pytest.param(polygon(7.49, 45.49, 7.51, 45.51), id="shrunk to another level"),
            pytest.param(polygon(-20, 20, 40, 60), id="grown to another level"),
        ],
    )
    def test_a_changed_scene_is_where_it_is_now_and_only_there(
        self, index: Index, mosaic: Mosaic, footprint: Polygon, day: int
    ) -> None:
        index.apply(mosaic, scene(day=10))
        index.apply(mosaic, scene("other", day=15))
        new = scene(footprint=footprint, version=2, day=day)
        assert index.apply(mosaic, new).change == "applied"
        for lon, lat in [(7.5, 45.5), (7.1, 45.1), (8.4, 46.4), (20.5, 45.5), (0, 30)]:
            for zoom in (0, 4, 8, 13):
                met = [f for f in at(index, "alps", lon, lat, zoom) if f.id == "a"]
                tile = polygon(*TMS.bounds(TMS.tile(lon, lat, zoom)))
                assert {f.version for f in met} <= {new.version}
                assert len(met) <= 1
                if tile.intersection(footprint).area > 0:
                    assert met, (lon, lat, zoom)
        order = ids(at(index, "alps", 7.5, 45.5, 3))
        assert order.index("a") < order.index("other") if day == 20 else order[-1] == "a"

    @pytest.mark.parametrize("end", ["deleted", "moved away", "moved back", "other rank"])
    def test_nothing_stays_behind_of_a_scene_that_moved_a_moment_ago(
        self, index: Index, mosaic: Mosaic, end: str
    ) -> None:
        """A second change within the time in which readers believe the first one's moved rows."""
        away = polygon(20, 45, 21, 46)
        index.apply(mosaic, scene(version=1, day=10))
        index.apply(mosaic, scene(version=2, day=20))
        index.apply(mosaic, scene(footprint=polygon(7.4, 45.4, 8.4, 46.4), version=3, day=5))
        if end == "deleted":
            index.delete(mosaic, "s2#a", "2026-02-04T00:00:00Z#~deleted")
        else:
            footprint = away if end == "moved away" else ALPS
            day = 15 if end == "other rank" else 10
            index.apply(mosaic, scene(footprint=footprint, version=4, day=day))
        versions = {f.version for zoom in (3, 8, 12) for f in at(index, "alps", 7.5, 45.5, zoom)}
        now = scene(version=4, footprint=ALPS, day=15 if end == "other rank" else 10).version
        if end == "moved away":
            far = scene(version=4, footprint=away, day=10).version
            assert versions <= {far}  # at zoom 3 both places are in one tile
            assert at(index, "alps", 7.5, 45.5) == []
        else:
            assert versions == (set() if end == "deleted" else {now})

    @pytest.mark.parametrize("max_cells", [16, 40])
    def test_a_scene_that_moves_and_moves_is_one_scene(self, index: Index, max_cells: int) -> None:
        """More moved rows than one transaction holds, each move with its own rank and cells."""
        mosaic = index.mosaics.create(Mosaic(id="m", max_cells=max_cells))
        largest = 0
        for n in range(1, 15):
            size = (1.0, 12.0, 4.0, 0.4, 30.0)[n % 5]
            moved = polygon(7.3 + n / 100, 45.3, 7.3 + n / 100 + size, 45.3 + size)
            newest = scene(footprint=moved, version=n, day=(n * 7) % 28 + 1)
            assert index.apply(mosaic, newest).change == "applied"
            head = index.table.get(Key(f"m.{mosaic.generation}#scenes#{shard(newest)}", newest.key))
            assert head is not None
            largest = max(largest, len(head["cells"] + head["coarse"] + head["moved"]))
            for zoom in (2, 6, 9, 12):
                assert [f.version for f in at(index, "m", 7.6, 45.5, zoom)] == [newest.version]
        assert largest > (100 if max_cells == 40 else 16)
        index.delete(mosaic, "s2#a", "2026-03-01#~deleted")
        for zoom in (2, 6, 9, 12):
            assert at(index, "m", 7.6, 45.5, zoom) == []

    def test_a_row_too_large_for_the_table_is_refused_and_nothing_is_lost(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene())
        huge = scene(version=2, properties={"text": "x" * 400_000})
        with pytest.raises(TooLargeError, match="400,000"):
            index.apply(mosaic, huge)
        assert at(index, "alps", 7.5, 45.5)[0].version == scene().version

    def test_twenty_versions_at_once_leave_the_newest(self, index: Index, mosaic: Mosaic) -> None:
        versions = [scene(version=n, day=n) for n in range(1, 21)]
        random.Random(2).shuffle(versions)
        with ThreadPoolExecutor(20) as writers:
            list(writers.map(lambda s: index.apply(mosaic, s), versions))
        (found,) = at(index, "alps", 7.5, 45.5)
        assert found.version == scene(version=20, day=20).version

    def test_twenty_scenes_at_once_in_one_cell_are_all_there(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        scenes = [scene(f"s{n}", day=n + 1) for n in range(20)]
        with ThreadPoolExecutor(20) as writers:
            list(writers.map(lambda s: index.apply(mosaic, s), scenes))
        assert ids(at(index, "alps", 7.5, 45.5)) == [f"s{n}" for n in reversed(range(20))]


class TestDelete:
    def test_a_deleted_scene_is_gone_everywhere(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene())
        assert index.delete(mosaic, "s2#a", "2026-03-01#~deleted").change == "deleted"
        assert all(at(index, "alps", 7.5, 45.5, zoom) == [] for zoom in range(15))
        assert index.list_scenes(mosaic, limit=10) == ([], None)
        with pytest.raises(NotFoundError, match="no item 'a'"):
            index.scene(mosaic, "s2#a")

    def test_an_older_event_does_not_bring_it_back_and_a_newer_does(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(version=1))
        index.delete(mosaic, "s2#a", "2026-02-05T00:00:00Z#~deleted")
        assert index.apply(mosaic, scene(version=3)).change == "outdated"
        assert at(index, "alps", 7.5, 45.5) == []
        assert index.apply(mosaic, scene(version=9)).change == "applied"
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]

    def test_a_deletion_that_came_first_holds(self, index: Index, mosaic: Mosaic) -> None:
        assert index.delete(mosaic, "s2#a", "2026-02-05T00:00:00Z#~deleted").change == "deleted"
        assert index.apply(mosaic, scene(version=3)).change == "outdated"

    def test_a_deletion_older_than_the_scene_changes_nothing(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(version=9))
        assert index.delete(mosaic, "s2#a", "2026-02-05T00:00:00Z#~deleted").change == "outdated"
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]


class TestForce:
    """A change that users insist on is the newest, whatever clocks say."""

    FUTURE = "2999-01-01T00:00:00.000000Z"

    def test_an_older_version_replaces_one_of_the_future(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        ahead = replace(scene(version=9), version=f"{self.FUTURE}#ahead")
        index.apply(mosaic, ahead)
        given = scene(version=1, assets={"visual": "https://example.com/given.tif"})
        assert index.apply(mosaic, given).change == "outdated"
        assert index.apply(mosaic, given, force=True) == Effect("applied")
        (found,) = at(index, "alps", 7.5, 45.5)
        assert found.assets == given.assets
        assert found.version.startswith("2999-01-01T00:00:00.000001Z#")
        assert index.apply(mosaic, ahead).change == "outdated"

    def test_its_version_is_of_now_where_nothing_newer_is_there(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        reader = replace(index, clock=lambda: 1_790_000_000.5)
        assert reader.apply(mosaic, scene(), force=True) == Effect("applied")
        (found,) = at(index, "alps", 7.5, 45.5)
        assert found.version.startswith("2026-09-21T14:13:20.500000Z#")
        assert found.version.rpartition("#")[2] == scene().version.rpartition("#")[2]

    def test_what_is_shown_already_stays_and_is_above_what_it_was_above(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene(version=3))
        assert index.apply(mosaic, scene(version=3), force=True) == Effect("unchanged")
        assert index.apply(mosaic, scene(version=9)).change == "outdated"
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]

    def test_a_deleted_scene_comes_back(self, index: Index, mosaic: Mosaic) -> None:
        index.delete(mosaic, "s2#a", f"{self.FUTURE}~7#~deleted")
        assert index.apply(mosaic, scene(), force=True) == Effect("applied")
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]

    def test_a_truncated_scene_comes_back_also_where_the_truncation_is_not_known_yet(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, scene())
        index.truncate(mosaic, "s2", f"{self.FUTURE}#~deleted")
        assert index.apply(mosaic, scene(), force=True) == Effect("applied")
        assert ids(at(index, "alps", 7.5, 45.5)) == ["a"]

    def test_a_deletion_removes_a_scene_of_the_future(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, replace(scene(), version=f"{self.FUTURE}#a"))
        version = "2026-02-05T00:00:00Z#~deleted"
        assert index.delete(mosaic, "s2#a", version).change == "outdated"
        assert index.delete(mosaic, "s2#a", version, force=True) == Effect("deleted")
        assert at(index, "alps", 7.5, 45.5) == []
        assert index.apply(mosaic, replace(scene(), version=f"{self.FUTURE}#a")).change != "applied"

    def test_a_truncation_removes_scenes_of_the_future_and_of_no_other_collection(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        for n in range(20):
            one = replace(scene(f"s{n}"), version=f"2999-01-{n + 1:02}T00:00:00.000000Z#{n}")
            index.apply(mosaic, one)
        index.apply(mosaic, replace(scene("other"), collection="landsat"))
        version = "2026-02-05T00:00:00Z#~deleted"
        index.truncate(mosaic, "s2", version)
        assert len(at(index, "alps", 7.5, 45.5)) == 21
        assert index.truncate(mosaic, "s2", version, force=True) == Effect("truncated")
        assert ids(at(index, "alps", 7.5, 45.5)) == ["other"]

    def test_of_twenty_at_once_each_is_taken_and_one_is_shown(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        index.apply(mosaic, replace(scene(), version=f"{self.FUTURE}#a"))
        scenes = [scene(version=n, day=n) for n in range(1, 21)]
        with ThreadPoolExecutor(20) as writers:
            effects = list(writers.map(lambda s: index.apply(mosaic, s, force=True), scenes))
        assert effects == [Effect("applied")] * 20
        (found,) = at(index, "alps", 7.5, 45.5)
        assert found.version.startswith("2999-01-01T00:00:00.000020Z#")


class TestNewer:
    """A change that shows nothing says what the mosaic has instead, and since when."""

    def test_a_version(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene(version=2))
        assert index.apply(mosaic, scene(version=1)).newer == Newer(
            "version", "2026-02-02T00:00:00Z"
        )

    def test_the_document_that_is_shown_of_two_of_one_version(
        self, index: Index, mosaic: Mosaic
    ) -> None:
        one, other = (replace(scene(), version=f"2026-02-01T00:00:00Z#{n}") for n in "12")
        assert index.apply(mosaic, other) == Effect("applied")
        assert index.apply(mosaic, one) == Effect(
            "contested", Newer("version", "2026-02-01T00:00:00Z")
        )
        index.delete(mosaic, scene().key, "2026-02-02T00:00:00Z#~deleted")
        one, other = (replace(scene(), version=f"2026-02-03T00:00:00Z#{n}") for n in "12")
        assert index.apply(mosaic, one) == Effect("applied")
        assert index.apply(mosaic, other) == Effect("contested")

    def test_a_deletion(self, index: Index, mosaic: Mosaic) -> None:
        index.delete(mosaic, "s2#a", "2026-02-05T00:00:00Z~7#~deleted")
        effect = index.apply(mosaic, scene(version=3))
        assert effect.newer == Newer("deletion", "2026-02-05T00:00:00Z")

    @pytest.mark.parametrize("shown_before", [True, False], ids=["shown before", "never seen"])
    def test_a_truncation(self, index: Index, mosaic: Mosaic, *, shown_before: bool) -> None:
        if shown_before:
            index.apply(mosaic, scene(version=2))
        index.truncate(mosaic, "s2", "2026-02-05T00:00:00Z#~deleted")
        truncated = index.mosaics.get(mosaic.id)
        for _ in range(2):  # the first finds the head, the second the tombstone of the truncation
            effect = index.apply(truncated, scene(version=3))
            assert effect.newer == Newer("truncation", "2026-02-05T00:00:00Z")

    def test_a_version_since_the_truncation(self, index: Index, mosaic: Mosaic) -> None:
        index.truncate(mosaic, "s2", "2026-02-05T00:00:00Z#~deleted")
        truncated = index.mosaics.get(mosaic.id)
        index.apply(truncated, scene(version=9))
        effect = index.apply(truncated, scene(version=3))
        assert effect.newer == Newer("version", "2026-02-09T00:00:00Z")

    def test_a_version_that_a_deletion_leaves(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene(version=9))
        effect = index.delete(mosaic, "s2#a", "2026-02-05T00:00:00Z#~deleted")
        assert effect.newer == Newer("version", "2026-02-09T00:00:00Z")


class TestList:
    def test_every_scene_is_listed_once_over_pages(self, index: Index, mosaic: Mosaic) -> None:
        for n in range(25):
            index.apply(mosaic, scene(f"s{n}"))
        index.delete(mosaic, "s2#s3", "2026-03-01#~deleted")
        listed: list[str] = []
        token: str | None = ""
        while token is not None:
            scenes, token = index.list_scenes(mosaic, limit=7, token=token)
            assert len(scenes) <= 7
            listed += [s.id for s in scenes]
        assert sorted(listed) == sorted(f"s{n}" for n in range(25) if n != 3)

    def test_a_listed_scene_has_its_whole_footprint(self, index: Index, mosaic: Mosaic) -> None:
        index.apply(mosaic, scene())
        (listed,), _ = index.list_scenes(mosaic, limit=10)
        assert listed == index.scene(mosaic, "s2#a")
        assert listed.footprint.equals(ALPS)

    @pytest.mark.parametrize("token", ["x", "99#", "-1#a", "#"])
    def test_a_token_that_was_never_given_is_refused(
        self, index: Index, mosaic: Mosaic, token: str
    ) -> None:
        with pytest.raises(InvalidRequestError, match="token"):
            index.list_scenes(mosaic, limit=1, token=token)


class TestReadersBesideWriters:
    """A reader that looks at any moment finds the old scene or the new one."""

    @pytest.mark.parametrize("day", [5, 10, 20])
    @pytest.mark.parametrize("size", [1.0, 0.02, 30.0], ids=["same level", "deeper", "coarser"])
    @pytest.mark.parametrize("again", [False, True], ids=["once", "twice"])
    def test_a_move_between_any_two_of_its_queries_never_hides_a_scene(
        self, crowded: tuple[Path, Mosaic], tmp_path: Path, day: int, size: float, again: bool
    ) -> None:
        """The writer's one transaction falls between every two calls that the reader makes."""
        file, mosaic = crowded
        calls, more = 0, True
        while more:
            with closing(SqliteTable(copy(file, tmp_path / f"{calls}.db"))) as table:
                more = read_beside_moves(table, mosaic, calls, day, size, again)
            calls += more
        assert calls >= 2

    def test_a_busy_table_says_so_after_trying_again(
        self, sqlite_table: Table, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr("livemosaic.table.retry.random.uniform", lambda *_: 0)
        index = Index(sqlite_table, Mosaics(sqlite_table), pool)
        mosaic = index.mosaics.create(Mosaic(id="m"))
        index.apply(mosaic, scene())
        mosaic = index.mosaics.get("m")
        rival = Rival(sqlite_table)
        busy = Index(rival, Mosaics(sqlite_table), pool)
        with pytest.raises(TableBusyError, match="another writer came first"):
            busy.apply(mosaic, scene(version=2))


@pytest.fixture(scope="module")
def crowded(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Mosaic]:
    """An index of seventy scenes of a mosaic."""
    file = tmp_path_factory.mktemp("crowded") / "index.db"
    with closing(SqliteTable(file)) as table, ThreadPoolExecutor(1) as pool:
        writer = Index(table, Mosaics(table), pool)
        mosaic = writer.mosaics.create(Mosaic(id="m"))
        for n in range(70):
            writer.apply(mosaic, scene(f"s{n:02}", day=n % 20 + 1))
    return file, mosaic


def read_beside_moves(
    table: Table, mosaic: Mosaic, calls: int, day: int, size: float, again: bool
) -> bool:
    """Move a scene after so many queries of one read; whether the read had that many."""
    one_by_one = ThreadPoolExecutor(1)
    writer = Index(table, Mosaics(table), one_by_one)
    target = polygon(7.5, 45.5, 7.5 + size, 45.5 + size)
    writer.apply(mosaic, scene("a", day=10))
    writer.apply(mosaic, scene("b", target, day=9))
    new = scene("a", target, version=2, day=day)

    def move() -> None:
        writer.apply(mosaic, new)
        if again:
            writer.apply(mosaic, scene("a", version=3, day=30 - day))

    moving = Interrupted(table, after=calls, run=move)
    before = writer.mosaics.get(mosaic.id)
    tile = TMS.tile(7.505, 45.505, 12)
    area = TileAddress("WebMercatorQuad", 12, tile.x, tile.y).view(before, 256).area
    with one_by_one:
        found = list(Index(moving, writer.mosaics, one_by_one).find(before, area))
    assert ids(found).count("a") == 1, f"after query {calls}"
    assert len(found) == 72
    return moving.ran


@dataclass
class Counting:
    """A table that counts the queries made of it."""

    table: Table
    queries: int = 0

    def get(self, key: Key) -> Item | None:
        return self.table.get(key)

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        return self.table.batch_get(keys)

    def query(self, pk: str, **kwargs: Any) -> Page:
        self.queries += 1
        return self.table.query(pk, **kwargs)

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        self.table.transact(actions)


@dataclass
class Interrupted(Counting):
    """A table on which something happens before one of the queries."""

    after: int = 0
    run: Callable[[], object] = field(default=lambda: None)
    ran: bool = False

    def query(self, pk: str, **kwargs: Any) -> Page:
        if self.queries == self.after:
            self.ran = True
            self.run()
        return super().query(pk, **kwargs)


@dataclass
class Rival(Counting):
    """A table on which somebody else writes every head first."""

    writes: int = 0

    def transact(self, actions: Sequence[Put | Delete]) -> None:
        head = actions[0]
        assert isinstance(head, Put)
        self.writes += 1
        item = dict(self.table.get(head.key) or {}) | {"version": f"2026-02-01#{self.writes:09}"}
        self.table.transact([Put(head.key, item)])
        self.table.transact(actions)


def test_an_item_of_several_mosaics_is_covered_once_for_those_of_like_cells(
    sqlite_table: SqliteTable, pool: ThreadPoolExecutor, monkeypatch: pytest.MonkeyPatch
) -> None:
    covered, held = [], CellGrid.hold
    hold = lambda grid, shape: covered.append(shape) or held(grid, shape)  # noqa: E731
    monkeypatch.setattr(CellGrid, "hold", hold)
    index = Index(sqlite_table, Mosaics(sqlite_table, check_settings), pool)
    settings = ({}, {}, {"max_cells": 4}, {"quadkey_zoom": 6})
    made = [index.mosaics.create(Mosaic(id=f"m{n}", **own)) for n, own in enumerate(settings)]
    footprint = polygon(7.125, 45.125, 8.0625, 46.03125)
    for version in (1, 2):
        for mosaic in made:
            index.apply(mosaic, scene(version=version, footprint=footprint))
    assert len(covered) == 3
    heads = [index.head(mosaic, scene().key) for mosaic in made]
    one, other, few, coarse = ((*head.cells, *head.coarse) for head in heads)
    assert one == other
    assert len({one, few, coarse}) == 3
