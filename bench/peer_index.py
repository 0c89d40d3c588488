"""cogeo-mosaic's live indexes, updated one scene at a time."""

from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from uuid import uuid4

import boto3
from boto3.dynamodb.conditions import Key
from cogeo_mosaic.backends.dynamodb import DynamoDBBackend
from cogeo_mosaic.backends.sqlite import SQLiteBackend
from cogeo_mosaic.mosaic import MosaicJSON

from bench.items import Shape
from bench.lap import Lap, timed
from bench.places import NOBODY, REGION, Emulator, Folder, Place, aws_environment

_ZOOM = 8
"""The level of livemosaic's cells for a whole Sentinel-2 tile in the middle latitudes."""


@dataclass(slots=True)
class PeerIndex:
    """A mosaic in one of cogeo-mosaic's backends."""

    shape: Shape
    size: int
    maker: Any
    """The backend that wrote the mosaic: it has all of it in memory."""
    open: Callable[[], Any]
    """Another backend of it, which asks the table."""

    def add(self, backend: Any) -> Lap:
        """Put one more scene on top, through one of its backends."""
        features = [feature(self.shape.item(self.size))]
        self.size += 1
        with redirect_stdout(StringIO()):  # it draws a progress bar
            return timed(lambda: update(backend, features))[1]


def update(backend: Any, features: Sequence[Mapping[str, Any]]) -> None:
    """Put scenes on top."""
    backend.update(features, quiet=True, accessor=_path)


@contextmanager
def open_peer(place: Place, shape: Shape, size: int) -> Iterator[PeerIndex]:
    """A mosaic of so many scenes, newest on top."""
    with ExitStack() as stack:
        connect = _connection(place, stack)
        maker = connect(mosaic_of([feature(shape.item(n)) for n in range(size - 1, -1, -1)]))
        with redirect_stdout(StringIO()):
            maker.write()
        yield PeerIndex(shape, size, maker, lambda: connect(None))


def _connection(place: Place, stack: ExitStack) -> Callable[[Any], Any]:
    """Makes backends of one new mosaic, each with a connection of its own."""
    if isinstance(place, Folder):
        path = f"sqlite:///{place.new_file()}:bench"
        return lambda mosaic: stack.enter_context(SQLiteBackend(path, mosaic_def=mosaic))
    if isinstance(place, Emulator):
        url, where = place.url, f"dynamodb://{REGION}/peer-{uuid4()}:bench"
        return lambda mosaic: DynamoDBBackend(where, mosaic_def=mosaic, client=_resource(url))
    raise TypeError(f"cogeo-mosaic has no backend for {type(place).__name__}")


def _resource(url: str) -> Any:
    with aws_environment(NOBODY):
        session = boto3.Session()  # boto3.resource would make one without them, and keep it
        return session.resource("dynamodb", region_name=REGION, endpoint_url=url)


def assets_by_cell(backend: DynamoDBBackend) -> Counter[tuple[str, str]]:
    """How often each asset is listed in each cell: by quadkey and href."""
    found: Counter[tuple[str, str]] = Counter()
    request: dict[str, Any] = {
        "KeyConditionExpression": Key("mosaicId").eq(backend.mosaic_name),
        "ConsistentRead": True,
    }
    while True:
        answer = backend.table.query(**request)
        for row in answer["Items"]:
            found.update((row["quadkey"], href) for href in row.get("assets", ()))
        if "LastEvaluatedKey" not in answer:
            return found
        request["ExclusiveStartKey"] = answer["LastEvaluatedKey"]


def mosaic_of(features: Sequence[dict[str, Any]]) -> MosaicJSON:
    """A mosaic as cogeo-mosaic makes it of all its scenes at once, the first on top."""
    mosaic: MosaicJSON = MosaicJSON.from_features(
        features, minzoom=_ZOOM, maxzoom=14, quadkey_zoom=_ZOOM, accessor=_path, quiet=True
    )
    mosaic.name = "bench"
    return mosaic


def feature(item: Mapping[str, Any]) -> dict[str, Any]:
    """What cogeo-mosaic wants: no properties that its own model would have to parse."""
    [href, *_] = [asset["href"] for asset in item["assets"].values()]
    return {"type": "Feature", "geometry": item["geometry"], "properties": {"path": href}}


def _path(feature: Mapping[str, Any]) -> str:
    path: str = feature["properties"]["path"]
    return path
