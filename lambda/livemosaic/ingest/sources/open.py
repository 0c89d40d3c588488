"""Opens sources by the names given to the command; their modules are imported when needed."""

from collections.abc import Sequence
from dataclasses import dataclass

from livemosaic.errors import InvalidRequestError
from livemosaic.ingest.sources import Source
from livemosaic.ingest.sources.area import parse_area
from livemosaic.ingest.sources.cogs import Making, is_cog
from livemosaic.ingest.sources.files import Files
from livemosaic.ingest.sources.mosaic_json import is_mosaic_json
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.hrefs import bucket_and_key


@dataclass(frozen=True, slots=True)
class Reading:
    """The sources of a run."""

    sources: Sequence[Source]
    total: int | None
    """Sum of the weights of all entries; None if unknown."""
    in_bytes: bool
    """Whether weights are bytes, not Items."""


def open_names(
    names: Sequence[str], allow: AllowList | None = None, making: Making | None = None
) -> Reading:
    """Opens files as one source, COGs as one, and any other name as a source of its own.

    Buckets are read in the way that `allow` names for them, whether it has them or not. `making` is
    how Items are made of COGs; `InvalidRequestError` if it is given and there are no COGs.
    """
    allow = allow or AllowList()
    names = list(dict.fromkeys(names))
    if "" in names:
        raise InvalidRequestError("a name is empty: name the current folder with a dot")
    cogs = [name for name in names if is_cog(name)]
    tables = [name for name in names if name.endswith(".parquet")]
    rest = [name for name in names if name not in {*cogs, *tables}]
    mosaics = [name for name in rest if is_mosaic_json(name)]
    other = [name for name in rest if name not in mosaics]
    prefixes = [name for name in other if name.startswith("s3://")]
    files = Files([name for name in other if name not in prefixes])
    if making and not cogs and not mosaics:
        raise InvalidRequestError(
            "--collection, --asset, --datetime and --footprint are for COGs, and "
            f"{names[0]!r} is none: name *.tif, a folder, or s3://BUCKET/PREFIX/*.tif"
        )
    if len(files.names) == len(names):
        return Reading([files], files.total, in_bytes=True)
    parquet, rows = _parquet(tables, allow)
    made, count = _cogs(cogs, allow, making or Making())
    listed, assets = _mosaics(mosaics, allow, making or Making())
    total = None if count is None or files.names or prefixes else rows + count + assets
    own = [files] if files.names else []
    found = (_prefix(name, allow) for name in prefixes)
    return Reading([*own, *made, *parquet, *listed, *found], total, in_bytes=False)


def _cogs(
    names: Sequence[str], allow: AllowList, making: Making
) -> tuple[Sequence[Source], int | None]:
    if not names:
        return [], 0
    from livemosaic.ingest.sources.cogs.source import Cogs

    source = Cogs(names, allow, making)
    return [source], source.total


def _mosaics(
    names: Sequence[str], allow: AllowList, making: Making
) -> tuple[Sequence[Source], int]:
    if not names:
        return [], 0
    from livemosaic.ingest.sources.mosaic_json.source import MosaicScenes

    if making.moment is not None:
        raise InvalidRequestError(
            f"--datetime is for COGs: scenes of {names[0]!r} have the order of its lists instead"
        )
    mosaics = [MosaicScenes(name, allow, making) for name in names]
    return mosaics, sum(mosaic.total for mosaic in mosaics)


def _parquet(names: Sequence[str], allow: AllowList) -> tuple[Sequence[Source], int]:
    if not names:
        return [], 0
    from livemosaic.ingest.sources.geoparquet import Parquet

    tables = [Parquet(name, allow) for name in names]
    return tables, sum(table.rows() for table in tables)


def _prefix(name: str, allow: AllowList) -> Source:
    found = bucket_and_key(name)
    if found is None or (found[1] and not found[1].endswith("/")):
        raise InvalidRequestError(
            f"{name!r} is neither a prefix nor stac-geoparquet: write s3://BUCKET/PREFIX/, with a "
            "slash at its end, or s3://BUCKET/KEY.parquet"
        )
    from livemosaic.ingest.sources.bucket import Prefix

    bucket, prefix = found
    return Prefix(bucket, prefix, allow.way_to_bucket(bucket, prefix))


def open_search(
    url: str,
    *,
    collections: str | None,
    bbox: str | None,
    intersects: str | None,
    datetime: str | None,
    filter: str | None,  # noqa: A002
    limit: int,
    max_items: int | None,
) -> Reading:
    """Opens the search of a STAC API, in a box or an area; of all its Items, or the newest."""
    from livemosaic.ingest.sources.stac_api import Search, newest, slices

    if bbox and intersects:
        raise InvalidRequestError("--bbox and --intersects exclude each other: give one of them")
    named = [name.strip() for name in (collections or "").split(",") if name.strip()]
    box = _numbers(bbox) if bbox else None
    area = parse_area(intersects) if intersects else None
    search = Search(url, named, box, datetime, filter, limit, area)
    if max_items is None:
        sources, total = slices(search)
        return Reading(sources, total, in_bytes=False)
    source, total = newest(search, max_items)
    return Reading([source], total, in_bytes=False)


def _numbers(bbox: str) -> list[float]:
    try:
        numbers = [float(number) for number in bbox.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != 4:
        raise InvalidRequestError(f"--bbox {bbox!r} is not west,south,east,north in degrees")
    return numbers
