"""Problem documents (RFC 9457): what the body of a response to a failed request says."""

from http import HTTPStatus
from typing import Any, Final

PROBLEM: Final = "application/problem+json"
"""Media type of a problem."""
SCHEMA: Final = {"$ref": "#/components/schemas/Refusal"}
"""The schema of a problem in the OpenAPI document."""


def problem(status: int, detail: str) -> dict[str, Any]:
    """Returns a problem document: `type`, `title`, `status` and `detail` of RFC 9457, 3.1."""
    title = HTTPStatus(status).phrase
    return {"type": "about:blank", "title": title, "status": status, "detail": encodable(detail)}


def encodable(text: str) -> str:
    """Replaces lone surrogates, which JSON requests may contain and UTF-8 cannot encode."""
    return text.encode(errors="replace").decode()
