"""Named renders, as a user types them."""

import json
from pathlib import Path

import pytest
from click.testing import Result
from typer.testing import CliRunner

from livemosaic.cli import app


@pytest.fixture(autouse=True)
def index(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LIVEMOSAIC_INDEX", f"sqlite:///{tmp_path}/index.db")


def create(*words: str) -> Result:
    result = CliRunner().invoke(app, ("mosaics", "create", "m", *words))
    assert "Traceback" not in result.output
    return result


def renders(*words: str) -> object:
    result = create(*words)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)["renders"]


def test_a_render_is_written_as_a_query() -> None:
    query = (
        "title=Vegetation&assets=nir,red&expression=(nir-red)/(nir%2Bred)&rescale=-1,1"
        '&colormap={"1": [1, 2, 3]}&bidx=1&nodata=nan&return_mask=false&minmax_zoom=5,18'
    )
    assert renders("--render", f"ndvi={query}", "--render", "grey=rescale=0,9&rescale=1,9") == {
        "ndvi": {
            "title": "Vegetation",
            "minmax_zoom": [5, 18],
            "assets": ["nir", "red"],
            "bidx": [1],
            "expression": "(nir-red)/(nir+red)",
            "nodata": "nan",
            "rescale": [[-1, 1]],
            "colormap": {"1": [1, 2, 3]},
            "return_mask": False,
        },
        "grey": {"rescale": [[0, 9], [1, 9]]},
    }


@pytest.mark.parametrize("wrap", ["{}", '{{"renders": {}}}', '{{"properties": {{"renders": {}}}}}'])
def test_they_are_read_from_a_file_alone_or_in_stac(tmp_path: Path, wrap: str) -> None:
    file = tmp_path / "renders.json"
    file.write_text(wrap.format('{"ndvi": {"expression": "b1"}, "old": {"title": "Old"}}'))
    assert renders("--renders", str(file), "--render", "old=title=New") == {
        "ndvi": {"expression": "b1"},
        "old": {"title": "New"},
    }


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ("ndvi", "--render 'ndvi' must be NAME=QUERY"),
        ("ndvi=rescale", "'rescale' is no query"),
        ("ndvi=rescal=0,1", "there is no parameter 'rescal'; there are title,"),
        ("ndvi=rescale=9,1", "render 'ndvi': rescale '9.0,1.0'"),
        ("ndvi=rescale=a,b", "rescale.0.0"),
        ("ndvi=colormap=x", "is no query"),
        ("=title=x", "render '' must be named"),
    ],
)
def test_an_error_names_what_is_wrong(given: str, message: str) -> None:
    result = create("--render", given)
    assert result.exit_code == 1
    assert message in result.output


@pytest.mark.parametrize("content", ["[1]", "7", "{", '{"renders": 7}'])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    file = tmp_path / "renders.json"
    file.write_text(content)
    result = create("--renders", str(file))
    assert result.exit_code == 1
    assert "is no JSON object of renders" in result.output


def test_one_of_them_is_the_default() -> None:
    result = create("--render", "grey=rescale=0,9", "--default-render", "grey")
    assert json.loads(result.stdout)["default_render"] == "grey"
    update = ("mosaics", "update", "m", "--render", "grey=")
    result = CliRunner().invoke(app, update)
    assert result.exit_code == 1
    assert "default_render: there is no render 'grey' in mosaic 'm'" in result.output
    result = CliRunner().invoke(app, (*update, "--reset", "default_render"))
    assert json.loads(result.stdout)["default_render"] == ""


def test_an_extent_is_written_with_commas() -> None:
    result = create("--extent", "5,44,11,48")
    assert json.loads(result.stdout)["extent"] == [5, 44, 11, 48]
    result = CliRunner().invoke(app, ("mosaics", "update", "m", "--extent=-170,44,-160,48"))
    assert json.loads(result.stdout)["extent"] == [-170, 44, -160, 48]
    result = CliRunner().invoke(app, ("mosaics", "update", "m", "--extent", "5,44"))
    assert result.exit_code == 1
    assert "extent" in result.output


def test_a_boundary_is_geojson() -> None:
    square = {"type": "Polygon", "coordinates": [[[0, 0], [1, 0], [1, 1], [0, 1], [0, 0]]]}
    result = create("--clip-to-boundary", json.dumps(square))
    assert json.loads(result.stdout)["clip_to_boundary"] == square
    update = ("mosaics", "update", "m", "--reset", "clip_to_boundary")
    assert json.loads(CliRunner().invoke(app, update).stdout)["clip_to_boundary"] is None
    result = CliRunner().invoke(app, ("mosaics", "update", "m", "--clip-to-boundary", "alps.json"))
    assert result.exit_code == 1
    assert "clip_to_boundary" in result.output
