"""stac-geoparquet made for tests."""

import asyncio
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import rustac


def write(path: Path, items: Sequence[Any]) -> Path:
    """As rustac does, which the field uses to write it."""

    async def written() -> None:
        await rustac.write(str(path), list(items))

    asyncio.run(written())
    return path
