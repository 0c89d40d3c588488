"""No chance, and no pauses, in what must follow from the answers of a table alone."""

from collections.abc import Callable, Iterator
from operator import attrgetter
from typing import Any

import pytest

from livemosaic.geo import covering
from livemosaic.index import scenes


@pytest.fixture(autouse=True)
def no_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("livemosaic.table.retry.random.uniform", lambda *_: 0)


@pytest.fixture(scope="module", autouse=True)
def cover_each_footprint_once() -> Iterator[None]:
    """Keep cells of footprints: a program begins anew after each answer, which found them anew."""
    of = attrgetter("tms", "quadkey_zoom", "minzoom", "max_cells")
    with pytest.MonkeyPatch.context() as patch:
        cover = _kept(scenes.scene_cover, lambda mosaic, shape: (of(mosaic), shape))
        patch.setattr(scenes, "scene_cover", cover)
        encode = _kept(covering._encode, lambda grid, cell, part: (grid.tms.id, cell, part))
        patch.setattr(covering, "_encode", encode)
        yield


def _kept(function: Callable[..., Any], key: Callable[..., Any]) -> Callable[..., Any]:
    known: dict[Any, Any] = {}

    def once(*given: Any) -> Any:
        found = key(*given)
        if found not in known:
            known[found] = function(*given)
        return known[found]

    return once
