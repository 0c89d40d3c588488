"""XML documents, written by the templates of `templates/`."""

import re
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from starlette.responses import Response

if TYPE_CHECKING:
    from jinja2 import Environment

_TEMPLATES: Final = Path(__file__).parent / "templates"
_NOT_XML: Final = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\ud800-\udfff\ufffe\uffff]")
"""Characters that XML cannot carry, not even escaped (XML 1.0, 2.2)."""


class Xml(Response):
    """An XML document."""

    media_type = "application/xml"


def written(template: str, **values: Any) -> str:
    """Returns the document that a template makes of values; every value is escaped."""
    return _environment().get_template(template).render(values)


@cache
def _environment() -> "Environment":
    # Imported late: most processes write no XML.
    from jinja2 import Environment, FileSystemLoader, StrictUndefined

    return Environment(
        loader=FileSystemLoader(_TEMPLATES),
        autoescape=True,
        finalize=_carried,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )


def _carried(value: Any) -> Any:
    """Returns text without what XML cannot carry, and numbers with all of their digits."""
    return _NOT_XML.sub("", value) if type(value) is str else value
