"""mypy reads only what we import of aws_cdk: a module that is not named for it would be Any."""

import ast
import tomllib
from importlib.util import find_spec
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_mypy_reads_all_that_is_imported_of_aws_cdk() -> None:
    config = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["mypy"]
    named = {
        name
        for override in config["overrides"]
        if override.get("follow_imports") == "normal"
        for name in override["module"]
    }
    sources = [ROOT / "app.py", *(ROOT / "infra").rglob("*.py")]
    imported = {name for source in sources for name in _imported(source)}
    assert len(imported) > 20
    assert imported - named == set()


def _imported(source: Path) -> set[str]:
    found = set()
    for node in ast.walk(ast.parse(source.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            found.add(node.module)
            found |= {f"{node.module}.{alias.name}" for alias in node.names}
    return {name for name in found if name.split(".")[0] == "aws_cdk" and _is_module(name)}


def _is_module(name: str) -> bool:
    package, _, last = name.rpartition(".")
    folder = find_spec(package).submodule_search_locations if package else None
    return not package or any((Path(each) / last).is_dir() for each in folder or ())
