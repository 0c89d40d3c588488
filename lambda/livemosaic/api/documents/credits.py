"""Who made the scenes of a mosaic, and what others may do with them, as documents say it."""

from html import escape

from livemosaic.model.mosaic import Mosaic


def credit_html(mosaic: Mosaic) -> str:
    """Returns attribution and license as HTML, in which nothing but a link to the license is a tag;
    empty without either."""
    text, url = escape(mosaic.attribution), escape(license_url(mosaic))
    named = escape("license" if is_url(mosaic.license) else mosaic.license)
    link = f'<a href="{url}" target="_blank" rel="license noopener">{named}</a>' if url else ""
    return " · ".join(filter(None, (text, link)))


def license_url(mosaic: Mosaic) -> str:
    """Returns where the license of a mosaic is; empty where that is not known."""
    if is_url(mosaic.license):
        return mosaic.license
    is_one = mosaic.license and " " not in mosaic.license
    return f"https://spdx.org/licenses/{mosaic.license}.html" if is_one else ""


def is_url(text: str) -> bool:
    """Whether a license is a URL, and not the SPDX identifier of one."""
    return text.startswith(("https://", "http://"))
