"""Parameters for pixels and colors in requests and named renders, with TiTiler's names."""

import math
from collections.abc import Sequence
from typing import Final

from pydantic import BaseModel, ConfigDict, Field

from livemosaic.errors import InvalidRequestError
from livemosaic.model.render import Algorithm, Colors, Read, Render, Resampling

_MOST: Final = 64
"""Assets, bands or ranges that may be named at all; servers allow fewer (`PictureLimits`)."""
AUTO: Final = "auto"
"""The value of `rescale` for ranges from the mosaic's own statistics."""
_REPLACES: Final = {
    "resampling": "reproject",
    "reproject": "resampling",
    "algorithm": "algorithm_params",
    "colormap": "colormap_name",
    "colormap_name": "colormap",
}
"""Parameters that a given one removes underneath: its alternative, or its part."""


class QueryParameters(BaseModel):
    """Parameters for pixels or colors, as written in a query; None if not given."""

    model_config = ConfigDict(frozen=True)

    def over(self, others: "Parameters") -> "Parameters":
        """Returns these parameters, and the others' where these are not given."""
        given = {n: v for n in Parameters.model_fields if (v := getattr(self, n, None)) is not None}
        removed = {_REPLACES[name]: None for name in given if name in _REPLACES}
        return others.model_copy(update={**removed, **given})


class ReadParameters(QueryParameters):
    """How the pixels of each scene are read, as written in a query; None if not given."""

    assets: list[str] | None = Field(
        None,
        description="Assets to stack, in order: `assets=red&assets=green`; one with bands of its "
        "own: `assets=red|bidx=1,2`",
    )
    bidx: list[int] | None = Field(None, description="1-based bands of each asset")
    expression: str | None = Field(
        None, description="Band math: `b1`, `nir`, `nir_b1`; blocks split by `;`"
    )
    nodata: float | None = Field(
        None, description="Value that means no data, instead of the file's own"
    )
    unscale: bool | None = Field(None, description="Apply the file's scale and offset")
    resampling: Resampling | None = Field(
        None, description="Resampling kernel; `nearest` by default"
    )
    reproject: Resampling | None = Field(
        None,
        description="Resampling kernel where `resampling` is not given: pixels are read and "
        "reprojected in one step",
    )
    overviews: bool | None = Field(
        None,
        description="False reads scenes themselves at low zooms, where limits may leave some out; "
        "by default overviews show all of them, where the mosaic has any",
    )

    def read(self) -> Read:
        """Parses how pixels are read; `InvalidRequestError` names the invalid value."""
        assets = [asset for given in self.assets or () for asset in _assets(given)]
        names = tuple(name for name, _ in assets)
        bidx_of = {name: bands for name, bands in assets if bands}
        if bidx_of and any(bidx_of.get(name, ()) != bands for name, bands in assets):
            raise InvalidRequestError("assets name one asset twice, and different bands of it")
        if len(names) > _MOST:
            raise InvalidRequestError(f"{len(names)} assets were requested, at most {_MOST} can be")
        if self.nodata is not None and math.isinf(self.nodata):
            raise InvalidRequestError("nodata must be a finite number or nan")
        return Read(
            assets=names,
            bidx=_bands(self.bidx or ()),
            bidx_of=tuple(bidx_of.items()),
            expression=self.expression or None,
            nodata=self.nodata,
            unscale=bool(self.unscale),
            resampling=self.resampling or self.reproject or "nearest",
            palette=not self.expression,
            overviews=self.overviews is not False,
        )


