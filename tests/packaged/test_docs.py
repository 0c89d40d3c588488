"""The documentation as a site: no page is left out, and no link of it is dead."""

import re
import subprocess
import sys
from pathlib import Path

from packaged.building import ROOT, environment


def test_the_site_is_built_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "-d", str(tmp_path)]
    env = {**environment(), "NO_MKDOCS_2_WARNING": "1"}
    ended = subprocess.run(command, cwd=ROOT, env=env, capture_output=True, text=True)
    assert ended.returncode == 0, ended.stderr
    for page in (ROOT / "docs").rglob("*.md"):
        name = page.relative_to(ROOT / "docs").with_suffix("")
        place = tmp_path / ("index.html" if page.stem == "index" else f"{name}/index.html")
        assert place.exists(), page.name


def test_links_of_the_readme_lead_to_what_is_there() -> None:
    for target in re.findall(r"\]\(([^)#:]+)(?:#[^)]*)?\)", (ROOT / "README.md").read_text()):
        assert (ROOT / target).exists(), target
