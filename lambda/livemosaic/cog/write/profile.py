"""What all blocks of an overview cell have in common: place, type, bands and their meaning."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray

from livemosaic.cog.write.halving import POLICIES
from livemosaic.geo.frame import Frame

FORMAT: Final = 1
"""Version of the file format. Raised whenever equal values could give other bytes."""
BLOCK: Final = 256
"""Default edge of a block, in pixels."""
MOST_BYTES: Final = 256 * 1024 * 1024
"""The most bytes that the pixels of a cell's full resolution may take."""
DTYPES: Final = frozenset(
    {
        *("uint8", "uint16", "uint32", "uint64", "int8", "int16", "int32", "int64"),
        *("float32", "float64"),
    }
)
_STEP: Final = 16
"""TIFF 6.0, section 15: the edges of a block are multiples of 16."""

Place = tuple[int, int]
"""Column and row of a block, from 0, from the upper left."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class CellProfile:
    """The header of an overview cell. ValueError for one that cannot be written."""

    frame: Frame
    """CRS, transform and size: a square, north-up; its edge is `block` times a power of two."""
    dtype: np.dtype[Any]
    """One of `DTYPES`."""
    count: int
    """Bands, without alpha: validity is in the internal mask."""
    resampling: tuple[str, ...] = ("mean",)
    """How each band is halved, by the names in `halving.POLICIES`; one alone is that of all."""
    block: int = BLOCK
    """Edge of a block in pixels, a multiple of 16."""
    scales: tuple[float, ...] = ()
    offsets: tuple[float, ...] = ()
    """A band's value is its stored number × scale + offset; empty where that changes nothing."""
    units: tuple[str, ...] = ()
    descriptions: tuple[str, ...] = ()
    """Of each band; empty texts for none."""
    palette: NDArray[np.uint8] | None = None
    """Shape (entries, 3): red, green, blue by value, of a single band of uint8 or uint16."""

    def __post_init__(self) -> None:
        _check_frame(self.frame, self.block)
        if self.dtype.name not in DTYPES:
            raise ValueError(f"a cell of {self.dtype}: possible are {', '.join(sorted(DTYPES))}")
        if not 1 <= self.count < 1 << 16:
            raise ValueError(f"a cell of {self.count} bands")
        if (size := self.edge**2 * self.count * self.dtype.itemsize) > MOST_BYTES:
            raise ValueError(f"a cell of {size:,} bytes; at most {MOST_BYTES:,}")
        if not set(self.resampling) <= set(POLICIES):
            raise ValueError(f"resampling {self.resampling}: possible are {', '.join(POLICIES)}")
        if len(self.resampling) not in (1, self.count):
            raise ValueError(f"{len(self.resampling)} ways to resample {self.count} bands")
        for name in ("scales", "offsets", "units", "descriptions"):
            if (given := len(getattr(self, name))) not in (0, self.count):
                raise ValueError(f"{given} {name} of {self.count} bands")
        if self.palette is not None:
            _check_palette(self.palette, self.dtype, self.count)

    @property
    def edge(self) -> int:
        """Width and height in pixels."""
        return self.frame.width

    @property
    def across(self) -> int:
        """Blocks in a row of the full resolution."""
        return self.edge // self.block

    @property
    def block_shape(self) -> tuple[int, int, int]:
        """Bands, height and width of a block."""
        return self.count, self.block, self.block

    @property
    def levels(self) -> int:
        """Levels: the full resolution, and halvings until one block is left."""
        return self.across.bit_length()

    def resampling_of(self) -> tuple[str, ...]:
        """Returns how each band is halved, one name per band."""
        return self.resampling * (self.count if len(self.resampling) == 1 else 1)


def _check_frame(frame: Frame, block: int) -> None:
    if frame.gcps or frame.transform.b or frame.transform.d or frame.transform.e >= 0:
        raise ValueError(f"a cell that is not north-up: {frame.transform}")
    if frame.transform.a <= 0:
        raise ValueError(f"a cell whose x runs to the left: {frame.transform}")
    if block < _STEP or block % _STEP:
        raise ValueError(f"blocks of {block} px; TIFF wants a multiple of {_STEP}")
    across, rest = divmod(frame.width, block)
    if frame.width != frame.height or rest or across < 1 or across & (across - 1):
        size = f"{frame.width} × {frame.height}"
        raise ValueError(f"a cell of {size} px; wanted is a square of {block} px times 2ⁿ")


def _check_palette(palette: NDArray[np.uint8], dtype: np.dtype[Any], count: int) -> None:
    if count != 1 or dtype.name not in ("uint8", "uint16"):
        raise ValueError(f"a palette of {count} bands of {dtype}")
    if palette.ndim != 2 or palette.shape[1] != 3 or len(palette) > 1 << 8 * dtype.itemsize:
        raise ValueError(f"a palette of shape {palette.shape} for {dtype}")


def one_per_band(values: Sequence[float], neutral: float) -> bool:
    """Whether scales or offsets have to be written: some differ from the neutral one."""
    return any(value != neutral for value in values)
