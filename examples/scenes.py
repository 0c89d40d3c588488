"""Scenes for who has none: COGs of the demo's made-up island, and their STAC Items.

`python examples/scenes.py scenes` writes `scenes/*.tif` and `scenes/items.ndjson`. The same count
gives the same pixels.
"""

import argparse
import json
import sys
from pathlib import Path

from livemosaic.cli.demo.scenery.scenes import is_of_demo, make_scenes

ITEMS = "items.ndjson"


def main() -> None:
    """Write the scenes that the command line asks for."""
    parser = argparse.ArgumentParser(description="Write COGs of a made-up island, and their Items.")
    parser.add_argument("folder", type=Path, help="where to write them: a new folder")
    parser.add_argument("--count", type=int, default=12, help="number of scenes (12)")
    given = parser.parse_args()
    if given.count < 1:
        parser.error(f"--count {given.count}: at least one scene is needed")
    try:
        write(given.folder, given.count)
    except OSError as error:
        sys.exit(f"{given.folder} cannot be the folder of the scenes: {error.strerror}")


def write(folder: Path, count: int) -> None:
    """Write scenes and Items into a folder; files that are no made-up scenes stay untouched."""
    if folder.is_dir() and any(folder.iterdir()) and not is_of_demo(folder):
        sys.exit(f"{folder} has other files: name a new folder")
    lines = []
    for item in make_scenes(folder, count=count, size=1024):
        lines.append(json.dumps(item) + "\n")
        print(f"{len(lines)} of {count}: {item['id']}")
    (folder / ITEMS).write_text("".join(lines))
    print(f"Items: {folder / ITEMS}")


if __name__ == "__main__":
    main()
