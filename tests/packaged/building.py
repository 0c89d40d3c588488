"""Packages as they are built and installed."""

import os
import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).parents[2]
UV = Path(sys.executable).parent / "uv"
SOURCES = ("MANIFEST.in", "LICENSE", "README.md", "CHANGELOG.md", "pyproject.toml")


def sources(place: Path, *left_out: str) -> Path:
    """Copy what packages are built from, without files or folders of some names."""
    for name in SOURCES:
        shutil.copy(ROOT / name, place / name)
    left = shutil.ignore_patterns("__pycache__", "*.egg-info", *left_out)
    for folder in ("lambda", "infra", "packaging"):
        shutil.copytree(ROOT / folder, place / folder, ignore=left)
    return place


def environment() -> dict[str, str]:
    """This one without the checkout."""
    return {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}


def run(*command: str | Path, cwd: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, cwd=cwd, env=environment(), capture_output=True, text=True)


@dataclass(frozen=True)
class Built:
    sdist: Path
    wheel: Path


def install(wheel: Path, place: Path, extra: str = "") -> Path:
    """The folder of commands of a new environment with a wheel and an extra, in pinned versions."""
    pins = (ROOT / "requirements.txt").read_text().splitlines()
    (place / "pins.txt").write_text("\n".join(pin for pin in pins if not pin.startswith("-e")))
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    wanted = f"livemosaic{extra} @ {wheel.as_uri()}"
    into = ("pip", "install", "-p", "env", "-c", "pins.txt", wanted)
    for words in (("venv", "-p", python, "env"), into):
        ended = run(UV, *words, cwd=place)
        assert ended.returncode == 0, ended.stderr
    return place / "env" / "bin"
