"""The license of a mosaic's scenes: an SPDX expression, or a URL (STAC 1.1, collection-spec)."""

from livemosaic.model.mosaic import Mosaic


def license_url(mosaic: Mosaic) -> str:
    """Returns where the license of a mosaic is; empty where that is not known."""
    if is_url(mosaic.license):
        return mosaic.license
    is_one = mosaic.license and " " not in mosaic.license
    return f"https://spdx.org/licenses/{mosaic.license}.html" if is_one else ""


def is_url(text: str) -> bool:
    """Whether a license is a URL, and not the SPDX identifier of one."""
    return text.startswith(("https://", "http://"))


def license_field(mosaic: Mosaic) -> str:
    """Returns the `license` of a STAC Collection; `other` for a URL, and where none is known."""
    known = mosaic.license and not is_url(mosaic.license)
    return mosaic.license if known else "other"
