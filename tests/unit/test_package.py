"""The Python API: what `import livemosaic` offers, and what it costs."""

import json
import re
import subprocess
import sys
from pathlib import Path

import morecantile
import numpy as np
import pytest

import livemosaic
from cogs import write_cog
from items import box, item

PAGE = (Path(__file__).parents[2] / "docs" / "python.md").read_text()
PARTS = PAGE.partition("## The parts behind the server")[2]
(EXAMPLE,) = re.findall(r"```python\n(.*?)```", PARTS, re.DOTALL)


@pytest.mark.parametrize("name", livemosaic.__all__)
def test_each_public_name_is_there(name: str) -> None:
    assert getattr(livemosaic, name) is not None
    assert name in dir(livemosaic)


def test_an_unknown_name_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'livemosaic' has no attribute 'nonsense'"):
        _ = livemosaic.nonsense


def test_importing_the_package_loads_none_of_its_modules() -> None:
    script = "import sys, livemosaic; print(*(m for m in sys.modules if 'livemosaic.' in m))"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert (done.stdout.strip(), done.stderr) == ("", "")


def test_the_example_of_the_parts_draws_a_tile(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tile = morecantile.Tile(8529, 5975, 14)
    tms = morecantile.tms.get("WebMercatorQuad")
    bounds = tuple(tms.xy_bounds(tile))
    write_cog(tmp_path / "a.tif", np.full((256, 256), 7, "uint8"), crs=3857, bounds=bounds)
    asset = {"visual": {"href": str(tmp_path / "a.tif"), "type": "image/tiff"}}
    (tmp_path / "item.json").write_text(json.dumps(item("a", box(*tms.bounds(tile)), assets=asset)))
    monkeypatch.chdir(tmp_path)
    exec(EXAMPLE.replace("/data/scenes", str(tmp_path)), {})
    assert capsys.readouterr().out.splitlines()[-1] == "['a'] (1, 256, 256) 1.0"
