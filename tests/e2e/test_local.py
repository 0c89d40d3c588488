"""`make aws-local`."""

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest
import urllib3

from e2e.cloud import eventually
from livemosaic_cdk.tools.cdk import ROOT

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
                *(
                    sys.executable,
                    "-m",
                    "livemosaic_cdk.tools.demo",
                    "--folder",
                    str(tmp_path / "demo"),
                ),
                *("--count", "2", "--every", "0"),
            ],
            cwd=ROOT,
            env=os.environ | {"TMPDIR": str(temporary)},
            stderr=file,
        )
    try:
        published = r"All 2 scenes were published.*http://(\S+)/mosaics/demo/map.html"
        found = eventually(lambda: re.search(published, said.read_text()), "published", 120)
        eventually(lambda: len(scenes(found[1])) == 2, "both scenes in the mosaic", 120)
    finally:
        running.send_signal(signal.SIGINT)
        assert running.wait(30) == 130, said.read_text()
    assert "cleaned up" in said.read_text()
    assert list(temporary.iterdir()) == []


def scenes(host: str) -> list[object]:
    """Those of the mosaic, of an API whose name not every system resolves."""
    url = f"http://127.0.0.1:{host.rpartition(':')[2]}/mosaics/demo/items"
    found: list[object] = urllib3.request("GET", url, headers={"Host": host}, timeout=60).json()[
        "features"
    ]
    return found
