"""Fill an empty database with pgSTAC and collections of Items, each with a search, newest first.

`python load_pgstac.py DATABASE_URL FOLDER`; FOLDER holds `{collection}.ndjson`. Prints the ids of
the searches by collection, as JSON.
"""

import json
import sys
from pathlib import Path
from typing import Any

import psycopg
from pypgstac.db import PgstacDB
from pypgstac.load import Loader, Methods
from pypgstac.migrate import Migrate


def _collection(name: str) -> dict[str, Any]:
    return {
        "type": "Collection",
        "stac_version": "1.0.0",
        "id": name,
        "description": name,
        "license": "proprietary",
        "links": [],
        "extent": {
            "spatial": {"bbox": [[-180, -90, 180, 90]]},
            "temporal": {"interval": [[None, None]]},
        },
    }


def _load(url: str, folder: Path) -> list[str]:
    files = sorted(folder.glob("*.ndjson"))
    with PgstacDB(dsn=url) as db:
        Migrate(db).run_migration()
        loader = Loader(db)
        loader.load_collections(iter([_collection(file.stem) for file in files]), Methods.insert)
        for file in files:
            loader.load_items(str(file), Methods.insert)
    return [file.stem for file in files]


def _register(url: str, names: list[str]) -> dict[str, str]:
    with psycopg.connect(url, autocommit=True) as base:
        base.execute("SET search_path TO pgstac, public")
        base.execute("ANALYZE")
        ids = {}
        for name in names:
            search = {
                "collections": [name],
                "sortby": [{"field": "datetime", "direction": "desc"}],
            }
            [ids[name]] = base.execute(
                "SELECT hash FROM search_query(%s::jsonb, _metadata => %s::jsonb)",
                (json.dumps(search), json.dumps({"type": "mosaic", "name": name})),
            ).fetchone() or [""]
    return ids


if __name__ == "__main__":
    _, url, folder = sys.argv
    json.dump(_register(url, _load(url, Path(folder))), sys.stdout)
