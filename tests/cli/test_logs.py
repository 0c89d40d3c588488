"""An unexpected error, which "was logged", is in a log wherever a program of ours runs."""

import json
import subprocess
import sys
from pathlib import Path

from items import item

BUG = """
import sys
from livemosaic.cli import main
from livemosaic.ingest import batch

def bug(*_, **__):
    raise ZeroDivisionError("a bug of the tests")

batch.read_changes = bug
sys.argv = ["livemosaic", *sys.argv[1:]]
main()
"""
LIBRARY = """
from livemosaic import Message, Settings, running
from livemosaic.ingest import batch
from datetime import UTC, datetime

def bug(*_, **__):
    raise ZeroDivisionError("a bug of the tests")

batch.read_changes = bug
with running(Settings(index="sqlite:///index.db")) as services:
    message = Message("1", {}, datetime.now(UTC), {})
    print(services.ingest.batch([message])[0].reason)
"""


def python(code: str, *words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", code, *words]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=120)


def logged(ended: subprocess.CompletedProcess[str]) -> bool:
    return all(
        part in ended.stderr for part in ("Traceback", "ZeroDivisionError", "message failed")
    )


def test_a_command_prints_it(tmp_path: Path) -> None:
    index = ("--index", f"sqlite:///{tmp_path}/index.db")
    (tmp_path / "item.json").write_text(json.dumps(item("a")))
    assert python(BUG, *index, "mosaics", "create", "m", folder=tmp_path).returncode == 0
    ended = python(BUG, *index, "ingest", "item.json", folder=tmp_path)
    assert "an unexpected error; it was logged" in ended.stdout + ended.stderr
    assert logged(ended)


def test_a_program_that_configures_no_logging_prints_it(tmp_path: Path) -> None:
    ended = python(LIBRARY, folder=tmp_path)
    assert ended.stdout.strip() == "an unexpected error; it was logged"
    assert logged(ended)


def test_a_command_that_rejects_an_item_prints_its_reason_once(tmp_path: Path) -> None:
    index = ("--index", f"sqlite:///{tmp_path}/index.db")
    (tmp_path / "item.json").write_text("{}")
    code = "from livemosaic.cli import main; main()"
    ended = python(code, *index, "ingest", "item.json", folder=tmp_path)
    assert "message rejected" not in ended.stderr
    assert "WARNING" not in ended.stderr
