"""The objects of a load, in a folder on S3 or on this machine."""

import gzip
import io
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Final

from livemosaic.load.plan import LoadPlan
from livemosaic.storage.allowlist import AllowList
from livemosaic.storage.folder import Folder
from livemosaic.storage.objects import AbsentError

DATA: Final = "data/"
"""Beginning of the names of all objects that DynamoDB imports, and of no others."""
PLAN: Final = "plan.json"
_LEVEL: Final = 5
"""Of gzip: faster than its default, and little larger."""


@dataclass(frozen=True)
class Work:
    """The objects of one load, by the steps that write them. Raises `ObjectError`."""

    folder: Folder
    allow: AllowList
    """Where assets may be, and the ways in to buckets."""

    @cached_property
    def plan(self) -> LoadPlan:
        """The plan."""
        return LoadPlan.from_json(self._read(PLAN))

    def begin(self, plan: LoadPlan) -> None:
        """Writes the lists of units and shards that a state machine reads, and then the plan."""
        for name, count in (("units", len(plan.units)), ("shards", plan.shards)):
            self.folder.put(f"{name}.json", json.dumps([{"n": n} for n in range(count)]).encode())
        self.folder.put(PLAN, plan.to_json())

    def find_plan(self) -> LoadPlan | None:
        """Returns the plan of a load that was begun in this folder; None if there is none."""
        try:
            return self.plan
        except AbsentError:
            return None

    def put_json(self, name: str, value: Any) -> None:
        """Writes a JSON value."""
        self.put(name, json.dumps(value).encode())

    def get_json(self, name: str) -> Any:
        """Returns a JSON value; raises `AbsentError` where it was not written."""
        return json.loads(self.get(name))

    def put(self, name: str, body: bytes) -> None:
        """Writes bytes, compressed."""
        self.folder.put(f"{name}.gz", gzip.compress(body, _LEVEL, mtime=0))

    @contextmanager
    def writing(self, name: str) -> Iterator[gzip.GzipFile]:
        """Yields a file whose bytes are compressed as they come, and written in the end, if any."""
        body = io.BytesIO()
        with gzip.GzipFile("", "wb", _LEVEL, body, mtime=0) as file:
            yield file
            is_empty = file.tell() == 0
        if not is_empty:
            self.folder.put(f"{name}.gz", body.getvalue())

    def get(self, name: str) -> bytes:
        """Returns bytes that were written compressed."""
        return gzip.decompress(self._read(f"{name}.gz"))

    def names(self, folder: str) -> Iterator[str]:
        """Yields the names of the objects in a folder, in order."""
        return (name.removesuffix(".gz") for name in sorted(self.folder.names(folder)))

    def _read(self, name: str) -> bytes:
        return self.folder.read(self.folder.href(name))
