"""Checks the setting `exports` of a mosaic against its other settings."""

from dataclasses import replace

from livemosaic.errors import InvalidRequestError
from livemosaic.export.tiles.archive import zooms_of
from livemosaic.export.tiles.look import TileLook
from livemosaic.export.tiles.store import check_render_name
from livemosaic.export.vectors.look import VectorLook
from livemosaic.model.mosaic import Mosaic, ScheduledExport
from livemosaic.vector.layers import layers_of


def check_exports(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for an export that could never be made."""
    names = [each.name for each in mosaic.exports]
    # Scenes that are to come may be finer than the ones there are.
    finest = replace(mosaic, maxzoom=mosaic.widest_zoom)
    for n, each in enumerate(mosaic.exports):
        check, what = (_check_vectors, each.name) if each.layers else (_check, _render(each))
        try:
            check(finest, each, names[:n])
        except InvalidRequestError as error:
            raise InvalidRequestError(f"exports[{n}] ({what}): {error}") from error


def _render(export: ScheduledExport) -> str:
    return f"render {export.render!r}"


def _check(mosaic: Mosaic, export: ScheduledExport, others: list[str]) -> None:
    if export.name in others:
        raise InvalidRequestError("there is another one of this render: name each once")
    check_render_name(export.render)
    TileLook.of(mosaic, export.render, export.format or "webp")
    zooms_of(mosaic, export.minzoom, export.maxzoom)


def _check_vectors(mosaic: Mosaic, export: ScheduledExport, others: list[str]) -> None:
    if export.name in others:
        raise InvalidRequestError("there is another one with layers: name all layers in one")
    for_images = {"render": export.render, "format": export.format}
    if given := [name for name, value in for_images.items() if value]:
        raise InvalidRequestError(f"{given[0]} is for images: leave it out, or leave out layers")
    layers = layers_of(",".join(export.layers))
    VectorLook.of(mosaic, layers, export.minzoom, export.maxzoom)
