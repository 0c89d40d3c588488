"""A loaded table has no overviews and no stale rows: a builder begins them, until all is shown."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

from api.overviews import Tile, build, cells, document, make_scenes, publish, tiles_over
from api.served import Server, serving
from items import NOW
from livemosaic.load.work import Work
from livemosaic.model.mosaic import Mosaic, OverviewPolicy
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.table import Put
from livemosaic.table.sqlite import SqliteTable
from load.archives import loaded, planned
from sources.parquet import write

MOSAIC = Mosaic(id="m", overviews=OverviewPolicy())
ZOOMS = (0, 3, 6, 9)


@pytest.fixture
def tiles(tmp_path: Path) -> Sequence[Tile]:
    (tmp_path / "scenes").mkdir()
    return make_scenes(tmp_path / "scenes", 5)


@contextmanager
def serving_index(folder: Path, name: str) -> Iterator[Server]:
    """A server on an index of its own, with overviews of its own beside it."""
    own = folder / name
    own.mkdir()
    path = own / "index.db"
    with serving(SqliteTable(path), folder / "scenes", index=f"sqlite:///{path}") as server:
        yield server


def load(server: Server, folder: Path, tiles: Sequence[Tile]) -> None:
    """Put the rows of a load into a server's table."""
    file = write(folder / "items.parquet", [document(tile) for tile in tiles])
    work = Work(Folder((folder / "work").as_uri()), AllowList((str(folder / "scenes"),)))
    for key, row in loaded(work, planned([file], [MOSAIC], 10)).items():
        server.services.index.table.transact([Put(key, row)])


def images(server: Server, tiles: Sequence[Tile]) -> dict[str, tuple[bytes, str]]:
    """Each image at low zooms, with the cells that it is of and how many of them are stale."""
    found = {}
    for zoom in ZOOMS:
        for tile in tiles_over(tiles, zoom):
            path = f"/mosaics/m/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}.png"
            answer = server.get(path)
            noted = answer.headers.get("x-overview", "none").split("; ")
            found[path] = answer.content, " ".join(n for n in noted if not n.startswith("built"))
    return found


def test_low_zooms_are_whole_once_a_builder_has_been_there(
    tmp_path: Path, tiles: Sequence[Tile]
) -> None:
    with (
        serving_index(tmp_path, "loaded") as server,
        serving_index(tmp_path, "events") as other,
    ):
        load(server, tmp_path, tiles)
        before = images(server, tiles)
        assert {overview for _, overview in before.values()} == {"none"}
        build(server)
        other.services.mosaics.create(MOSAIC)
        publish(other, tiles)
        build(other)
        assert images(server, tiles) == images(other, tiles)
        assert all("stale=0" in overview for _, overview in images(server, tiles).values())
        assert [cell.quadkey for cell in cells(server)] == [cell.quadkey for cell in cells(other)]


def test_a_change_after_the_load_shows_at_low_zooms(tmp_path: Path, tiles: Sequence[Tile]) -> None:
    """Also one that comes before the first set: the builder surveys what is there by then."""
    with serving_index(tmp_path, "loaded") as server:
        load(server, tmp_path, tiles)
        first, second, *_ = tiles
        server.add(document(first, updated=NOW.isoformat(), properties={"made": "anew"}))
        build(server)
        before = images(server, tiles)
        server.services.index.delete(
            server.services.mosaics.get("m"), f"s2#{second.name}", "2027-01-01T00:00:00Z#~deleted"
        )
        build(server)
        after = images(server, tiles)
        assert all("stale=0" in overview for _, overview in after.values())
        assert after != before
