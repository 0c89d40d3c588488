"""`livemosaic export` to PMTiles: the tiles of the tile route, byte for byte, and nothing else."""

import io
import random
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import morecantile
import numpy as np
import pytest
from rasterio.transform import from_bounds
from typer.testing import CliRunner

from api.overviews import (
    NATIVE,
    Tile,
    build,
    document,
    make_scenes,
    publish,
    tiles_over,
    with_overviews,
)
from api.served import AUTHORIZED, SIZE, Server, X, Y, Z, serving
from cli.archives import Place, counts, delete, every_tile, export, opened, put
from cogs import write_cog
from items import box, item
from livemosaic.cli import app
from livemosaic.export.tiles.publishing import ArchivePlace, ArchiveRequest
from livemosaic.table.sqlite import SqliteTable

RENDERS = {
    "gray": {"bidx": [1]},
    "auto": {"rescale": "auto", "quality": 30},
    "ndvi": {"expression": "(b1-b2)/(b1+b2)", "rescale": [[-1, 1]]},
    "shade": {"bidx": [1], "algorithm": "hillshade"},
}


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Server, list[Tile]]]:
    with with_overviews(tmp_path_factory.mktemp("index"), renders=RENDERS) as server:
        scenes = make_scenes(server.folder, 9)
        publish(server, scenes)
        build(server)
        yield server, scenes


@pytest.fixture
def server(made: tuple[Server, list[Tile]]) -> Server:
    """A mosaic whose low zooms are of overviews, and whose high ones are of scenes."""
    return made[0]


@pytest.fixture
def scenes(made: tuple[Server, list[Tile]]) -> list[Tile]:
    return made[1]


def shown(server: Server, tile: morecantile.Tile, extension: str, **query: Any) -> bytes | None:
    """The bytes of the tile route; None where no pixel is valid."""
    url = f"/mosaics/m/tiles/WebMercatorQuad/{tile.z}/{tile.x}/{tile.y}"
    values = server.get(f"{url}.npy", **query)
    assert values.status_code == 200, values.text
    if not np.load(io.BytesIO(values.content))[-1].any():
        return None
    found = server.get(f"{url}.{extension}", **query)
    assert found.status_code == 200
    return found.content


def expected(
    server: Server, scenes: list[Tile], zooms: range, extension: str, **query: Any
) -> dict[Place, bytes]:
    tiles = [tile for zoom in zooms for tile in tiles_over(scenes, zoom)]
    found = {(t.z, t.x, t.y): shown(server, t, extension, **query) for t in tiles}
    return {place: body for place, body in found.items() if body is not None}


@pytest.mark.parametrize(
    ("tiles", "extension", "render", "zooms"),
    [
        ("webp", "webp", "", range(NATIVE + 1)),
        ("png", "png", "ndvi", range(9, 14)),
        ("jpeg", "jpg", "gray", range(3, 12)),
        ("webp", "webp", "auto", range(12)),
        ("png", "png", "shade", range(10, 14)),
    ],
)
def test_tiles_are_those_of_the_route(
    server: Server,
    scenes: list[Tile],
    tmp_path: Path,
    tiles: str,
    extension: str,
    render: str,
    zooms: range,
) -> None:
    path = tmp_path / "m.pmtiles"
    options = ["--tiles", tiles, "--zooms", f"{zooms[0]}-{zooms[-1]}"]
    query = {"render": render} if render else {}
    text = export(server, path, *options, *(["--render", render] if render else []))
    archive = opened(path)
    found = every_tile(archive)
    assert found == expected(server, scenes, zooms, extension, **query)
    assert {zoom for zoom, _, _ in found} == {*zooms}
    assert f"wrote {len(found):,} tiles" in text
    assert "warning" not in text
    assert archive.header.kind == tiles
    bounds = server.services.mosaics.get("m").bounds
    assert archive.header.bounds == pytest.approx(bounds, abs=1e-6)


