"""CloudFront as a template configures it: its cache, with a clock of the test.

Follows the CloudFront Developer Guide: "Understand the cache key", "Manage how long content stays
in the cache", "Control how long CloudFront caches errors", "Understand response headers policies",
"How CloudFront processes partial requests for an object (range GETs)".
"""

import json
import re
import subprocess
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ALL_BUT_HOST = "b689b0a8-53d0-40ab-baf2-68738e2966ac"
"""Managed origin request policy AllViewerExceptHostHeader."""
PREFLIGHT = "88a5eaf4-2fd4-4709-b370-b4c650ea3fcf"
"""Managed origin request policy CORS-S3Origin: the headers of CORS, beside those of the key."""
PREFLIGHT_HEADERS = {
    "origin",
    "access-control-request-headers",
    "access-control-request-method",
}


class FunctionRuntime:
    """Runs functions in one process of Node."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self._process = process

    def run(self, code: str, uri: str, query: str | None) -> tuple[str, str | None]:
        """Path and query as a function of viewer requests leaves them."""
        answer = self._ask(code=code, uri=uri, query=query)
        return answer["uri"], answer["query"]

    def answer(
        self, code: str, viewer: Mapping[str, str], headers: Mapping[str, str]
    ) -> dict[str, str]:
        """Headers as a function of viewer responses leaves them, for a viewer's headers."""
        found: dict[str, str] = self._ask(code=code, viewer=viewer, headers=headers)["headers"]
        return found

    def _ask(self, **event: Any) -> Any:
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps(event) + "\n")
        self._process.stdin.flush()
        return json.loads(self._process.stdout.readline())


@contextmanager
def function_runtime() -> Iterator[FunctionRuntime]:
    script = str(Path(__file__).parent / "runtime.js")
    with subprocess.Popen(
        ["node", script], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    ) as process:
        try:
            yield FunctionRuntime(process)
        finally:
            process.kill()


@dataclass(frozen=True)
class Answer:
    """A response, and where it came from: `Hit`, `Miss`, `RefreshHit`, `Stale` or `Error`."""

    status: int
    headers: Mapping[str, str]
    content: bytes
    x_cache: str = "Miss"


@dataclass
class Stored:
    answer: Answer
    since: float
    life: float

    def age(self, now: float) -> float:
        return now - self.since


Origin = Callable[[str, str, Mapping[str, str]], Answer]
"""Answers method, path with query, and headers."""


