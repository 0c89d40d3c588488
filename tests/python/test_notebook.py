"""The notebook of examples/ runs, and its outputs are what it shows.

`LIVEMOSAIC_TEST_WRITE=1` writes the outputs into it.
"""

import ast
import base64
import io
import json
import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

NOTEBOOK = Path(__file__).parents[2] / "examples" / "python" / "valley.ipynb"


def value_of(source: str, names: dict[str, Any]) -> Any:
    """Runs a cell, and returns the value of its last expression; None where it ends otherwise."""
    tree = ast.parse(source)
    last = tree.body.pop() if tree.body and isinstance(tree.body[-1], ast.Expr) else None
    exec(compile(tree, NOTEBOOK.name, "exec"), names)
    return eval(compile(ast.Expression(last.value), NOTEBOOK.name, "eval"), names) if last else None


def data_of(value: Any) -> dict[str, Any]:
    """What Jupyter keeps of a value: its text, and a picture as PNG."""
    if isinstance(value, Image.Image):
        png = io.BytesIO()
        value.save(png, "PNG", optimize=True)
        encoded = base64.b64encode(png.getvalue()).decode()
        return {"image/png": encoded, "text/plain": [f"<image {value.width} x {value.height}>"]}
    return {"text/plain": repr(value).splitlines(keepends=True)}


def pixels_of(data: dict[str, Any]) -> Any:
    if "image/png" not in data:
        return data
    with Image.open(io.BytesIO(base64.b64decode(data["image/png"]))) as picture:
        return np.asarray(picture).tolist()


def test_it_runs_and_shows_what_it_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    document = json.loads(NOTEBOOK.read_text())
    names: dict[str, Any] = {}
    cells = [cell for cell in document["cells"] if cell["cell_type"] == "code"]
    for number, cell in enumerate(cells, 1):
        value = value_of("".join(cell["source"]), names)
        output = {"output_type": "execute_result", "execution_count": number, "metadata": {}}
        made = [] if value is None else [{**output, "data": data_of(value)}]
        if os.environ.get("LIVEMOSAIC_TEST_WRITE"):
            cell["outputs"], cell["execution_count"] = made, number
        kept = [pixels_of(one["data"]) for one in cell["outputs"]]
        assert kept == [pixels_of(one["data"]) for one in made], cell["source"]
    if os.environ.get("LIVEMOSAIC_TEST_WRITE"):
        NOTEBOOK.write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n")
