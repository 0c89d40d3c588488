"""Query parameters become values, and what the routes share.

What waits for nothing is a coroutine: FastAPI would run a plain function in another thread, which
costs more than most of these do.
"""

import math
from typing import Annotated, Final, get_args

from fastapi import Depends, Query

from livemosaic.api.dependencies import CachedMosaic
from livemosaic.errors import InvalidRequestError
from livemosaic.model.render import Format, Read, Render, Resampling
from livemosaic.render.named_renders import parameters_of
from livemosaic.render.parameters import Parameters
from livemosaic.settings import Settings

FORMATS: Final[dict[str, Format]] = {
    **{name: name for name in get_args(Format)},
    "jpg": "jpeg",
    "pngraw": "png",
    "tiff": "tif",
}
"""What a format may be called, and its name here."""

Named = Annotated[
    str | None,
    Query(
        alias="render",
        description="A named render of the mosaic; other parameters go before what it says",
    ),
]

TileSize = Annotated[int, Query(description="Pixels of an edge, before `@{n}x`")]
Buffer = Annotated[
    float, Query(description="More pixels on each side, in halves: 0.5 makes 257 of 256")
]
Padding = Annotated[
    int,
    Query(
        ge=0,
        le=1024,
        description="Changes nothing: resampling always reads as far around as it needs",
    ),
]


def encodable(text: str) -> str:
    """Text as UTF-8 can carry it: JSON lets half a surrogate pair in, which no answer lets out."""
    return text.encode(errors="replace").decode()


async def read_params(
    mosaic: CachedMosaic,
    named: Named = None,
    assets: Annotated[
        list[str] | None,
        Query(
            description="Assets to stack, in order: `assets=red&assets=green`; one with bands of "
            "its own: `assets=red|bidx=1,2`"
        ),
    ] = None,
    bidx: Annotated[list[int] | None, Query(description="1-based bands of each asset")] = None,
    expression: Annotated[
        str | None, Query(description="Band math: `b1`, `nir`, `nir_b1`; blocks split by `;`")
    ] = None,
    nodata: Annotated[
        float | None, Query(description="Value that means no data, instead of the file's own")
    ] = None,
    unscale: Annotated[bool | None, Query(description="Apply the file's scale and offset")] = None,
    resampling: Annotated[
        Resampling | None,
        Query(description="How source pixels are taken: nearest if nothing is said"),
    ] = None,
    reproject: Annotated[
        Resampling | None,
        Query(
            description="The same, where `resampling` is not given: pixels are read and reprojected"
            " in one step"
        ),
    ] = None,
) -> Read:
    """How pixels are taken from each scene."""
    said = Parameters(
        assets=assets,
        bidx=bidx,
        expression=expression,
        nodata=nodata,
        unscale=unscale,
        resampling=resampling,
        reproject=reproject,
    )
    return (said.over(parameters_of(mosaic, named)) if named else said).read()


async def render_params(
    mosaic: CachedMosaic,
    named: Named = None,
    algorithm: Annotated[
        str | None, Query(description="One of TiTiler's algorithms: `hillshade`, `contours`, …")
    ] = None,
    algorithm_params: Annotated[
        str | None, Query(description='Its parameters, as JSON: `{"azimuth": 90}`')
    ] = None,
    rescale: Annotated[
        list[str] | None,
        Query(description="`min,max` for all bands, or once per band; mapped to 0–255"),
    ] = None,
    color_formula: Annotated[
        str | None, Query(description="color-operations: `gamma rgb 1.8, saturation 1.1`")
    ] = None,
    colormap_name: Annotated[
        str | None, Query(description="A colormap of rio-tiler, for one band")
    ] = None,
    colormap: Annotated[
        str | None,
        Query(
            description='One as JSON: `{"1": "#ff0000", "2": [0, 0, 255, 128]}`, or of intervals: '
            '`[[[0, 10], "#ff0000"]]`'
        ),
    ] = None,
    return_mask: Annotated[
        bool | None, Query(description="Add validity as alpha or a last band: unless false")
    ] = None,
) -> Render:
    """How pixels become an image, in the order of these; the path may name its format."""
    said = Parameters(
        algorithm=algorithm,
        algorithm_params=algorithm_params,
        rescale=rescale,
        color_formula=color_formula,
        colormap_name=colormap_name,
        colormap=colormap,
        return_mask=return_mask,
    )
    return (said.over(parameters_of(mosaic, named)) if named else said).render()


def format_of(name: str) -> Format:
    """A format by any of its names; `InvalidRequestError` names the known ones."""
    known = FORMATS.get(name.lower())
    if known is None:
        raise InvalidRequestError(
            f"unknown format {name[:20]!r}; known are {', '.join(sorted(FORMATS))}"
        )
    return known


ReadParams = Annotated[Read, Depends(read_params)]
RenderParams = Annotated[Render, Depends(render_params)]


def edge_of(tilesize: int, scale: int, buffer: float, settings: Settings) -> int:
    """Pixels of an edge without the buffer, which counts where it is limited."""
    if not 1 <= scale <= 4:
        raise InvalidRequestError(f"scale @{scale}x must be @1x to @4x")
    if not (math.isfinite(buffer) and buffer >= 0 and (2 * buffer).is_integer()):
        raise InvalidRequestError(f"buffer {buffer:g} must be a multiple of 0.5, and not below 0")
    size = tilesize * scale
    whole = size + int(2 * buffer)
    if not 1 <= size <= whole <= settings.max_tile_size:
        raise InvalidRequestError(
            f"tilesize {tilesize} at @{scale}x makes {whole} pixels with its buffer, this server "
            f"allows 1 to {settings.max_tile_size}"
        )
    return size
