"""How pixels of scenes are read, and how they are rendered."""

from dataclasses import dataclass, replace
from typing import Final, Literal

Resampling = Literal[
    "nearest", "bilinear", "cubic", "cubic_spline", "lanczos", "average", "mode", "max", "min",
    "med", "q1", "q3", "sum", "rms",
]  # fmt: skip
"""GDAL's warp kernels, by their names in rio-tiler (`WarpResampling`)."""
_MIXING: Final[tuple[Resampling, ...]] = (
    "bilinear", "cubic", "cubic_spline", "lanczos", "average", "sum", "rms",
)  # fmt: skip

Rgba = tuple[int, int, int, int]
"""Red, green, blue, alpha; 0–255."""
Colors = tuple[tuple[int | tuple[float, float], Rgba], ...]
"""The color of each value, or of each interval [low, high)."""


@dataclass(frozen=True, slots=True)
class Algorithm:
    """One of TiTiler's algorithms."""

    name: str
    params: tuple[tuple[str, float | None], ...]
    """All of its parameters, by name, in order of their names."""

    @property
    def margin(self) -> int:
        """Pixels on each side that it needs, and that its result lacks: TiTiler's `buffer`."""
        return int(dict(self.params).get("buffer") or 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Style:
    """The steps from values to colors, in the order of the fields."""

    algorithm: Algorithm | None = None
    rescale: tuple[tuple[float, float], ...] = ()
    """Value ranges mapped to 0–255: one for all bands or one per band."""
    auto_rescale: bool = False
    """Whether the ranges are still to be found from the mosaic's own statistics."""
    color_formula: str | None = None
    """Operations of color-operations: `gamma rgb 1.8, saturation 1.1`."""
    colormap: str | Colors | None = None
    """A name of rio-tiler's colormaps, or one of its own, for single-band data."""

    @property
    def margin(self) -> int:
        """Pixels on each side of an image that its algorithm drops."""
        return self.algorithm.margin if self.algorithm else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Read:
    """How the pixels of each scene of a request are read."""

    assets: tuple[str, ...] = ()
    """Assets to stack, in this order; empty is the mosaic's default."""
    bidx: tuple[int, ...] = ()
    """1-based bands of each asset; empty is all but alpha."""
    bidx_of: tuple[tuple[str, tuple[int, ...]], ...] = ()
    """Bands of some assets, by key, instead of `bidx`."""
    expression: str | None = None
    """Band math over `b1`…, `{asset}` and `{asset}_b1`…; blocks are separated by `;`."""
    nodata: float | None = None
    """Overrides the file's own nodata value."""
    unscale: bool = False
    """Apply the file's scale and offset; the result is float32."""
    resampling: Resampling = "nearest"
    palette: bool = True
    """Turn a palette image into red, green, blue with its transparent entries invalid."""
    overviews: bool = True
    """Whether overview cells of the mosaic may stand for its scenes."""
    detail: float = 1
    """How many times finer a level may be than the pixels wanted: of overview levels, whose pixels
    are valid where any pixel below is, a finer one has smaller edges."""
    style: Style | None = None
    """Style of each scene, before they are composed (ArcGIS: itemRenderingRule)."""

    @property
    def names_bands(self) -> bool:
        """Whether it says which bands of each asset are read, so that all scenes have as many."""
        own = {name for name, bands in self.bidx_of if bands}
        return bool(self.bidx) or (bool(own) and own >= set(self.assets))

    @property
    def unmixed(self) -> "Read":
        """The same without a kernel that makes values which no pixel has: of classes."""
        return replace(self, resampling="nearest") if self.resampling in _MIXING else self

    def of(self, asset: str) -> "Read":
        """Returns how the pixels of one asset are read."""
        own = dict(self.bidx_of).get(asset) if self.bidx_of else None
        return self if own is None else replace(self, bidx=own)


EncodedFormat = Literal["png", "jpeg", "webp", "jp2", "tif", "npy"]
"""A format that bytes have."""
TileFormat = Literal["webp", "jpeg", "png"]
"""A format that tiles of an archive have."""
LayerName = Literal["footprints", "density", "coverage"]
"""A layer of vector tiles; see `vector.layers`."""
Format = Literal["auto", EncodedFormat]
"""A format that requests may ask for."""
VALUES: Final[tuple[Format, ...]] = ("tif", "npy")
"""Formats that have the values of scenes, where a request does not ask for colors."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Render(Style):
    """How composed pixels become bytes."""

    format: Format = "auto"
    """`auto` is JPEG where every pixel is valid and PNG elsewhere."""
    return_mask: bool | None = None
    """Add validity as alpha (png, webp, jp2, tif) or as a last band (npy); None adds it, but to a
    tif only where `nodata` does not tell it."""
    nodata: float | int | None = None
    """Number of invalid pixels in tif and npy; None for zero."""
    quality: int | None = None
    """Of jpeg and webp, 1 to 100; None is that of the mosaic, or of `render.encode`."""
    background: tuple[int, int, int] | None = None
    """Red, green and blue, 0–255, below the pixels of an image that is opaque then; not in tif and
    npy. None keeps transparency."""

    @property
    def shows_values(self) -> bool:
        """Whether the image has the values of scenes, and not colors."""
        return self.format in VALUES and not (
            self.algorithm
            or self.rescale
            or self.auto_rescale
            or self.color_formula
            or self.colormap is not None
        )
