"""Sends traces to a collector by OTLP/HTTP, in JSON, and decides what is traced.

OpenTelemetry's SDK and AWS's layer of it are not used: a function has 250 MB, of which the bundle
takes 200, and each start would import them. What is sent is a page of JSON (OTLP 1.x, "JSON
Protobuf Encoding": ids in hexadecimal, nanoseconds as text), which all collectors take, and
X-Ray's own endpoint, too (CloudWatch User Guide, "OTLP Endpoints"); requests to that are signed.

A trace is sent when its request or batch has been answered, but before Lambda hears of it: a
function is frozen then. So a traced one takes as much longer, and a collector that does not answer
costs `_TIMEOUT_S`, and then nothing for `_PAUSE_S`.
"""

import json
import logging
import os
import random
import re
import secrets
import time
from collections.abc import Callable, Mapping
from functools import cached_property
from http import HTTPStatus
from threading import Lock
from typing import Any, Final
from urllib.parse import urlsplit

import urllib3

from livemosaic.auth.credentials import Identity
from livemosaic.auth.signing import signed
from livemosaic.settings import Settings
from livemosaic.traces import Attribute, Kind, Span, Trace, recording

log = logging.getLogger(__name__)

_TIMEOUT_S: Final = 2.0
_PAUSE_S: Final = 60.0
"""How long nothing is sent after a failure."""
_XRAY: Final = re.compile(r"xray\.(?P<region>[a-z0-9-]+)\.amazonaws\.com(?:\.cn)?")
_LAMBDA_TRACE: Final = "_X_AMZN_TRACE_ID"
"""Variable in which Lambda has the trace of an invocation: `Root=1-…-…;Parent=…;Sampled=1`."""
_ROOT: Final = re.compile(r"1-([0-9a-f]{8})-([0-9a-f]{24})")
_SPAN_ID: Final = re.compile(r"[0-9a-f]{16}")
_KINDS: Final[Mapping[Kind, int]] = {"internal": 1, "server": 2, "consumer": 5}
"""`SpanKind` of opentelemetry/proto/trace/v1/trace.proto."""
_FAILED: Final = 2
"""`StatusCode` of an error."""


def tracer_of(settings: Settings) -> "Tracer":
    """Returns the tracer that the settings describe; they must name a collector."""
    service = settings.metrics or "livemosaic"
    return Tracer(settings.traces, service, settings.trace_share)


class Tracer:
    """Traces a share of all requests and batches, and what X-Ray traces. Thread-safe."""

    def __init__(self, url: str, service: str, share: float) -> None:
        """`url` is the whole URL of the collector's traces, `service` its name in them."""
        self._collector = Collector(url, service)
        self._share = share

    def begin(self) -> Trace | None:
        """Returns a new trace, or None for what is not traced.

        On Lambda it belongs to the trace of the invocation. What a client says of its own trace
        does not count: strangers would decide what is recorded.
        """
        outer = _invocation()
        is_sampled = outer.get("Sampled") == "1"
        if not is_sampled and random.random() >= self._share:  # noqa: S311 (no secret)
            return None
        parent = outer.get("Parent", "") if is_sampled else ""
        return Trace(_id_of(outer.get("Root", "")), parent if _SPAN_ID.fullmatch(parent) else "")

    def end(self, trace: Trace) -> None:
        """Sends a trace; blocks for a moment, and never raises."""
        self._collector.send(trace)

    def traced(
        self, handler: Callable[[Any, Any], Any], name: str, kind: Kind = "consumer"
    ) -> Callable[[Any, Any], Any]:
        """Returns a Lambda handler that traces what it handles."""

        def handle(event: Any, context: Any) -> Any:
            trace = self.begin()
            if trace is None:
                return handler(event, context)
            try:
                with recording(trace, name, kind) as root:
                    root.attributes.update(_batch(event))
                    return handler(event, context)
            finally:
                self.end(trace)

        return handle


def _batch(event: Any) -> dict[str, Attribute]:
    """Returns attributes of a batch of SQS (semantic conventions, "Messaging"); none of others."""
    records = event.get("Records") if isinstance(event, Mapping) else None
    if not isinstance(records, list):
        return {}
    return {"messaging.system": "aws_sqs", "messaging.batch.message_count": len(records)}


