"""`livemosaic overviews`, as a user types it, on real COGs."""

import hashlib
import json
import sqlite3
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import rasterio
from click.testing import Result
from numpy.typing import NDArray
from rasterio.warp import transform_bounds
from shapely.geometry import Polygon
from typer.testing import CliRunner

from cogs import write_cog
from items import box, item
from livemosaic.cli import app
from livemosaic.geo.covering import packed
from livemosaic.index.extents.rows import ExtentRows, PartitionExtent, PartitionName
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.schema import mosaic_prefix
from livemosaic.table.sqlite import SqliteTable

PIXEL = 40075016.685578488 / 256 / 2**14
"""Metres of a pixel at zoom 14."""
EDGE = 128


@dataclass
class World:
    """An index with a mosaic `m` that has overviews, and a folder of COGs."""

    folder: Path
    name: str = "index"

    def run(self, *words: str, text: str | None = None, code: int = 0) -> Result:
        index = f"sqlite:///{self.folder / self.name}.db"
        options = ["--index", index, "--allow", str(self.folder)]
        result = CliRunner().invoke(app, [*options, *words], input=text)
        assert result.exit_code == code, result.output
        return result

    def cog(self, name: str, data: NDArray[Any], column: int, row: int, **how: Any) -> str:
        """Write a COG whose pixels are those of zoom 14, some from a corner of its grid."""
        left, top = 1_200_000 + column * PIXEL, 5_800_000 - row * PIXEL
        height, width = data.shape[-2:]
        bounds = (left, top - height * PIXEL, left + width * PIXEL, top)
        path = self.folder / f"{name}.tif"
        write_cog(path, data, crs="EPSG:3857", bounds=bounds, blocksize=128, **how)
        place = box(*transform_bounds("EPSG:3857", "EPSG:4326", *bounds))
        self.items[name] = item(name, place, href=str(path), updated=f"2026-02-0{self.day}")
        return name

    def __post_init__(self) -> None:
        self.items: dict[str, Any] = {}
        self.day = 1
        self.run("mosaics", "create", "m", "--collection", "s2")

    def ingest(self, *names: str) -> None:
        lines = (json.dumps(self.items[name]) for name in names or self.items)
        self.run("ingest", "-", text="\n".join(lines))

    def build(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.run("overviews", "build", "m", "--json").stdout)
        return found

    def cells(self) -> dict[str, Path]:
        """The newest COG of each cell, by its zoom and quadkey."""
        found = sorted(
            (self.folder / f"{self.name}.db.overviews").rglob("*.tif"),
            key=lambda path: int(path.name.split(".")[1]),
        )
        return {f"{path.parent.name}/{path.name.split('.')[0]}": path for path in found}

    def digests(self) -> dict[str, str]:
        return {k: hashlib.sha256(p.read_bytes()).hexdigest() for k, p in self.cells().items()}


@pytest.fixture
def world(tmp_path: Path) -> World:
    return World(tmp_path)


def crowd(world: World, dtype: str = "uint8", **how: Any) -> None:
    """Write 36 scenes of 128 × 128 pixels, edge to edge: too many for one tile of zoom 11."""
    rng = np.random.default_rng(7)
    for column in range(6):
        for row in range(6):
            data = rng.integers(1, 200, (2, EDGE, EDGE)).astype(dtype)
            world.cog(f"s{column}{row}", data, column * EDGE, row * EDGE, **how)


def test_all_scenes_show_at_every_zoom(world: World) -> None:
    crowd(world)
    world.ingest()
    done = world.build()
    assert done["taken"] == 36
    assert done["unread"] == {}
    cells = world.cells()
    deepest = max(int(name.split("/")[0]) for name in cells)
    for name, path in cells.items():
        with rasterio.open(path) as cell:
            pixels = (cell.dataset_mask() > 0).sum() * (cell.res[0] / PIXEL) ** 2
            if name.startswith(f"{deepest}/"):
                assert pixels == pytest.approx(36 * EDGE**2, rel=0.02)
            assert pixels >= 36 * EDGE**2 * 0.98


def test_what_changed_is_made_anew_and_nothing_else(world: World) -> None:
    crowd(world)
    world.ingest()
    world.build()
    before = world.digests()
    assert world.build()["looked"] == 0

    world.day = 2
    world.cog("s00", np.full((2, EDGE, EDGE), 250, np.uint8), 0, 0)
    world.ingest("s00")
    assert json.loads(world.run("overviews", "status", "--json").stdout)[0]["waiting"] == 1
    done = world.build()
    after = world.digests()
    assert done["written"] == sum(after[name] != before[name] for name in after)
    assert done["drawn"] < 5

    anew = World(world.folder, "anew")
    anew.items = world.items
    anew.ingest()
    anew.build()
    assert anew.digests() == after


