"""Who made the scenes of a mosaic, and what others may do with them, as documents say it."""

from html import escape

from livemosaic.model.mosaic import Mosaic
from livemosaic.stac.license import is_url, license_url


def credit_text(mosaic: Mosaic) -> str:
    """Returns attribution and license as text; empty without either."""
    return _joined(mosaic.attribution, mosaic.license)


def credit_html(mosaic: Mosaic) -> str:
    """Returns attribution and license as HTML, in which nothing but a link to the license is a tag;
    empty without either."""
    text, url = escape(mosaic.attribution), escape(license_url(mosaic))
    named = escape("license" if is_url(mosaic.license) else mosaic.license)
    link = f'<a href="{url}" target="_blank" rel="license noopener">{named}</a>' if url else ""
    return _joined(text, link)


def _joined(*parts: str) -> str:
    return " · ".join(filter(None, parts))
