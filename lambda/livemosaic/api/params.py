"""Query parameters become values, and what the routes share.

What waits for nothing is a coroutine: FastAPI would run a plain function in another thread, which
costs more than most of these do.
"""

import math
from typing import Annotated, Final, get_args

from fastapi import Depends, Query, Request

from livemosaic.errors import InvalidRequestError
from livemosaic.model import Format, Read, Render, Resampling
from livemosaic.services import Services

_MAX_ASSETS: Final = 16
_MAX_BIDX: Final = 16
_MAX_RANGES: Final = 16
FORMATS: Final[dict[str, Format]] = {
    **{name: name for name in get_args(Format)},
    "jpg": "jpeg",
    "tiff": "tif",
}
"""What a format may be called, and its name here."""


async def services(request: Request) -> Services:
    """The services of the application that is asked."""
    found: Services = request.app.state.services
    return found


Has = Annotated[Services, Depends(services)]


def encodable(text: str) -> str:
    """Text as UTF-8 can carry it: JSON lets half a surrogate pair in, which no answer lets out."""
    return text.encode(errors="replace").decode()


async def read_params(
    assets: Annotated[
        list[str] | None, Query(description="Assets to stack, in order: `assets=red&assets=green`")
    ] = None,
    bidx: Annotated[list[int] | None, Query(description="1-based bands of each asset")] = None,
    expression: Annotated[
        str | None, Query(description="Band math: `b1`, `nir`, `nir_b1`; blocks split by `;`")
    ] = None,
    nodata: Annotated[
        float | None, Query(description="Value that means no data, instead of the file's own")
    ] = None,
    unscale: Annotated[bool, Query(description="Apply the file's scale and offset")] = False,
    resampling: Annotated[Resampling, Query(description="How source pixels are taken")] = "nearest",
) -> Read:
    """How pixels are taken from each scene."""
    names = tuple(name for given in assets or () for name in given.split(",") if name)
    if len(names) > _MAX_ASSETS:
        raise InvalidRequestError(
            f"{len(names)} assets were asked for, at most {_MAX_ASSETS} can be"
        )
    if len(bidx or ()) > _MAX_BIDX:
        raise InvalidRequestError(f"bidx names {len(bidx or ())} bands, at most {_MAX_BIDX} can be")
    if any(not 1 <= band <= 65_535 for band in bidx or ()):
        raise InvalidRequestError(f"bidx {bidx} must be bands counted from 1")
    if nodata is not None and math.isinf(nodata):
        raise InvalidRequestError("nodata must be a finite number or nan")
    return Read(
        assets=names,
        bidx=tuple(bidx or ()),
        expression=expression or None,
        nodata=nodata,
        unscale=unscale,
        resampling=resampling,
        palette=not expression,
    )


async def render_params(
    rescale: Annotated[
        list[str] | None,
        Query(description="`min,max` for all bands, or once per band; mapped to 0–255"),
    ] = None,
    colormap_name: Annotated[
        str | None, Query(description="A colormap of rio-tiler, for one band")
    ] = None,
    return_mask: Annotated[bool, Query(description="Add validity as alpha or a last band")] = True,
) -> Render:
    """How pixels become an image; the path may name its format."""
    ranges = tuple(_range(text) for text in rescale or ())
    if len(ranges) > _MAX_RANGES:
        raise InvalidRequestError(f"{len(ranges)} rescale ranges, at most {_MAX_RANGES} are read")
    if colormap_name is not None:
        _check_colormap(colormap_name)
    return Render(rescale=ranges, colormap=colormap_name, return_mask=return_mask)


def _check_colormap(name: str) -> None:
    # Imported late: it brings readers of STAC and HTTP with it, a sixth of a cold start.
    from rio_tiler.colormap import cmap

    if name not in cmap.list():
        raise InvalidRequestError(
            f"unknown colormap_name {name[:80]!r}; those of rio-tiler are known"
        )


def _range(text: str) -> tuple[float, float]:
    try:
        low, high = (float(part) for part in text.split(","))
    except ValueError as error:
        raise InvalidRequestError(
            f"rescale {text[:80]!r} must be two numbers: rescale=min,max"
        ) from error
    if not (math.isfinite(low) and math.isfinite(high) and low < high):
        raise InvalidRequestError(
            f"rescale {text[:80]!r} must be two finite numbers, the smaller first"
        )
    return low, high


def format_of(name: str) -> Format:
    """A format by any of its names; `InvalidRequestError` names the known ones."""
    known = FORMATS.get(name.lower())
    if known is None:
        raise InvalidRequestError(
            f"unknown format {name[:20]!r}; known are {', '.join(sorted(FORMATS))}"
        )
    return known


HowRead = Annotated[Read, Depends(read_params)]
HowRender = Annotated[Render, Depends(render_params)]
