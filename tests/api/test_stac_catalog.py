"""Mosaics and their scenes as Collections and Items of a STAC API."""

from typing import Any

import pystac
import pytest

from api.served import AUTHORIZED, Server, tile_url
from items import box, item
from stac_schemas import problems


def checked(document: dict[str, Any]) -> Any:
    """A document that is valid STAC 1.1, as pystac reads it."""
    assert problems(document) == []
    return pystac.read_dict(document)


def rels(document: dict[str, Any]) -> dict[str, str]:
    return {link["rel"]: link["href"] for link in document["links"]}


def add(server: Server, *documents: dict[str, Any], mosaic: str = "m") -> None:
    """Items of assets that are there, and never read."""
    server.publish("there", 1, mosaic=mosaic)
    href = server.services.index.scene(server.services.mosaics.get(mosaic), "s2#there").assets[
        "visual"
    ]
    server.client.delete(f"/mosaics/{mosaic}/items/there?collection=s2", headers=AUTHORIZED)
    for document in documents:
        for asset in document["assets"].values():
            asset["href"] = href
    server.add(*documents, mosaic=mosaic)


class TestCatalog:
    def test_the_landing_page_is_a_valid_catalog(self, server: Server) -> None:
        document = server.get("/").json()
        assert checked(document).id == "livemosaic"
        assert document["conformsTo"] == server.get("/conformance").json()["conformsTo"]
        assert rels(document)["child"].endswith("/collections/m")
        searches = [link for link in document["links"] if link["rel"] == "search"]
        assert [link["method"] for link in searches] == ["GET", "POST"]

    def test_collections_are_valid_and_lead_to_items_and_pictures(self, server: Server) -> None:
        server.create("alps", title="Alps", properties=["eo:cloud_cover"])
        server.publish("a", 1, mosaic="alps")
        listed = server.get("/collections").json()
        assert [checked(one).id for one in listed["collections"]] == ["alps", "m"]
        alps = server.get("/collections/alps").json()
        assert alps in listed["collections"]
        assert alps["extent"]["spatial"]["bbox"] == [server.get("/mosaics/alps").json()["bounds"]]
        for rel, href in rels(alps).items():
            assert server.get(href).status_code == 200, rel

    def test_the_map_of_a_collection_is_its_mosaics(self, server: Server) -> None:
        """OWSLib asks for the map below its Collection (OGC 20-058, 7.1)."""
        server.publish("a", 7)
        ours, theirs = (server.get(f"/{w}/m/map", width=64) for w in ("mosaics", "collections"))
        assert (theirs.status_code, theirs.content) == (200, ours.content)

    def test_next_links_lead_through_all_collections(self, server: Server) -> None:
        names = sorted(f"c{n}" for n in range(7))
        for name in names:
            server.create(name)
        seen: list[str] = []
        url: str | None = "/collections?limit=3"
        while url:
            page = server.get(url).json()
            seen += [one["id"] for one in page["collections"]]
            url = rels(page).get("next")
        assert seen == [*names, "m"]

    def test_queryables_are_what_the_mosaic_keeps(self, server: Server) -> None:
        server.create("clouds", properties=["eo:cloud_cover"])
        answer = server.get("/collections/clouds/queryables")
        assert answer.headers["Content-Type"] == "application/schema+json"
        assert [*answer.json()["properties"]] == ["datetime", "id", "collection", "eo:cloud_cover"]
        assert [*server.get("/queryables").json()["properties"]] == ["datetime", "id", "collection"]

    def test_private_mosaics_show_to_who_may_see_them(self, server: Server) -> None:
        server.create("secret", access="private")
        server.publish("a", 1, mosaic="secret")
        public = [one["id"] for one in server.get("/collections").json()["collections"]]
        assert public == ["m"]
        assert server.get("/search").json()["features"] == []
        assert server.get("/search?collections=secret").status_code == 400
        minted = server.client.post("/mosaics/secret/tokens", headers=AUTHORIZED).json()
        found = server.get("/search", access_token=minted["access_token"]).json()["features"]
        assert [one["id"] for one in found] == ["a"]
        for rel, href in rels(found[0]).items():
            assert server.get(href).status_code == 200, rel


