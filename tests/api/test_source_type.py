"""What pixels stand for: as image services name it, and in what overviews keep of them."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from typer.testing import CliRunner

from api.overviews import build, make_scenes, publish, tiles_over, with_overviews
from api.served import AUTHORIZED, Server, tile_url
from cogs import write_cog
from livemosaic.cli import app
from livemosaic.model.mosaic import OverviewPolicy

CLASSES = [11, 12, 40]
LOW = 9
"""A zoom whose tiles are of overviews."""


@dataclass
class Classes:
    """A mosaic of random classes with overviews, whose settings say nothing of them."""

    server: Server
    low: str
    """URL of a tile of overviews."""

    def change(self, **settings: Any) -> dict[str, Any]:
        answer = self.server.client.patch("/mosaics/m", json=settings, headers=AUTHORIZED)
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
        yield Classes(server, tile_url(tile=(low.z, low.x, low.y)))


def test_overviews_of_classes_have_no_class_that_scenes_lack(classes: Classes) -> None:
    means = classes.shown()
    assert means - set(CLASSES)  # of a mosaic that says nothing
    assert classes.change(source_type="thematic")["overviews"]["resampling"] == "mean"
    assert classes.shown() <= set(CLASSES)
    classes.change(source_type=None)
    assert classes.shown() == means


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
