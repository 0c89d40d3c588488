"""The demo's scenes: honest STAC Items, real COGs, and one world beneath them."""

import itertools
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from rasterio.features import rasterize
from rasterio.warp import transform_geom
from rio_tiler.io import Reader
from shapely.geometry import shape

from livemosaic.cli.demo.scenery import scenes
from livemosaic.cli.demo.scenery.ground import ground
from livemosaic.cli.demo.scenery.scenes import developed, make_scenes
from livemosaic.cli.demo.scenery.shots import nth_shot
from livemosaic.cli.demo.scenery.world import World, make_world

pytestmark = pytest.mark.slow
SIZE = 256
Items = list[dict[str, Any]]


@pytest.fixture(scope="module")
def world() -> World:
    return make_world(7)


@pytest.fixture
def known(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    """Scenes are of the island that was made before; to make it takes three seconds."""
    monkeypatch.setattr(scenes, "make_world", {7: world}.__getitem__)


@pytest.fixture(scope="module")
def items(world: World, tmp_path_factory: pytest.TempPathFactory) -> Items:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(scenes, "make_world", {7: world}.__getitem__)
        return list(make_scenes(tmp_path_factory.mktemp("scenes"), count=24, size=SIZE))


def with_bands(items: Items) -> Items:
    return [item for item in items if "nir" in item["assets"]]


def reflectance(item: dict[str, Any], name: str) -> np.ma.MaskedArray:
    """Unscaled as the Item says, masked as the file says."""
    asset = item["assets"][name]
    band = asset["bands"][0]
    with rasterio.open(asset["href"]) as file:
        return file.read(1, masked=True) * band["raster:scale"] + band["raster:offset"]


def visual(item: dict[str, Any]) -> tuple[np.ndarray, np.ndarray, Any]:
    with rasterio.open(item["assets"]["visual"]["href"]) as file:
        return file.read().astype(float), file.dataset_mask() > 0, file.transform


def common(one: dict[str, Any], other: dict[str, Any]) -> tuple[np.ndarray, np.ndarray]:
    """Colours of both scenes, shape (3, n), on the pixels that both have: one pixel grid."""
    (a, valid_a, at_a), (b, valid_b, at_b) = visual(one), visual(other)
    col, row = round((at_b.c - at_a.c) / at_a.a), round((at_b.f - at_a.f) / at_a.e)
    mine = np.s_[max(row, 0) : SIZE + min(row, 0), max(col, 0) : SIZE + min(col, 0)]
    theirs = np.s_[max(-row, 0) : SIZE - max(row, 0), max(-col, 0) : SIZE - max(col, 0)]
    both = valid_a[mine] & valid_b[theirs]
    return a[:, *mine][:, both], b[:, *theirs][:, both]


def test_items_have_the_shape_of_stac(items: Items) -> None:
    assert len({item["id"] for item in items}) == 24
    for item in items:
        assert (item["type"], item["stac_version"]) == ("Feature", "1.1.0")
        assert item["collection"] == "demo"
        assert item["bbox"] == pytest.approx(shape(item["geometry"]).bounds)
        assert item["properties"].keys() >= {"datetime", "created", "updated", "platform", "gsd"}
        assert all(Path(asset["href"]).is_absolute() for asset in item["assets"].values())


def test_items_link_to_a_collection_that_holds_them(items: Items) -> None:
    (path,) = {link["href"] for item in items for link in item["links"]}
    collection = json.loads(Path(path).read_text())
    required = {"type", "stac_version", "id", "description", "license", "extent", "links"}
    assert collection.keys() == required
    west, south, east, north = collection["extent"]["spatial"]["bbox"][0]
    begin, end = collection["extent"]["temporal"]["interval"][0]
    assert end is None
    for item in items:
        assert item["links"][0]["rel"] == "collection"
        assert item["collection"] == collection["id"]
        left, bottom, right, top = item["bbox"]
        assert west < left < right < east
        assert south < bottom < top < north
        assert item["properties"]["datetime"] >= begin


def test_pystac_reads_the_items_without_loss(items: Items) -> None:
    pystac = pytest.importorskip("pystac")
    item = pystac.Item.from_dict(with_bands(items)[0])
    assert item.datetime is not None
    assert item.assets["visual"].roles == ["visual"]
    collection = pystac.Collection.from_file(item.get_single_link("collection").href)
    assert collection.id == item.collection_id


def test_scenes_arrive_in_order_of_publication_and_some_are_late(items: Items) -> None:
    arrivals = [datetime.fromisoformat(item["properties"]["updated"]) for item in items]
    taken = [datetime.fromisoformat(item["properties"]["datetime"]) for item in items]
    assert arrivals == sorted(arrivals)
    assert all(a > t for a, t in zip(arrivals, taken, strict=True))
    late = sum(
        max(taken[:n]) > t and (max(taken[:n]) - t).days > 1 for n, t in enumerate(taken) if n
    )
    assert 1 <= late <= 8


@pytest.mark.parametrize("seed", range(7, 12))
def test_nothing_is_of_the_future(seed: int) -> None:
    """However many scenes `livemosaic demo` is asked for: it makes at most 96."""
    shots = [nth_shot(number, seed) for number in range(96)]
    assert all(shot.when < shot.arrival < datetime.now(UTC) for shot in shots)


def test_each_place_is_seen_on_two_dates(items: Items) -> None:
    places = [item["id"].rsplit("_", 1)[1] for item in items]
    assert {places.count(place) for place in places} == {2}


def test_footprint_is_the_valid_mask(items: Items) -> None:
    for item in items:
        assert shape(item["geometry"]).exterior.is_ccw
        _, valid, transform = visual(item)
        utm = transform_geom("OGC:CRS84", item["properties"]["proj:code"], item["geometry"])
        promised = rasterize([utm], valid.shape, transform=transform) > 0
        assert (promised & valid).sum() / (promised | valid).sum() > 0.98


def test_neighbours_overlap(items: Items) -> None:
    by_place = {item["id"][-6:]: shape(item["geometry"]) for item in items}
    for one, other in [("p01r02", "p02r02"), ("p02r01", "p02r02")]:
        a, b = by_place[one], by_place[other]
        assert 0.1 < a.intersection(b).area / a.area < 0.3


def test_properties_describe_the_raster(items: Items) -> None:
    for item in items:
        properties = item["properties"]
        for asset in item["assets"].values():
            with rasterio.open(asset["href"]) as file:
                assert file.crs.to_string() == properties["proj:code"]
                assert list(file.shape) == properties["proj:shape"]
                assert list(file.transform)[:6] == properties["proj:transform"]


def test_assets_are_cogs(known: None, tmp_path: Path) -> None:
    (item,) = make_scenes(tmp_path, count=1, size=1100)
    for name, asset in item["assets"].items():
        with rasterio.open(asset["href"]) as file:
            assert file.tags(ns="IMAGE_STRUCTURE")["LAYOUT"] == "COG"
            assert file.block_shapes[0] == (512, 512)
            assert file.overviews(1) == [2, 4]
            assert file.nodata == (None if name == "visual" else 0)
            assert file.count == (3 if name == "visual" else 1)
    assert not list(tmp_path.glob("*.msk")), "the mask is inside the file"


def test_files_carry_the_scale_of_the_item(items: Items) -> None:
    asset = with_bands(items)[0]["assets"]["red"]
    with rasterio.open(asset["href"]) as file:
        assert file.scales == (asset["bands"][0]["raster:scale"],)
        assert file.offsets == (asset["bands"][0]["raster:offset"],)


def test_every_fourth_scene_has_reflectance(items: Items) -> None:
    assert len(with_bands(items)) == 6


def test_rio_tiler_sees_transparent_corners(items: Items) -> None:
    with Reader(items[0]["assets"]["visual"]["href"]) as reader:
        mask = reader.preview(max_size=128).mask
    assert mask[0, 0] == mask[-1, -1] == 0
    assert mask[64, 64] == 255


def test_one_pass_is_seamless(items: Items) -> None:
    """Rows of one pass share sun, air and clouds: where they overlap only JPEG may differ."""
    passes = itertools.groupby(
        sorted(items, key=lambda i: i["properties"]["datetime"]),
        key=lambda i: i["properties"]["datetime"][:10],
    )
    for _, in_pass in passes:
        for one, other in itertools.pairwise(in_pass):
            a, b = common(one, other)
            assert a.size
            assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.95


def test_two_dates_show_the_same_ground(items: Items) -> None:
    """Snow, season, sun and air differ; coasts, woods and fields do not."""
    scenes = sorted(items, key=lambda i: (i["id"][-6:], i["properties"]["datetime"]))
    agreement = []
    for one, other in zip(scenes[::2], scenes[1::2], strict=True):
        a, b = common(one, other)
        clear = (a.max(axis=0) < 150) & (b.max(axis=0) < 150)
        agreement.append(np.corrcoef(a[1, clear], b[1, clear])[0, 1])
    assert np.median(agreement) > 0.7


def test_cloud_cover_is_what_the_pixels_show(world: World) -> None:
    """Clouds are what differs from the same pass under a clear sky."""
    shot = nth_shot(4, 7)
    view = shot.view(SIZE)
    valid = shot.inside(view)
    image, cloud = developed(world, view, valid, shot.over)
    clear = ground(world, view, shot.over)
    hidden = (image[2] - clear[2] > 0.25) & valid
    assert hidden.sum() / valid.sum() == pytest.approx((cloud > 0.5)[valid].mean(), abs=0.03)


def test_cloud_cover_varies(items: Items) -> None:
    covers = [item["properties"]["eo:cloud_cover"] for item in items]
    assert min(covers) < 1
    assert 8 < max(covers) <= 100


def test_ndvi_is_high_on_land_and_low_at_sea(items: Items) -> None:
    values = []
    for item in with_bands(items):
        red, nir = reflectance(item, "red"), reflectance(item, "nir")
        values.append(((nir - red) / (nir + red)).compressed())
    ndvi = np.concatenate(values)
    assert ndvi.min() > -1
    assert ndvi.max() < 1
    assert (ndvi > 0.5).mean() > 0.15, "woods and fields"
    assert (ndvi < 0).mean() > 0.15, "water"


def test_the_same_seed_gives_the_same_pixels(tmp_path: Path, items: Items) -> None:
    again = list(make_scenes(tmp_path, count=2, size=SIZE))
    known = {item["id"]: item for item in items}
    for item in again:
        assert item["properties"] == known[item["id"]]["properties"]
        assert np.array_equal(visual(item)[0], visual(known[item["id"]])[0])


def test_another_seed_is_another_island(world: World) -> None:
    assert not np.array_equal(world.z > 0, make_world(8).z > 0)


def test_a_caller_may_stop_early(known: None, tmp_path: Path) -> None:
    made = make_scenes(tmp_path, count=24, size=SIZE)
    next(made)
    made.close()
    assert len(list(tmp_path.glob("*_visual.tif"))) < 24
