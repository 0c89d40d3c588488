"""The container image and the files of the repository's host, where neither Docker nor the host is.

What the image installs is tried in `test_wheel.py`; here, that its steps name what is there, and
that what it starts serves.
"""

import json
import os
import re
import shlex
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest
import yaml

from cli.process import serving
from packaged.building import ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text().replace("\\\n", " ")


def steps(name: str) -> Iterator[str]:
    for line in DOCKERFILE.splitlines():
        if line.startswith(f"{name} "):
            yield line.removeprefix(f"{name} ")


def is_sent(path: str) -> bool:
    """Whether `.dockerignore` leaves a path of the top level to the builder."""
    lines = (ROOT / ".dockerignore").read_text().splitlines()
    left = [line[1:] for line in lines if line.startswith("!")]
    return any(fnmatch(path, pattern) for pattern in left)


def test_what_is_copied_is_there_and_sent() -> None:
    copied = [shlex.split(step)[:-1] for step in steps("COPY") if not step.startswith("--from")]
    names = [name for sources in copied for name in sources]
    assert names
    for name in names:
        assert (ROOT / name).exists(), name
        assert is_sent(name), name


def test_the_package_is_built_of_all_that_is_copied() -> None:
    named = {"pyproject.toml", "requirements.txt", "MANIFEST.in", "lambda", "infra", "packaging"}
    assert named <= {name for step in steps("COPY") for name in shlex.split(step)}


def test_what_it_starts_serves(tmp_path: Path) -> None:
    [entry] = [json.loads(step) for step in steps("ENTRYPOINT")]
    [command] = [json.loads(step) for step in steps("CMD")]
    [settings] = [dict(pair.split("=", 1) for pair in step.split()) for step in steps("ENV")]
    assert [*entry, *command] == ["livemosaic", "serve", "--host", "0.0.0.0"]
    index = settings["LIVEMOSAIC_INDEX"].replace("/data/", f"{tmp_path}/")
    env = {**os.environ, **settings, "LIVEMOSAIC_INDEX": index}
    with serving(env, sources=["--host", "127.0.0.1"]):
        assert (tmp_path / "livemosaic.db").exists()


@pytest.mark.parametrize(
    "path",
    [*sorted(ROOT.glob(".github/**/*.yml")), ROOT / "compose.yaml", ROOT / "CITATION.cff"],
    ids=lambda path: path.name,
)
def test_a_file_of_the_host_is_yaml_and_names_what_is_there(path: Path) -> None:
    assert yaml.safe_load(path.read_text())
    text = path.read_text()
    targets = re.findall(r"\bmake ([a-z-]+)", text)
    makefile = (ROOT / "Makefile").read_text()
    assert all(re.search(f"^{target}:", makefile, re.MULTILINE) for target in targets)
    assert all((ROOT / name).exists() for name in re.findall(r"\.ci/\w+|docs/\w+\.md", text))
