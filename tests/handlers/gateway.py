"""An HTTP API of API Gateway: requests become events, what a function answers becomes a response.

Events are of payload format 2.0, as the API Gateway Developer Guide ("Create AWS Lambda proxy
integrations for HTTP APIs") and captures of live ones have them.
"""

import base64
import json
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl, unquote

HOST = "abc123.execute-api.eu-central-1.amazonaws.com"
OPEN = {
    "jwt": {"claims": None, "scopes": None},
    "iam": {"accessKey": "", "accountId": "", "callerId": "", "userArn": "", "userId": ""},
}
"""The authorizer of a route that has none, as a live event had it."""
SIGNED = {
    "iam": {
        "accessKey": "AKIAIOSFODNN7EXAMPLE",
        "accountId": "123456789012",
        "callerId": "AIDACKCEVSQ6C2EXAMPLE",
        "cognitoIdentity": None,
        "principalOrgId": "aws:PrincipalOrgID",
        "userArn": "arn:aws:iam::123456789012:user/alice",
        "userId": "AIDACKCEVSQ6C2EXAMPLE",
    }
}
"""The authorizer of a route with IAM authorisation."""


@dataclass(frozen=True)
class Response:
    """What the client of the HTTP API gets."""

    status: int
    headers: Mapping[str, str]
    content: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.content)


@dataclass(frozen=True)
class HttpApi:
    """An HTTP API in front of a function."""

    invoke: Callable[[Any], Any]

    def ask(self, method: str, url: str, **how: Any) -> Response:
        answer = self.invoke(event(method, url, **how))
        assert "multiValueHeaders" not in answer  # format 2.0 would drop them
        body = answer.get("body", "")
        content = base64.b64decode(body) if answer["isBase64Encoded"] else body.encode()
        return Response(answer["statusCode"], answer.get("headers", {}), content)

    def get(self, url: str, **headers: str) -> Response:
        return self.ask("GET", url, headers={k.replace("_", "-"): v for k, v in headers.items()})


def event(
    method: str,
    url: str,
    *,
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    base64_body: bool = False,
    cookies: tuple[str, ...] = (),
    authorizer: Any = OPEN,
) -> dict[str, Any]:
    """The event of a request; repeated headers come joined by commas already."""
    path, _, query = url.partition("?")
    length = {} if body is None else {"content-length": str(len(body))}
    made: dict[str, Any] = {
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": decoded(path),
        "rawQueryString": query,
        "headers": {
            "accept": "*/*",
            "host": HOST,
            "user-agent": "curl/8.7.1",
            "x-amzn-trace-id": "Root=1-6a5145a9-1bae89e2512ec92d5d9438a0",
            "x-forwarded-for": "205.255.255.176",
            "x-forwarded-port": "443",
            "x-forwarded-proto": "https",
            **length,
            **{name.lower(): value for name, value in (headers or {}).items()},
        },
        "requestContext": {
            "accountId": "123456789012",
            "apiId": "abc123",
            "authorizer": authorizer,
            "domainName": HOST,
            "domainPrefix": "abc123",
            "http": {
                "method": method,
                "path": decoded(path),
                "protocol": "HTTP/1.1",
                "sourceIp": "205.255.255.176",
                "userAgent": "curl/8.7.1",
            },
            "requestId": "JKJaXmPLvHcESHA=",
            "routeKey": "$default",
            "stage": "$default",
            "time": "10/Mar/2020:05:16:23 +0000",
            "timeEpoch": 1583817383220,
        },
        "isBase64Encoded": base64_body,
    }
    if query:
        made["queryStringParameters"] = _joined(query)
    if cookies:
        made["cookies"] = list(cookies)
    if body is not None:
        made["body"] = (base64.b64encode(body) if base64_body else body).decode()
    return made


def decoded(path: str) -> str:
    """A path as HTTP APIs hand it over: without escapes, but for `%25`."""
    return re.sub("(?:%25)+|[^%]+|(?:%(?!25)..)+", lambda m: _unescaped(m[0]), path)


def _unescaped(part: str) -> str:
    return part if part.startswith("%25") else unquote(part)


def _joined(query: str) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    for name, value in parse_qsl(query, keep_blank_values=True):
        values.setdefault(name, []).append(value)
    return {name: ",".join(given) for name, given in values.items()}
