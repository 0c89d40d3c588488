"""Overviews in the archive of a race: read over S3, from the slow object store of all the files."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from bench.places import NOBODY, REGION
from bench.servers import ObjectStore
from livemosaic.overviews.builder import OverviewBuilder
from livemosaic.services import Services, building

URL: Final = "s3://overviews"


def environment(store: ObjectStore) -> Mapping[str, str]:
    """What a server needs to read them: the store knows a file by the end of its path."""
    return {**NOBODY, "AWS_REGION": REGION, "AWS_ENDPOINT_URL": store.url}


@contextmanager
def building_into(archive: Path, services: Services) -> Iterator[OverviewBuilder]:
    """A builder that writes objects into the folder of the archive."""
    with building(services) as builder:
        yield replace(builder, objects=replace(builder.objects, folder=_Shelf(archive)))


@dataclass(frozen=True, slots=True)
class _Shelf:
    """An `ObjectFolder` of which the store serves all objects."""

    folder: Path

    def href(self, name: str) -> str:
        return f"{URL}/{name}"

    def put(self, name: str, body: bytes) -> None:
        self._path(name).write_bytes(body)

    def read(self, href: str, stop: int | None = None) -> bytes:
        with self._path(href).open("rb") as file:
            return file.read(-1 if stop is None else stop)

    def names(self, folder: str) -> Iterator[str]:
        raise NotImplementedError(f"the store is flat: nobody lists {folder}")

    def delete(self, href: str) -> None:
        self._path(href).unlink(missing_ok=True)

    def _path(self, name: str) -> Path:
        return self.folder / name.rpartition("/")[2]
