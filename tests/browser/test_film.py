"""README's moving picture, and how it is made (`make film`)."""

import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import pytest
from PIL import Image, ImageChops

from browser.film import SIZE
from packaged.building import ROOT

MOST_BYTES = 3_000_000


def read(path: Path) -> tuple[list[Image.Image], float]:
    """Frames of an animated picture that goes on for ever, and its seconds."""
    frames, total_ms = [], 0
    with Image.open(path) as film:
        assert (film.size, film.info["loop"]) == (SIZE, 0)
        for number in range(film.n_frames):
            film.seek(number)
            frames.append(film.convert("RGB"))
            total_ms += film.info["duration"]
    return frames, total_ms / 1000


def test_the_picture_moves_and_is_small() -> None:
    path = ROOT / "docs" / "demo.webp"
    frames, seconds = read(path)
    assert path.stat().st_size <= MOST_BYTES
    assert 20 <= seconds <= 60
    assert len(frames) / seconds > 5
    for page in (ROOT / "README.md", ROOT / "docs" / "index.md"):
        assert "demo.webp" in page.read_text()


@pytest.mark.timeout(900)
def test_it_is_made_of_the_real_page(tmp_path: Path) -> None:
    """Four scenes of two days: the view goes to them, and their days are told again."""
    made = tmp_path / "made.webp"
    command = [sys.executable, "-m", "browser.film", str(made), "--count", "4", "--step", "1000"]
    ended = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, timeout=800)
    assert ended.returncode == 0, ended.stderr
    frames, _ = read(made)
    island = [frame.crop((350, 100, 840, 500)) for frame in frames]
    changes = [ImageChops.difference(*pair).getbbox() for pair in pairwise(island)]
    assert sum(change is not None for change in changes) > 5
    first, last = (len(one.getcolors(one.width * one.height)) for one in (island[0], island[-1]))
    assert last > 4 * first
