"""PNGs hold the pixels that they were made of, as libpng reads them."""

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from livemosaic.render.png import encode_png

KINDS = {1: ["gray"], 2: ["gray", "alpha"], 3: ["red", "green", "blue"]}
KINDS[4] = [*KINDS[3], "alpha"]


@pytest.mark.parametrize("count", KINDS)
@pytest.mark.parametrize("dtype", ["uint8", "uint16"])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (5, 1), (64, 48)])
def test_gdal_reads_what_was_written(count: int, dtype: str, height: int, width: int) -> None:
    top = int(np.iinfo(dtype).max)
    bands = np.random.default_rng(5).integers(0, top, (count, height, width), dtype, endpoint=True)
    with (
        MemoryFile(encode_png(bands)) as file,
        pytest.warns(NotGeoreferencedWarning),
        file.open(driver="PNG") as image,
    ):
        read = image.read()
        assert [c.name for c in image.colorinterp] == KINDS[count]
    assert read.dtype == bands.dtype
    assert (read == bands).all()
