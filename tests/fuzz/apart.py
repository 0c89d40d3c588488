"""A server in a process of its own, whose memory can be looked at."""

import os
import re
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import httpx

START_S: Final = 60.0


@dataclass(frozen=True)
class Apart:
    """A server in a process of its own."""

    client: httpx.Client
    process: subprocess.Popen[bytes]

    @property
    def peak_kib(self) -> int:
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        return int(re.search(r"VmHWM:\s+(\d+)", status)[1])


@contextmanager
def serving_apart(folder: Path, longest_s: float, **settings: str) -> Iterator[Apart]:
    """Serves `table.db` of a folder, with assets there, and some settings of the environment."""
    command = [sys.executable, "-m", "livemosaic", "--index", f"sqlite:///{folder}/table.db"]
    command += ["--allow", str(folder), "serve", "--port", "0"]
    log = folder / "serve.log"
    environment = {**os.environ, **settings}
    with (
        log.open("wb") as out,
        subprocess.Popen(command, stdout=out, stderr=out, env=environment) as process,
    ):
        try:
            url = _served(process, log)
            with httpx.Client(base_url=url, timeout=longest_s) as client:
                yield Apart(client, process)
        finally:
            process.terminate()


def _served(process: subprocess.Popen[bytes], log: Path) -> str:
    """The URL that the server has written to its log, once it answers there."""
    end = time.monotonic() + START_S
    while time.monotonic() < end:
        assert process.poll() is None, log.read_text()
        if found := re.search(r"http://127\.0\.0\.1:\d+", log.read_text()):
            httpx.get(f"{found[0]}/health", timeout=START_S).raise_for_status()
            return found[0]
        time.sleep(0.1)
    raise AssertionError(f"the server did not start within {START_S} s: {log.read_text()}")
