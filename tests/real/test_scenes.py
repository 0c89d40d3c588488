"""Single real files, and the Landsat trio, as rio-tiler shows them."""

import json
from collections.abc import Iterator
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image
from shapely.geometry import shape

from api.served import JSON, Server
from livemosaic.storage.allowlist import AllowList

from .pictures import (
    assert_alike,
    bounds_of,
    closest_oracle,
    item_of,
    oracle,
    tile_of,
    url_of,
    valid_area_of,
)


@pytest.fixture(scope="module", params=["valid area", "bounds"])
def trio(request: pytest.FixtureRequest, real: Server, data: Path) -> tuple[str, Any]:
    """The mosaic's id and its files, top first."""
    mosaic = request.param.replace(" ", "-")
    paths = [data / f"landsat/mosaic_cog{n}.tif" for n in (1, 2, 3)]
    real.create(mosaic)
    for day, path in enumerate(paths, 1):
        geometry = valid_area_of(path) if request.param == "valid area" else None
        real.add(item_of(path, geometry, day=day), mosaic=mosaic)
    return mosaic, paths[::-1]


class TestLandsat:
    """Three scenes, uint16 with nodata 0; two in UTM and one in longitude and latitude."""

    @pytest.mark.parametrize("zoom", [6, 7, 8, 9, 10, 12])
    @pytest.mark.parametrize("place", [(-73.0, 46.0), (-74.9, 46.5), (-72.2, 45.4)], ids=str)
    def test_the_newest_is_on_top_where_it_has_pixels(
        self, real: Server, trio: Any, place: tuple[float, float], zoom: int
    ) -> None:
        mosaic, paths = trio
        tile = tile_of(*place, zoom)
        picture = real.picture(url_of(mosaic, tile))
        data, valid = oracle(paths, tile)
        assert picture.data.dtype == np.uint16
        assert_alike(picture, data, valid, edge=0.01, mean=60)
        both = picture.valid & valid
        same = (picture.data == data).all(axis=0)[both].mean()
        assert same > 0.9

    def test_rescaled_it_is_an_image(self, real: Server, trio: Any) -> None:
        mosaic, _ = trio
        url = url_of(mosaic, tile_of(-73.0, 46.0, 8))
        answer = real.get(url + ".png", rescale="5000,25000")
        assert answer.status_code == 200
        assert answer.headers["Content-Type"] == "image/png"


NAIVE = {
    "type": "Polygon",
    "coordinates": [[[178.0, 50.5], [-178.4, 50.5], [-178.4, 52.9], [178.0, 52.9], [178.0, 50.5]]],
}


@pytest.fixture(scope="module")
def across(real: Server, data: Path) -> Path:
    path = data / "dateline/cog_dateline.tif"
    real.create("dateline")
    real.add(item_of(path, NAIVE, name="across"), mosaic="dateline")
    return path


class TestDateline:
    """A COG in UTM zone 60 that crosses 180°."""

    @pytest.mark.parametrize("zoom", [5, 8, 10])
    @pytest.mark.parametrize("lon", [179.7, 179.99, -179.99, -179.5], ids=str)
    def test_both_sides_show_what_rio_tiler_shows(
        self, real: Server, across: Path, lon: float, zoom: int
    ) -> None:
        tile = tile_of(lon, 51.8, zoom)
        picture = real.picture(url_of("dateline", tile))
        assert picture.scenes == ["across"]
        expected = closest_oracle(picture, [across], tile, overviews=3)
        assert_alike(picture, *expected, edge=0.01, mean=30)

    @pytest.mark.parametrize("tms", ["WorldCRS84Quad", "WGS1984Quad"])
    @pytest.mark.parametrize("lon", [179.9, -179.9], ids=str)
    def test_in_other_matrix_sets_too(
        self, real: Server, across: Path, tms: str, lon: float
    ) -> None:
        tile = tile_of(lon, 51.8, 8, tms)
        picture = real.picture(url_of("dateline", tile, tms))
        expected = closest_oracle(picture, [across], tile, tms, overviews=3)
        assert_alike(picture, *expected, edge=0.01, mean=10)

    def test_far_from_it_there_is_nothing(self, real: Server, across: Path) -> None:
        """A footprint that ran around the world the wrong way would claim Ireland."""
        tile = tile_of(-9, 51.8, 8)
        listed = real.get(url_of("dateline", tile) + "/assets").json()["scenes"]
        assert [one for one in listed if one["read"]] == []

    def test_a_box_across_finds_it(self, real: Server, across: Path) -> None:
        found = real.get("/mosaics/dateline/items", bbox="179.9,51,-179.9,52").json()
        assert [feature["id"] for feature in found["features"]] == ["across"]


