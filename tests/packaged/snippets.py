"""Console blocks of Markdown pages, and a shell that runs them as a reader would."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cli.process import listen_to_interrupts
from packaged.building import ROOT

SERVED: Final = "http://127.0.0.1:8000"
"""The address that pages give to `livemosaic serve`; here it takes a free port."""
_BLOCK: Final = re.compile(
    r"^(?:<!-- not run: (?P<reason>.+?) -->\n+)?```console\n(?P<text>.*?)^```$", re.M | re.S
)
_SCENES: Final = re.compile(r"python examples/scenes\.py (\w+)( --count \d+)?")
"""Makes scenes: the same ones in any folder, but for the paths in their Items."""
_MAP: Final = re.compile(rf"{SERVED}/mosaics/([\w-]+)/map\.html")


@dataclass(frozen=True)
class Step:
    """A command, and the lines that a page shows of what it prints."""

    command: str
    shown: list[str] = field(default_factory=list)


@dataclass(frozen=True)
class Block:
    steps: list[Step]
    reason: str | None
    """Why it cannot be run here, by the comment before it."""


def blocks(page: Path) -> list[Block]:
    return [
        Block(_steps(found["text"]), found["reason"]) for found in _BLOCK.finditer(page.read_text())
    ]


def _steps(text: str) -> list[Step]:
    steps: list[Step] = []
    for line in text.splitlines():
        if line.startswith("$ "):
            steps.append(Step(line[2:]))
        elif steps[-1].command.endswith("\\"):
            steps[-1] = Step(f"{steps[-1].command}\n{line}")
        else:
            steps[-1].shown.append(line.strip())
    return steps


@dataclass
class Shell:
    """Runs commands in a folder, one after the other; what one exports the next ones have."""

    folder: Path
    environment: Mapping[str, str]
    hosts: Mapping[str, str]
    """Addresses on this machine that stand for others."""
    url: str = SERVED
    """Address of the server that runs."""
    scenes: dict[str, tuple[Path, str]] = field(default_factory=dict)
    """By `--count`, the folder of scenes that an earlier page made, and what that printed."""
    _server: subprocess.Popen[bytes] | None = None

    def run(self, step: Step) -> None:
        """Runs a command, which must succeed and print what is shown."""
        serves = re.search(r"^(\w+=\S+ )*livemosaic\b.*\bserve\b", step.command)
        if found := _SCENES.fullmatch(step.command):
            printed = self._make_scenes(step.command, self.folder / found[1], found[2] or "")
        else:
            printed = self._serve(step.command) if serves else self._run(step.command)
        shown = _plain(printed.replace(self.url, SERVED))
        for line in step.shown:
            pattern = re.escape(_plain(line)).replace("…", ".*")
            assert re.search(pattern, shown), f"{step.command}\nshows  {line}\nprints {printed}"
        for mosaic in _MAP.findall("\n".join(step.shown)):
            self._look_at(mosaic)

    def _make_scenes(self, command: str, folder: Path, count: str) -> str:
        if count not in self.scenes:
            self.scenes[count] = folder, self._run(command)
            return self.scenes[count][1]
        made, printed = self.scenes[count]
        shutil.copytree(made, folder)
        items = folder / "items.ndjson"
        items.write_text(items.read_text().replace(f"{made}/", f"{folder}/"))
        return printed.replace(f"{made.name}/", f"{folder.name}/")

    def _run(self, command: str) -> str:
        words = self._script(f"{command}\nexport -p > .environment")
        ended = subprocess.run(
            words,
            cwd=self.folder,
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=240,
        )
        assert ended.returncode == 0, f"{command}\n{ended.stdout}{ended.stderr}"
        return ended.stdout + ended.stderr

    def _serve(self, command: str) -> str:
        self.close()
        log = self.folder / "server.log"
        with log.open("wb") as file:
            self._server = subprocess.Popen(
                self._script(f"exec env {command}"),
                cwd=self.folder,
                env=self.environment,
                stderr=file,
                preexec_fn=listen_to_interrupts,
            )
        printed, until = "", time.monotonic() + 120
        while "Bearer" not in printed:
            assert self._server.poll() is None, f"{command}\n{printed}"
            assert time.monotonic() < until, f"{command}\n{printed}"
            time.sleep(0.1)
            printed = log.read_text()
        self.url = re.findall(r"http://127\.0\.0\.1:\d+", printed)[0]
        return printed

    def placed(self, text: str) -> str:
        """A text with the addresses of this machine."""
        for theirs, ours in {**self.hosts, SERVED: self.url}.items():
            text = text.replace(theirs, ours)
        return text

    def _script(self, command: str) -> list[str]:
        whole = f"set -e\n[ ! -e .environment ] || . ./.environment\n{self.placed(command)}"
        return ["bash", "-c", whole]

    def _look_at(self, mosaic: str) -> None:
        """The map is a page, and the whole mosaic an image of all that it has to show there."""
        place = f"{self.url}/mosaics/{mosaic}"
        assert "html" in _asked(f"{place}/map.html")[1]["Content-Type"]
        bounds = json.loads(_asked(f"{place}/info")[0])["bounds"]
        _, headers = _asked(f"{place}/bbox/{','.join(map(str, bounds))}/256x256.npy")
        assert headers["X-Scenes"]
        assert "X-Skipped-Scenes" not in headers

    def close(self) -> None:
        """Ends the server as Ctrl-C does."""
        server, self._server = self._server, None
        if server is None:
            return
        server.send_signal(signal.SIGINT)
        try:
            assert server.wait(30) in (0, 130)
        finally:
            server.kill()
            server.wait()


@contextmanager
def shell(folder: Path, readable: Path, hosts: Mapping[str, str]) -> Iterator[Shell]:
    """A shell in a folder that looks like a clone after `make setup`."""
    (folder / ".venv").symlink_to(sys.prefix)
    (folder / "examples").symlink_to(ROOT / "examples")
    (folder / "config.toml").write_text("[serve]\nport = 0\n")
    kept = {
        name: os.environ[name] for name in ("PATH", "PYTHONPATH", "TMPDIR") if name in os.environ
    }
    environment = kept | {
        "HOME": str(folder),
        "LC_ALL": "C.UTF-8",
        "COLUMNS": "200",
        "LIVEMOSAIC_CONFIG": str(folder / "config.toml"),
        "LIVEMOSAIC_ALLOWED_PREFIXES": f"{readable}/",
    }
    opened = Shell(folder, environment, hosts)
    try:
        yield opened
    finally:
        with suppress(AssertionError):
            opened.close()


def _asked(url: str) -> tuple[bytes, Any]:
    with urllib.request.urlopen(url, timeout=60) as answer:
        return answer.read(), answer.headers


def _plain(text: str) -> str:
    return " ".join(text.split())
