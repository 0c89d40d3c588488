"""Checks of a mosaic's settings: its TileMatrixSet, filter, renders and rules."""

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import CellGrid
from livemosaic.model.cql2 import Cql2Filter
from livemosaic.model.mosaic import Mosaic
from livemosaic.render.named_renders import check_renders
from livemosaic.tiler.rules.default_render import check_default_render
from livemosaic.tiler.rules.filter import check_filter
from livemosaic.tiler.rules.literals import check_literals
from livemosaic.tiler.rules.parameters import check_rules
from livemosaic.tiler.rules.sortby import check_sortby
from livemosaic.tiler.tilesets import reach


def check_settings(mosaic: Mosaic) -> None:
    """Checks the settings that `Mosaic` itself cannot judge; raises `InvalidRequestError`."""
    CellGrid.of(mosaic.tms)
    for member in mosaic.members:
        for where in member.filters:
            why = f"of a scene source {member.mosaic.id!r} keeps"
            check_filter(where, member.mosaic.properties, why)
    check_renders(mosaic.renders)
    check_rules(mosaic)
    check_default_render(mosaic)
    if mosaic.extent is not None and reach(mosaic, mosaic.tms) is None:
        raise InvalidRequestError(
            f"extent {','.join(map(str, mosaic.extent))} lies outside {mosaic.tms}"
        )
    if not mosaic.revision:  # later it cannot change, and was stored whatever it is
        check_sortby(mosaic)
    if mosaic.filter is not None:
        check_literals(Cql2Filter.parse(mosaic.filter, strict=True).document)
