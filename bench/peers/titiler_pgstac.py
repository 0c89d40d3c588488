"""titiler-pgstac's own application: `python titiler_pgstac.py PORT`, with DATABASE_URL set."""

import sys

import uvicorn
from titiler.pgstac.main import app


@app.get("/_usage")
async def usage() -> dict[str, int | None]:
    """Nothing is counted: one statement finds the assets of a tile."""
    return {"calls": None, "rows": None}


if __name__ == "__main__":
    uvicorn.run(
        app,
        port=int(sys.argv[1]),
        log_level="warning",
        loop="asyncio",
        http="h11",
        timeout_keep_alive=600,
    )
