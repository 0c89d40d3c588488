"""Smooth resampling of a raster's pixels to a grid, by GDAL's warper. No I/O."""

from typing import Any, Final

import numpy as np
import rasterio
from affine import Affine
from numpy.typing import NDArray
from rasterio.control import GroundControlPoint
from rasterio.enums import Resampling as GdalResampling
from rasterio.session import DummySession
from rasterio.warp import reproject

from livemosaic.cog.overviews import WindowTuple
from livemosaic.cog.warp import MAX_ERROR, Bools, Piece, Positions, raster_lattice, take
from livemosaic.geo.frame import WEB_MERCATOR, Frame
from livemosaic.model.raster import Grid
from livemosaic.model.render import Resampling

_CONTROLS: Final = 11
"""Control points along each side of a part for GDAL."""
_UNIT: Final = 100.0
"""Size that the grid's pixels are given for it: GDAL takes pixels of 1 for no transform at all."""
_OPAQUE: Final = 255


def resample_smooth(
    data: NDArray[Any],
    valid: Bools,
    window: WindowTuple,
    level: Frame,
    piece: Piece,
    positions: Positions,
    frame: Frame,
    resampling: Resampling,
) -> tuple[NDArray[Any], Bools]:
    """Resamples a window of a level by GDAL to the piece's part of the grid.

    Returns data (bands, h, w) and validity, in the part's shape.

    Invalid source pixels have no weight. A pixel is valid where nearest has a valid one, so that
    all resamplings show the same; where GDAL has no value for it, as of scenes smaller than an
    output pixel, it has nearest's, too.
    """
    at = piece.flat_indices(window)
    real = piece.inside & take(valid[None], at)[0]
    # int8 cannot hold an opaque alpha.
    source = data.astype(np.int16) if data.dtype == np.int8 else data
    alpha = np.where(valid, _OPAQUE, 0).astype(source.dtype)
    bands = np.concatenate([np.where(valid, source, 0), alpha[None]])
    how = GdalResampling[resampling]
    out = _reprojected(bands, window, level, piece, positions, frame, how)
    out = out[:, *piece.part.slices]
    smooth = np.where(out[-1] > 0, out[:-1], take(source, at))
    return np.where(real, smooth, 0).astype(data.dtype), real


def _reprojected(
    bands: NDArray[Any],
    window: WindowTuple,
    level: Frame,
    piece: Piece,
    positions: Positions,
    frame: Frame,
    resampling: GdalResampling,
) -> NDArray[Any]:
    """Returns bands, of which the last is alpha, on the grid."""
    grid = positions.grid
    out = np.zeros((len(bands), grid.height, grid.width), bands.dtype)
    place = (
        _affine_place(window, level, piece, grid)
        if frame.gcps is None
        else _control_place(window, level, positions, frame)
    )
    # No AWS session: given credentials in the environment, rasterio would make one each time.
    with rasterio.Env(DummySession()):
        reproject(
            bands,
            out,
            resampling=resampling,
            src_alpha=len(out),
            dst_alpha=len(out),
            SRC_ALPHA_MAX=_OPAQUE,
            DST_ALPHA_MAX=_OPAQUE,
            **place,
        )
    return out


def _affine_place(window: WindowTuple, level: Frame, piece: Piece, grid: Grid) -> dict[str, Any]:
    corner = Affine.translation(window[0] + piece.shift, window[1])
    return {
        "src_transform": level.transform @ corner,
        "src_crs": level.crs,
        "dst_transform": grid.transform,
        "dst_crs": grid.crs,
    }


def _control_place(
    window: WindowTuple, level: Frame, positions: Positions, frame: Frame
) -> dict[str, Any]:
    """Returns where a window of a raster with GCPs lies: by control points in the grid's pixels.

    A polynomial through positions all over the part is a hundred times as fast as a spline through
    the file's own points, and the same where it meets these positions.
    """
    part = positions.part
    px = np.linspace(part.left - 1, part.right + 1, _CONTROLS)
    py = np.linspace(part.top - 1, part.bottom + 1, _CONTROLS)
    found = raster_lattice(positions.grid, frame, px, py)
    cols = found.x * (level.width / frame.width) - window[0]
    rows = found.y * (level.height / frame.height) - window[1]
    known = np.isfinite(cols)
    x, y = (values[known] for values in np.meshgrid(px, py))
    cols, rows = cols[known], rows[known]
    basis = np.column_stack(
        [(x / 256) ** i * (y / 256) ** j for i in range(4) for j in range(4 - i)]
    )
    pixels = np.column_stack([cols, rows])
    missed = pixels - basis @ np.linalg.lstsq(basis, pixels, rcond=None)[0]
    bends = float(np.abs(missed).max()) > MAX_ERROR * max(1.0, positions.step)
    bends |= len(cols) < 2 * basis.shape[1]
    how = (
        {"SRC_METHOD": "GCP_TPS"} if bends else {"SRC_METHOD": "GCP_POLYNOMIAL", "MAX_GCP_ORDER": 3}
    )
    return {
        "gcps": [
            GroundControlPoint(row=row, col=col, x=east * _UNIT, y=-south * _UNIT)
            for col, row, east, south in zip(cols, rows, x, y, strict=True)
        ],
        "src_crs": WEB_MERCATOR,  # of both, so that PROJ has no part in it
        "dst_crs": WEB_MERCATOR,
        "dst_transform": Affine.scale(_UNIT, -_UNIT),
        **how,
    }
