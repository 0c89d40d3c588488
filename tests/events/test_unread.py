"""Messages that are known and not read are rejected by their names."""

import json
import re
from pathlib import Path

import pytest

from items import message
from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.unread import KINDS

PAYLOADS = sorted((Path(__file__).parent / "unread").glob("*.json"))
DOCUMENT = Path(__file__).parents[2] / "docs" / "events.md"


@pytest.mark.parametrize("path", PAYLOADS, ids=lambda path: path.stem)
@pytest.mark.parametrize("by_sns", [False, True], ids=["bare", "in a notification"])
def test_it_is_named_with_the_way_out(path: Path, by_sns: bool) -> None:
    payload = json.loads(path.read_text())
    text = json.dumps(payload["body"])
    body = json.dumps({"Type": "Notification", "Message": text}) if by_sns else text
    with pytest.raises(InvalidItemError) as refused:
        list(read_changes(message(body)))
    assert str(refused.value).startswith(payload["says"])
    assert "which livemosaic does not read: publish the STAC Item itself" in str(refused.value)


def test_each_kind_has_a_payload_and_stands_in_the_documentation() -> None:
    said = [json.loads(path.read_text())["says"] for path in PAYLOADS]
    text = DOCUMENT.read_text()
    for kind in KINDS:
        assert any(kind.name.startswith(one.rpartition("them ")[2]) for one in said), kind.name
        assert f"| {kind.name} |" in text, kind.name


@pytest.mark.parametrize("body", ["[]", "[1]", '[{"a": 1}]', '["x", {}]', '"x"', "5", "null"])
def test_what_nobody_knows_is_no_object(body: str) -> None:
    with pytest.raises(InvalidItemError, match=re.escape("not an object")):
        list(read_changes(message(body)))
