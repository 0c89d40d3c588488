"""The order of a mosaic is checked when the mosaic is made: it can never change."""

import pytest

from api.served import AUTHORIZED, Server
from livemosaic.index.mosaics import Mosaics
from livemosaic.model.mosaic import Mosaic

NONSENSE = {
    "foo bar": "must be a property",
    " datetime": "must be a property",
    "--datetime": "must be a property",
    "+-datetime": "must be a property",
    "'datetime'": "must be a property",
    "-": "names no property",
    "zorder,-datetime": "one property, such as 'zorder'",
    "-datetime,id": "one property, such as 'datetime'",
    "eo:cloud_cover, -datetime": "has several keys",
    "-id": "is a member of the Item",
    "collection": "is a member of the Item",
    "properties.datetime": "must be the property alone: datetime",
    "-platform": "neither a number nor a time",
    "-datetme": "did you mean 'datetime'?",
    "DateTime": "did you mean 'datetime'?",
    "eo:cloud-cover": "did you mean 'eo:cloud_cover'?",
    "zorders": "did you mean 'zorder'?",
}
SENSE = ("-datetime", "+datetime", "eo:cloud_cover", "-zorder", "gsd", "-created", "start_datetime")


@pytest.mark.parametrize("sortby", NONSENSE)
def test_an_order_that_makes_no_sense_is_refused(any_server: Server, sortby: str) -> None:
    new = {"id": "other", "sortby": sortby, "properties": ["zorder"]}
    answer = any_server.client.post("/mosaics", json=new, headers=AUTHORIZED)
    assert answer.status_code == 400
    assert NONSENSE[sortby] in answer.json()["detail"]
    assert any_server.get("/mosaics/other").status_code == 404


@pytest.mark.parametrize("sortby", SENSE)
def test_any_other_property_is_taken_also_one_that_is_not_kept(server: Server, sortby: str) -> None:
    server.create("other", sortby=sortby)


def test_a_default_rule_is_held_to_the_kept_properties(server: Server) -> None:
    for sortby, says in {
        "zorders": "did you mean 'zorder'?",
        "zorder,-datetime": "several",
    }.items():
        settings = {"properties": ["zorder"], "rules": {"default": {"sortby": sortby}}}
        for method, url in (("POST", "/mosaics"), ("PUT", "/mosaics/m")):
            body = settings | ({"id": "other"} if method == "POST" else {})
            answer = server.client.request(method, url, json=body, headers=AUTHORIZED)
            assert (answer.status_code, says in answer.text) == (400, True)


def test_a_mosaic_that_has_one_already_can_still_be_changed(server: Server) -> None:
    """It was created by a version that took any text."""
    table = server.services.mosaics.table
    Mosaics(table).create(Mosaic(id="old", sortby="zorder,-datetime"))
    answer = server.client.put("/mosaics/old", json={"title": "Old"}, headers=AUTHORIZED)
    assert (answer.status_code, answer.json()["sortby"]) == (200, "zorder,-datetime")
