"""esri-leaflet, OpenLayers and Cesium open a mosaic as ArcGIS's image service, in a browser."""

import pytest
from playwright.sync_api import Browser

from browser.conftest import Site
from browser.npm import BLUE, CESIUM, OL, RED, Drawn, drawn, red_and_blue

DONE = """.on("load", () => { window.done = true; })"""
LEAFLET = """const map = L.map("map", { fadeAnimation: false }).setView([45.5, 8], 8);"""


@pytest.fixture(scope="module")
def mosaic(site: Site) -> str:
    return red_and_blue(site)


def of_service(mosaic: str, script: str) -> str:
    return f"""const url = location.origin + "/arcgis/rest/services/{mosaic}/ImageServer";
      const PROJECTION = "EPSG:3857";
      {script}"""


def is_drawn(found: Drawn, *, by: str) -> None:
    found.shows(240, 200, RED)
    found.shows(360, 200, BLUE)
    assert [each for each in found.urls() if by in each]


@pytest.mark.parametrize(
    ("package", "script", "by"),
    [
        pytest.param(
            "esri-leaflet",
            f"{LEAFLET} L.esri.imageMapLayer({{ url, f: 'image' }}){DONE}.addTo(map);",
            "/exportImage?",
            id="esri-leaflet, an image",
        ),
        pytest.param(
            "esri-leaflet",
            f"{LEAFLET} L.esri.imageMapLayer({{ url }}){DONE}.addTo(map);",
            "f=json",
            id="esri-leaflet, the URL of an image",
        ),
        pytest.param(
            "esri-leaflet",
            f"{LEAFLET} L.esri.tiledMapLayer({{ url }}){DONE}.addTo(map);",
            "/tile/8/",
            id="esri-leaflet, tiles",
        ),
        pytest.param(
            "ol",
            f"""const source = new ol.source.ImageArcGISRest({{ url, ratio: 1 }});
            const layer = new ol.layer.Image({{ source }});
            {OL}""",
            "/exportImage?",
            id="OpenLayers, an image",
        ),
        pytest.param(
            "ol",
            f"""const source = new ol.source.TileArcGISRest({{ url }});
            const layer = new ol.layer.Tile({{ source }});
            {OL}""",
            "/exportImage?",
            id="OpenLayers, tiles",
        ),
        pytest.param(
            "cesium",
            f"""const provider = await Cesium.ArcGisMapServerImageryProvider.fromUrl(url);
            {CESIUM}""",
            "/tile/8/",
            id="Cesium",
        ),
    ],
)
def test_a_client_draws_the_service_and_no_request_fails(
    browser: Browser, site: Site, mosaic: str, package: str, script: str, by: str
) -> None:
    with drawn(browser, site, package, of_service(mosaic, script)) as found:
        is_drawn(found, by=by)


def test_a_mosaic_rule_of_esri_leaflet_is_followed(
    browser: Browser, site: Site, mosaic: str
) -> None:
    script = f"""{LEAFLET}
      L.esri.imageMapLayer({{ url, f: "image",
        mosaicRule: {{ mosaicMethod: "esriMosaicNone", where: "Name = 'east'" }} }})
      {DONE}.addTo(map);"""
    with drawn(browser, site, "esri-leaflet", of_service(mosaic, script)) as found:
        found.shows(360, 200, BLUE)
        found.shows(240, 200, (255, 255, 255))


def test_esri_leaflet_identifies_and_queries(browser: Browser, site: Site, mosaic: str) -> None:
    script = """const asked = task => new Promise((done, failed) =>
        task.run((error, found, raw) => error ? failed(error) : done({ found, raw })));
      const at = L.latLng(45.5, 7.5), box = L.latLngBounds([45.2, 8.2], [45.8, 8.8]);
      const service = L.esri.imageService({ url });
      window.done = {
        identified: await asked(service.identify().at(at).returnCatalogItems(true)),
        queried: await asked(service.query().intersects(box)),
        counted: await new Promise(done => service.query().count((error, n) => done(n))),
      };"""
    with drawn(browser, site, "esri-leaflet", of_service(mosaic, script)) as found:
        answers = found.page.evaluate("window.done")
    identified = answers["identified"]["found"]
    assert identified["pixel"]["properties"]["value"] == ", ".join(map(str, RED))
    (item,) = identified["catalogItems"]["features"]
    assert item["properties"]["Name"] == "west"
    (feature,) = answers["queried"]["found"]["features"]
    assert feature["properties"]["Name"] == "east"
    assert feature["geometry"]["type"] == "Polygon"
    assert answers["counted"] == 2
