"""The USGS tutorials on mosaics of Mars, step by step: by the command, and in Python.

`Mosaic.json` (seed 000) makes mosaics of a search over Jezero crater; `Analysis with Mosaic.json`
(seed 001) reads them. Each test is a step; the data are made as the tutorials' are.
"""

import io
import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx2
import numpy as np
import pyproj
import pystac_client
import pytest
import rasterio
import shapely
from cogeo_mosaic.mosaic import MosaicJSON
from morecantile import TileMatrixSet
from rio_tiler.io import Reader
from rio_tiler.mosaic import mosaic_reader
from typer.testing import CliRunner

import livemosaic
from api.served import on_socket, quiet, serving
from livemosaic.cli import app
from livemosaic.table.sqlite import SqliteTable
from planets.mars import (
    DEGREES,
    EQUIRECTANGULAR,
    JEZERO,
    MERCATOR,
    NODATA,
    STRIPS,
    ctx,
    write_matrix_sets,
)

COLLECTION = "mro_ctx_controlled_usgs_dtms"
PLACES = {"P05": (75.92, 16.2), **STRIPS}
"""The tutorial's strips: P05 is the one that reaches far to the south and west."""
MOSAICS = {"jezero-dtm": "dtm", "jezero-ortho": "orthoimage", "jezero-hillshade": "hillshade"}
SETS = ["MarsMercatorSphere", "MarsEquidistantCylindricalSphere", "MarsGeographicSphere"]
LON, LAT = JEZERO
WAYS = ["command", "python"]


@dataclass(frozen=True)
class Desk:
    """What who goes through the tutorials has: files, a catalogue of STAC, an index."""

    folder: Path
    catalogue: str
    """URL of a STAC API with the Items."""
    index: str
    items: list[dict[str, Any]]
    """What the catalogue was filled with."""

    def run(self, *words: str) -> str:
        """Runs the command; returns what it prints."""
        done = CliRunner().invoke(app, words)
        assert done.exit_code == 0, done.output
        return done.stdout

    def cog(self, name: str, asset: str) -> Path:
        return self.folder / f"{name}_{asset}.tif"