@dataclass
class CloudFront:
    """One edge location of a distribution."""

    resources: Mapping[str, Any]
    origin: Origin
    secret: str
    runtime: FunctionRuntime
    now: float = 0.0
    asked: list[str] = field(default_factory=list)
    """What the origin was asked for."""
    stored: dict[Any, Stored] = field(default_factory=dict)

    def get(self, url: str, method: str = "GET", **headers: str) -> Answer:
        named = {name.replace("_", "-").lower(): value for name, value in headers.items()}
        path, _, query = url.partition("?")
        behavior = self._behavior(path)
        if method not in behavior.get("AllowedMethods", ["GET", "HEAD"]):
            return Answer(403, self._cors(behavior, named, {}), b"", "Error")
        given = query if "?" in url else None
        for code in self._functions(behavior, "viewer-request"):
            path, given = self.runtime.run(code, path, given)
        answer = self._cached(behavior, method, path, given, named)
        return self._for_viewer(behavior, answer, named)

    def _functions(self, behavior: Mapping[str, Any], event: str) -> Iterator[str]:
        for association in behavior.get("FunctionAssociations", ()):
            if association["EventType"] == event:
                yield self._named(association["FunctionARN"]["Fn::GetAtt"][0])["FunctionCode"]

    def key(self, behavior: Mapping[str, Any], path: str, query: str | None, headers: Any) -> Any:
        """The cache key (Developer Guide, "Understand the cache key")."""
        parameters = self._policy(behavior)["ParametersInCacheKeyAndForwardedToOrigin"]
        assert parameters["CookiesConfig"] == {"CookieBehavior": "none"}
        named = [name.lower() for name in parameters["HeadersConfig"].get("Headers", ())]
        every = parameters["QueryStringsConfig"]["QueryStringBehavior"] == "all"
        encodings = headers.get("accept-encoding", "")
        return (
            behavior["CachePolicyId"]["Ref"],
            path,
            query if every else None,
            tuple((name, headers.get(name)) for name in named),
            tuple(kind for kind in ("br", "gzip") if kind in encodings),
        )

    def _cached(
        self, behavior: Any, method: str, path: str, query: str | None, headers: Any
    ) -> Answer:
        if method not in ("GET", "HEAD"):
            return self._fetch(behavior, method, path, query, headers)
        key = (method, self.key(behavior, path, query, headers))
        held = self.stored.get(key)
        if held and held.age(self.now) < held.life:
            return _part(_aged(held, self.now, "Hit"), headers)
        if asked := headers.get("range"):  # which is forwarded, and in no key
            part = self.stored.get((key, asked))
            if part and part.age(self.now) < part.life:
                return _aged(part, self.now, "Hit")
            return self._refresh((key, asked), None, behavior, method, path, query, headers)
        stale = held.age(self.now) - held.life if held else 0.0
        said = _directives(held.answer.headers) if held else {}
        if held and stale < said.get("stale-while-revalidate", 0):
            answer = _aged(held, self.now, "Stale")
            self._refresh(key, held, behavior, method, path, query, headers)
            return answer
        fresh = self._refresh(key, held, behavior, method, path, query, headers)
        if held and fresh.status >= 500 and stale < said.get("stale-if-error", 0):
            return _aged(held, self.now, "Stale")
        return fresh

    def _refresh(
        self,
        key: Any,
        held: Stored | None,
        behavior: Any,
        method: str,
        path: str,
        query: Any,
        headers: Any,
    ) -> Answer:
        etag = held.answer.headers.get("etag") if held and held.answer.status == 200 else None
        asked = {**headers, "if-none-match": etag} if etag else headers
        answer = self._fetch(behavior, method, path, query, asked)
        if held and answer.status == 304:
            renewed = {**held.answer.headers, **answer.headers}
            answer = Answer(200, renewed, held.answer.content, "RefreshHit")
        life = self._life(behavior, answer)
        if answer.status >= 500 and held and held.answer.status < 400:
            return answer  # what is held may serve on
        self.stored.pop(key, None)
        if life > 0:
            self.stored[key] = Stored(answer, self.now, life)
        return answer

    def _life(self, behavior: Any, answer: Answer) -> float:
        policy, said = self._policy(behavior), _directives(answer.headers)
        stated = said.get("s-maxage", said.get("max-age"))
        if answer.status >= 400:
            return max(self._error_s(answer.status), stated or 0)
        if said.keys() & {"private", "no-store", "no-cache"}:
            return float(policy["MinTTL"])
        life = policy["DefaultTTL"] if stated is None else stated
        return float(min(max(life, policy["MinTTL"]), policy["MaxTTL"]))

    def _error_s(self, status: int) -> float:
        configured = {
            one["ErrorCode"]: one["ErrorCachingMinTTL"]
            for one in self._config["CustomErrorResponses"]
        }
        cached = (400, 403, 404, 405, 414, 500, 501, 502, 503, 504)
        return float(configured.get(status, 10 if status in cached else 0))

    def _fetch(self, behavior: Any, method: str, path: str, query: Any, headers: Any) -> Answer:
        [origin] = self._config["Origins"]
        policy = self._policy(behavior)["ParametersInCacheKeyAndForwardedToOrigin"]
        if behavior.get("OriginRequestPolicyId") == ALL_BUT_HOST:
            sent = {name: value for name, value in headers.items() if name != "host"}
        else:
            kept = {*map(str.lower, policy["HeadersConfig"].get("Headers", ()))}
            kept |= {"if-none-match", "range"}
            kept |= (
                PREFLIGHT_HEADERS if behavior.get("OriginRequestPolicyId") == PREFLIGHT else set()
            )
            sent = {name: value for name, value in headers.items() if name in kept}
        for custom in origin["OriginCustomHeaders"]:
            sent[custom["HeaderName"].lower()] = self.secret
        forwards = policy["QueryStringsConfig"]["QueryStringBehavior"] == "all"
        url = path if query is None or not forwards else f"{path}?{query}"
        self.asked.append(url)
        return self.origin(method, url, sent)

    def _for_viewer(self, behavior: Any, answer: Answer, viewer: Mapping[str, str]) -> Answer:
        headers = self._cors(behavior, viewer, answer.headers)
        if answer.status < 400:  # "Restrictions on all edge functions": none runs on errors
            for code in self._functions(behavior, "viewer-response"):
                headers = self.runtime.answer(code, viewer, headers)
        etag = headers.get("etag")
        if etag and answer.status == 200 and viewer.get("if-none-match") == etag:
            return Answer(304, headers, b"", answer.x_cache)
        return Answer(answer.status, headers, answer.content, answer.x_cache)

    def _cors(self, behavior: Any, viewer: Any, headers: Mapping[str, str]) -> dict[str, str]:
        policy = self._named(behavior["ResponseHeadersPolicyId"]["Ref"])
        cors = policy["ResponseHeadersPolicyConfig"]["CorsConfig"]
        assert cors["OriginOverride"]
        kept = {n: v for n, v in headers.items() if not n.startswith("access-control-")}
        allowed = cors["AccessControlAllowOrigins"]["Items"]
        asking = viewer.get("origin")
        if asking and allowed == ["*"]:
            kept["access-control-allow-origin"] = "*"
        elif asking in allowed:
            kept["access-control-allow-origin"] = asking
        return kept

    def _behavior(self, path: str) -> Mapping[str, Any]:
        for behavior in self._config["CacheBehaviors"]:
            if re.fullmatch(re.escape(behavior["PathPattern"]).replace(r"\*", ".*"), path):
                return behavior  # type: ignore[no-any-return]
        return self._config["DefaultCacheBehavior"]  # type: ignore[no-any-return]

    def _policy(self, behavior: Mapping[str, Any]) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self._named(behavior["CachePolicyId"]["Ref"])[
            "CachePolicyConfig"
        ]
        return found

    def _named(self, logical_id: str) -> Mapping[str, Any]:
        found: Mapping[str, Any] = self.resources[logical_id]["Properties"]
        return found

    @property
    def _config(self) -> Mapping[str, Any]:
        [found] = (
            one["Properties"]["DistributionConfig"]
            for one in self.resources.values()
            if one["Type"] == "AWS::CloudFront::Distribution"
        )
        return found  # type: ignore[no-any-return]


def _part(answer: Answer, headers: Mapping[str, str]) -> Answer:
    """The bytes that were asked for of a whole image in the cache."""
    found = re.fullmatch(r"bytes=(\d+)-(\d+)", headers.get("range", ""))
    if found is None or answer.status != 200:
        return answer
    first, last = (int(number) for number in found.groups())
    content = answer.content[first : last + 1]
    span = f"bytes {first}-{first + len(content) - 1}/{len(answer.content)}"
    return Answer(206, {**answer.headers, "content-range": span}, content, answer.x_cache)


def _aged(held: Stored, now: float, x_cache: str) -> Answer:
    headers = {**held.answer.headers, "age": str(int(held.age(now)))}
    kind = "Error" if held.answer.status >= 400 else x_cache
    return Answer(held.answer.status, headers, held.answer.content, kind)


def _directives(headers: Mapping[str, str]) -> dict[str, int]:
    parts = [part.strip() for part in headers.get("cache-control", "").split(",") if part.strip()]
    split = [part.partition("=") for part in parts]
    return {name: int(value or 0) for name, _, value in split}