class TestItems:
    @pytest.mark.parametrize("place", ["/mosaics/m/items", "/collections/m/items", "/search"])
    def test_each_item_is_valid_and_leads_to_itself(self, server: Server, place: str) -> None:
        server.publish("a", 1)
        page = server.get(place)
        assert page.headers["Content-Type"] == "application/geo+json"
        (feature,) = page.json()["features"]
        found = checked(feature)
        assert found.collection_id == ("s2" if "mosaics" in place else "m")
        assert found.assets["visual"].media_type == pystac.MediaType.COG
        assert server.get(found.self_href).json() == feature

    def test_an_item_without_a_collection_is_valid(self, server: Server) -> None:
        add(server, item("alone", collection=None))
        for place in ("/mosaics/m/items", "/collections/m/items"):
            (feature,) = server.get(place).json()["features"]
            assert checked(feature).id == "alone"
            assert server.get(rels(feature)["self"]).json() == feature

    def test_items_of_one_id_have_urls_of_their_own(self, server: Server) -> None:
        add(server, *(item("a", collection=name) for name in ("s1", "s2", None)))
        features = server.get("/collections/m/items").json()["features"]
        urls = {rels(feature)["self"] for feature in features}
        assert len(urls) == 3
        for feature in features:
            assert server.get(rels(feature)["self"]).json() == feature

    def test_nodata_scale_and_offset_of_bands_are_shown(self, server: Server) -> None:
        bands = [{"nodata": -32767, "raster:scale": 0.5, "raster:offset": 10.0}, {"nodata": 0}]
        one = {"href": "", "type": "image/tiff", "nodata": "inf"}
        add(server, item("a", assets={"two": {**one, "bands": bands}, "one": one}))
        assets = server.get("/mosaics/m/items/a?collection=s2").json()["assets"]
        assert assets["two"]["bands"] == bands
        assert assets["one"]["nodata"] == "inf"

    def test_a_time_of_another_zone_is_shown_in_utc(self, server: Server) -> None:
        add(server, item("a", datetime="2026-01-01T02:00:00+02:00"))
        (feature,) = server.get("/search").json()["features"]
        assert checked(feature).datetime.hour == 0

    def test_a_mosaic_made_of_its_own_items_shows_the_same(self, server: Server) -> None:
        """Two processings of one moment, and nodata that the files do not state."""
        for name, hour, value in (("early", 1, 10), ("late", 2, 20)):
            server.publish(name, value)
            document = server.get(f"/mosaics/m/items/{name}?collection=s2").json()
            document["assets"]["visual"]["nodata"] = 20
            document["properties"]["created"] = f"2026-02-01T0{hour}:00:00Z"
            server.add(document)
        server.create("again")
        server.add(*server.get("/mosaics/m/items").json()["features"], mosaic="again")
        ours, again = server.picture(), server.picture(tile_url("", "again"))
        assert again.scenes == ours.scenes
        assert again.at(5) == ours.at(5) == [10]

    @pytest.mark.parametrize("url", ["/collections/m/items?fields=id", "/search?sortby=-datetime"])
    def test_a_parameter_that_is_not_known_is_refused(self, server: Server, url: str) -> None:
        answer = server.get(url)
        assert answer.status_code == 400
        assert "there is no parameter" in answer.json()["detail"]


def test_boxes_of_scenes_across_the_antimeridian_are_valid(server: Server) -> None:
    add(server, item("across", box(179, 0, 181, 1)))
    for place in ("177,0,-177,1", "-180,0,-179.5,1", "179.5,0,179.6,1"):
        (feature,) = server.get("/search", bbox=place).json()["features"]
        assert checked(feature).bbox == [179, 0, -179, 1]