@pytest.fixture(scope="module")
def desk(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    """The environment is configured: TileMatrixSets of Mars in a folder, and a STAC API."""
    folder = tmp_path_factory.mktemp("tutorials")
    sets = write_matrix_sets(folder / "tms")
    items = [ctx(folder, name, strips=PLACES) for name in PLACES]
    table = SqliteTable(folder / "catalogue.db")
    environment = {
        "LIVEMOSAIC_INDEX": f"sqlite:///{folder}/jezero.db",
        "LIVEMOSAIC_TILE_MATRIX_SETS": str(sets),
        "LIVEMOSAIC_ALLOWED_PREFIXES": str(folder),
        "GDAL_DEFAULT_WMS_CACHE_PATH": str(folder / "gdal-cache"),
        "COLUMNS": "200",
    }
    with (
        pytest.MonkeyPatch.context() as patch,
        serving(table, folder, tile_matrix_sets=sets) as server,
        on_socket(server) as url,
    ):
        for name, value in environment.items():
            patch.setenv(name, value)
        server.create(COLLECTION, tms="MarsMercatorSphere", properties=["proj:wkt2"])
        server.add(*items, mosaic=COLLECTION)
        yield Desk(folder, url, environment["LIVEMOSAIC_INDEX"], items)


@pytest.fixture(scope="module")
def mosaics(desk: Desk) -> Iterator[livemosaic.Connection]:
    """The three mosaics of the first tutorial, made by the command."""
    for mosaic, asset in MOSAICS.items():
        create(desk, "command", mosaic, asset)
    desk.run("ingest", "--stac", desk.catalogue, "--collections", COLLECTION)
    with livemosaic.open() as opened:
        yield opened


@pytest.fixture(scope="module")
def url(mosaics: livemosaic.Connection, desk: Desk) -> Iterator[str]:
    """The second tutorial's server: here `livemosaic serve`, of the same index."""
    table = SqliteTable(desk.folder / "jezero.db")
    sets = desk.folder / "tms"
    with serving(table, desk.folder, tile_matrix_sets=sets) as server, on_socket(server) as address:
        yield address


def create(desk: Desk, way: str, mosaic: str, asset: str) -> None:
    title = f"Jezero Example {asset}"
    if way == "command":
        desk.run(
            *("mosaics", "create", mosaic, "--title", title, "--tms", "MarsMercatorSphere"),
            *("--asset", asset, "--minzoom", "0", "--maxzoom", "25", "--quadkey-zoom", "9"),
            *("--max-cells", "48"),
        )
        return
    settings = {"tms": "MarsMercatorSphere", "assets": [asset], "minzoom": 0, "maxzoom": 25}
    with livemosaic.open() as mosaics:
        mosaics.create(mosaic, title=title, quadkey_zoom=9, max_cells=48, **settings)


def ids(mosaic: str) -> set[str]:
    with livemosaic.open() as mosaics:
        return {scene["id"] for scene in mosaics[mosaic].scenes()}


def search(
    desk: Desk, way: str, mosaic: str, words: tuple[str, ...], form: str, **parameters: Any
) -> None:
    """Puts what a catalogue finds into a new mosaic: by the options of the command, or what
    pystac-client finds by the same parameters, in one of its forms."""
    create(desk, way, mosaic, "dtm")
    if way == "command":
        found = ("--stac", desk.catalogue, "--collections", COLLECTION, *words)
        desk.run("ingest", "--mosaic", mosaic, *found)
        return
    catalogue = pystac_client.Client.open(desk.catalogue)
    results = catalogue.search(collections=[COLLECTION], **parameters)
    with livemosaic.open() as mosaics:
        mosaics[mosaic].add(getattr(results, form)())


class TestMosaicJson:
    """Seed 000."""

    @pytest.mark.parametrize("way", WAYS)
    def test_a_mosaic_is_made_in_a_tile_matrix_set_of_mars(self, desk: Desk, way: str) -> None:
        create(desk, way, f"made-by-{way}", "dtm")
        shown = json.loads(desk.run("mosaics", "show", f"made-by-{way}"))
        assert (shown["tms"], shown["quadkey_zoom"]) == ("MarsMercatorSphere", 9)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_search_by_bbox_and_collection_goes_in(self, desk: Desk, way: str) -> None:
        box = 76.69, 17.41, 78.69, 19.41
        words = ("--bbox", ",".join(map(str, box)))
        search(desk, way, f"bbox-{way}", words, "items", bbox=box, max_items=10)
        assert ids(f"bbox-{way}") == set(STRIPS)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_search_stops_at_so_many_items(self, desk: Desk, way: str) -> None:
        words = ("--max-items", "2")
        search(desk, way, f"most-{way}", words, "pages_as_dicts", max_items=2)
        assert len(ids(f"most-{way}")) == 2

    @pytest.mark.parametrize("way", WAYS)
    def test_a_search_by_an_area_goes_in(self, desk: Desk, way: str) -> None:
        area = shapely.Point(77.69, 18.41).buffer(1.0).convex_hull.reverse()
        file = desk.folder / "aoi.geojson"
        file.write_text(shapely.to_geojson(area))
        words = ("--max-items", "10", "--intersects", str(file))
        search(desk, way, f"area-{way}", words, "item_collection", intersects=area, max_items=10)
        assert ids(f"area-{way}") == set(STRIPS)

    @pytest.mark.parametrize("way", WAYS)
    def test_a_saved_search_goes_in(self, desk: Desk, way: str) -> None:
        create(desk, way, f"saved-{way}", "dtm")
        catalogue = pystac_client.Client.open(desk.catalogue)
        saved = desk.folder / "jezero_ctx_assets_bbox.json"
        search = catalogue.search(collections=[COLLECTION])
        saved.write_text(json.dumps(search.item_collection_as_dict()))
        if way == "command":
            desk.run("ingest", "--mosaic", f"saved-{way}", str(saved))
        else:
            with livemosaic.open() as mosaics:
                mosaics[f"saved-{way}"].add(saved)
        assert ids(f"saved-{way}") == set(PLACES)

    @pytest.mark.parametrize("way", WAYS)
    def test_assets_are_listed(self, mosaics: livemosaic.Connection, desk: Desk, way: str) -> None:
        for mosaic, asset in MOSAICS.items():
            if way == "command":
                assert json.loads(desk.run("mosaics", "show", mosaic))["known_assets"] == [asset]
                continue
            scenes = mosaics[mosaic].scenes()
            hrefs = {scene["assets"][asset]["href"] for scene in scenes}
            assert hrefs == {desk.cog(name, asset).as_uri() for name in PLACES}

    @pytest.mark.filterwarnings("ignore:CRS is no longer part of the GeoJSON:UserWarning")
    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("mosaic", MOSAICS)
    def test_mosaic_json_lists_what_cogeo_mosaic_would(
        self, mosaics: livemosaic.Connection, desk: Desk, mosaic: str, way: str
    ) -> None:
        if way == "command":
            path = desk.folder / f"{mosaic}.json"
            desk.run("export", mosaic, str(path), "--quadkey-zoom", "9")
            found = json.loads(path.read_text())
        else:
            found = mosaics[mosaic].mosaic_json(quadkey_zoom=9)
        document = json.loads((desk.folder / "tms" / "MarsMercatorSphere.json").read_text())
        features = [
            {
                "geometry": one["geometry"],
                "properties": {"path": desk.cog(one["id"], MOSAICS[mosaic]).as_uri()},
            }
            for one in desk.items
        ]
        expected = MosaicJSON.from_features(
            features, 9, 25, tilematrixset=TileMatrixSet.model_validate(document), quiet=True
        )
        assert found["mosaicjson"] == "0.0.3" and found["quadkey_zoom"] == 9
        assert found["tilematrixset"]["id"] == "MarsMercatorSphere"
        assert {k: set(v) for k, v in found["tiles"].items()} == {
            k: set(v) for k, v in expected.tiles.items()
        }
        assert found["bounds"] == pytest.approx(expected.bounds)


class TestAnalysis:
    """Seed 001."""

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("mosaic", MOSAICS)
    def test_info(self, mosaics: livemosaic.Connection, desk: Desk, mosaic: str, way: str) -> None:
        if way == "command":
            info = json.loads(desk.run("mosaics", "show", mosaic))
        else:
            info = mosaics[mosaic].info().model_dump()
            assert mosaics[mosaic].lonlat().to_authority() == ("IAU_2015", "49900")
        assert info["title"] == f"Jezero Example {MOSAICS[mosaic]}"
        assert info["tms"] == "MarsMercatorSphere"
        west, _, _, north = info["bounds"]
        assert (west, north) == pytest.approx((75.92, 19.3), abs=1e-3)

    @pytest.mark.parametrize("way", WAYS)
    def test_assets_of_a_corner_are_of_the_long_strip_alone(
        self, mosaics: livemosaic.Connection, url: str, way: str
    ) -> None:
        if way == "command":
            asked = f"{url}/mosaics/jezero-hillshade/bbox/75,14,76.2,16/assets"
            answer = httpx2.get(asked, params={"coord_crs": DEGREES}).json()
            found = [scene["assets"]["hillshade"] for scene in answer["scenes"]]
        else:
            scenes = mosaics["jezero-hillshade"].scenes((75, 14, 76.2, 16))
            found = [scene["assets"]["hillshade"]["href"] for scene in scenes]
        assert [Path(href).name for href in found] == ["P05_hillshade.tif"]

    @pytest.mark.parametrize("way", WAYS)
    def test_the_point_has_the_value_of_every_scene(
        self, mosaics: livemosaic.Connection, desk: Desk, url: str, way: str
    ) -> None:
        asked = {"resampling": "cubic", "reproject": "cubic", "bidx": 1}
        if way == "command":
            path = f"{url}/mosaics/jezero-dtm/point/{LON},{LAT}"
            scenes = httpx2.get(path, params={"coord_crs": DEGREES, **asked}).json()["assets"]
        else:
            point = mosaics["jezero-dtm"].point(LON, LAT, crs=DEGREES, **asked)
            scenes = point.metadata["scenes"]
        newest_first = [name for name in reversed(PLACES) if name != "P05"]
        assert [one["name"] for one in scenes] == newest_first
        assert [one["values"] for one in scenes] == [
            [sampled(desk.cog(name, "dtm"))] for name in newest_first
        ]

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("crs", [EQUIRECTANGULAR, MERCATOR, DEGREES])
    def test_bounds_in_any_crs_of_mars(
        self, mosaics: livemosaic.Connection, url: str, crs: str, way: str
    ) -> None:
        to_crs = pyproj.Transformer.from_crs(DEGREES, crs, always_xy=True)
        for mosaic in MOSAICS:
            expected = to_crs.transform_bounds(*mosaics[mosaic].info().bounds)
            if way == "command":
                answer = httpx2.get(f"{url}/mosaics/{mosaic}/bounds", params={"crs": crs}).json()
                code = crs.rpartition(":")[2]
                assert answer["crs"] == f"http://www.opengis.net/def/crs/IAU/2015/{code}"
                assert answer["bounds"] == pytest.approx(expected)
            else:
                objects = (crs, pyproj.CRS(crs), rasterio.crs.CRS.from_user_input(crs))
                found = [mosaics[mosaic].bounds(one) for one in objects]
                assert found[0] == found[1] == found[2] == pytest.approx(expected)

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("mosaic", MOSAICS)
    def test_the_wms_file_shows_values_and_their_nodata(
        self, url: str, desk: Desk, mosaic: str, way: str
    ) -> None:
        path = made_file(desk, url, mosaic, "wms.xml", way)
        with rasterio.open(path) as raster:
            assert raster.dtypes[0] == ("uint8" if "shade" in mosaic else "float32")
            if "shade" not in mosaic:
                assert raster.nodata == NODATA

    @pytest.mark.parametrize("way", WAYS)
    def test_the_dtm_has_no_zero_in_rasterio(self, url: str, desk: Desk, way: str) -> None:
        path = made_file(desk, url, "jezero-dtm", "mosaic.vrt", way)
        with rasterio.open(path) as raster:
            factor = max(1, math.ceil(raster.width / 500))
            shape = raster.height // factor, raster.width // factor
            values = raster.read(1, masked=True, out_shape=shape)
        assert values.mask.any() and values.count() > 1000
        assert -3100 < values.min() < values.max() < -1900

    def test_wmts_capabilities_are_there_by_the_tutorials_address(self, url: str) -> None:
        for mosaic in MOSAICS:
            asked = f"{url}/mosaics/{mosaic}/MarsEquidistantCylindricalSphere/WMTSCapabilities.xml"
            answer = httpx2.get(asked, follow_redirects=True, params={"tile_format": "tif"})
            assert (
                answer.status_code == 200 and b"MarsEquidistantCylindricalSphere" in answer.content
            )

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("mosaic", MOSAICS)
    def test_the_wmts_file_opens_in_rasterio_at_zooms(
        self, url: str, desk: Desk, mosaic: str, way: str
    ) -> None:
        path = made_file(desk, url, mosaic, "wmts.xml", way)
        sizes = []
        for zoom in (8, 9):
            with rasterio.open(path, zoomlevel=zoom) as raster:
                sizes.append((raster.width, raster.height))
                values = raster.read(1)
            assert len(np.unique(values)) > 0 and values.dtype == raster.dtypes[0]
        assert sizes[1] == pytest.approx((2 * sizes[0][0], 2 * sizes[0][1]), abs=2)

    @pytest.mark.parametrize("way", WAYS)
    def test_statistics_and_a_histogram_of_the_dtm(
        self, mosaics: livemosaic.Connection, url: str, way: str
    ) -> None:
        area = shapely.box(77.2, 18.3, 77.9, 18.9)
        if way == "command":
            feature = {
                "type": "Feature",
                "properties": {},
                "geometry": shapely.geometry.mapping(area),
            }
            answer = httpx2.post(f"{url}/mosaics/jezero-dtm/statistics", json=feature)
            found = answer.json()["properties"]["statistics"]["b1"]
        else:
            found = mosaics["jezero-dtm"].statistics(area)["b1"].model_dump()
        assert -3100 < found["min"] < found["mean"] < found["max"] < -1900
        assert len(found["histogram"][0]) == 10 and sum(found["histogram"][0]) > 1000

    @pytest.mark.parametrize("way", WAYS)
    @pytest.mark.parametrize("zoom", [9, 11, 12])
    @pytest.mark.parametrize("mosaic", MOSAICS)
    def test_tiles_have_the_values_of_rio_tiler(
        self, mosaics: livemosaic.Connection, desk: Desk, url: str, mosaic: str, zoom: int, way: str
    ) -> None:
        """Nine tiles, as titiler.mosaic with planetcantile makes them."""
        name = "MarsEquidistantCylindricalSphere"
        document = json.loads((desk.folder / "tms" / f"{name}.json").read_text())
        tms = TileMatrixSet.model_validate(document)
        tile = tms.tile(LON, LAT, zoom)

        def read(path: Path, *xyz: int) -> Any:
            with quiet(), Reader(str(path), tms=tms) as source:
                return source.tile(*xyz)

        cogs = [desk.cog(one, MOSAICS[mosaic]) for one in reversed(PLACES) if one != "P05"]
        expected, _ = mosaic_reader(cogs, read, tile.x, tile.y, tile.z, threads=0)
        if way == "python":
            image = mosaics[mosaic].tile(tile.x, tile.y, tile.z, tms=name).array
        else:
            path = f"{url}/mosaics/{mosaic}/tiles/{name}/{tile.z}/{tile.x}/{tile.y}.npy"
            *bands, alpha = np.load(io.BytesIO(httpx2.get(path).content))
            image = np.ma.MaskedArray(np.stack(bands), np.broadcast_to(alpha == 0, (1, 256, 256)))
        assert image.dtype == expected.array.dtype and image.count()
        np.testing.assert_array_equal(image.mask, expected.array.mask)
        np.testing.assert_array_equal(image.compressed(), expected.array.compressed())


def made_file(desk: Desk, url: str, mosaic: str, file: str, way: str) -> Path:
    """A file of GDAL's that the server made, where the tutorial writes it by hand."""
    path = desk.folder / f"{mosaic}-{way}-{file}"
    tms = "MarsEquidistantCylindricalSphere"
    if way == "command":
        path.write_text(desk.run("--api", url, "gdal", mosaic, "--file", file, "--tms", tms))
    else:
        answer = httpx2.get(f"{url}/mosaics/{mosaic}/gdal/{file}", params={"tms": tms})
        path.write_bytes(answer.content)
    return path


def sampled(path: Path) -> float | None:
    """The pixel of a COG at the tutorials' point, by rasterio."""
    to_crs = pyproj.Transformer.from_crs(DEGREES, EQUIRECTANGULAR, always_xy=True)
    with rasterio.open(path) as dataset:
        ((value,),) = dataset.sample([to_crs.transform(LON, LAT)])
        return None if value == dataset.nodata else float(value)
