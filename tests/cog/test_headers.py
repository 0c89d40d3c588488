"""Headers in the table: what ingestion keeps of a COG, and what a fresh process need not fetch."""

import asyncio
import logging
import os
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from affine import Affine
from numpy.typing import NDArray
from rasterio.crs import CRS
from rasterio.shutil import copy

from cogs import write_cog
from items import item, message
from livemosaic.cog.headers import MAX_ROW_BYTES, HeaderKeeper, Headers
from livemosaic.cog.reader import CogReader
from livemosaic.errors import TableBusyError, UnreadableAssetError
from livemosaic.index.mosaics import Mosaics
from livemosaic.index.scenes import Index
from livemosaic.ingest.batch import Ingest, Outcome
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.raster import Grid
from livemosaic.model.render import Read
from livemosaic.storage.allowlist import AllowList
from livemosaic.table import Item, Key, Page, Put, Table
from livemosaic.table.keys import header_key
from livemosaic.table.sqlite import SqliteTable
from livemosaic_cdk.tools.emulator import REGION, Emulator, emulator
from objectstore import ObjectStore

ORIGIN = Affine(10, 0, 1_000_000, 0, -10, 6_000_000)
GRID = Grid(CRS.from_epsg(3857), (1_000_000, 5_997_000, 1_003_000, 6_000_000), 300, 300)
RNG = np.random.default_rng(5)
OLD, NEW = (RNG.integers(1, 120, (2, 300, 300)).astype("uint8") for _ in range(2))


def cog(path: Path, data: NDArray[Any] = OLD, **how: Any) -> Path:
    """Not compressed: as long with other pixels."""
    how = {"crs": "EPSG:3857", "transform": ORIGIN, "compress": "none"} | how
    return write_cog(path, data, **how)


@dataclass
class Counting:
    """A table that counts the batches it is asked for, and can be busy."""

    table: Table
    batches: list[Sequence[Key]] = field(default_factory=list)
    busy: bool = False

    def batch_get(self, keys: Sequence[Key]) -> dict[Key, Item]:
        self.batches.append(keys)
        if self.busy:
            raise TableBusyError("the table is busy")
        return self.table.batch_get(keys)

    def get(self, key: Key) -> Item | None:
        return self.table.get(key)

    def query(self, pk: str, **kwargs: Any) -> Page:
        return self.table.query(pk, **kwargs)

    def transact(self, actions: Sequence[Any]) -> None:
        self.table.transact(actions)

    def close(self) -> None:
        self.table.close()


@dataclass
class World:
    """A table, COGs, and processes that come and go."""

    table: Table
    root: Path
    allow: AllowList
    href: Callable[[str], str]

    def ingest(self, *names: str, table: Table | None = None, seconds: int = 0) -> list[Outcome]:
        """An Item of each file, in one batch."""
        table = table or self.table
        with ThreadPoolExecutor(4) as pool:
            mosaics = Mosaics(table)
            keep = HeaderKeeper(table, self.allow).keep
            ingest = Ingest(Index(table, mosaics, pool), self.allow, keep)
            if not mosaics.all():
                mosaics.create(Mosaic(id="m"))
            items = [item(name, href=self.href(f"{name}.tif")) for name in names]
            return ingest.batch([message(i, seconds) for i in items], pool=pool)

    def process(self, table: Table | None = None) -> CogReader:
        """A reader that has opened nothing yet."""
        return CogReader(self.allow, Headers(table or self.table))

    def read(self, reader: CogReader, *names: str, version: str = "1") -> NDArray[Any]:
        assets = {name: self.href(f"{name}.tif") for name in names or ("a",)}
        return asyncio.run(reader.read(assets, GRID, Read(), version=version)).data

    def row(self, name: str = "a") -> Item | None:
        return self.table.get(header_key(self.href(f"{name}.tif")))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[ObjectStore]:
    (tmp_path / "cogs").mkdir()
    with ObjectStore(tmp_path / "cogs") as store:
        yield store