MASKED = {
    "cog_rgb_mask": {"zoom": 20},
    "cog_rgba": {"zoom": 20},
    "cog_scale": {"zoom": 8},
    "cog_nodata_nan": {"zoom": 9},
    "cog_int16": {"zoom": 8},
    "scene_band1": {"zoom": 9},
    "scene_band2": {"zoom": 9},
    "cog_cmap": {"zoom": 15},
}


class TestMasks:
    @pytest.mark.parametrize("name", MASKED)
    def test_values_and_validity_are_those_of_rio_tiler(
        self, real: Server, data: Path, name: str
    ) -> None:
        path = data / f"masks/{name}.tif"
        mosaic = f"masks-{name}"
        real.create(mosaic)
        document = item_of(path)
        real.add(document, mosaic=mosaic)
        west, south = document["geometry"]["coordinates"][0][0]
        east, north = document["geometry"]["coordinates"][0][2]
        tile = tile_of((west + east) / 2, (south + north) / 2, MASKED[name]["zoom"])
        picture = real.picture(url_of(mosaic, tile))
        values, valid = oracle([path], tile)
        spread = float(np.ptp(values[:, valid]))
        assert picture.data.dtype == values.dtype
        assert_alike(picture, values, valid, edge=0.01, mean=0.02 * spread)
        assert real.get(url_of(mosaic, tile) + ".tif").status_code == 200
        ranges = f"{values.min()},{values.max() + 1}"
        assert real.get(url_of(mosaic, tile) + ".png", rescale=ranges).status_code == 200

    def test_unscaled_values_are_those_of_rio_tiler(self, real: Server, data: Path) -> None:
        path = data / "masks/cog_scale.tif"
        real.create("scaled")
        document = item_of(path)
        real.add(document, mosaic="scaled")
        west, south, east, north = real.get("/mosaics/scaled/info").json()["bounds"]
        tile = tile_of((west + east) / 2, (south + north) / 2, 8)
        picture = real.picture(url_of("scaled", tile), unscale=True)
        values, valid = oracle([path], tile, unscale=True)
        assert picture.data.dtype == np.float32
        assert values[:, valid].min() > 900
        assert_alike(picture, values, valid, edge=0.01, mean=0.02 * float(np.ptp(values[:, valid])))

    def test_a_palette_is_shown_in_colour(self, real: Server, data: Path) -> None:
        real.create("palette")
        real.add(item_of(data / "masks/cog_cmap.tif"), mosaic="palette")
        answer = real.get(url_of("palette", tile_of(-79.41, 39.88, 14)) + ".png")
        assert answer.status_code == 200
        assert answer.headers["X-Scenes"] == "cog_cmap"


def test_a_raster_of_mars_is_skipped_on_earth(real: Server, data: Path) -> None:
    """No transformation leads from one planet to the other; nothing is drawn in the wrong place."""
    path = data / "mars/cog_hirise_mars.tif"
    real.create("mars")
    real.add(item_of(path, {"type": "Polygon", "coordinates": BOX_OF_MARS}), mosaic="mars")
    answer = real.get(url_of("mars", tile_of(124.5, -14.6, 10)) + ".png")
    assert answer.status_code == 200
    assert answer.headers["X-Scenes"] == ""
    assert "cog_hirise_mars" in answer.headers["X-Skipped-Scenes"]


BOX_OF_MARS = [[[124, -15], [125, -15], [125, -14], [124, -14], [124, -15]]]


