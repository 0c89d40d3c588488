"""`make aws-local`."""

import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import urllib3

from infra.cdk import ROOT

pytestmark = [pytest.mark.emulator, pytest.mark.timeout(300)]


def test_the_demo_arrives_through_an_emulated_aws_of_which_ctrl_c_leaves_nothing(
    tmp_path: Path,
) -> None:
    said = tmp_path / "said.txt"
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    with said.open("w") as file:
        running = subprocess.Popen(
            [
                *(sys.executable, "-m", "infra.demo", "--folder", str(tmp_path / "demo")),
                *("--count", "2", "--every", "0"),
            ],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary)},
            stderr=file,
        )
    try:
        page = wait_for(r"All 2 scenes were published.*(http://\S+/mosaics/demo)/map.html", said)
        host = page.split("/")[2]
        seen = until_arrived(host.rpartition(":")[2], host)
        assert len(seen) == 2
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130
    assert "cleaned up" in said.read_text()
    assert list(temporary.iterdir()) == []


def wait_for(pattern: str, file: Path) -> str:
    for _ in range(1200):
        if found := re.search(pattern, file.read_text()):
            return found[1]
        time.sleep(0.1)
    raise AssertionError(file.read_text())


def until_arrived(port: str, host: str) -> list[object]:
    for _ in range(1200):
        answer = urllib3.request(
            "GET", f"http://127.0.0.1:{port}/mosaics/demo/items", headers={"Host": host}
        )
        if len(found := answer.json()["features"]) == 2:
            return found
        time.sleep(0.1)
    raise AssertionError(answer.data)
