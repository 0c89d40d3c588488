"""The layout that CONTRIBUTING describes: small folders, one meaning per name, plain English."""

import ast
import re
from collections import Counter
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGE = ROOT / "lambda" / "livemosaic"
MODULES = sorted(PACKAGE.rglob("*.py"))
WEB = [PACKAGE / "api/web" / name for name in (".", "map", "map/tools")]
FOLDERS = sorted({path.parent for path in MODULES} | set(WEB))
WRITTEN = [*MODULES, *ROOT.glob("lambda/*.py"), *ROOT.glob("infra/**/*.py")]
WRITTEN += [ROOT / "README.md", *ROOT.glob("docs/**/*.md")]


@pytest.mark.parametrize("folder", FOLDERS, ids=lambda path: str(path.relative_to(PACKAGE)))
def test_no_folder_has_more_than_a_dozen_files(folder: Path) -> None:
    files = [path for path in folder.iterdir() if path.is_file() and path.name[0] != "."]
    assert len(files) <= 12, [path.name for path in files]


def test_no_class_name_is_defined_twice() -> None:
    trees = [ast.parse(path.read_text()) for path in MODULES]
    names = Counter(n.name for tree in trees for n in ast.walk(tree) if isinstance(n, ast.ClassDef))
    assert [name for name, count in names.items() if count > 1] == []


def test_each_package_has_its_row_in_contributing() -> None:
    rows = re.findall(r"^\| `(\w+)/` \|", (ROOT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    assert sorted(rows) == sorted(path.parent.name for path in PACKAGE.glob("*/__init__.py"))


def test_each_path_that_the_architecture_names_is_there() -> None:
    text = (ROOT / "docs" / "architecture.md").read_text()
    named = set(re.findall(r"`([\w/]+(?:/|\.py))`", text))
    places = (PACKAGE, PACKAGE.parent, ROOT)
    assert len(named) > 30
    assert [n for n in sorted(named) if not any((place / n).exists() for place in places)] == []


def test_the_prose_is_plain_english() -> None:
    words = re.compile(r"\b(told|said|those|whoever)\b", re.IGNORECASE)
    found = [f"{p.relative_to(ROOT)}: {w}" for p in WRITTEN for w in words.findall(p.read_text())]
    assert len(found) <= 10, found
