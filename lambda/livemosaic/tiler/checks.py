"""Checks of a mosaic's settings: its TileMatrixSet, filter, renders and rules."""

from collections.abc import Mapping
from typing import Any

from cql2 import Expr

from livemosaic.errors import InvalidRequestError
from livemosaic.geo.cells import CellGrid
from livemosaic.model.mosaic import Mosaic
from livemosaic.render.named_renders import check_renders
from livemosaic.tiler.rules.filter import check_text
from livemosaic.tiler.rules.parse import check_rules


def check_settings(mosaic: Mosaic) -> None:
    """Refuse what only other modules can judge: TileMatrixSet, filter, renders and rules."""
    CellGrid.of(mosaic.tms)
    check_renders(mosaic.renders)
    check_rules(mosaic)
    if mosaic.filter is not None:
        parse_filter(mosaic.filter)


def parse_filter(cql2: str | Mapping[str, Any]) -> Expr:
    """A CQL2 filter, text or JSON (OGC 21-065r2); `InvalidRequestError` says what is wrong."""
    if isinstance(cql2, str):
        check_text(cql2)
    try:
        expr = Expr(cql2 if isinstance(cql2, str) else dict(cql2))
        expr.validate()
    except Exception as error:  # cql2 raises bare Exception
        raise InvalidRequestError(f"filter is not valid CQL2: {str(error)[:500]}") from error
    return expr
