"""TiTiler's algorithms: hillshade, contours, normalized difference, terrain tiles and others."""

import json
import math
from threading import BoundedSemaphore
from typing import Any, Final

import numpy as np

from livemosaic.errors import InvalidRequestError
from livemosaic.model.raster import Grid, Pixels
from livemosaic.model.render import Algorithm

_MAX_JSON: Final = 1000
MAX_SAMPLES: Final = 2048 * 2048
"""Pixels × bands: numpy's masked arrays take some ninety bytes for each."""
_TURNS: Final = BoundedSemaphore(2)
"""Algorithms that run at once, over all requests."""
DESCRIPTIVE: Final = ("title", "description")
_ABOUT: Final = ("input_", "output_")


def is_parameter(field: str) -> bool:
    """Whether a field is a parameter, not a description, which TiTiler lets requests set, too."""
    return field not in DESCRIPTIVE and not field.startswith(_ABOUT)


def parse_algorithm(name: str, params: str | None = None) -> Algorithm:
    """Parses an algorithm: TiTiler's name, and its parameters as a JSON object."""
    # Imported late: TiTiler brings its routers with it, a quarter of a cold start.
    from pydantic import ValidationError
    from titiler.core.algorithm import algorithms

    if name not in algorithms.data:
        raise InvalidRequestError(
            f"unknown algorithm {name[:80]!r}; known are {', '.join(sorted(algorithms.list()))}"
        )
    kind = algorithms.get(name)
    known = sorted(filter(is_parameter, kind.model_fields))
    given = _object(params) if params else {}
    for strange in given.keys() - set(known):
        raise InvalidRequestError(
            f"algorithm {name} has no parameter {strange[:80]!r}; it has "
            f"{', '.join(known) or 'none'}"
        )
    try:
        made = kind(**given)
    except ValidationError as error:
        problem = error.errors()[0]
        value = str(problem["input"])[:80]
        raise InvalidRequestError(
            f"algorithm_params {problem['loc'][0]} of {name}: {problem['msg']} (it is {value})"
        ) from error
    return Algorithm(name, tuple((field, getattr(made, field)) for field in known))


def _object(text: str) -> dict[str, Any]:
    if len(text) > _MAX_JSON:
        raise InvalidRequestError(
            f"algorithm_params has {len(text):,} characters, at most {_MAX_JSON:,} are read"
        )
    try:
        given = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InvalidRequestError(f"algorithm_params {text[:80]!r} is not JSON") from error
    if not isinstance(given, dict):
        raise InvalidRequestError(
            f'algorithm_params {text[:80]!r} must be a JSON object: {{"azimuth": 90}}'
        )
    for name, value in given.items():
        if not (value is None or (isinstance(value, int | float) and math.isfinite(value))):
            raise InvalidRequestError(
                f"algorithm_params {name[:80]!r} must be a finite number, it is {str(value)[:80]}"
            )
    return given


def apply_algorithm(pixels: Pixels, grid: Grid, algorithm: Algorithm) -> tuple[Pixels, Grid]:
    """Runs an algorithm; the grid returned is smaller if it drops a `buffer` of pixels.

    `InvalidRequestError` if the pixels do not suit it.
    """
    from rio_tiler.errors import RioTilerError
    from rio_tiler.models import ImageData
    from titiler.core.algorithm import algorithms

    left = (max(1, side - 2 * algorithm.margin) for side in pixels.valid.shape)
    samples = math.prod(left, start=len(pixels.data))
    if samples > MAX_SAMPLES:
        raise InvalidRequestError(
            f"algorithm {algorithm.name} takes at most {MAX_SAMPLES:,} pixels × bands, these are "
            f"{samples:,}: choose bands with bidx, or a smaller image"
        )
    mask = np.broadcast_to(~pixels.valid, pixels.data.shape)
    image = ImageData(
        np.ma.MaskedArray(pixels.data.copy(), mask.copy()),
        crs=grid.crs,
        bounds=grid.bounds,
        band_descriptions=list(pixels.names),
    )
    run = algorithms.get(algorithm.name)(**dict(algorithm.params))
    try:
        with _TURNS, np.errstate(all="ignore"):
            return _taken(run(image), grid)
    except (ArithmeticError, LookupError, TypeError, ValueError, RioTilerError) as error:
        raise InvalidRequestError(
            f"algorithm {algorithm.name} cannot take {len(pixels.data)} bands of "
            f"{pixels.data.dtype}, {grid.width} × {grid.height} pixels: {str(error)[:200]}"
        ) from error


def _taken(made: Any, grid: Grid) -> tuple[Pixels, Grid]:
    """Unpacks an `ImageData`: valid where any band is, as in rio-tiler, and none is NaN."""
    if not made.array.size:
        raise ValueError("its buffer leaves none of them")
    valid = np.asarray(~np.ma.getmaskarray(made.array).all(axis=0))
    if made.array.dtype.kind == "f":
        valid &= ~np.isnan(made.data).any(axis=0)
    data = np.where(valid, made.data, made.data.dtype.type(0))
    if (made.width, made.height) != (grid.width, grid.height):
        grid = Grid(grid.crs, tuple(made.bounds), made.width, made.height)
    return Pixels(data, valid, tuple(made.band_descriptions)), grid