class RenderParameters(QueryParameters):
    """How pixels become an image, as written in a query; None if not given."""

    algorithm: str | None = Field(
        None, description="One of TiTiler's algorithms: `hillshade`, `contours`, …"
    )
    algorithm_params: str | None = Field(
        None, description='Parameters of the algorithm as JSON: `{"azimuth": 90}`'
    )
    rescale: list[str] | None = Field(
        None,
        description="`min,max` for all bands, or once per band; mapped to 0–255. `auto` is the "
        "percentiles 2 and 98 of each band of the whole mosaic",
    )
    color_formula: str | None = Field(
        None, description="Color operations: `gamma rgb 1.8, saturation 1.1`"
    )
    colormap_name: str | None = Field(
        None, description="Name of a rio-tiler colormap, for one band"
    )
    colormap: str | None = Field(
        None,
        description='Colormap as JSON: `{"1": "#ff0000", "2": [0, 0, 255, 128]}`, or of intervals: '
        '`[[[0, 10], "#ff0000"]]`',
    )
    return_mask: bool | None = Field(
        None,
        description="Add validity as an alpha or last band; true by default, but for GeoTIFFs of "
        "values that have a nodata value",
    )

    quality: int | None = Field(
        None,
        ge=1,
        le=100,
        description="Of JPEG and WebP; that of the mosaic by default, else 80",
    )

    def render(self) -> Render:
        """Parses how pixels become an image; `InvalidRequestError` names the invalid value."""
        ranges = self.rescale or ()
        if len(ranges) > _MOST:
            raise InvalidRequestError(f"{len(ranges)} rescale ranges, at most {_MOST} are read")
        is_auto = AUTO in ranges
        if is_auto and len(ranges) > 1:
            raise InvalidRequestError("rescale=auto is of all bands: give no other ranges with it")
        return Render(
            algorithm=self._algorithm(),
            rescale=() if is_auto else tuple(_range(text) for text in ranges),
            auto_rescale=is_auto,
            color_formula=self._formula(),
            colormap=self._colormap(),
            return_mask=self.return_mask,
            quality=self.quality,
        )

    # Imported late: only some requests need these modules.

    def _algorithm(self) -> Algorithm | None:
        if self.algorithm:
            from livemosaic.render.algorithms import parse_algorithm

            return parse_algorithm(self.algorithm, self.algorithm_params)
        if self.algorithm_params:
            raise InvalidRequestError("algorithm_params need an algorithm")
        return None

    def _formula(self) -> str | None:
        if not self.color_formula:
            return None
        from livemosaic.render.colormaps import check_formula

        return check_formula(self.color_formula)

    def _colormap(self) -> str | Colors | None:
        """Returns the colormap; its name takes precedence over JSON, as in TiTiler."""
        if not (self.colormap_name or self.colormap):
            return None
        from livemosaic.render.colormaps import check_colormap_name, parse_colormap

        if self.colormap_name:
            return check_colormap_name(self.colormap_name)
        return parse_colormap(self.colormap or "")


class Parameters(RenderParameters, ReadParameters):
    """All parameters of a named render."""


def _assets(given: str) -> list[tuple[str, tuple[int, ...]]]:
    """Parses keys between commas, or one key and its bands, as in TiTiler: `red|bidx=1,2`."""
    name, options, text = given.partition("|")
    if not options:
        names = given.split(",")
        if not all(names):
            raise InvalidRequestError(f"assets {given[:80]!r} names an asset without a name")
        return [(name, ()) for name in names]
    option, _, numbers = text.partition("=")
    try:
        bands = tuple(map(int, numbers.split(",")))
    except ValueError:
        bands = ()
    if option != "bidx" or not bands or not name:
        raise InvalidRequestError(
            f"assets {given[:80]!r} must be keys, or one key and its bands: assets=KEY|bidx=1,2; "
            "band math over assets is one expression=…"
        )
    return [(name, _bands(bands))]


def _bands(bidx: Sequence[int]) -> tuple[int, ...]:
    if len(bidx) > _MOST:
        raise InvalidRequestError(f"bidx names {len(bidx)} bands, at most {_MOST} can be")
    if any(not 1 <= band <= 65_535 for band in bidx):
        raise InvalidRequestError(f"bidx {list(bidx)} must be bands counted from 1")
    return tuple(bidx)


def _range(text: str) -> tuple[float, float]:
    """Parses `min,max`, in brackets or not, as TiTiler does."""
    try:
        low, high = (float(part) for part in text.strip("[]").split(","))
    except ValueError as error:
        raise InvalidRequestError(
            f"rescale {text[:80]!r} must be two numbers, rescale=min,max, or auto"
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidRequestError(
            f"rescale {text[:80]!r} must be two finite numbers, the smaller first"
        )
    return low, high
