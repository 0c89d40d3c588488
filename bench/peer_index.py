"""cogeo-mosaic's live indexes, updated one scene at a time."""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, redirect_stdout
from dataclasses import dataclass
from io import StringIO
from typing import Any
from uuid import uuid4

import boto3
from cogeo_mosaic.backends.dynamodb import DynamoDBBackend
from cogeo_mosaic.backends.sqlite import SQLiteBackend
from cogeo_mosaic.mosaic import MosaicJSON

from bench.items import Shape
from bench.lap import Lap, timed
from bench.places import NOBODY, REGION, Emulator, Folder, Place, aws_environment

_ZOOM = 8
"""The level at which livemosaic has the cells of a Sentinel-2 tile in the middle latitudes."""


@dataclass(slots=True)
class PeerIndex:
    """A mosaic in one of cogeo-mosaic's backends."""

    backend: Any
    shape: Shape
    size: int

    def add(self) -> Lap:
        """Put one more scene on top."""
        features = [_feature(self.shape.item(self.size))]
        self.size += 1
        with redirect_stdout(StringIO()):  # it draws a progress bar
            return timed(lambda: self.backend.update(features, quiet=True, accessor=_path))[1]


@contextmanager
def open_peer(place: Place, shape: Shape, size: int) -> Iterator[PeerIndex]:
    """A mosaic of so many scenes, newest on top."""
    backend = _backend(place, _mosaic([shape.item(n) for n in range(size)], "bench"))
    with redirect_stdout(StringIO()):
        backend.write()
    try:
        yield PeerIndex(backend, shape, size)
    finally:
        if isinstance(place, Folder):
            backend.close()


def _backend(place: Place, mosaic: MosaicJSON) -> Any:
    if isinstance(place, Folder):
        return SQLiteBackend(f"sqlite:///{place.new_file()}:bench", mosaic_def=mosaic)
    if isinstance(place, Emulator):
        with aws_environment(NOBODY):
            session = boto3.Session()  # boto3.resource would make one without them, and keep it
            resource = session.resource("dynamodb", region_name=REGION, endpoint_url=place.url)
        where = f"dynamodb://{REGION}/peer-{uuid4()}:bench"
        return DynamoDBBackend(where, mosaic_def=mosaic, client=resource)
    raise TypeError(f"cogeo-mosaic has no backend for {type(place).__name__}")


def _mosaic(items: Sequence[Mapping[str, Any]], name: str) -> MosaicJSON:
    newest_first = [_feature(item) for item in reversed(items)]
    mosaic: MosaicJSON = MosaicJSON.from_features(
        newest_first, minzoom=_ZOOM, maxzoom=14, quadkey_zoom=_ZOOM, accessor=_path, quiet=True
    )
    mosaic.name = name
    return mosaic


def _feature(item: Mapping[str, Any]) -> dict[str, Any]:
    """What cogeo-mosaic wants: no properties that its own model would have to parse."""
    [href, *_] = [asset["href"] for asset in item["assets"].values()]
    return {"type": "Feature", "geometry": item["geometry"], "properties": {"path": href}}


def _path(feature: Mapping[str, Any]) -> str:
    path: str = feature["properties"]["path"]
    return path
