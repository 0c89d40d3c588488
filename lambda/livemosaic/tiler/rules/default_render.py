"""The default render of a mosaic: for which images it is, and whether it can be one."""

from livemosaic.errors import InvalidRequestError, NotFoundError
from livemosaic.model.mosaic import Mosaic
from livemosaic.model.render import VALUES, Format
from livemosaic.model.rule import Rule, are_alike
from livemosaic.render.named_renders import render_of
from livemosaic.tiler.rules.parameters import rule_of


def default_render(mosaic: Mosaic, rule: Rule, format_: Format) -> str:
    """Returns the render of an image whose request names no values and no colors; empty for none.

    That is the mosaic's default, but for what it was not made for: values in a tif or npy, scenes
    that `item_render` has drawn, and counts or deviations in place of values, or the reverse.
    """
    if not mosaic.default_render or format_ in VALUES or rule.item_render:
        return ""
    usual = rule_of({}, mosaic).operation
    return mosaic.default_render if are_alike(rule.operation, usual) else ""


def check_default_render(mosaic: Mosaic) -> None:
    """Raises `InvalidRequestError` for a default render that is not there, or would never show."""
    name = mosaic.default_render
    if not name:
        return
    try:
        render_of(mosaic, name)
    except NotFoundError as error:
        raise InvalidRequestError(
            f"default_render: {error}; name one of them, add it to renders, or leave it empty"
        ) from error
    if drawn := rule_of({}, mosaic).item_render:
        raise InvalidRequestError(
            f"default_render {name!r} would never show: rules.default draws each scene with "
            f"item_render {drawn!r}; use one of the two"
        )
