"""`docs/rules.md`: the parameters are there, each with an example that works."""

import json
import re
from pathlib import Path
from typing import get_args
from urllib.parse import parse_qsl

import pytest

from api.served import Server, raster, scene, tile_url
from livemosaic.model.rule import Method, Operation
from livemosaic.tiler.rules.parameters import RuleQuery

PAGE = (Path(__file__).parents[2] / "docs/rules.md").read_text()
EXAMPLES = dict(re.findall(r"^\| `([\w-]+)` \| `([^`]*=[^`]*)` \|", PAGE, re.MULTILINE))
"""By the parameter that each of them is for."""
JSON = [json.loads(text) for text in re.findall(r"```json\n(.*?)```", PAGE, re.DOTALL)]
SETTINGS, ARCGIS, ALLOWED = JSON
RENDER = {"NAME": {"title": "By its name", "assets": ["visual"], "rescale": [[0, 255]]}}


@pytest.fixture
def documented(server: Server) -> Server:
    """A server with a mosaic `r` that keeps what the page's examples need."""
    server.create("r", **{**SETTINGS, "id": "r", "renders": RENDER})
    for day, name in enumerate("ab", 1):
        properties = {"eo:cloud_cover": 5 * day, "platform": "x"}
        path = raster(server.folder / f"{name}.tif", 100 * day)
        made = scene(name, server.url(path), day=day, properties=properties)
        server.add(made, mosaic="r")
    return server


def test_the_parameters_of_the_page_are_those_of_a_tile(documented: Server) -> None:
    api = documented.client.get("/openapi.json").json()
    tile = api["paths"]["/mosaics/{mosaic}/tiles/{tms}/{z}/{x}/{y}"]["get"]["parameters"]
    of_rules = set(RuleQuery.model_json_schema()["properties"])
    assert set(EXAMPLES) == of_rules | {"mosaicRule"}
    assert set(EXAMPLES) <= {each["name"] for each in tile}


def test_each_example_is_understood(documented: Server) -> None:
    said = {}
    for name, example in EXAMPLES.items():
        query = dict(parse_qsl(example, strict_parsing=True))
        assert name in query
        answer = documented.get(tile_url(mosaic="r"), **query)
        said[name] = answer.headers["X-Scenes"] if answer.status_code == 200 else answer.text
    assert set(said.values()) <= {"a", "b", "a,b", "b,a"}, said


def test_the_rule_of_arcgis_is_understood(documented: Server) -> None:
    picture = documented.picture(tile_url(mosaic="r"), mosaicRule=json.dumps(ARCGIS))
    assert picture.scenes == ["b", "a"]  # the second of January is nearer to the fifteenth
    assert picture.at(0) == [150]


def test_the_settings_allow_what_they_say_and_nothing_else(documented: Server) -> None:
    documented.create("allowing", **{**SETTINGS, "id": "allowing", "rules": ALLOWED})
    url = tile_url(mosaic="allowing")
    assert documented.get(url, operation="median", method="center").status_code == 200
    assert documented.get(url, operation="sum").status_code == 400
    assert documented.get(url, method="northwest").status_code == 400
    assert documented.get(url, sortby="platform").status_code == 400


@pytest.mark.parametrize("names", [Method, Operation], ids=["methods", "operations"])
def test_each_method_and_operation_has_its_row(names: type) -> None:
    rows = re.findall(r"^\| (`.*?) \|", PAGE, re.MULTILINE)
    assert set(get_args(names)) <= {name for row in rows for name in re.findall(r"`(\w+)`", row)}
