"""What the blocks of a cell say of scenes that they do not show as they are. Pure."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Final

from livemosaic.geo.cells import Cell
from livemosaic.index.cells.notes import Note, Notes, merged
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.scene import IndexedScene
from livemosaic.overviews.blocks import BlockSource
from livemosaic.overviews.together.combinations import Assets, Combination, Combinations, serving
from livemosaic.overviews.together.drawn import Together
from livemosaic.storage.hrefs import redact
from livemosaic.tiler.assets import lacking

Problems = Mapping[int, str]
"""Why assets of a scene cannot be read, by their places among all assets of the set."""
_TOGETHER: Final = "was not read; each of its assets can be"


def of_drawn(
    drawn: Iterable[Together], names: Sequence[str], problems: Mapping[str, Problems]
) -> Notes:
    """Returns the notes of a base block as drawn of several combinations of assets.

    `names`: of all assets of the set. `problems`: of scenes that could not be read, by their keys.
    """
    return merged(note for each in drawn for note in _of_one(each, names, problems))


def _of_one(
    each: Together, names: Sequence[str], problems: Mapping[str, Problems]
) -> Iterator[Note]:
    mosaic, plan, picture = each.draft.mosaic, each.draft.plan, each.picture
    for scene, _ in picture.seen.left_out:
        yield from _left_out(mosaic, scene, names)
    for place in each.done.errors:
        scene = plan.scene(place)
        yield from _unread(each.assets, problems[scene.key], scene, _lacked(mosaic, scene, names))
    for name in picture.gray:
        yield Note.of("gray", name, assets=each.assets)
    if picture.truncated:
        yield Note.of("truncated", why=picture.truncated, assets=each.assets)


def _unread(
    assets: Assets, problems: Problems, scene: IndexedScene, lacked: Assets
) -> Iterator[Note]:
    """Yields a note of each asset that cannot be read, whichever of them failed first."""
    alone = {place: why for place, why in problems.items() if place in assets}
    for place, why in alone.items():
        yield Note.of("unread", scene.id, _without_hrefs(why, scene), (place,), lacked)
    if not alone:
        yield Note.of("unread", scene.id, _TOGETHER, assets, lacked)


def _left_out(mosaic: Mosaic, scene: IndexedScene, names: Sequence[str]) -> Iterator[Note]:
    if lacked := _lacked(mosaic, scene, names):
        yield Note.of("lacks", scene.id, "", lacked, lacked)
    for place, name in enumerate(names):
        if place not in lacked and name in scene.other_kinds:
            yield Note.of("unlike", scene.id, scene.other_kinds[name], (place,), lacked)


def _lacked(mosaic: Mosaic, scene: IndexedScene, names: Sequence[str]) -> Assets:
    return tuple(i for i, name in enumerate(names) if lacking(mosaic, scene, (name,)))


def _without_hrefs(why: str, scene: IndexedScene) -> str:
    for href in scene.assets.values():
        why = why.replace(f" ({redact(href)})", "")
    return why


def of_blocks(
    quadkey: str, sources: Mapping[str, BlockSource], shown: Combinations
) -> dict[str, Notes]:
    """Returns the notes of the blocks of a cell that shows some combinations."""
    found = {
        name: merged([*source.notes, *_single(quadkey + name, source, shown)])
        for name, source in sources.items()
    }
    return {name: notes for name, notes in found.items() if notes}


def _single(tile: str, source: BlockSource, shown: Combinations) -> Iterator[Note]:
    """Yields a note where the only band of an asset stands for several in the cell."""
    parts = (_repeated(source.combinations, each) for each in shown)
    if assets := {asset for part in parts for asset in part}:
        at = Cell.of(tile)
        name = f"overview {at.zoom}/{at.x}/{at.y}"
        yield Note.of("single", name, assets=tuple(sorted(assets)))


def _repeated(own: Combinations, of_cell: Combination) -> Assets:
    """Returns the assets of a combination of a cell of which a block repeats its only band."""
    serves = serving(own, of_cell.assets)
    kind = serves.only(of_cell.assets).kind if serves else None
    if kind is None or of_cell.kind is None:
        return ()
    both = zip(of_cell.assets, kind.counts, of_cell.kind.counts, strict=True)
    return tuple(asset for asset, one, most in both if one == 1 < most)