def test_the_same_items_again_cost_nothing(world: World) -> None:
    crowd(world)
    world.ingest()
    world.build()
    world.ingest()
    assert world.build()["taken"] == 0


def test_a_deleted_scene_goes_from_every_zoom(world: World) -> None:
    crowd(world)
    world.cog("far", np.ones((2, EDGE, EDGE), np.uint8), 900_000, 0)
    world.ingest()
    world.build()
    with rasterio.open(world.cells()["0/world"]) as cell:
        both = (cell.dataset_mask() > 0).sum()
    gone = {"op": "delete", "collection": "s2", "id": "far"}
    world.run("ingest", "-", text=json.dumps(gone))
    world.build()
    with rasterio.open(world.cells()["0/world"]) as cell:
        assert (cell.dataset_mask() > 0).sum() < both


@pytest.mark.parametrize("dtype", ["uint16", "int16", "float32"])
def test_values_keep_their_type_scale_and_mask(world: World, dtype: str) -> None:
    rng = np.random.default_rng(3)
    mask = np.ones((EDGE, EDGE), np.bool_)
    mask[:, :64] = False
    scaling = {"scales": [0.0001, 0.0001], "offsets": [-0.1, -0.1]}
    for n in range(21):
        data = rng.integers(1000, 9000, (2, EDGE, EDGE)).astype(dtype)
        world.cog(f"s{n:02}", data, n * EDGE, 0, mask=mask, **scaling)
    world.ingest()
    world.build()
    for path in world.cells().values():
        with rasterio.open(path) as cell:
            assert cell.dtypes == (dtype, dtype)
            assert cell.scales == (0.0001, 0.0001)
            assert cell.offsets == (-0.1, -0.1)
            valid = cell.dataset_mask() > 0
            assert cell.read()[:, valid].min() > 0


def test_scenes_of_several_types_get_the_type_that_holds_all(world: World) -> None:
    world.cog("a", np.full((1, EDGE, EDGE), 200, np.uint8), 0, 0)
    world.ingest()
    world.build()
    world.cog("b", np.full((1, EDGE, EDGE), -5, np.int16), EDGE, 0)
    world.ingest()
    world.build()
    with rasterio.open(world.cells()["0/world"]) as cell:
        assert cell.dtypes == ("int16",)
    anew = World(world.folder, "anew")
    anew.items = world.items
    anew.ingest()
    anew.build()
    assert anew.digests() == world.digests()


def test_a_drone_image_beside_a_satellite_scene_shows_at_zoom_0(world: World) -> None:
    drone = np.full((1, EDGE, EDGE), 77, np.uint8)
    path = world.folder / "drone.tif"
    bounds = (1_000_000.0, 5_000_000.0, 1_000_050.0, 5_000_050.0)
    write_cog(path, drone, crs="EPSG:3857", bounds=bounds)
    place = box(*transform_bounds("EPSG:3857", "EPSG:4326", *bounds))
    world.items["drone"] = item("drone", place, href=str(path))
    world.cog("wide", np.full((1, 2048, 2048), 99, np.uint8), 5000, 0)
    world.ingest()
    world.build()
    with rasterio.open(world.cells()["0/world"]) as cell:
        assert {77, 99} <= set(np.unique(cell.read(1)))


def test_a_scene_that_cannot_be_read_is_tried_again(world: World) -> None:
    crowd(world)
    (world.folder / "s11.tif").rename(world.folder / "away.tif")
    world.ingest()
    done = world.build()
    assert set(done["unread"]) == {"s11"}
    (status,) = json.loads(world.run("overviews", "status", "--json").stdout)
    assert status["tried_again"] >= 1
    assert status["waiting"] == 0


def differences(world: World, *words: str, code: int = 1) -> dict[str, int]:
    checked = world.run("verify", "m", "--overviews", "--json", *words, code=code)
    found: dict[str, int] = json.loads(checked.stdout)["found"]
    return found


