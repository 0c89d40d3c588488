"""The answer to Items that a user puts in: what became of each, and counts over all."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Final

from livemosaic.api.problems import PROBLEM, SCHEMA, encodable
from livemosaic.ingest.batch import Outcome
from livemosaic.ingest.subscriptions import Applied

_COUNTS: Final = {"type": "object", "additionalProperties": {"type": "integer"}}
_TEXTS: Final = {"type": "array", "items": {"type": "string"}}
_NEWER: Final = {
    "type": "object",
    "required": ["mosaic", "collection", "id", "kind", "time"],
    "properties": {
        "mosaic": {"type": "string"},
        "collection": {"type": "string", "description": "Empty if the Item has none"},
        "id": {"type": "string", "description": "Of the Item"},
        "kind": {"type": "string", "enum": ["version", "deletion", "truncation"]},
        "time": {"type": "string", "format": "date-time", "description": "The moment of that"},
    },
}
_OUTCOME: Final = {
    "type": "object",
    "required": ["id", "status", "changes"],
    "properties": {
        "id": {"type": ["string", "null"]},
        "status": {
            "type": "string",
            "enum": ["done", "ignored", "rejected", "failed"],
            "description": "`ignored`: it changes nothing, as no mosaic subscribes to it, or each "
            "has something newer",
        },
        "changes": {**_TEXTS, "description": "One per mosaic"},
        "newer": {
            "type": "array",
            "items": _NEWER,
            "description": "What is there instead, for each mosaic with something newer",
        },
        "warnings": _TEXTS,
        "detail": {"type": "string"},
    },
}
_EXAMPLE: Final = {
    "outcomes": [
        {"id": "a", "status": "done", "changes": ["applied"]},
        {
            "id": "b",
            "status": "ignored",
            "changes": ["outdated"],
            "newer": [
                {
                    "mosaic": "m",
                    "collection": "sentinel-2-c1-l2a",
                    "id": "b",
                    "kind": "deletion",
                    "time": "2026-11-27T10:00:00.000000Z",
                }
            ],
            "detail": "older than what mosaic 'm' has (deleted 2026-11-27T10:00:00Z): it "
            "changes nothing; force=true makes it the newest",
        },
    ],
    "counts": {"applied": 1, "outdated": 1},
    "older": {"deletion": 1},
}
_OUTCOMES: Final = {
    "type": "object",
    "required": ["outcomes", "counts"],
    "properties": {
        "outcomes": {"type": "array", "items": _OUTCOME},
        "counts": {**_COUNTS, "description": "Items by their changes, else by their status"},
        "older": {
            **_COUNTS,
            "description": "Items that change nothing in some mosaic, by what is newer there; "
            "absent if there are none",
        },
        "force": {"type": "boolean", "description": "True if the request had `force=true`"},
    },
}
RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {
        "description": "Every Item was accepted; `older` counts the ones that changed nothing",
        "content": {"application/json": {"schema": _OUTCOMES, "example": _EXAMPLE}},
    },
    207: {
        "description": "Some Items were accepted",
        "content": {"application/json": {"schema": _OUTCOMES}},
    },
    **{
        status: {
            "description": words,
            "content": {
                "application/json": {"schema": _OUTCOMES},
                PROBLEM: {"schema": SCHEMA},
            },
        }
        for status, words in {
            400: "No Item was accepted, and retrying cannot help",
            503: "The index was too busy for some Items: send them again",
        }.items()
    },
}
"""Responses of a route that takes Items, for its OpenAPI document."""


def outcomes_status(outcomes: Sequence[Outcome]) -> int:
    """Returns the HTTP status of a request with these outcomes."""
    good = sum(outcome.ok for outcome in outcomes)
    if good == len(outcomes):
        return 200
    if any(outcome.status == "failed" for outcome in outcomes):
        return 503
    return 207 if good else 400


def outcomes_document(
    outcomes: Sequence[Outcome], documents: Iterable[Any], *, force: bool
) -> dict[str, Any]:
    """Returns the body of a response; `documents` are the Items in the order of their outcomes."""
    older = Counter(kind for outcome in outcomes for kind in _older_kinds(outcome))
    return {
        "outcomes": [_shown(o, document) for o, document in zip(outcomes, documents, strict=True)],
        "counts": Counter(label for outcome in outcomes for label in _labels(outcome)),
        **({"older": older} if older else {}),
        **({"force": True} if force else {}),
    }


def describe_older(changes: Sequence[Applied]) -> str:
    """Returns a sentence about a document that changes nothing in some mosaics."""
    there = "; ".join(f"{change.mosaic!r} has ({change.newer})" for change in changes)
    return f"older than what mosaic {there}: it changes nothing; force=true makes it the newest"


def _labels(outcome: Outcome) -> set[str]:
    return {change.change for change in outcome.changes} or {outcome.status}


def _older_kinds(outcome: Outcome) -> set[str]:
    return {change.newer.kind for change in outcome.older if change.newer}


def _shown(outcome: Outcome, document: Any) -> dict[str, Any]:
    given = document.get("id") if isinstance(document, Mapping) else None
    newer = [*map(_newer, outcome.older)]
    warnings = [encodable(warning) for warning in outcome.warnings]
    detail = outcome.reason or (describe_older(outcome.older) if newer else "")
    return {
        "id": encodable(given) if isinstance(given, str) else None,
        "status": outcome.status,
        "changes": [change.change for change in outcome.changes],
        **({"newer": newer} if newer else {}),
        **({"warnings": warnings} if warnings else {}),
        **({"detail": encodable(detail)} if detail else {}),
    }


def _newer(change: Applied) -> dict[str, Any]:
    """Returns what is newer than a change, by the Item, which a message may hold within."""
    there = {"kind": change.newer.kind, "time": change.newer.time} if change.newer else {}
    names = {"collection": encodable(change.collection), "id": encodable(change.id)}
    return {"mosaic": change.mosaic, **names, **there}