@dataclass
class Changing:
    """A mosaic that changes, and its archive."""

    server: Server
    scenes: list[Tile]
    path: Path
    rng: random.Random
    there: set[str] = field(default_factory=set)
    moves: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def change(self) -> None:
        """Adds, moves, updates or deletes a scene."""
        scene = self.rng.choice(self.scenes)
        if scene.name in self.there and self.rng.random() < 0.4:
            delete(self.server, scene.name)
            self.there.discard(scene.name)
            return
        number = next(self.moves)
        shift = self.rng.choice((0, 0, 0.4, 3)) * (scene.bounds[2] - scene.bounds[0])
        left, bottom, right, top = scene.bounds
        moved = replace(
            scene, bounds=(left + shift, bottom, right + shift, top), day=number % 27 + 1
        )
        put(self.server, document(moved, updated=f"2026-03-01T00:{number:02}:00Z"))
        self.there.add(scene.name)

    def export(self, *options: str) -> tuple[int, int]:
        """Exports in place and, as a whole, elsewhere; both must be equal.

        To the zoom of the scenes where none is named: one more has most tiles of all, and no new
        kind of them.
        """
        if "--zooms" not in options:
            options = (*options, "--zooms", f"0-{NATIVE}")
        found = counts(export(self.server, self.path, *options))
        whole = self.path.with_name("whole.pmtiles")
        whole.unlink(missing_ok=True)
        Path(f"{whole}.ledger").unlink(missing_ok=True)
        drawn, copied = counts(export(self.server, whole, *options))
        assert copied == 0
        assert sum(found) == drawn
        assert self.path.read_bytes() == whole.read_bytes()
        assert Path(f"{self.path}.ledger").read_bytes() == Path(f"{whole}.ledger").read_bytes()
        return found


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Changing]:
    with with_overviews(tmp_path, renders=RENDERS) as server:
        scenes = make_scenes(server.folder, 6)
        publish(server, scenes)
        build(server)
        names = {scene.name for scene in scenes}
        yield Changing(server, scenes, tmp_path / "m.pmtiles", random.Random(1), names)


def test_only_changes_are_drawn_and_the_rest_is_as_in_a_whole_export(changing: Changing) -> None:
    every = ("--zooms", f"0-{NATIVE + 1}")
    first, _ = changing.export(*every)
    assert changing.export(*every) == (0, first)
    for changes in (1, 1, 2, 3, 8):
        for _ in range(changes):
            changing.change()
        if changes != 2:
            build(changing.server)
        drawn, copied = changing.export(*every if changes == 1 else ())
        assert drawn
        if changes == 1:
            assert copied > drawn
    build(changing.server)
    changing.export(*every)


def test_a_change_that_is_taken_back_draws_nothing(changing: Changing) -> None:
    whole, _ = changing.export()
    before = changing.path.read_bytes()
    delete(changing.server, "s007")
    build(changing.server)
    put(changing.server, document(changing.scenes[7]))
    build(changing.server)
    _, copied = changing.export()
    assert changing.path.read_bytes() == before
    assert copied > whole / 2


def test_tiles_that_need_pixels_beside_them_are_all_drawn_again(changing: Changing) -> None:
    options = ("--render", "shade", "--tiles", "png", "--zooms", "9-12")
    first, _ = changing.export(*options)
    changing.change()
    build(changing.server)
    drawn, _ = changing.export(*options)
    assert first / 2 < drawn


@pytest.mark.parametrize("options", [["--render", "gray"], ["--tiles", "png"]])
def test_other_settings_draw_all(changing: Changing, options: list[str]) -> None:
    few = ("--zooms", "8-12")
    whole, _ = changing.export(*few)
    assert changing.export(*few, *options) == (whole, 0)
    assert changing.export(*few, *options) == (0, whole)


def test_another_pixel_version_draws_all(
    changing: Changing, monkeypatch: pytest.MonkeyPatch
) -> None:
    few = ("--zooms", "8-12")
    whole, _ = changing.export(*few)
    monkeypatch.setattr("livemosaic.pixel_version.current", lambda: "another")
    assert changing.export(*few) == (whole, 0)


def test_other_zooms_draw_what_is_new(changing: Changing) -> None:
    few, _ = changing.export("--zooms", "0-11")
    drawn, copied = changing.export("--zooms", "0-13")
    assert copied == few
    assert drawn
    assert changing.export("--zooms", "3-12")[0] == 0


