"""Whatever fits the OpenAPI document, and what nearly does, gets an answer that the document has.

`LIVEMOSAIC_TEST_FUZZ` is how many requests of each kind each operation is tried with.
"""

import copy
import os
from collections.abc import Iterator, Mapping
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import APIOperation, Case, GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.schemas import BaseSchema
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from api.served import AUTHORIZED, TOKEN, Server, serving
from fuzz.targets import BODIES, PATH, QUERY
from livemosaic.table.sqlite import SqliteTable

EXAMPLES = int(os.environ.get("LIVEMOSAIC_TEST_FUZZ", "8"))
LONGEST_S = 10.0
CHECKS = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_schema_conformance,
]


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """Two scenes of three bands."""
    folder = tmp_path_factory.mktemp("fuzz")
    with serving(SqliteTable(folder / "table.db"), folder) as made:
        made.create("m", collections=["s2"], renders={"r": {"rescale": [[0, 50]]}})
        made.publish("a", [10, 20, 30])
        made.publish("b", [40, 50, 60], day=2, part=(0, 0, 99, 256))
        yield made


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("aimed", [False, True], ids=["at random", "at what is there"])
def test_no_request_gets_an_answer_that_is_not_in_the_document(
    server: Server, subtests: pytest.Subtests, aimed: bool
) -> None:
    document = server.client.get("/openapi.json").json()
    schema = schemathesis.openapi.from_dict(_aimed(document) if aimed else document)
    schema.app = server.client.app
    for operation in _operations(schema):
        with subtests.test(operation.label):
            _try(operation, _hits(operation) if aimed else _anything(operation))


@pytest.mark.timeout(1200)
@pytest.mark.parametrize("method", ["PUT", "PATCH"])
def test_no_settings_are_answered_by_an_error_of_the_server(server: Server, method: str) -> None:
    """A valid body of PUT is a valid patch, too, and an invalid one an invalid patch."""
    mosaic = server.create(method)["id"]
    schema = schemathesis.openapi.from_dict(server.client.get("/openapi.json").json())
    operation = schema["/mosaics/{mosaic}"]["PUT"]

    @given(case=_anything(operation))
    @settings(
        max_examples=12 * EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def one(case: Case) -> None:
        answer = server.client.request(
            method, f"/mosaics/{mosaic}", json=_sent(case.body), headers=AUTHORIZED
        )
        assert answer.status_code in (200, 400), answer.text
        assert server.services.mosaics.get(mosaic)

    one()


def _sent(body: Any) -> Any:
    """A body that JSON can state; schemathesis has its own mark for one that is left out."""
    return body if isinstance(body, dict | list | str | int | float | bool | None) else None


def _operations(schema: BaseSchema) -> Iterator[APIOperation]:
    """All that leave the mosaic there."""
    for found in schema.exclude(method=["PUT", "PATCH", "DELETE"]).get_all_operations():
        yield found.ok()


def _anything(operation: APIOperation) -> st.SearchStrategy[Case]:
    return operation.as_strategy() | operation.as_strategy(GenerationMode.NEGATIVE)


@st.composite
def _hits(draw: st.DrawFn, operation: APIOperation) -> Case:
    """At what is there, with few parameters: of many, one would surely be refused."""
    names = {parameter.name for parameter in operation.path_parameters}
    path = {**PATH, "format": draw(st.sampled_from(["png", "npy", "tif", "jpg", "webp"]))}
    case = draw(operation.as_strategy(path_parameters={n: path[n] for n in names}))
    given = sorted(case.query or {})
    kept = draw(st.sets(st.sampled_from(given), max_size=3)) if given else ()
    case.query = {name: case.query[name] for name in sorted(kept)}
    return case


def _aimed(document: Mapping[str, Any]) -> dict[str, Any]:
    """The document with values that hit beside all others."""
    aimed = copy.deepcopy(dict(document))
    for path, operations in aimed["paths"].items():
        for operation in operations.values():
            for parameter in operation.get("parameters", ()):
                if parameter["in"] == "query" and parameter["name"] in QUERY:
                    _allow(parameter, QUERY[parameter["name"]])
            for place, body in BODIES.items():
                if place in path and "requestBody" in operation:
                    content = operation["requestBody"]["content"]
                    content["application/json"]["schema"] = {"enum": [body]}
    return aimed


def _allow(place: dict[str, Any], values: list[Any]) -> None:
    place["schema"] = {"anyOf": [{"enum": values}, place["schema"]]}


def _try(operation: APIOperation, cases: st.SearchStrategy[Case]) -> None:
    @given(case=cases)
    @settings(
        max_examples=EXAMPLES, deadline=None, derandomize=True, database=None,
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    def one(case: Case) -> None:
        case.headers = {**(case.headers or {}), "Authorization": f"Bearer {TOKEN}"}
        case.validate_response(case.call(timeout=LONGEST_S), checks=CHECKS)

    one()
