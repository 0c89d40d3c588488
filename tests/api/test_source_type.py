"""What pixels stand for: as image services name it, and in what overviews keep of them."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

import numpy as np
import pytest
from rasterio.io import MemoryFile
from typer.testing import CliRunner

from api.overviews import build, make_scenes, publish, tiles_over, with_overviews
from api.served import AUTHORIZED, WEB, Server, tile_url
from cogs import write_cog
from livemosaic.cli import app
from livemosaic.model.mosaic import OverviewPolicy, OverviewSet
from livemosaic.model.render import Resampling
from livemosaic.overviews.sets.removal import OutOfTimeError
from livemosaic.services import building

pytestmark = pytest.mark.slow

CLASSES = [11, 12, 40]
LOW = 9
"""A zoom whose tiles are of overviews."""


@dataclass
class Classes:
    """A mosaic of random classes with overviews, whose settings say nothing of them."""

    server: Server
    low: str
    """URL of a tile of overviews."""
    middle: tuple[float, float]
    """Longitude and latitude within the scenes."""

    def url(self, zoom: int, mosaic: str = "m") -> str:
        """URL of the tile in the middle."""
        tile = WEB.tile(*self.middle, zoom)
        return tile_url(mosaic=mosaic, tile=(zoom, tile.x, tile.y))

    def sets(self) -> Sequence[OverviewSet]:
        """The sets of overviews, oldest first."""
        return self.server.services.mosaics.get("m").overview_sets

    def values(self, url: str, **query: Any) -> set[int]:
        """The values of a tile, which must have some."""
        picture = self.server.picture(url, **query)
        assert picture.valid.any(), url
        return set(np.unique(picture.data[:, picture.valid]).tolist())

    def change(self, mosaic: str = "m", **settings: Any) -> dict[str, Any]:
        answer = self.server.client.patch(f"/mosaics/{mosaic}", json=settings, headers=AUTHORIZED)
        assert answer.status_code == 200, answer.text
        changed: dict[str, Any] = answer.json()
        return changed

    def shown(self) -> set[int]:
        """The values of the tile, once its overviews are made."""
        build(self.server)
        picture = self.server.picture(self.low)
        assert "X-Overview" in picture.headers
        assert picture.valid.any()
        return set(np.unique(picture.data[:, picture.valid]).tolist())


@pytest.fixture
def classes(tmp_path: Path) -> Iterator[Classes]:
    with with_overviews(tmp_path) as server:
        scenes = make_scenes(tmp_path / "assets", 4)
        rng = np.random.default_rng(7)
        for scene in scenes:
            values = rng.choice(CLASSES, (3, 128, 128)).astype("uint8")
            write_cog(scene.path, values, crs="EPSG:3857", bounds=scene.bounds)
        publish(server, scenes)
        low = tiles_over(scenes, LOW)[0]
        left, bottom, right, top = np.mean([scene.bounds for scene in scenes], axis=0)
        middle = WEB.lnglat((left + right) / 2, (bottom + top) / 2)
        yield Classes(server, tile_url(tile=(low.z, low.x, low.y)), (middle.x, middle.y))


def test_overviews_of_classes_have_no_class_that_scenes_lack(classes: Classes) -> None:
    means = classes.shown()
    assert means - set(CLASSES)  # of a mosaic that says nothing
    assert classes.change(source_type="thematic")["overviews"]["resampling"] == "mean"
    assert classes.shown() <= set(CLASSES)
    classes.change(source_type=None)
    assert classes.shown() == means


def test_means_that_were_begun_never_show_after_a_change_back(classes: Classes) -> None:
    classes.change(source_type="thematic")
    classes.shown()
    classes.change(source_type=None)
    with building(classes.server.services) as builder, pytest.raises(OutOfTimeError):
        builder.run("m", late=lambda: True)
    classes.change(source_type="thematic")
    assert classes.shown() <= set(CLASSES)
    assert [each.state for each in classes.sets()] == ["ready", "replaced"]


def test_means_that_are_made_while_settings_change_never_show(classes: Classes) -> None:
    classes.change(source_type="thematic")
    classes.shown()
    classes.change(source_type=None)
    changes = iter(["thematic"])

    def late() -> bool:
        for each in changes:
            classes.change(source_type=each)
        return False

    with building(classes.server.services) as builder:
        builder.run("m", late=late)
    assert next(changes, None) is None
    assert classes.values(classes.low) <= set(CLASSES)
    assert [each.state for each in classes.sets()] == ["ready", "replaced"]


def test_classes_may_be_reduced_in_other_ways(classes: Classes) -> None:
    policy = {"resampling": "max", "resampling_of": {"red": "mean"}}
    classes.change(source_type="thematic", overviews=policy)
    assert classes.shown() == {max(CLASSES)}


def test_the_mean_of_one_asset_alone_is_no_class_either(tmp_path: Path) -> None:
    policy = OverviewPolicy(resampling="sample", resampling_of={"visual": "mean"})
    with with_overviews(tmp_path, policy, source_type="thematic") as server:
        scenes = make_scenes(tmp_path / "assets", 2)
        publish(server, scenes)
        build(server)
        (made,) = server.services.mosaics.get("m").overview_sets
    assert (made.policy.resampling, made.policy.resampling_of) == ("sample", {"visual": "mode"})


@pytest.mark.parametrize("kernel", get_args(Resampling))
def test_no_kernel_makes_a_class(classes: Classes, kernel: str) -> None:
    """By overviews, at the zoom of the pixels, and deeper; in a derived mosaic, too."""
    classes.change(source_type="thematic")
    classes.shown()
    classes.server.create("d", sources=[{"mosaic": "m"}])
    low = [classes.low, classes.low.replace("/m/", "/d/")]
    for url in (*low, *(classes.url(zoom, name) for zoom in (13, 15) for name in "md")):
        assert classes.values(url, resampling=kernel) <= set(CLASSES), url


@pytest.mark.parametrize("interpolation", ["RSP_BilinearInterpolation", "RSP_CubicConvolution"])
def test_image_services_interpolate_no_classes(classes: Classes, interpolation: str) -> None:
    x, y = WEB.xy(*classes.middle)
    asked = {"bbox": f"{x - 900},{y - 900},{x + 900},{y + 900}", "size": "300,300"}
    asked |= {"format": "tiff", "f": "image", "interpolation": interpolation}

    def values() -> set[int]:
        answer = classes.server.get("/arcgis/rest/services/m/ImageServer/exportImage", **asked)
        with MemoryFile(answer.content) as file, file.open() as image:
            return set(image.read([1, 2, 3], masked=True).compressed().tolist())

    assert values() - set(CLASSES)
    classes.change(source_type="thematic")
    assert values() == set(CLASSES)


def test_classes_of_a_source_are_kept_apart_from_then_on(classes: Classes) -> None:
    """Those of other sources are interpolated; caches hear of it."""
    classes.server.create("other")
    classes.server.create("d", sources=[{"mosaic": "m"}, {"mosaic": "other"}])
    url = classes.url(14, "d")
    before = classes.server.picture(url, resampling="cubic")
    assert classes.values(url, resampling="cubic") - set(CLASSES)
    classes.change(mosaic="other", source_type="thematic")
    assert classes.values(url, resampling="cubic") - set(CLASSES)
    classes.change(source_type="thematic")
    assert classes.values(url, resampling="cubic") == set(CLASSES)
    after = classes.server.picture(url, resampling="cubic")
    assert after.headers["ETag"] != before.headers["ETag"]


@pytest.mark.parametrize("mosaic", ["m", "d"])
def test_auto_is_a_format_that_keeps_classes(classes: Classes, mosaic: str) -> None:
    classes.server.create("d", sources=[{"mosaic": "m"}])

    def media_type() -> str:
        found: str = classes.server.get(classes.url(15, mosaic)).headers["Content-Type"]
        return found

    assert media_type() == "image/jpeg"
    classes.change(source_type="thematic")
    assert media_type() == "image/png"
    classes.change(mosaic=mosaic, formats=["jpeg"])
    assert media_type() == "image/jpeg"


@pytest.mark.parametrize(
    ("source_type", "says"),
    [
        (None, "RGB"),
        ("generic", "Generic"),
        ("elevation", "Elevation"),
        ("thematic", "Thematic"),
        ("processed", "Processed"),
        ("scientific", "Scientific"),
        ("vector_uv", "VectorUV"),
        ("vector_magdir", "VectorMagDir"),
    ],
)
def test_image_services_name_it_as_arcgis_does(
    server: Server, source_type: str | None, says: str
) -> None:
    server.create("typed", source_type=source_type)
    service = "/arcgis/rest/services/typed/ImageServer"
    server.publish("a", [1, 2, 3], mosaic="typed")
    named = server.get(service, f="json").json()["serviceDataType"]
    assert named == f"esriImageServiceDataType{says}"


def test_other_types_are_refused_by_name(server: Server) -> None:
    answer = server.client.post(
        "/mosaics", json={"id": "m2", "source_type": "Thematic"}, headers=AUTHORIZED
    )
    assert answer.status_code == 400
    assert "'thematic'" in answer.text


def test_the_command_sets_it_and_takes_it_away(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path / 'index.db'}")

    def shown(*words: str) -> Any:
        done = CliRunner().invoke(app, ("mosaics", *words))
        assert done.exit_code == 0, done.output
        return json.loads(done.stdout)["source_type"]

    assert shown("create", "m") is None
    assert shown("update", "m", "--source-type", "thematic") == "thematic"
    assert shown("update", "m", "--title", "Land cover") == "thematic"
    assert shown("update", "m", "--reset", "source_type") is None
