"""The images of a cell: what its blocks show of each combination of assets."""

from collections.abc import Mapping, Sequence

from livemosaic.index.cells.notes import above
from livemosaic.index.overviews import CellImage, OverviewCell
from livemosaic.model.mosaic import OverviewSet
from livemosaic.overviews.blocks import BlockSource, Drawn, fitted
from livemosaic.overviews.objects import Changes
from livemosaic.overviews.together.combinations import (
    Assets,
    Combination,
    Combinations,
    Kind,
    combined,
    of_text,
)


def combined_blocks(sources: Mapping[str, BlockSource]) -> Combinations:
    """Returns the combinations of a cell whose blocks have these sources."""
    return combined(source.combinations for source in sources.values())


def combinations_of(cell: OverviewCell) -> Combinations:
    """Returns the combinations of a cell as its row says."""
    return combined(map(of_text, cell.kinds))


def source_of(cell: OverviewCell) -> BlockSource:
    """Returns the source of a block that is the smallest overview of a cell."""
    return BlockSource(cell.digest, combinations=combinations_of(cell), notes=above(cell.notes))


def changes_of(
    sources: Mapping[str, BlockSource], blocks: Mapping[str, Drawn], wanted: Combination
) -> Changes:
    """Returns changed blocks of one combination, in the kind of their cell."""
    return {
        name: fitted(drawn, sources[name].combinations, wanted) if name in sources else None
        for name, drawn in blocks.items()
    }


def images_of(
    cells: OverviewSet,
    sources: Mapping[str, BlockSource],
    hrefs: Mapping[Assets, Mapping[str, str]],
) -> tuple[CellImage, ...]:
    """Returns the images of a cell whose blocks have these sources."""
    every = tuple(range(len(cells.policy.assets)))
    shown = combined_blocks(sources) or (Combination(every),)
    return tuple(_image(cells, each, hrefs.get(each.assets, {})) for each in shown)


def _image(cells: OverviewSet, shown: Combination, hrefs: Mapping[str, str]) -> CellImage:
    def names(assets: Assets) -> tuple[str, ...]:
        return tuple(cells.policy.assets[asset] for asset in assets)

    kind = shown.kind
    return CellImage(
        names=names(shown.assets),
        assets=hrefs,
        apart=tuple(map(names, shown.apart)),
        mixed=kind is not None and kind.scaling is None,
        colors=kind is not None and kind.colors,
        renumbered=kind is not None and kind.renumbered,
        counts=kind.counts if kind else (),
        numbers=_numbers(names(shown.assets), kind) if kind else {},
    )


def _numbers(names: Sequence[str], kind: Kind) -> dict[str, tuple[int, ...]]:
    """Returns the numbers of the bands of assets, where they are not 1, 2, 3, …."""
    found = {name: kind.numbers_of(place) for place, name in enumerate(names)}
    return {name: numbers for name, numbers in found.items() if numbers}
