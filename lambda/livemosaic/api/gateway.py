"""Lambda handler for an HTTP API of API Gateway, payload format 2.0."""

import asyncio
import json
from collections.abc import Callable, Mapping
from typing import Any, Final, Literal

from mangum import Mangum
from mangum.types import ASGI

from livemosaic.api.problems import PROBLEM, problem

Answer = dict[str, Any]
Handler = Callable[[Any, Any], Answer]

LIMIT: Final = 6_291_556
"""Maximum bytes of JSON in a function's response: the 6 MB of Lambda's quotas, as its own error
counts them. API Gateway turns a longer response into a 500 without a reason."""

_ADVICE: Final = {
    True: "ask for fewer pixels or bands, or for jpg or webp",
    False: "ask for less at once, with a smaller limit",
}
"""Advice for responses that are too long: images (True) and text (False)."""


def handler(app: ASGI) -> Handler:
    """Returns the handler that Lambda calls, which must run in the thread that calls this."""
    loop = asyncio.new_event_loop()
    asyncio.set_event_loop(loop)
    mangum = Mangum(app, lifespan="off")

    def answer(event: Any, context: Any) -> Answer:
        # Mangum needs the thread's event loop, which every asyncio.run removes.
        asyncio.set_event_loop(loop)
        return _within_limit(mangum(event, context))

    return answer


def is_authorized(scope: Mapping[str, Any], authorizer: Literal["iam", "jwt"]) -> bool:
    """Whether API Gateway admitted the caller on a route guarded by the authorizer.

    Clients cannot forge this: it is read from the event, which Mangum keeps apart from the request.
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
        f"the answer takes {size:,} bytes as Lambda sends it, with images in base64; the limit is "
        f"{LIMIT:,}: {_ADVICE[_is_image(answer)]}"
    )
    return {
        "statusCode": 413,
        "headers": _cors(answer["headers"])
        | {"content-type": PROBLEM, "cache-control": "no-store"},
        "body": json.dumps(problem(413, detail)),
        "isBase64Encoded": False,
    }


def _is_image(answer: Answer) -> bool:
    """Whether a response is an image: compressed text is base64, too."""
    return answer["isBase64Encoded"] and "content-encoding" not in answer["headers"]


def _size(answer: Answer) -> int:
    """Returns an upper bound for the bytes that the runtime writes.

    Runtimes since Python 3.12 write non-ASCII text unescaped, which is shorter.
    """
    body = answer["body"]
    # Long responses are base64, where nothing is escaped: no need to serialize them twice.
    length = len(body) if answer["isBase64Encoded"] else len(json.dumps(body)) - len('""')
    return length + len(json.dumps(answer | {"body": ""}))


def _cors(headers: Mapping[str, str]) -> dict[str, str]:
    return {
        name: value
        for name, value in headers.items()
        if name == "vary" or name.startswith("access-control-")
    }
