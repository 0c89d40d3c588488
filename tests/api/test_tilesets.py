"""Tilesets, and what describes a mosaic to map clients, in the words of their standards."""

from typing import Any
from urllib.parse import parse_qs, urlsplit

import morecantile
import pytest
from titiler.core.models.OGC import TileSet, TileSetList

from api.served import AUTHORIZED, Server, X, Y, Z, tile_url

ALPS = [7.734375, 45.58329, 8.0859375, 45.828799]
CRS84 = "http://www.opengis.net/def/crs/OGC/1.3/CRS84"
TILING_SCHEME = "http://www.opengis.net/def/rel/ogc/1.0/tiling-scheme"


def hrefs(document: dict[str, Any]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in document["links"]}


class TestList:
    def test_it_is_one_of_ogc_api_tiles(self, server: Server) -> None:
        server.publish("a", 1)
        document = server.get("/mosaics/m/tiles").json()
        TileSetList.model_validate(document)
        assert all(one["dataType"] == "map" for one in document["tilesets"])

    def test_there_is_one_for_each_matrix_set_that_the_mosaic_reaches(self, server: Server) -> None:
        def listed() -> set[str]:
            tilesets = server.get("/mosaics/m/tiles").json()["tilesets"]
            return {hrefs(one)[TILING_SCHEME].rsplit("/", 1)[-1] for one in tilesets}

        assert listed() == set(morecantile.tms.list())
        server.publish("a", 1)
        outside = {"LINZAntarticaMapTilegrid", "NZTM2000Quad", "UPSAntarcticWGS84Quad"}
        assert listed() == set(morecantile.tms.list()) - outside

    def test_bounds_are_told_in_the_crs_that_is_asked_for(self, server: Server) -> None:
        server.publish("a", 1)
        box = server.get("/mosaics/m/tiles").json()["tilesets"][0]["boundingBox"]
        assert [*box["lowerLeft"], *box["upperRight"]] == pytest.approx(ALPS)
        assert box["crs"] == CRS84
        asked = server.get("/mosaics/m/tiles", crs="EPSG:3857").json()["tilesets"][0]["boundingBox"]
        assert asked["lowerLeft"] == pytest.approx([860986.687, 5713820.738])
        assert asked["crs"] == "http://www.opengis.net/def/crs/EPSG/0/3857"

    def test_every_link_that_is_no_template_leads_somewhere(self, server: Server) -> None:
        server.publish("a", 1)
        for one in server.get("/mosaics/m/tiles", rescale="0,9").json()["tilesets"]:
            for rel in ("self", TILING_SCHEME):
                assert server.get(hrefs(one)[rel]).status_code == 200

    def test_parameters_of_tiles_go_into_links_and_its_own_do_not(self, server: Server) -> None:
        asked = {"rescale": "0,9", "access_token": "abc", "f": "json", "crs": "EPSG:3857"}
        (one, *_) = server.get("/mosaics/m/tiles", **asked).json()["tilesets"]
        for rel in ("self", "tile"):
            query = parse_qs(urlsplit(hrefs(one)[rel]).query)
            assert query == {"rescale": ["0,9"], "access_token": ["abc"]}


class TestOne:
    URL = "/mosaics/m/tiles/WebMercatorQuad"

    def test_it_is_one_of_ogc_api_tiles(self, server: Server) -> None:
        server.publish("a", 1)
        document = server.get(self.URL).json()
        TileSet.model_validate(document)
        assert document["crs"] == "http://www.opengis.net/def/crs/EPSG/0/3857"

    def test_limits_hold_the_tiles_that_show_something(self, server: Server) -> None:
        server.publish("a", 1)
        limits = server.get(self.URL).json()["tileMatrixSetLimits"]
        at = next(one for one in limits if one["tileMatrix"] == str(Z))
        assert (at["minTileCol"], at["maxTileCol"]) == (X, X)
        assert (at["minTileRow"], at["maxTileRow"]) == (Y, Y)
        assert [one["tileMatrix"] for one in limits] == [str(zoom) for zoom in range(23)]

    @pytest.mark.parametrize("at", [(2**10, 0), (0, 2**10)])
    def test_tiles_out_of_range_are_not_there(self, server: Server, at: tuple[int, int]) -> None:
        """OGC 20-057, A.7."""
        template = hrefs(server.get(self.URL).json())["item"]
        tile = template.format(tileMatrix=10, tileCol=at[0], tileRow=at[1])
        assert server.get(tile).status_code == 404

    def test_zooms_may_be_asked_for(self, server: Server) -> None:
        limits = server.get(self.URL, minzoom=3, maxzoom=4).json()["tileMatrixSetLimits"]
        assert [one["tileMatrix"] for one in limits] == ["3", "4"]

    @pytest.mark.parametrize(
        ("rel", "variables"),
        [("tile", ("z", "x", "y")), ("item", ("tileMatrix", "tileCol", "tileRow"))],
    )
    def test_its_template_is_that_of_tiles(
        self, server: Server, rel: str, variables: tuple[str, ...]
    ) -> None:
        """OGC's variables in its link (20-057, A.3 to A.5), as GDAL's OGCAPI driver wants."""
        server.publish("a", 1)
        template = hrefs(server.get(self.URL, bidx=1).json())[rel]
        assert template.endswith("/" + "/".join(f"{{{name}}}" for name in variables) + "?bidx=1")
        tile = template.format(**dict(zip(variables, (Z, X, Y), strict=True)))
        assert server.get(tile).headers["X-Scenes"] == "a"
        listed = server.get("/mosaics/m/tiles", bidx=1).json()["tilesets"]
        assert template in [hrefs(one)[rel] for one in listed]

    def test_it_leads_to_the_tilejson_and_the_map(self, server: Server) -> None:
        links = hrefs(server.get(self.URL).json())
        assert server.get(links["alternate"]).json()["tilejson"] == "3.0.0"
        assert "text/html" in server.get(links["data"]).headers["Content-Type"]

    def test_outside_of_the_mosaic_there_is_none(self, server: Server) -> None:
        server.publish("a", 1)
        answer = server.get("/mosaics/m/tiles/NZTM2000Quad")
        assert answer.status_code == 404
        assert "lies outside NZTM2000Quad" in answer.json()["detail"]

    def test_an_unknown_matrix_set_is_refused(self, server: Server) -> None:
        answer = server.get("/mosaics/m/tiles/Nowhere")
        assert answer.status_code == 400
        assert "unknown TileMatrixSet 'Nowhere'" in answer.json()["detail"]