@pytest.fixture
def world(sqlite_table: SqliteTable, store: ObjectStore) -> World:
    """COGs behind HTTP, and a table in a file."""
    return World(sqlite_table, store.root, AllowList([store.url]), lambda n: f"{store.url}/{n}")


class TestOpening:
    def test_the_first_read_of_a_process_asks_for_pixels_only(
        self, table: Table, store: ObjectStore
    ) -> None:
        world = World(table, store.root, AllowList([store.url]), lambda n: f"{store.url}/{n}")
        cog(store.root / "a.tif")
        world.ingest("a")
        store.requests.clear()
        np.testing.assert_array_equal(world.read(world.process()), OLD)
        assert store.header_requests == []
        assert len(store.requests) == 1

    def test_pixels_are_those_of_a_plain_open(self, world: World, store: ObjectStore) -> None:
        mask = np.zeros((1024, 1024), np.bool_)
        mask[100:] = True
        plain = cog(store.root / "plain.tif", RNG.integers(0, 255, (3, 1024, 1024)), mask=mask,
                    dtype="uint8")  # fmt: skip
        copy(plain, store.root / "a.tif", driver="COG", blocksize=128, compress="deflate")
        world.ingest("a")
        store.requests.clear()
        for edge in (1_000, 5_000, 10_240):
            grid = Grid(
                GRID.crs, (1_000_000, 6_000_000 - edge, 1_000_000 + edge, 6_000_000), 64, 64
            )
            assets = {"a": world.href("a.tif")}
            kept, fetched = (
                asyncio.run(reader.read(assets, grid, Read(), version="1"))
                for reader in (world.process(), CogReader(world.allow))
            )
            np.testing.assert_array_equal(kept.data, fetched.data)
            np.testing.assert_array_equal(kept.valid, fetched.valid)
        assert len(store.header_requests) == 3, "those of the plain opens"

    def test_a_crs_that_is_spelled_out_costs_no_request_either(
        self, world: World, store: ObjectStore
    ) -> None:
        spelled_out = CRS.from_string("+proj=laea +lat_0=47 +lon_0=9 +datum=WGS84 +units=m")
        cog(store.root / "a.tif", crs=spelled_out, transform=Affine(10, 0, 0, 0, -10, 0))
        world.ingest("a")
        store.requests.clear()
        reader = world.process()
        asyncio.run(reader.read({"a": world.href("a.tif")}, GRID, Read(), version="1"))
        assert store.requests == [], "nor is there a pixel on this grid"
        assert next(iter(reader._opened.values())).profile.frame.crs == spelled_out

    def test_headers_that_are_wanted_at_once_are_looked_up_at_once(
        self, world: World, store: ObjectStore
    ) -> None:
        names = [f"s{n}" for n in range(16)]
        for name in names:
            cog(store.root / f"{name}.tif")
        world.ingest(*names)
        counting = Counting(world.table)
        reader = world.process(counting)

        async def tiles() -> None:
            reads = [
                reader.read({name: world.href(f"{name}.tif")}, GRID, Read(), version="1")
                for name in names
            ]
            await asyncio.gather(*reads)

        asyncio.run(tiles())
        assert [len(keys) for keys in counting.batches] == [16]

    def test_an_href_without_a_header_is_not_looked_up_again(
        self, world: World, store: ObjectStore
    ) -> None:
        cog(store.root / "a.tif")
        counting = Counting(world.table)
        reader = world.process(counting)
        for version in "123":
            np.testing.assert_array_equal(world.read(reader, version=version), OLD)
        assert len(counting.batches) == 1

    def test_a_busy_table_costs_a_plain_open(
        self, world: World, store: ObjectStore, caplog: pytest.LogCaptureFixture
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        reader = world.process(Counting(world.table, busy=True))
        np.testing.assert_array_equal(world.read(reader), OLD)
        assert [r.getMessage() for r in caplog.records] == ["headers not looked up"]


OVERWRITES: Mapping[str, Callable[[Path], Path]] = {
    "as long": lambda path: cog(path, NEW),
    "longer": lambda path: cog(path, np.concatenate([NEW, NEW])),
    "shorter": lambda path: cog(path, NEW[:1]),
    "compressed": lambda path: cog(path, NEW, compress="deflate"),
    "cut otherwise": lambda path: cog(path, NEW, blocksize=128),
}


@pytest.mark.parametrize("how", OVERWRITES)
class TestOverwritten:
    """A COG that is overwritten in place is read by its own header, never by the old one."""

    def check(self, world: World, reader: CogReader, how: str) -> None:
        new = OVERWRITES[how](world.root / "a.tif")
        expected = world.read(CogReader(world.allow))
        for _ in range(2):
            np.testing.assert_array_equal(world.read(reader), expected)
        assert not np.array_equal(expected[:1], OLD[:1]), new

    def test_after_its_header_was_kept(self, world: World, store: ObjectStore, how: str) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        self.check(world, world.process(), how)

    def test_after_it_was_opened_by_its_kept_header(
        self, world: World, store: ObjectStore, how: str
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        reader = world.process()
        world.read(reader)
        self.check(world, reader, how)

    def test_after_it_was_opened_without_one(
        self, world: World, store: ObjectStore, how: str
    ) -> None:
        cog(store.root / "a.tif")
        reader = world.process()
        world.read(reader)
        self.check(world, reader, how)

    def test_on_disk(self, world: World, tmp_path: Path, how: str) -> None:
        world = World(world.table, world.root, AllowList([str(world.root)]),
                      lambda name: str(world.root / name))  # fmt: skip
        path = cog(world.root / "a.tif")
        os.utime(path, (1, 1))
        world.ingest("a")
        reader = world.process()
        np.testing.assert_array_equal(world.read(reader), OLD)
        self.check(world, reader, how)
        self.check(world, world.process(), how)


class TestStaleness:
    def test_without_etags_the_length_tells(self, world: World, store: ObjectStore) -> None:
        store.etags = False
        cog(store.root / "a.tif")
        world.ingest("a")
        cog(store.root / "a.tif", NEW, compress="deflate")
        np.testing.assert_array_equal(world.read(world.process()), NEW)

    def test_what_one_process_found_stale_it_does_not_try_again(
        self, world: World, store: ObjectStore
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        cog(store.root / "a.tif", NEW)
        reader = world.process()
        requests = []
        for version in "123":
            store.requests.clear()
            np.testing.assert_array_equal(world.read(reader, version=version), NEW)
            requests.append(len(store.requests))
        assert requests == [3, 2, 2], "a read in vain, then header and pixels"

    def test_tiles_at_the_same_time_recover_together(
        self, world: World, store: ObjectStore
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        cog(store.root / "a.tif", NEW)
        store.requests.clear()
        reader, assets = world.process(), {"a": world.href("a.tif")}

        async def tiles() -> None:
            reads = [reader.read(assets, GRID, Read(), version="1") for _ in range(16)]
            for pixels in await asyncio.gather(*reads):
                np.testing.assert_array_equal(pixels.data, NEW)

        asyncio.run(tiles())
        assert len(store.header_requests) == 1

    def test_gdal_reads_what_is_there_now(self, world: World, store: ObjectStore) -> None:
        cog(store.root / "a.tif", OLD[:1], compress="packbits")
        reader = world.process()
        np.testing.assert_array_equal(world.read(reader), OLD[:1])
        cog(store.root / "a.tif", NEW[:1], compress="packbits", blocksize=128)
        np.testing.assert_array_equal(world.read(reader), NEW[:1])

    def test_a_file_that_is_gone_is_missing_until_it_is_back(
        self, world: World, store: ObjectStore
    ) -> None:
        path = cog(store.root / "a.tif")
        world.ingest("a")
        reader = world.process()
        path.unlink()
        with pytest.raises(UnreadableAssetError, match="is missing"):
            world.read(reader)
        cog(store.root / "a.tif", NEW)
        np.testing.assert_array_equal(world.read(reader), NEW)


class TestKeeping:
    def test_a_later_event_keeps_the_header_of_what_is_there_then(
        self, world: World, store: ObjectStore
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        cog(store.root / "a.tif", NEW)
        (outcome,) = world.ingest("a", seconds=1)
        assert outcome.changes[0].change == "unchanged", "the Item says the same"
        store.requests.clear()
        np.testing.assert_array_equal(world.read(world.process()), NEW)
        assert store.header_requests == []

    def test_a_header_that_is_there_is_not_written_again(
        self, world: World, store: ObjectStore, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        written: list[Key] = []
        transact = world.table.transact

        def noted(actions: Sequence[Put]) -> None:
            written.extend(action.key for action in actions)
            transact(actions)

        monkeypatch.setattr(world.table, "transact", noted)
        world.ingest("a", seconds=1)
        assert header_key(world.href("a.tif")) not in written

    def test_a_header_lasts_as_long_as_its_scene(self, world: World, store: ObjectStore) -> None:
        cog(store.root / "a.tif")
        world.ingest("a")
        row = world.row()
        assert row is not None
        assert set(row) == {"bytes", "length", "etag", "modified"}

    def test_one_of_an_earlier_release_is_read_and_lasts_from_the_next_event_on(
        self, world: World, store: ObjectStore
    ) -> None:
        cog(store.root / "a.tif", NEW)
        world.ingest("a")
        row = world.row()
        assert row is not None
        old = Put(header_key(world.href("a.tif")), {**row, "expires": 2**32})
        world.table.transact([old])
        store.requests.clear()
        np.testing.assert_array_equal(world.read(world.process()), NEW)
        assert store.header_requests == []
        world.ingest("a", seconds=1)
        assert world.row() == row

    def test_headers_of_a_batch_are_read_at_the_same_time(
        self, world: World, store: ObjectStore
    ) -> None:
        names = [f"s{n}" for n in range(16)]
        for name in names:
            cog(store.root / f"{name}.tif")
        store.delay_s = 0.2
        loop = asyncio.new_event_loop()
        started = loop.time()
        world.ingest(*names)
        assert loop.time() - started < 16 * 0.2
        loop.close()
        assert all(world.row(name) for name in names)

    @pytest.mark.parametrize("status", [403, 404, 500])
    def test_a_cog_that_cannot_be_read_yet_does_not_hold_its_item_up(
        self, world: World, store: ObjectStore, caplog: pytest.LogCaptureFixture, status: int
    ) -> None:
        caplog.set_level(logging.INFO)
        cog(store.root / "a.tif")
        store.statuses["/a.tif"] = status
        (outcome,) = world.ingest("a")
        assert (outcome.status, outcome.changes[0].change) == ("done", "applied")
        assert [r.getMessage() for r in caplog.records] == ["headers not kept"]
        assert world.row() is None
        store.statuses.clear()
        np.testing.assert_array_equal(world.read(world.process()), OLD)

    def test_a_host_that_is_away_is_asked_once(
        self, world: World, caplog: pytest.LogCaptureFixture
    ) -> None:
        away = World(world.table, world.root, AllowList(["http://localhost:9"]),
                     lambda name: f"http://localhost:9/{name}")  # fmt: skip
        keeper = HeaderKeeper(away.table, away.allow)
        keeper.keep([away.href("a.tif")])
        loop = asyncio.new_event_loop()
        started = loop.time()
        keeper.keep([away.href(f"{n}.tif") for n in range(1000)])
        assert loop.time() - started < 1
        loop.close()

    def test_what_is_no_cog_is_not_kept(self, world: World, store: ObjectStore) -> None:
        (store.root / "text.tif").write_text("hello" * 1000)
        (store.root / "empty.tif").touch()
        cog(store.root / "strips.tif", tiled=False, blockysize=1)
        world.ingest("text", "empty", "strips")
        assert [world.row(name) for name in ("text", "empty", "strips")] == [None] * 3

    def test_a_header_in_several_places_is_not_kept(self, world: World, store: ObjectStore) -> None:
        """Overviews that were added afterwards have their directories at the end."""
        data = RNG.integers(0, 255, (1, 1024, 1024)).astype("uint8")
        cog(store.root / "a.tif", data, overviews=[2, 4])
        world.ingest("a")
        assert world.row() is None
        np.testing.assert_array_equal(world.read(world.process()), data[:, :300, :300])

    def test_a_header_too_large_for_a_row_costs_a_plain_open(
        self, world: World, store: ObjectStore
    ) -> None:
        blocks = [RNG.integers(0, 255, (16, 16, 1 + n % 60)) for n in range(60)]
        data = np.zeros((1, 5000, 5000), "uint8")
        for n in range(0, 5000 * 5000 // 256, 2):
            y, x = divmod(n, 5000 // 16)
            block = data[0, y * 16 : y * 16 + 16, x * 16 : x * 16 + 16]
            block.flat[: n * 7919 % 251] = blocks[n % 60].flat[: n * 7919 % 251]
        cog(store.root / "a.tif", data, blocksize=16, compress="deflate")
        world.ingest("a")
        assert world.row() is None
        np.testing.assert_array_equal(world.read(world.process()), data[:, :300, :300])

    def test_a_busy_table_does_not_fail_the_event(self, world: World, store: ObjectStore) -> None:
        cog(store.root / "a.tif")
        (outcome,) = world.ingest("a", table=Counting(world.table, busy=True))
        assert outcome.ok
        assert world.row() is None

    def test_a_row_is_small(self, world: World, store: ObjectStore) -> None:
        data = np.zeros((1, 4096, 4096), "uint8")
        cog(store.root / "a.tif", data, blocksize=64)
        world.ingest("a")
        row = world.row()
        assert row is not None
        assert len(row["bytes"]) < MAX_ROW_BYTES / 4
        assert row["length"] == (store.root / "a.tif").stat().st_size


@pytest.mark.emulator
class TestS3:
    @pytest.fixture
    def aws(self) -> Iterator[Emulator]:
        with emulator() as aws:
            aws.client("s3").create_bucket(
                Bucket="scenes", CreateBucketConfiguration={"LocationConstraint": REGION}
            )
            yield aws

    def test_an_overwritten_object_is_noticed_by_its_etag(
        self, aws: Emulator, sqlite_table: SqliteTable, tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:  # fmt: skip
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            monkeypatch.delenv(name)
        for name, value in aws.environment.items():
            if name.startswith("AWS_"):
                monkeypatch.setenv(name, value)
        s3 = aws.client("s3")
        world = World(sqlite_table, tmp_path, AllowList(["s3://scenes/"]),
                      lambda name: f"s3://scenes/{name}")  # fmt: skip

        def put(data: NDArray[Any], **how: Any) -> None:
            s3.upload_file(str(cog(tmp_path / "a.tif", data, **how)), "scenes", "a.tif")

        put(OLD)
        world.ingest("a")
        row = world.row()
        assert row is not None
        assert row["etag"] == s3.head_object(Bucket="scenes", Key="a.tif")["ETag"]
        reader = world.process()
        np.testing.assert_array_equal(world.read(reader), OLD)
        put(NEW)
        for opened in (reader, world.process()):
            np.testing.assert_array_equal(world.read(opened), NEW)
        put(NEW[:1], compress="deflate")
        for opened in (reader, world.process()):
            np.testing.assert_array_equal(world.read(opened), NEW[:1])