def test_verify_finds_what_is_outdated_or_lost_and_repairs_it(world: World) -> None:
    crowd(world)
    world.ingest()
    world.build()
    assert differences(world, code=0) == {}

    world.day = 2
    world.cog("s00", np.full((2, EDGE, EDGE), 250, np.uint8), 0, 0)
    world.ingest("s00")
    assert differences(world, code=0) == {}  # it waits to be built
    connection = sqlite3.connect(world.folder / "index.db")
    connection.execute("DELETE FROM rows WHERE pk LIKE '%#stale#%'")
    connection.commit()
    connection.close()
    before = world.digests()
    world.cells()["3/120"].unlink()
    assert differences(world) == differences(world, "--repair", code=0)
    assert differences(world, code=0).get("outdated") is None
    world.build()
    assert differences(world, code=0) == {}

    anew = World(world.folder, "anew")
    anew.items = world.items
    anew.ingest()
    anew.build()
    assert anew.digests() == world.digests() != before


def test_verify_finds_extents_that_lack_scenes_and_repairs_them(world: World) -> None:
    crowd(world)
    world.ingest()
    world.build()
    with closing(SqliteTable(world.folder / "index.db")) as table:
        mosaics = Mosaics(table)
        mosaic, extents = mosaics.get("m"), ExtentRows(table, mosaics)
        rows = [row.key.pk for row in table.scan(mosaic_prefix(mosaic)) if "#cell#" in row.key.pk]
        name = PartitionName.of(rows[0])
        corner = packed(Polygon([(0, 0), (1, 0), (0, 1)]), (0, 0, 100, 100))
        extents.put(mosaic, PartitionExtent(name, corner, complete=True))
        assert differences(world) == {"outdated": 1}
        listed = world.run("verify", "m", "--overviews", code=1).output
        assert f"outdated: extent of cell {name.quadkey} lacks scenes" in listed
        assert differences(world, "--repair", code=0) == {"outdated": 1}
        assert differences(world, code=0) == {}
        assert extents.get(mosaic, name).revision == 2


def made_anew(world: World, name: str) -> dict[str, str]:
    """The digests of all cells where they are made at once."""
    anew = World(world.folder, name)
    anew.items = world.items
    anew.ingest()
    anew.build()
    return anew.digests()


@pytest.mark.parametrize("place", [0.05, 0.5, 0.97], ids="at {} of its bytes".format)
def test_damage_is_found_and_repaired_and_never_copied(world: World, place: float) -> None:
    crowd(world)
    world.ingest()
    world.build()
    for path in world.cells().values():
        body = bytearray(path.read_bytes())
        body[int(len(body) * place)] ^= 0x10
        path.write_bytes(body)
    assert differences(world) == {"lost": len(world.cells())}

    world.day = 2
    world.cog("s00", np.full((2, EDGE, EDGE), 250, np.uint8), 0, 0)
    world.ingest("s00")
    world.build()
    world.run("verify", "m", "--overviews", "--repair")
    world.build()
    assert differences(world, code=0) == {}
    assert world.digests() == made_anew(world, "anew")


def test_a_change_mends_what_it_needs_of_cells_that_are_lost(world: World) -> None:
    crowd(world)
    world.cog("far", np.full((2, EDGE, EDGE), 77, np.uint8), 450_000, 0)
    world.ingest()
    world.build()
    lost = [path for name, path in world.cells().items() if name != "3/120"]
    assert len({path.parent.name for path in lost}) < len(lost)
    for path in lost:
        path.unlink()
    world.day = 2
    world.cog("s00", np.full((2, EDGE, EDGE), 250, np.uint8), 0, 0)
    world.ingest("s00")
    world.build()
    assert differences(world, code=0) == {}
    assert world.digests() == made_anew(world, "anew")


def test_a_mosaic_without_overviews_gets_them_when_asked(world: World) -> None:
    world.run("mosaics", "create", "plain", "--collection", "s2", "--no-overviews")
    crowd(world)
    world.ingest()
    refused = world.run("overviews", "build", "plain", code=1)
    assert "--enable" in refused.output
    world.run("overviews", "build", "plain", "--enable")
    statuses = json.loads(world.run("overviews", "status", "plain", "--json").stdout)
    assert [one["state"] for one in statuses] == ["ready"]


@pytest.mark.parametrize(
    ("rule", "reason"),
    [("method=center", "by each image anew"), ("operation=count", "other values")],
)
def test_a_default_rule_that_overviews_cannot_follow_is_refused(
    world: World, rule: str, reason: str
) -> None:
    refused = world.run("mosaics", "create", "x", "--overviews", "--rule", rule, code=1)
    assert reason in refused.output
