"""PNGs hold the pixels that they were made of, as libpng reads them."""

import numpy as np
import pytest
from rasterio.errors import NotGeoreferencedWarning
from rasterio.io import MemoryFile

from livemosaic.render.png import encode_paletted, encode_png

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


@pytest.mark.parametrize("alpha", [[], [0], [255, 7], [255, 0, 255]], ids=str)
@pytest.mark.parametrize("count", [1, 3, 256])
@pytest.mark.parametrize(("height", "width"), [(1, 1), (1, 7), (64, 48)])
def test_gdal_reads_the_colors_of_a_palette(
    count: int, alpha: list[int], height: int, width: int
) -> None:
    random = np.random.default_rng(6)
    palette = random.integers(0, 256, (count, 4), "uint8")
    palette[:, 3] = ([*alpha, *[255] * 256])[:count]
    places = random.integers(0, count, (height, width), "uint8")
    with (
        MemoryFile(encode_paletted(places, palette)) as file,
        pytest.warns(NotGeoreferencedWarning),
        file.open(driver="PNG") as image,
    ):
        read, colors = image.read(1), image.colormap(1)
    assert (read == places).all()
    assert [colors[place] for place in range(count)] == [tuple(color) for color in palette.tolist()]
