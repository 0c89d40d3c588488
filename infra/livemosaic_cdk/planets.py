"""TileMatrixSets of other bodies in the bundle: documents of planetcantile, without its code."""

import json
import shutil
from pathlib import Path
from typing import Final

PINS: Final = "planets.txt"
_PACKAGE: Final = "planetcantile"
_DOCUMENTS: Final = "data/v4/*.json"
"""Where `livemosaic.geo.tms` looks for them."""
_EARTH: Final = "Earth"
"""Beginning of the names of documents that nobody reads: morecantile has the Earth's."""


def keep_documents(stage: Path) -> None:
    """Reduces planetcantile, as it is installed in a folder, to its documents and its license.

    JSON is written without spaces: 10 MB in place of 24.
    """
    installed, kept = stage / _PACKAGE, stage / f"new-{_PACKAGE}"
    for path in installed.glob(_DOCUMENTS):
        if not path.name.startswith(_EARTH):
            copy = kept / path.relative_to(installed)
            copy.parent.mkdir(parents=True, exist_ok=True)
            copy.write_text(json.dumps(json.loads(path.read_text()), separators=(",", ":")))
    [metadata] = stage.glob(f"{_PACKAGE}-*.dist-info")
    shutil.copy(metadata / "licenses" / "LICENSE", kept)
    shutil.rmtree(metadata)
    shutil.rmtree(installed)
    kept.rename(installed)
