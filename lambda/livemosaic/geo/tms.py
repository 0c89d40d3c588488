"""TileMatrixSets (OGC 17-083r4) by id: of morecantile, folders and planetcantile.

morecantile also reads the folder that `TILEMATRIXSET_DIRECTORY` names. planetcantile's are there
where it is installed: a thousand files, each read when it is asked for.
"""

import json
import logging
import math
import re
from dataclasses import dataclass
from functools import cache, lru_cache
from importlib.util import find_spec
from pathlib import Path
from typing import Final

import morecantile
import pyproj
from morecantile import TileMatrixSet
from morecantile.defaults import TileMatrixSets
from pyproj.exceptions import ProjError
from rasterio.crs import CRS

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.crs import EARTH_M, proj_crs

log = logging.getLogger(__name__)

_FEW: Final = 20
"""Ids that a message names at most."""
_RADIUS: Final = re.compile(r'(?:ELLIPSOID|SPHEROID)\["[^"]*",\s*([\d.]+)')
_ALIKE: Final = 0.01
"""Part by which radii of one body's ellipsoids and spheres differ at most."""

_UNREADABLE: Final = (
    ValueError,
    KeyError,
    TypeError,
    AttributeError,
    RecursionError,
    OSError,
    ProjError,
)
"""What comes of a document that is no TileMatrixSet."""

_folders: dict[Path, None] = {}


def add_folder(folder: Path) -> None:
    """Registers the TileMatrixSets of a folder, `{id}.json` each, for this process.

    Ids that morecantile has keep their meaning. Raises `InvalidRequestError` if there is no folder.
    """
    if not folder.is_dir():
        raise InvalidRequestError(f"{folder} is no folder of TileMatrixSets")
    if folder not in _folders:
        _folders[folder] = None
        _forget_documents()


def remove_folder(folder: Path) -> None:
    """Forgets the TileMatrixSets of a folder, if it was added."""
    if _folders.pop(folder, 0) is None:
        _forget_documents()


def _forget_documents() -> None:
    for cached in (_registered, tile_matrix_set, summaries):
        cached.cache_clear()


@cache
def _registered() -> TileMatrixSets:
    own = (path for folder in _folders for path in _documents(folder))
    files = {path.stem: path for path in (*_of_planetcantile(), *own)}
    return TileMatrixSets({**files, **morecantile.tms.tilematrixsets})


def _of_planetcantile() -> list[Path]:
    """Returns planetcantile's documents; not the Earth's, of which morecantile has enough."""
    found = find_spec("planetcantile")
    places = (found and found.submodule_search_locations) or ()
    documents = (path for place in places for path in _documents(Path(place) / "data" / "v4"))
    return [path for path in documents if not path.name.startswith("Earth")]


def _documents(folder: Path) -> list[Path]:
    return sorted(folder.glob("*.json"))


def tms_ids() -> list[str]:
    """Returns the ids of all TileMatrixSets."""
    return list(_registered().list())


@lru_cache(64)
def tile_matrix_set(tms_id: str) -> TileMatrixSet:
    """Returns a TileMatrixSet; raises `InvalidRequestError` for an unknown id, and a bad document.

    Cached, as morecantile makes a deep copy each time: do not modify it.
    """
    known = _registered()
    if tms_id not in known.tilematrixsets:
        raise InvalidRequestError(_unknown(tms_id, known.list()))
    try:
        found = known.get(tms_id)
        _check(found)
    except _UNREADABLE as error:
        raise InvalidRequestError(
            f"the document of TileMatrixSet {tms_id!r} cannot be read: {str(error)[:300]}"
        ) from error
    return found


def _check(tms: TileMatrixSet) -> None:
    """Raises ValueError for what morecantile takes, and no tile can be computed from."""
    if not tms.tileMatrices:
        raise ValueError("it has no tile matrices")
    for matrix in tms.tileMatrices:
        if not all(map(math.isfinite, (matrix.cellSize, *matrix.pointOfOrigin))):
            raise ValueError(f"tile matrix {matrix.id} has numbers that are not finite")
        if not matrix.cellSize > 0:
            raise ValueError(f"tile matrix {matrix.id} has the cell size {matrix.cellSize}")


def _unknown(tms_id: str, known: list[str]) -> str:
    more = len(known) - _FEW
    rest = f" and {more:,} more, which /tileMatrixSets lists" if more > 0 else ""
    hint = "" if find_spec("planetcantile") else "; planetcantile has the ones of other planets"
    first = ", ".join(sorted(known, key=lambda name: name not in morecantile.tms.list())[:_FEW])
    return f"unknown TileMatrixSet {tms_id[:80]!r}; known are {first}{rest}{hint}"


@dataclass(frozen=True, slots=True)
class TmsSummary:
    """What lists say of a TileMatrixSet, known without its tile matrices."""

    id: str
    title: str
    radius_m: float
    """Equatorial radius of its body."""

    def is_like(self, crs: CRS) -> bool:
        """Whether its body is as large as that of a CRS."""
        radius = _radius(proj_crs(crs))
        return abs(self.radius_m - radius) < _ALIKE * radius


@cache
def summaries() -> tuple[TmsSummary, ...]:
    """Returns all TileMatrixSets whose documents can be read, by their ids' order."""
    found = ((name, _summary(name)) for name in tms_ids())
    return tuple(one for _, one in found if one is not None)


def _summary(tms_id: str) -> TmsSummary | None:
    document = _registered().tilematrixsets[tms_id]
    try:
        if isinstance(document, Path):
            values = json.loads(document.read_text("utf-8"))
            if found := _RADIUS.search(str(values["crs"])):
                return TmsSummary(tms_id, str(values.get("title") or tms_id), float(found[1]))
        tms = tile_matrix_set(tms_id)
        return TmsSummary(tms_id, tms.title or tms_id, _radius(proj_crs(tms.rasterio_crs)))
    except (*_UNREADABLE, InvalidRequestError) as error:
        log.warning("TileMatrixSet not read", extra={"tms": tms_id, "reason": str(error)[:300]})
        return None


def _radius(crs: pyproj.CRS) -> float:
    return float(crs.ellipsoid.semi_major_metre) if crs.ellipsoid else EARTH_M


def tms_ids_near(crs: CRS) -> list[str]:
    """Returns the ids of readable TileMatrixSets whose body is as large as that of a CRS.

    Two bodies of one size have both; PROJ knows no way between them.
    """
    return [one.id for one in summaries() if one.is_like(crs)]
