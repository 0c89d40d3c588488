"""Folders of our own objects."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from livemosaic.cog.write.stored import open_cell
from livemosaic.index.overviews import CellImage, OverviewCell
from livemosaic.overviews.objects import CellObjects
from livemosaic.storage.folder import Folder
from livemosaic.storage.objects import AbsentError
from overview_cells import profile, values, written


def test_an_object_is_read_whole_or_up_to_an_offset(tmp_path: Path) -> None:
    folder = Folder(tmp_path.as_uri())
    folder.put("a/b.tif", b"0123456789")
    href = folder.href("a/b.tif")
    assert folder.read(href) == b"0123456789"
    assert folder.read(href, 4) == b"0123"
    assert folder.read(href, 40) == b"0123456789"
    with pytest.raises(AbsentError):
        folder.read(folder.href("c"), 4)


def test_names_are_of_one_folder_and_of_no_other(tmp_path: Path) -> None:
    folder = Folder(f"{tmp_path.as_uri()}/maps of%20all")
    names = {"m.1/a/0/1 1.tif", "m.1/b.tif", "m.11/a.tif", "m/1/a.tif"}
    for name in names:
        folder.put(name, b"x")
    assert {*folder.names("m.1/")} == {"m.1/a/0/1 1.tif", "m.1/b.tif"}
    assert [*folder.names("m.2/")] == []
    for name in folder.names("m.1/"):
        folder.delete(folder.href(name))
    assert {*folder.names("m.1/"), *folder.names("m.11/")} == {"m.11/a.tif"}


class _Counted(Folder):
    bytes_read = 0

    def read(self, href: str, stop: int | None = None) -> bytes:
        body = super().read(href, stop)
        self.bytes_read += len(body)
        return body


@pytest.mark.parametrize("count", [1, 12])
def test_the_smallest_overview_takes_few_bytes(count: int, tmp_path: Path) -> None:
    """Of noise, which does not compress; 12 bands of it exceed the first read."""
    of = profile("uint8", count, edge=1024, block=256)
    data, valid = values(np.random.default_rng(1), of)
    folder = _Counted(tmp_path.as_uri())
    body = written(of, data, valid)
    folder.put("a.tif", body)
    objects = CellObjects(folder, 256, 2)
    cells: Any = SimpleNamespace(policy=SimpleNamespace(assets=("a",)))
    image = CellImage(names=("a",), assets={"a": folder.href("a.tif")})
    found = objects.smallest(cells, OverviewCell(quadkey="", images=(image,)))[0,]
    data, valid = open_cell(body).smallest()
    np.testing.assert_array_equal(found[0], data)
    np.testing.assert_array_equal(found[1], valid)
    assert valid.any()
    assert folder.bytes_read < 600_000 + count * 70_000
    assert folder.bytes_read < len(body)
