"""COGs without STAC Items: the Items that are made of them."""

import math
import os
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pyproj
import pystac
import pytest
import rasterio
import shapely
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.crs import CRS
from rasterio.transform import array_bounds
from shapely.geometry import Polygon
from typer.testing import CliRunner

from api.served import serving, transform
from cogs import write_cog
from items import NOW
from livemosaic.cli import app
from livemosaic.errors import InvalidRequestError
from livemosaic.geo.footprint import footprint, held_pole
from livemosaic.geo.frame import Frame
from livemosaic.ingest.sources import Entry
from livemosaic.ingest.sources.cogs import Making, is_cog
from livemosaic.ingest.sources.cogs.item import date_in
from livemosaic.ingest.sources.cogs.outline import outline
from livemosaic.ingest.sources.cogs.source import Cogs
from livemosaic.ingest.sources.open import open_names
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.objects import ObjectError
from livemosaic.table.sqlite import SqliteTable

WRITTEN = datetime(2025, 3, 4, 5, 6, 7, tzinfo=UTC)


def cog(path: Path, **given: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    values = given.pop("values", np.ones((1, 20, 30), "uint16"))
    how = {"crs": "EPSG:32633", "transform": Affine(100, 0, 5e5, 0, -100, 5.2e6), **given}
    write_cog(path, values, **how)
    os.utime(path, (WRITTEN.timestamp(), WRITTEN.timestamp()))
    return path


def read(folder: Path, *names: Path | str, making: Making | None = None) -> list[Entry]:
    source = Cogs([str(name) for name in names], AllowList([f"{folder}/"]), making or Making())
    return list(source.read(NOW, None))


def body(entry: Entry) -> Mapping[str, Any]:
    assert not entry.problem
    assert isinstance(entry.message.body, Mapping)
    return entry.message.body


def footprint_of(document: Mapping[str, Any]) -> shapely.MultiPolygon:
    return footprint(document["geometry"], None, partial(held_pole, document))


class TestOutline:
    """A footprint has all pixels of a file, and ends where they do."""

    @staticmethod
    def frames(count: int) -> Iterator[Frame]:
        rng = np.random.default_rng(18)
        for _ in range(count):
            lon, lat = rng.uniform(-180, 180), rng.uniform(-80, 80)
            zone = int((lon + 180) // 6) + 1
            crs, size = [
                (f"EPSG:{32600 + zone if lat > 0 else 32700 + zone}", rng.uniform(10, 800)),
                ("EPSG:4326", rng.uniform(1e-5, 0.5)),
                ("EPSG:3857", rng.uniform(1, 20_000)),
                ("EPSG:3413" if lat > 0 else "EPSG:3031", rng.uniform(100, 20_000)),
                (f"+proj=laea +lat_0={lat:.1f} +lon_0={lon:.1f}", rng.uniform(100, 10_000)),
                (f"+proj=sinu +lon_0={lon:.0f}", rng.uniform(100, 2_000)),
            ][rng.integers(6)]
            to = pyproj.Transformer.from_crs(4326, CRS.from_user_input(crs), always_xy=True)
            x, y = to.transform(lon, lat)
            width, height = (int(side) for side in rng.integers(20, 300, 2))
            if crs == "EPSG:4326":
                height = min(height, int((lat + 90) / size))
                width = min(width, int(300 / size))
            is_turned = rng.random() < 0.3 and crs != "EPSG:4326"
            turn = Affine.rotation(rng.uniform(0, 360) if is_turned else 0)
            flip = -1 if rng.random() < 0.8 or crs == "EPSG:4326" else 1
            to_map = Affine.translation(x, y) @ turn @ Affine.scale(size, flip * size)
            if height > 0 and np.isfinite([x, y]).all():
                yield Frame(CRS.from_user_input(crs), to_map, width, height)

    def test_pixels_lie_in_it_and_what_is_beside_them_does_not(self) -> None:
        rng = np.random.default_rng(19)
        tried = 0
        for frame in self.frames(200):
            lonlat = partial(self.lonlat, frame)
            document = {"geometry": outline(frame), "properties": self.projection(frame)}
            found = footprint_of(document)
            shapely.prepare(found)

            cols, rows = rng.beta(0.3, 0.3, (2, 60))  # most near the sides
            inside = lonlat(1 + cols * (frame.width - 2), 1 + rows * (frame.height - 2))
            assert shapely.contains_xy(found, *inside.T).all(), frame
            far = lonlat(
                np.array([-3.0, frame.width + 3, frame.width / 2, frame.width / 2]),
                np.array([frame.height / 2, frame.height / 2, -3.0, frame.height + 3]),
            )
            if frame.crs.is_projected and frame.crs.to_epsg() != 3857 and found.area < 300:
                assert not shapely.contains_xy(found, *far.T).any(), frame
                tried += 1
        assert tried > 60

    @staticmethod
    def lonlat(frame: Frame, cols: NDArray[Any], rows: NDArray[Any]) -> NDArray[Any]:
        """Shape (points, 2); without places that PROJ does not find again, beyond its edge."""
        to_lonlat = pyproj.Transformer.from_crs(frame.crs, 4326, always_xy=True)
        x, y = frame.to_map(cols, rows)
        lon, lat = to_lonlat.transform(x, y)
        again = to_lonlat.transform(lon, lat, direction="INVERSE")
        step = math.hypot(frame.transform.a, frame.transform.d)
        seen = np.hypot(again[0] - x, again[1] - y) < step / 10
        return np.stack([(lon[seen] + 180) % 360 - 180, lat[seen]], axis=1)

    @staticmethod
    def projection(frame: Frame) -> dict[str, Any]:
        left, bottom, right, top = array_bounds(frame.height, frame.width, frame.transform)
        return {"proj:wkt2": frame.crs.to_wkt(), "proj:bbox": [left, bottom, right, top]}

    def test_a_raster_around_a_pole_has_the_pole(self, tmp_path: Path) -> None:
        square = Affine(4000, 0, -4e5, 0, -4000, 4e5)
        path = cog(tmp_path / "n.tif", values=np.ones((1, 200, 200)), crs=3413, transform=square)
        found = footprint_of(body(*read(tmp_path, path)))
        assert found.covers(shapely.box(-180, 88, 180, 90))

    def test_a_raster_across_the_antimeridian_is_two_parts(self, tmp_path: Path) -> None:
        across = Affine(100, 0, 6.8e5, 0, -100, 5.2e6)
        path = cog(tmp_path / "d.tif", values=np.ones((1, 50, 999)), crs=32660, transform=across)
        found = footprint_of(body(*read(tmp_path, path)))
        assert len(found.geoms) == 2
        assert found.area < 1

    def test_ground_control_points_place_it(self, tmp_path: Path) -> None:
        corners = [(0, 0, 10, 50), (0, 300, 11, 50.1), (200, 0, 9.9, 49.5), (200, 300, 10.9, 49.6)]
        gcps = [GroundControlPoint(row, col, x, y) for row, col, x, y in corners]
        path = tmp_path / "g.tif"
        profile = {"driver": "GTiff", "width": 300, "height": 200, "count": 1, "dtype": "uint8"}
        tiled = {"tiled": True, "blockxsize": 128, "blockysize": 128}
        with rasterio.open(path, "w", **profile, **tiled) as dataset:
            dataset.gcps = (gcps, CRS.from_epsg(4326))
            dataset.write(np.ones((1, 200, 300), "uint8"))
        found = footprint_of(body(*read(tmp_path, path)))
        expected = Polygon([(10, 50), (11, 50.1), (10.9, 49.6), (9.9, 49.5)])
        assert found.symmetric_difference(expected).area < 1e-6

    def test_it_is_in_the_degrees_of_another_planet(self, tmp_path: Path) -> None:
        to_map = Affine(1000, 0, 0, 0, -1000, 0)
        path = cog(
            tmp_path / "m.tif", crs=CRS.from_authority("IAU_2015", "49910"), transform=to_map
        )
        found = body(*read(tmp_path, path))
        degree = math.pi * 3396190 / 180
        expected = (0, -20_000 / degree, 30_000 / degree, 0)
        np.testing.assert_allclose(footprint_of(found).bounds, expected, rtol=0, atol=1e-9)
        assert found["properties"]["proj:code"] == "IAU_2015:49910"

    def test_what_is_not_on_the_globe_is_named(self) -> None:
        beyond = Affine(1000, 0, 1e8, 0, -1000, 1e8)
        with pytest.raises(ObjectError, match="no pixel that is on the globe"):
            outline(Frame(CRS.from_string("+proj=ortho"), beyond, 20, 20))


class TestItem:
    def test_it_states_what_the_header_does(self, tmp_path: Path) -> None:
        path = cog(tmp_path / "S2B_20250701T102559_x.tif", crs="EPSG:32633")
        found = body(*read(tmp_path, path, making=Making(collection="c")))
        assert pystac.Item.from_dict(dict(found)).id == "S2B_20250701T102559_x"
        assert found["collection"] == "c"
        assert found["properties"]["datetime"] == "2025-07-01T10:25:59.000000Z"
        assert found["properties"]["proj:code"] == "EPSG:32633"
        assert found["properties"]["proj:shape"] == [20, 30]
        assert found["assets"]["data"]["href"] == str(path)

    @pytest.mark.parametrize(
        ("shape", "dtype", "given", "asset"),
        [
            ((3, 20, 20), "uint8", {}, "visual"),
            ((4, 20, 20), "uint8", {"alpha": True}, "visual"),
            ((4, 20, 20), "uint8", {"photometric": "minisblack"}, "data"),
            ((3, 20, 20), "uint16", {}, "data"),
            ((1, 20, 20), "uint8", {}, "data"),
        ],
    )
    def test_a_picture_is_visual(
        self,
        tmp_path: Path,
        shape: tuple[int, ...],
        dtype: str,
        given: Mapping[str, Any],
        asset: str,
    ) -> None:
        path = cog(tmp_path / "a.tif", values=np.ones(shape, dtype), **given)
        assert list(body(*read(tmp_path, path))["assets"]) == [asset]

    @pytest.mark.parametrize(
        ("name", "moment"),
        [
            ("S2A_MSIL2A_20250701T102559_N0511", "2025-07-01T10:25:59"),
            ("LC08_L2SP_195028_20250701_20250710_02_T1", "2025-07-01T00:00:00"),
            ("DJI_20240501123456_0001", "2024-05-01T12:34:56"),
            ("ortho-2024-05-01", "2024-05-01T00:00:00"),
            ("ortho_2024_05_01_final", "2024-05-01T00:00:00"),
            ("20200307aC0853900w361030n", "2020-03-07T00:00:00"),
            ("tile_20250230_20250301", "2025-03-01T00:00:00"),
            ("tile_12345678", None),
            ("120250701", None),
            ("mosaic_cog1", None),
            ("2024-0501", None),
        ],
    )
    def test_its_date_is_in_the_name(self, name: str, moment: str | None) -> None:
        found = date_in(name)
        assert found == (datetime.fromisoformat(f"{moment}+00:00") if moment else None)

    def test_else_it_is_when_the_file_was_written(self, tmp_path: Path) -> None:
        (entry,) = read(tmp_path, cog(tmp_path / "a.tif"))
        assert body(entry)["properties"]["datetime"] == "2025-03-04T05:06:07.000000Z"
        assert entry.message.order.moment == WRITTEN
        (entry,) = read(tmp_path, tmp_path / "a.tif", making=Making(moment=NOW))
        assert datetime.fromisoformat(body(entry)["properties"]["datetime"]) == NOW

    def test_a_url_without_a_date_needs_one(self) -> None:
        (entry,) = Cogs(["https://example.com/a.tif?x=y"]).read(NOW, None)
        assert "has no date in its name: --datetime gives one" in entry.problem


class TestFootprintOfData:
    def test_it_has_all_valid_pixels_and_few_others(self, tmp_path: Path) -> None:
        rows, cols = np.mgrid[:2000, :3000]
        valid = (rows - 1000) ** 2 + (cols - 800) ** 2 < 500**2
        valid |= (rows > 1500) & (cols > 2500)
        values = np.where(valid, 7, 0).astype("uint8")
        to_map = Affine(10, 0, 5e5, 0, -10, 5.2e6)
        path = cog(
            tmp_path / "a.tif", values=values, nodata=0, transform=to_map, overviews=[2, 4, 8]
        )
        found = footprint_of(body(*read(tmp_path, path, making=Making(of_data=True))))
        lonlat = pyproj.Transformer.from_crs(32633, 4326, always_xy=True)
        xy = to_map @ (cols.ravel()[::97] + 0.5, rows.ravel()[::97] + 0.5)
        inside = shapely.contains_xy(found, *lonlat.transform(*xy))
        kept = valid.ravel()[::97]
        assert inside[kept].all()
        assert inside[~kept].mean() < 0.02

    def test_a_file_without_valid_pixels_is_named(self, tmp_path: Path) -> None:
        path = cog(tmp_path / "a.tif", values=np.zeros((1, 20, 20)), nodata=0)
        (entry,) = read(tmp_path, path, making=Making(of_data=True))
        assert "has no valid pixel" in entry.problem


class TestFiles:
    def test_a_folder_is_read_with_all_below_it(self, tmp_path: Path) -> None:
        for name in ("b.TIF", "a/c.tiff", "a/d #1%20ü.tif"):
            cog(tmp_path / name)
        (tmp_path / "a/readme.txt").write_text("x")
        assert [body(entry)["id"] for entry in read(tmp_path, tmp_path)] == ["c", "d #1%20ü", "b"]

    def test_files_of_one_name_would_be_one_item(self, tmp_path: Path) -> None:
        cog(tmp_path / "a/x.tif")
        cog(tmp_path / "b/x.tif")
        first, second = read(tmp_path, tmp_path)
        assert body(first)["id"] == "x"
        assert "b/x.tif has the name of" in second.problem
        (again,) = Cogs([str(tmp_path)], AllowList([f"{tmp_path}/"])).read(
            NOW, first.mark.place if first.mark else None
        )
        assert again.problem == second.problem

    def test_reading_goes_on_behind_the_last_file(self, tmp_path: Path) -> None:
        for n in range(40):
            cog(tmp_path / f"one/{n:02}.tif")
        extra = [cog(tmp_path / f"{n}.tif") for n in ("z", "a")]
        names = [tmp_path / "one", *extra]
        whole = read(tmp_path, *names)
        assert [body(entry)["id"] for entry in whole] == [f"{n:02}" for n in range(40)] + ["z", "a"]
        source = Cogs([str(name) for name in names], AllowList([f"{tmp_path}/"]))
        for n in (0, 15, 16, 38, 39, 40, 41):
            mark = whole[n].mark
            assert mark
            rest = list(source.read(NOW, mark.place))
            assert [entry.message for entry in rest] == [entry.message for entry in whole[n + 1 :]]

    def test_what_cannot_be_read_is_named_and_the_rest_goes_on(self, tmp_path: Path) -> None:
        cog(tmp_path / "1.tif", tiled=False)
        (tmp_path / "2.tif").write_text("no tiff")
        cog(tmp_path / "3.tif", crs=None, transform=None)
        cog(tmp_path / "4.tif")
        problems = [entry.problem for entry in read(tmp_path, tmp_path)]
        assert "rio cogeo create" in problems[0]
        assert problems[1]
        assert "georeferencing" in problems[2]
        assert problems[3] == ""
        (outside,) = Cogs([str(tmp_path / "4.tif")], AllowList(["/elsewhere/"])).read(NOW, None)
        assert "outside the allowed prefixes" in outside.problem

    def test_an_empty_folder_and_a_missing_file_are_named(self, tmp_path: Path) -> None:
        with pytest.raises(InvalidRequestError, match=r"has no \.tif or \.tiff file"):
            read(tmp_path, tmp_path)
        with pytest.raises(InvalidRequestError, match=r"cannot read .*: No such file"):
            read(tmp_path, tmp_path / "x.tif")

    def test_patterns_that_are_not_read_are_refused(self) -> None:
        with pytest.raises(InvalidRequestError, match=r"write s3://BUCKET/PREFIX/\*\.tif"):
            list(Cogs(["s3://bucket/a/s2_*.tif"]).read(NOW, None))

    @pytest.mark.parametrize(
        ("name", "yes"),
        [
            ("a.tif", True),
            ("a.TIFF", True),
            ("https://example.com/a.tif?sig=x", True),
            ("https://example.com/items.json?of=a.tif", False),
            ("s3://bucket/p/*.tif", True),
            ("s3://bucket/p/", False),
            ("items.json", False),
            ("-", False),
            ("/", True),
        ],
    )
    def test_names_of_cogs(self, name: str, yes: bool) -> None:
        assert is_cog(name) is yes

    def test_items_and_cogs_are_read_in_one_run(self, tmp_path: Path) -> None:
        reading = open_names([str(cog(tmp_path / "a.tif")), "b.json"])
        assert [source.name for source in reading.sources] == ["files", "COGs"]
        with pytest.raises(InvalidRequestError, match=r"'b\.json' is none"):
            open_names(["b.json"], None, Making(collection="c"))


def test_a_tile_shows_them_as_items_of_the_same_files_would(tmp_path: Path) -> None:
    folder = tmp_path / "scenes"
    values = np.arange(256 * 256).reshape(1, 256, 256) % 251
    cog(folder / "a.tif", values=values.astype("uint8"), crs="EPSG:3857", transform=transform())
    index = f"sqlite:///{tmp_path}/index.db"
    common = ["--index", index, "--allow", str(folder)]
    for words in (
        [*common, "mosaics", "create", "m"],
        [*common, "ingest", str(folder), "--footprint", "data", "--datetime", "2025-01-02T03:04Z"],
    ):
        result = CliRunner().invoke(app, words)
        assert result.exit_code == 0, result.output
    with serving(SqliteTable(tmp_path / "index.db"), folder) as server:
        np.testing.assert_array_equal(server.picture().data[:, ::9, ::9], values[:, ::9, ::9])
        found = server.get("/mosaics/m/items").json()["features"]
        assert [item["properties"]["datetime"] for item in found] == ["2025-01-02T03:04:00.000000Z"]
