"""Rows in DynamoDB's form (AttributeValue, Amazon DynamoDB API Reference). Pure."""

import base64
import json
from collections.abc import Mapping
from typing import Any, Final

from livemosaic.table import Key

_COMPACT: Final = (",", ":")


def to_key(key: Key) -> dict[str, Any]:
    """A key in the form of requests."""
    return {"pk": {"S": key.pk}, "sk": {"S": key.sk}}


def from_item(item: Mapping[str, Any]) -> tuple[Key, dict[str, Any]]:
    """The key and attributes of a row in the JSON of a response, where bytes are base64."""
    values = {name: _from_attribute(value) for name, value in item.items()}
    return Key(values.pop("pk"), values.pop("sk")), values


def to_json_line(key: Key, item: Mapping[str, Any]) -> bytes:
    """A row as a line of DynamoDB JSON, in which bytes are base64 and imports read it.

    Source: "Amazon S3 import formats for DynamoDB" in the Amazon DynamoDB Developer Guide.
    """
    row = to_key(key) | {name: to_attribute(value) for name, value in item.items()}
    text = json.dumps({"Item": row}, ensure_ascii=False, separators=_COMPACT, default=_to_base64)
    return text.encode() + b"\n"


def _to_base64(value: bytes) -> str:
    return base64.b64encode(value).decode()


def to_attribute(value: Any) -> dict[str, Any]:
    """A value in the form that botocore takes, where bytes stay bytes."""
    if isinstance(value, str):
        return {"S": value}
    if isinstance(value, bytes):
        return {"B": value}
    if isinstance(value, bool):
        return {"BOOL": value}
    if isinstance(value, int | float):
        return {"N": _to_number(value)}
    if value is None:
        return {"NULL": True}
    if isinstance(value, Mapping):
        return {"M": {name: to_attribute(v) for name, v in value.items()}}
    return {"L": [to_attribute(v) for v in value]}


def _to_number(value: float) -> str:
    # DynamoDB drops the exponent, so 1.2345678901234567e+18 would come back as an integer that
    # this float does not equal; its exact digits do. The `repr` of a NumPy float names its type.
    if isinstance(value, int) or (value.is_integer() and abs(value) < 2**63):
        return str(int(value))
    return float.__repr__(value)


def _from_attribute(attribute: Mapping[str, Any]) -> Any:
    [(kind, value)] = attribute.items()
    if kind == "N":
        return _from_number(value)
    if kind == "M":
        return {name: _from_attribute(v) for name, v in value.items()}
    if kind == "L":
        return [_from_attribute(v) for v in value]
    if kind == "B":
        return base64.b64decode(value)
    return None if kind == "NULL" else value


def _from_number(digits: str) -> int | float:
    try:
        number = int(digits)
    except ValueError:
        return float(digits)
    return number if -(2**63) <= number < 2**63 else float(digits)  # it was written as a float
