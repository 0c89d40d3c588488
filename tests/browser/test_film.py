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


SMALL = (450, 280)


def read(path: Path, size: tuple[int, int] = SIZE) -> tuple[list[Image.Image], float]:
    """Frames of an animated picture that goes on for ever, and its seconds."""
    frames, total_ms = [], 0
    with Image.open(path) as film:
        assert (film.size, film.info["loop"]) == (size, 0)
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


@pytest.mark.timeout(300)
def test_it_is_made_of_the_real_page(tmp_path: Path) -> None:
    """Four scenes of two days: the view goes to them, and their days are told again."""
    made = tmp_path / "made.webp"
    small = ["--count", "4", "--scene", "192", "--step", "1500", "--width", str(SMALL[0])]
    command = [sys.executable, "-m", "browser.film", str(made), *small]
    ended = subprocess.run(command, cwd=ROOT / "tests", capture_output=True, text=True, timeout=280)
    assert ended.returncode == 0, ended.stderr
    frames, _ = read(made, SMALL)
    island = [frame.crop((0, 130, 390, 255)) for frame in frames]
    changes = [ImageChops.difference(*pair).getbbox() for pair in pairwise(island)]
    assert sum(change is not None for change in changes) > 3
    first, last = (len(one.getcolors(one.width * one.height)) for one in (island[0], island[-1]))
    assert last > 2 * first