@pytest.mark.parametrize(
    "damage",
    [
        *("no ledger", "ledger", "archive", "another archive", "tiles"),
        *("place of the root", "length of the root", "place of the tiles"),
    ],
)
def test_damage_is_drawn_anew(changing: Changing, damage: str) -> None:
    few = ("--zooms", "9-12")
    whole, _ = changing.export(*few)
    ledger, path = Path(f"{changing.path}.ledger"), changing.path
    match damage:
        case "no ledger":
            ledger.unlink()
        case "ledger":
            ledger.write_bytes(ledger.read_bytes()[:-3])
        case "archive":
            path.write_bytes(path.read_bytes()[:300])
        case "another archive":
            other = path.with_name("other.pmtiles")
            export(changing.server, other, "--render", "gray", *few)
            path.write_bytes(other.read_bytes())
        case "place of the root" | "length of the root" | "place of the tiles":
            places = {"place of the root": 15, "length of the root": 21, "place of the tiles": 63}
            body = bytearray(path.read_bytes())
            body[places[damage]] ^= 0xFF  # integers of 64 bits in the header
            path.write_bytes(body)
        case "tiles":
            body = bytearray(path.read_bytes())
            body[-40:] = bytes(40)
            path.write_bytes(body)
    drawn, copied = changing.export(*few)
    if damage == "tiles":
        assert (drawn, copied) == (1, whole - 1)
    elif damage == "another archive":
        assert drawn > whole / 2  # tiles of few pixels may be the same in both
    else:
        assert drawn == whole


def test_an_unreadable_scene_is_named_and_tried_again(changing: Changing) -> None:
    scene = changing.scenes[0]
    body = scene.path.read_bytes()
    scene.path.write_bytes(body[:200])
    changing.server.add(document(scene, updated="2026-04-01T00:00:00Z"))
    text = export(changing.server, changing.path, "--zooms", "13")
    assert "tiles lack scenes that could not be shown" in text
    assert "s000" in text
    scene.path.write_bytes(body)
    drawn, copied = changing.export("--zooms", "13")
    assert 0 < drawn < copied
    assert changing.export("--zooms", "13")[0] == 0


def test_what_is_cut_is_said_each_time(changing: Changing) -> None:
    changing.server.services.mosaics.update("m", {"overviews": None})
    for _ in range(2):
        text = export(changing.server, changing.path, "--zooms", "9-10")
        assert "2 tiles lack scenes, as a limit ended the search" in text


