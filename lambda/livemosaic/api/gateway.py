"""The application as a Lambda function behind an HTTP API of API Gateway, payload format 2.0."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from mangum import Mangum
from mangum.types import ASGI

Answer = dict[str, Any]
Handler = Callable[[Any, Any], Answer]

LIMIT: Final = 6_291_556
"""Bytes of JSON that a function may answer: the 6 MB of Lambda's quotas, as its own error counts
them. API Gateway turns a longer answer into a 500 that says nothing."""

_LESS: Final = {
    True: "ask for fewer pixels or bands, or for jpg or webp",
    False: "ask for less at once, with a smaller limit",
}
"""What to do, for images and for text."""


def handler(app: ASGI) -> Handler:
    """The function that Lambda calls, for the thread that calls this one."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mangum = Mangum(app, lifespan="off")

    def answer(event: Any, context: Any) -> Answer:
        # Mangum runs a request on the thread's event loop, which every asyncio.run leaves without.
        asyncio.set_event_loop(loop)
        return _within_limit(mangum(event, context))

    return answer


def is_authorized(scope: Mapping[str, Any], authorizer: Literal["iam", "jwt"]) -> bool:
    """Whether API Gateway let the caller in, on a route that it guards by that authorizer.

    It stands in the event, which Mangum puts beside what the client sent, and nothing else can.
    """
    context = scope.get("aws.event", {}).get("requestContext") or {}
    known = (context.get("authorizer") or {}).get(authorizer) or {}
    # Events of open routes were seen with an empty ARN, and with claims that are null.
    return bool(known.get({"iam": "userArn", "jwt": "claims"}[authorizer]))


def _within_limit(answer: Answer) -> Answer:
    size = _size(answer)
    if size <= LIMIT:
        return answer
    detail = (
        f"the answer takes {size:,} bytes as Lambda sends it, images in base64, and at most "
        f"{LIMIT:,} go through: {_LESS[answer['isBase64Encoded']]}"
    )
    return {
        "statusCode": 413,
        "headers": _cors(answer["headers"])
        | {"content-type": "application/json", "cache-control": "no-store"},
        "body": json.dumps({"detail": detail}),
        "isBase64Encoded": False,
    }


def _size(answer: Answer) -> int:
    """Bytes of the answer as the runtime writes it, at most.

    Runtimes since Python 3.12 write what is not ASCII as it is, which is shorter than its escapes.
    """
    body = answer["body"]
    # Nothing in base64 is escaped, and it is what the long answers are: no need to write it twice.
    length = len(body) if answer["isBase64Encoded"] else len(json.dumps(body)) - len('""')
    return length + len(json.dumps(answer | {"body": ""}))


def _cors(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name == "vary" or name.startswith("access-control-")
    }