class TestStacItems:
    """Items as catalogues give them: which are taken, and why the others are not."""

    @pytest.fixture(autouse=True)
    def anywhere(self, real: Server) -> Iterator[None]:
        """Hrefs in catalogues are on S3 and the web; none is read here."""
        allow = real.services.ingest.allow
        before = allow.prefixes, allow.probe
        payer = "s3://sentinel-s1-l1c/ requester-pays region=eu-central-1"
        object.__setattr__(allow, "prefixes", (*AllowList().prefixes, payer))
        object.__setattr__(allow, "probe", None)
        yield
        object.__setattr__(allow, "prefixes", before[0])
        object.__setattr__(allow, "probe", before[1])

    def outcomes(self, real: Server, mosaic: str, body: str) -> list[dict[str, Any]]:
        real.create(mosaic)
        answer = real.client.post(f"/mosaics/{mosaic}/items", content=body, headers=JSON)
        found: list[dict[str, Any]] = answer.json()["outcomes"]
        return found

    @pytest.mark.parametrize(
        "name",
        [
            "LC80100102015050LGN00.json",
            "LC80100102015082LGN00.json",
            "stac-server-ingest-item.json",
            "sentinel-1-item.json",
        ],
    )
    def test_good_items_are_taken(self, real: Server, data: Path, name: str) -> None:
        (outcome,) = self.outcomes(real, f"stac-{name[:20]}", (data / "stac" / name).read_text())
        assert outcome["status"] == "done", outcome

    def test_a_geometry_that_is_broken_is_refused_with_the_reason(
        self, real: Server, data: Path
    ) -> None:
        text = (data / "stac/bad-geometry-item.json").read_text()
        (outcome,) = self.outcomes(real, "bad-geometry", text)
        assert outcome["status"] == "rejected"
        assert "geometry" in outcome["detail"]

    def test_items_of_jpeg_2000_are_refused_as_they_hold_no_geotiff(
        self, real: Server, data: Path
    ) -> None:
        text = (data / "stac/sentinel-2-page1.geojson").read_text()
        outcomes = self.outcomes(real, "sentinel-2", text)
        assert len(outcomes) == 10
        assert {outcome["status"] for outcome in outcomes} == {"rejected"}
        assert all("no asset that mosaic" in outcome["detail"] for outcome in outcomes)

    def test_a_search_result_of_163_items_is_taken_whole(self, real: Server, data: Path) -> None:
        lines = (data / "noaa/noaa-eri-nashville2020.json").read_text().splitlines()
        body = json.dumps(
            {"type": "FeatureCollection", "features": [json.loads(line) for line in lines]}
        )
        outcomes = self.outcomes(real, "nashville", body)
        assert {outcome["status"] for outcome in outcomes} == {"done"}
        assert len(outcomes) == 163
        seen: set[str] = set()
        url = "/mosaics/nashville/items?limit=50"
        while url:
            page = real.get(url).json()
            seen |= {feature["id"] for feature in page["features"]}
            url = next((one["href"] for one in page["links"] if one["rel"] == "next"), "")
        assert len(seen) == 163

    def test_an_item_of_mars_is_none_of_the_earth(self, real: Server, data: Path) -> None:
        text = (data / "mars/mars_ctx_stac_asset.json").read_text()
        (outcome,) = self.outcomes(real, "mars-item", text)
        assert outcome["status"] == "rejected"
        assert "is of another body: its CRS is of Mars" in outcome["detail"]


@pytest.mark.parametrize("edge", [256, 1024])
def test_a_palette_of_an_aerial_photograph_is_nearer_than_by_median_cut(
    real: Server, data: Path, edge: int
) -> None:
    path = data / "noaa/20200307aC0853900w361030n.tif"
    real.create(f"aerial-{edge}")
    real.add(item_of(path), mosaic=f"aerial-{edge}")
    west, south, east, north = shape(bounds_of(path)).buffer(-0.001).bounds
    url = f"/arcgis/rest/services/aerial-{edge}/ImageServer/exportImage"
    asked = {"bbox": f"{west},{south},{east},{north}", "bboxSR": 4326, "size": f"{edge},{edge}"}
    shown = {}
    for name in ("png32", "png8"):
        answer = real.get(url, **asked, format=name, f="image")
        with Image.open(BytesIO(answer.content)) as image:
            assert image.mode == {"png32": "RGBA", "png8": "P"}[name]
            shown[name] = image.convert("RGB")
    cut = shown["png32"].quantize(255, dither=Image.Dither.NONE).convert("RGB")
    plain = np.asarray(shown["png32"], float)
    ours, theirs = (
        np.linalg.norm(np.asarray(one) - plain, axis=-1).mean() for one in (shown["png8"], cut)
    )
    assert 0 < ours <= theirs
