"""Checks the setting `exports` of a mosaic against its other settings."""

from dataclasses import replace

from livemosaic.errors import InvalidRequestError
from livemosaic.export.tiles.archive import zooms_of
from livemosaic.export.tiles.look import TileLook
from livemosaic.export.tiles.store import check_render_name
from livemosaic.model.mosaic import Mosaic, ScheduledExport


def check_exports(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for an export that could never be made."""
    renders = [each.render for each in mosaic.exports]
    for n, each in enumerate(mosaic.exports):
        try:
            _check(mosaic, each, renders[:n])
        except InvalidRequestError as error:
            raise InvalidRequestError(f"exports[{n}] (render {each.render!r}): {error}") from error


def _check(mosaic: Mosaic, export: ScheduledExport, others: list[str]) -> None:
    if export.render in others:
        raise InvalidRequestError("there is another one of this render: name each once")
    check_render_name(export.render)
    TileLook.of(mosaic, export.render, export.format)
    # Scenes that are to come may be finer than the ones there are.
    zooms_of(replace(mosaic, maxzoom=mosaic.widest_zoom), export.minzoom, export.maxzoom)