class Collector:
    """The receiver of traces."""

    def __init__(self, url: str, service: str) -> None:
        self._url = url
        self._service = service
        self._paused_until = 0.0
        self._lock = Lock()

    def send(self, trace: Trace) -> None:
        """Sends a trace; a failure is logged, and nothing is sent for a while."""
        with self._lock:
            if time.monotonic() < self._paused_until:
                return
        try:
            status, reason = self._post(json.dumps(document(trace, self._service)).encode())
        except Exception as error:  # noqa: BLE001 (no trace is worth a response)
            status, reason = 0, f"{type(error).__name__}: {error}"
        if status == HTTPStatus.OK:
            return
        if status != HTTPStatus.BAD_REQUEST:  # one trace that it cannot read says nothing of others
            with self._lock:
                self._paused_until = time.monotonic() + _PAUSE_S
        log.warning("a trace was not sent", extra={"status": status, "reason": reason[:500]})

    def _post(self, body: bytes) -> tuple[int, str]:
        """Returns the status and the beginning of a collector's response."""
        answer = self._pool.request(
            "POST", self._url, body=body, headers=self.headers(body), redirect=False, retries=False
        )
        return answer.status, answer.data[:200].decode(errors="replace")

    @cached_property
    def _pool(self) -> urllib3.PoolManager:
        return urllib3.PoolManager(timeout=urllib3.Timeout(total=_TIMEOUT_S))

    @cached_property
    def _identity(self) -> Identity:
        return Identity.find()

    def headers(self, body: bytes) -> Mapping[str, str]:
        """Returns the headers of a body, with a signature (SigV4) where the collector is X-Ray."""
        headers = {"Content-Type": "application/json"}
        found = _XRAY.fullmatch(urlsplit(self._url).hostname or "")
        if found is None:
            return headers
        return signed("POST", self._url, headers, body, self._identity, "xray", found["region"])


def document(trace: Trace, service: str) -> dict[str, Any]:
    """Returns a trace as an `ExportTraceServiceRequest` in OTLP's JSON."""
    resource = {"service.name": service, **_place()}
    spans = [_span(trace, span) for span in trace.spans]
    if trace.dropped:
        spans[-1]["attributes"] += _attributes({"livemosaic.dropped_spans": trace.dropped})
    scope = {"scope": {"name": "livemosaic"}, "spans": spans}
    made = {"resource": {"attributes": _attributes(resource)}, "scopeSpans": [scope]}
    return {"resourceSpans": [made]}


def _span(trace: Trace, span: Span) -> dict[str, Any]:
    made: dict[str, Any] = {
        "traceId": trace.id,
        "spanId": span.id,
        "name": span.name,
        "kind": _KINDS[span.kind],
        "startTimeUnixNano": str(span.start_ns),
        "endTimeUnixNano": str(span.end_ns),
        "attributes": _attributes(span.attributes),
    }
    if span.parent:
        made["parentSpanId"] = span.parent
    if span.error:
        made["status"] = {"code": _FAILED, "message": span.error}
    return made


def _attributes(values: Mapping[str, Attribute]) -> list[dict[str, Any]]:
    return [{"key": key, "value": _value(value)} for key, value in values.items()]


def _value(value: Attribute) -> dict[str, Any]:
    match value:
        case bool():
            return {"boolValue": value}
        case int():
            return {"intValue": str(value)}
        case float():
            return {"doubleValue": value}
    return {"stringValue": value}


def _place() -> dict[str, Attribute]:
    """Returns attributes of the function (semantic conventions, "FaaS resource attributes")."""
    names = {"faas.name": "AWS_LAMBDA_FUNCTION_NAME", "cloud.region": "AWS_REGION"}
    return {key: os.environ[name] for key, name in names.items() if os.environ.get(name)}


def _invocation() -> dict[str, str]:
    """Returns the parts of Lambda's trace header; none outside Lambda."""
    pairs = (part.partition("=") for part in os.environ.get(_LAMBDA_TRACE, "").split(";"))
    return {name: value for name, _, value in pairs}


def _id_of(root: str) -> str:
    """Returns X-Ray's id of a trace in W3C's form, or a new one."""
    found = _ROOT.fullmatch(root)
    return found[1] + found[2] if found else secrets.token_hex(16)