@pytest.mark.parametrize(
    "path",
    ["/tiles", "/tiles/WebMercatorQuad", "/WMTSCapabilities.xml", "/info.geojson", "/bounds"],
)
class TestAccess:
    def test_what_is_private_is_not_described(self, server: Server, path: str) -> None:
        server.create("secret", access="private")
        assert server.get(f"/mosaics/secret{path}").status_code == 404
        answer = server.client.get(f"/mosaics/secret{path}", headers=AUTHORIZED)
        assert answer.status_code == 200


class TestBounds:
    def test_they_are_those_of_the_scenes(self, server: Server) -> None:
        server.publish("a", 1)
        told = server.get("/mosaics/m/bounds").json()
        assert told["bounds"] == pytest.approx(ALPS)
        assert told["crs"] == CRS84

    @pytest.mark.parametrize(
        "crs",
        [
            "EPSG:32632",
            "[EPSG:32632]",
            "urn:ogc:def:crs:EPSG::32632",
            "http://www.opengis.net/def/crs/EPSG/0/32632",
        ],
    )
    def test_a_crs_has_many_names(self, server: Server, crs: str) -> None:
        server.publish("a", 1)
        told = server.get("/mosaics/m/bounds", crs=crs).json()
        assert told["bounds"] == pytest.approx([401266.8, 5048156.1, 429004.1, 5075805.0])
        assert told["crs"] == "http://www.opengis.net/def/crs/EPSG/0/32632"

    @pytest.mark.parametrize(
        ("crs", "detail"),
        [
            ("EPSG:99999", "there is no CRS 'EPSG:99999'"),
            ("http://example.com/crs.prj", "must be like EPSG:32632"),
            ("+proj=longlat", "must be like EPSG:32632"),
            ("ESRI:104903", "does not lie within"),
            ("EPSG:5499", "does not lie within"),
            ("/etc/passwd", "must be like EPSG:32632"),
            ("E" * 4001, "at most 4000 characters"),
        ],
        ids=["none", "an address", "PROJ's text", "the Moon", "with heights", "a file", "too long"],
    )
    def test_no_other_is_taken(self, server: Server, crs: str, detail: str) -> None:
        answer = server.get("/mosaics/m/bounds", crs=crs)
        assert answer.status_code == 400
        assert detail in answer.json()["detail"]


class TestInfoGeoJson:
    def test_it_is_a_feature_with_what_info_says(self, server: Server) -> None:
        server.publish("a", 1)
        answer = server.get("/mosaics/m/info.geojson")
        assert answer.headers["Content-Type"] == "application/geo+json"
        feature = answer.json()
        assert (feature["type"], feature["geometry"]["type"]) == ("Feature", "Polygon")
        assert feature["bbox"] == pytest.approx(ALPS)
        assert feature["properties"] == server.get("/mosaics/m/info").json()

    def test_an_empty_mosaic_is_nowhere(self, server: Server) -> None:
        feature = server.get("/mosaics/m/info.geojson").json()
        assert feature["geometry"] is None
        assert "bbox" not in feature


def test_tiles_are_still_tiles(server: Server) -> None:
    """The routes above take none of theirs."""
    server.publish("a", 1)
    assert server.get(tile_url()).headers["X-Scenes"] == "a"
    assert server.get(tile_url("/assets")).json()["scenes"]
