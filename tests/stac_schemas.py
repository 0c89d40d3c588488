"""JSON Schemas of STAC 1.1 and GeoJSON, which pystac carries, to validate documents offline."""

import json
from functools import cache
from pathlib import Path
from typing import Any

import jsonschema_rs
import pystac.validation

_FOLDER = Path(pystac.validation.__file__).parent / "jsonschemas"


def _schema(url: str) -> Any:
    """The schema of a URL, by the name of its file."""
    (path,) = _FOLDER.rglob(url.partition("#")[0].rpartition("/")[2])
    return json.loads(path.read_text())


@cache
def _validator(kind: str) -> Any:
    name = {"Feature": "item", "Collection": "collection", "Catalog": "catalog"}[kind]
    return jsonschema_rs.validator_for(
        _schema(f"{name}.json"), retriever=_schema, validate_formats=True
    )


def problems(document: dict[str, Any]) -> list[str]:
    """What is invalid in an Item, a Collection or a Catalog."""
    validator = _validator(document["type"])
    return [f"{e.instance_path}: {e.message[:300]}" for e in validator.iter_errors(document)]