def test_overviews_that_are_behind_are_said(changing: Changing) -> None:
    delete(changing.server, "s003")
    text = export(changing.server, changing.path, "--zooms", "9-10")
    assert "overviews are 1 changes behind" in text


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--zooms", "4-2"], "4 is deeper than 2"),
        (["--zooms", "x"], "--zooms 'x' must be two zooms"),
        (["--zooms", "25-28"], "mosaic 'm' has zooms 0 to 22"),
        (
            ["--render", "nope"],
            "there is no render 'nope' in mosaic 'm'; there are: auto, gray, ndvi",
        ),
    ],
)
def test_what_cannot_be_is_refused(
    server: Server, options: list[str], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "m.pmtiles"
    assert reason in export(server, path, *options, code=1)
    assert not [*tmp_path.iterdir()]


def test_quality_and_formats_are_those_of_the_mosaic(changing: Changing) -> None:
    whole, _ = changing.export("--zooms", "9-11")
    changing.server.services.mosaics.update("m", {"quality": 20})
    assert changing.export("--zooms", "9-11") == (whole, 0)
    found = every_tile(opened(changing.path))
    assert found == expected(changing.server, changing.scenes, range(9, 12), "webp")
    changing.server.services.mosaics.update("m", {"formats": ("jpeg", "npy")})
    text = export(changing.server, changing.path, code=1)
    assert "mosaic 'm' has no images of format webp; it has jpeg, npy" in text


def test_the_default_render_is_that_of_the_mosaic(changing: Changing) -> None:
    changing.server.services.mosaics.update("m", {"default_render": "gray"})
    changing.export("--zooms", "9-11")
    found = every_tile(opened(changing.path))
    assert found == expected(changing.server, changing.scenes, range(9, 12), "webp", render="gray")
    changing.export("--zooms", "9-11", "--render", "none")
    found = every_tile(opened(changing.path))
    assert found == expected(changing.server, changing.scenes, range(9, 12), "webp", render="none")


def test_a_derived_mosaic(changing: Changing) -> None:
    """A source that shows from zoom 12 on is found, although it shows nothing at zoom 9."""
    source = {"mosaic": "m", "minzoom": 12}
    changing.server.create("over", sources=[source])
    export(changing.server, changing.path, mosaic="over")
    found = every_tile(opened(changing.path))
    assert {zoom for zoom, _, _ in found} == {12, 13, 14}
    for place, body in found.items():
        url = "/mosaics/over/tiles/WebMercatorQuad/{}/{}/{}.webp".format(*place)
        assert changing.server.get(url).content == body
    delete(changing.server, "s003")
    text = export(changing.server, changing.path, "--zooms", "12", mosaic="over")
    assert "warning: source m: overviews are 1 changes behind" in text
    changing.server.create("other")
    changing.server.create("both", sources=[source, {"mosaic": "other"}])
    changing.server.client.delete("/mosaics/other?force=true", headers=AUTHORIZED)
    text = export(changing.server, changing.path, "--zooms", "12", mosaic="both")
    assert "warning: source other is missing" in text


def test_other_mosaics_are_refused(server: Server, tmp_path: Path) -> None:
    path = tmp_path / "m.pmtiles"
    server.create("degrees", tms="EuropeanETRS89_LAEAQuad")
    server.create("nothing")
    text = export(server, path, mosaic="degrees", code=1)
    assert (
        "has tiles of EuropeanETRS89_LAEAQuad, and PMTiles has tiles of WebMercatorQuad alone"
        in text
    )
    assert "shows nothing at zooms 0 to 14" in export(server, path, mosaic="nothing", code=1)
    assert "no mosaic 'absent'" in export(server, path, mosaic="absent", code=1)
    assert "cannot write" in export(server, tmp_path / "no" / "m.pmtiles", code=1)
    assert not [*tmp_path.iterdir()]


def test_options_of_other_formats_are_refused(server: Server, tmp_path: Path) -> None:
    assert "--zooms is for PMTiles" in export(server, tmp_path / "m.json", "--zooms", "3", code=2)
    text = export(server, tmp_path / "m.pmtiles", "--asset", "visual", code=2)
    assert "--asset is not for PMTiles" in text
    words = ["--api", "http://127.0.0.1:9", "export", "m", str(tmp_path / "m.pmtiles")]
    result = CliRunner().invoke(app, words)
    assert "leave out --api" in " ".join(result.output.split())


def test_dated_copies(changing: Changing, monkeypatch: pytest.MonkeyPatch) -> None:
    """The newest ones are kept, and nothing else is deleted."""
    folder, few = changing.path.parent, ("--zooms", "9")
    kept = ["m.2020-02-01.txt", "m.x.pmtiles", "am.2020-01-01.pmtiles", "m.2020-01-01.pmtiles.old"]
    old = ["m.2020-01-01.pmtiles", "m.2020-01-02.pmtiles", "m.2021-01-01.pmtiles"]
    for name in (*kept, *old):
        (folder / name).write_text(name)
    export(changing.server, changing.path, *few)
    assert all((folder / name).exists() for name in old)
    export(changing.server, changing.path, *few, "--keep", "2")
    today = f"m.{datetime.now(UTC).date()}.pmtiles"
    there = {path.name for path in folder.iterdir() if ".pmtiles" in path.name or path.name in kept}
    assert there == {*kept, "m.2021-01-01.pmtiles", today, "m.pmtiles", "m.pmtiles.ledger"}
    assert (folder / today).read_bytes() == changing.path.read_bytes()
    delete(changing.server, "s007")
    build(changing.server)
    before = changing.path.read_bytes()
    export(changing.server, changing.path, *few)
    assert (folder / today).read_bytes() == before != changing.path.read_bytes()


CRASHING = """
import os, sys
from pathlib import Path
from livemosaic.cli import app

def crash_after(left):
    def counted(work):
        def step(*args, **how):
            nonlocal left
            left -= 1
            if left < 0:
                os._exit(9)
            return work(*args, **how)
        return step

    os.fsync, os.link = counted(os.fsync), counted(os.link)
    for name in ("replace", "write_bytes", "unlink"):
        setattr(Path, name, counted(getattr(Path, name)))

for line in sys.stdin:
    child = os.fork()
    if not child:
        crash_after(int(line))
        app()
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""


@contextmanager
def crashing(*command: str) -> Iterator[Callable[[int], int]]:
    """Runs the command in a new process that is killed after so many steps; its exit code.

    They are copies of one that has imported it all.
    """
    words = [sys.executable, "-c", CRASHING, *command]
    pipe = subprocess.PIPE
    with subprocess.Popen(words, stdin=pipe, stdout=pipe, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        asked, answers = process.stdin, process.stdout

        def run(steps: int) -> int:
            print(steps, file=asked, flush=True)
            return int(answers.readline())

        yield run


def test_a_crash_at_any_step_leaves_an_archive(changing: Changing) -> None:
    """The old one, or the new one, whole; the next export is as if there had been no crash."""
    few, path = ("--zooms", "9-10"), changing.path
    old_day = path.with_name("m.2020-01-01.pmtiles")
    index, folder = changing.server.services.settings.index, str(changing.server.folder)
    command = ["--index", index, "--allow", folder, "export", "m", str(path), *few, "--keep", "1"]
    export(changing.server, path, *few)
    before, ledger = path.read_bytes(), Path(f"{path}.ledger").read_bytes()
    delete(changing.server, "s007")
    build(changing.server)
    whole = path.with_name("whole.pmtiles")
    export(changing.server, whole, *few)
    found = []
    with crashing(*command) as run:
        for steps in range(100):
            path.write_bytes(before)
            Path(f"{path}.ledger").write_bytes(ledger)
            old_day.write_bytes(b"x")
            code = run(steps)
            found.append(path.read_bytes())
            assert found[-1] in (before, whole.read_bytes())
            if code == 0:
                break
            assert code == 9
            export(changing.server, path, *few)
            assert path.read_bytes() == whole.read_bytes()
    assert len(found) > 6
    assert found.index(whole.read_bytes()) > 2
    assert not old_day.exists()


def test_a_small_mosaic_far_below_the_cells_of_the_index_takes_few_tiles(tmp_path: Path) -> None:
    """Its one cell, of zoom 14, has 65,536 tiles of zoom 22."""
    with serving(SqliteTable(tmp_path / "index.db"), tmp_path) as server:
        server.create(overviews=None)
        place = from_bounds(7.5, 45.5, 7.50001, 45.50001, 64, 64)
        values = np.full((3, 64, 64), 9, "uint8")
        path = write_cog(tmp_path / "s.tif", values, crs="EPSG:4326", transform=place)
        server.add(item("s", box(7.5, 45.5, 7.50001, 45.50001), href=server.url(path)))
        services, to = server.services, tmp_path / "m.pmtiles"
        request = ArchiveRequest(place=ArchivePlace(str(to)), format="png", maxzoom=22)
        tally = services.publisher().publish(
            services.mosaics.get("m"), request, datetime.now(UTC).date()
        )
        assert tally.looked < 1000
        found = every_tile(opened(to))
        assert {z for z, _, _ in found} >= {*range(17, 23)}
        for (z, x, y), body in found.items():
            assert server.get(f"/mosaics/m/tiles/WebMercatorQuad/{z}/{x}/{y}.png").content == body


def test_a_tile_beside_pixels_alone_is_left_out(tmp_path: Path) -> None:
    """Hillshade reads pixels around a tile, which are none of the tile."""
    index, assets = tmp_path / "index.db", tmp_path / "assets"
    assets.mkdir()
    with serving(SqliteTable(index), assets, index=f"sqlite:///{index}") as server:
        server.create(renders=RENDERS)
        values = np.zeros((1, SIZE, 2 * SIZE), "uint8")
        values[:, :, SIZE:] = 90
        server.publish("a", values, (0, 0, 2 * SIZE, SIZE), nodata=0)
        path = tmp_path / "m.pmtiles"
        export(server, path, "--render", "shade", "--zooms", str(Z))
        assert {*every_tile(opened(path))} == {(Z, X + 1, Y)}
