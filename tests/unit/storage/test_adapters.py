"""Objects as async-tiff reads them."""

import asyncio
import gc
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import rasterio
from async_tiff import TIFF
from rasterio.transform import from_origin

from livemosaic.storage.adapters import InMemoryObject, RangeSource
from livemosaic.storage.objects import Buffer


class Slow(InMemoryObject):
    """Other tasks run before it answers."""

    async def read(self, start: int, stop: int) -> Buffer:
        await asyncio.sleep(0)
        return await super().read(start, stop)


def test_a_read_that_ends_early_leaves_no_coroutine(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.tif"
    size = {"width": 64, "height": 64, "count": 1, "dtype": "uint8"}
    where = {"crs": "EPSG:3857", "transform": from_origin(0, 0, 10, 10)}
    with rasterio.open(path, "w", driver="COG", **size, **where) as file:
        file.write(np.ones((1, 64, 64), np.uint8))
    body = path.read_bytes()

    async def read() -> None:
        await TIFF.open("", store=RangeSource(Slow(body), header_bytes=1 << 20))

    async def leave_after(steps: int) -> None:
        reading = asyncio.ensure_future(read())
        for _ in range(steps):
            await asyncio.sleep(0)
        reading.cancel()

    left: list[object] = []
    monkeypatch.setattr(sys, "unraisablehook", lambda what: left.append(what.exc_value))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for steps in range(60):
            asyncio.run(leave_after(steps))
        gc.collect()
    assert left == []
