"""Mosaics behind an API: a target of commands, and what the Python face works on."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Final, Protocol
from urllib.parse import parse_qs, urlsplit

from pydantic import ValidationError

from livemosaic.api.schemas import ExportList, MosaicOut, NewMosaic, TokenOut
from livemosaic.auth.signing import Authorize, Bearer
from livemosaic.client.http import Answer, ApiError
from livemosaic.client.target import EntryOutcome, Older, group_adjacent, map_in_order
from livemosaic.client.values.parameters import encoded, joined
from livemosaic.errors import InvalidItemError, LivemosaicError, NotFoundError
from livemosaic.index.change import Newer
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.commands import relayed
from livemosaic.ingest.sources import Entry
from livemosaic.model.mosaic import MOSAIC_ID, Mosaic

_REQUEST_BYTES: Final = 4_000_000
"""Lambda accepts 6 MB, in which API Gateway escapes every quote of the body once more."""
_REQUEST_ITEMS: Final = 50
"""Few enough for the 30 s that API Gateway waits."""
_AT_ONCE: Final = 4
_FORCE: Final = "?force=true"
_OF_SOURCES: Final = (
    *("access", "bounds", "levels", "known_assets", "shown_assets", "properties", "sortby"),
    *("collections", "minzoom", "deepest_zoom", "missing_sources"),
)
"""What a derived mosaic has of its sources, whatever its settings are."""
_UNKNOWN_RELAY: Final = "op 'relay' is "
"""How the reason begins for which a release before docs/order.md rejects what is sent."""
_IN_VAIN: Final = "not sent, as an earlier Item of its request failed"


@dataclass(frozen=True, slots=True)
class _Request:
    """An entry with its JSON body."""

    entry: Entry
    body: bytes
    """JSON."""
    reason: str = ""
    """Why the entry is not sent; empty where it is."""


class Api(Protocol):
    """An API that answers requests: over HTTP, or in this process."""

    url: str
    reader: Authorize | None

    def ask(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        reader: Authorize | None = None,
        reads: bool = False,
    ) -> Answer:
        """See `ApiClient.ask`."""
        ...

    def attempts(self) -> Iterator[None]:
        """See `ApiClient.attempts`."""
        ...

    def refusal(self, answer: Answer) -> LivemosaicError:
        """See `ApiClient.refusal`."""
        ...

    def unknown_api(self, answer: Answer) -> ApiError:
        """See `ApiClient.unknown_api`."""
        ...

    def close(self) -> None:
        """Closes connections and ends threads."""
        ...


@dataclass(frozen=True, slots=True)
class Remote:
    """Mosaics behind an API."""

    client: Api

    def create(self, new: NewMosaic) -> MosaicOut:
        """See `Target`."""
        wanted = MosaicOut.of(Mosaic(id=new.id, **new.mosaic_fields()))
        left = {"overviews"} if new.is_overviews_open else set[str]()
        body = new.model_dump_json(exclude=left).encode()
        answer = self.client.ask("POST", "/mosaics", body)
        if answer.status == 201:
            return self._mosaic(answer, answer.document)
        if answer.status == 409 and answer.repeated:
            found = self.get(new.id)
            chosen = {"revision", "format", *left, *(_OF_SOURCES if new.sources else ())}
            stored = {name: getattr(found, name) for name in chosen}
            if found == wanted.model_copy(update=stored):
                return found  # it was created, and that response was lost
        raise self.client.refusal(answer)

    def all(self, *, private: bool = False) -> list[MosaicOut]:
        """See `Target`."""
        reader = self.reader() if private else self.client.reader
        answer = self.client.ask("GET", "/mosaics", reader=reader)
        listed = (answer.document or {}).get("mosaics")
        if answer.status != 200:
            raise self.client.refusal(answer)
        if not isinstance(listed, list):
            raise self.client.unknown_api(answer)
        return [self._mosaic(answer, document) for document in listed]

    def get(self, mosaic: str) -> MosaicOut:
        """See `Target`. A private mosaic is returned to a caller that may write."""
        path = mosaic_path(mosaic)
        answer = self.client.ask("GET", path, reader=self.client.reader)
        if answer.status == 404 and answer.text("detail") not in (None, "Not Found"):
            try:
                answer = self.client.ask("GET", path, reader=self.reader())
            except LivemosaicError as error:
                raise self.client.refusal(answer) from error
        if answer.status != 200:
            raise self.client.refusal(answer)
        return self._mosaic(answer, answer.document)

    def change(self, mosaic: str, settings: Mapping[str, Any]) -> MosaicOut:
        """See `Target`."""
        answer = self.client.ask("PATCH", mosaic_path(mosaic), json.dumps(settings).encode())
        if answer.status != 200:
            raise self.client.refusal(answer)
        return self._mosaic(answer, answer.document)

    def exports(self, mosaic: str) -> ExportList:
        """See `Target`. Of a private mosaic it needs write access."""
        private = self.get(mosaic).access == "private"
        path = f"{mosaic_path(mosaic)}/exports"
        answer = self.read(path, self.reader() if private else self.client.reader)
        try:
            return ExportList.model_validate(answer.document)
        except ValidationError as error:
            raise self.client.unknown_api(answer) from error

    def token(self, mosaic: str, seconds: int) -> TokenOut:
        """See `Target`."""
        return self._minted(f"{mosaic_path(mosaic)}/tokens", {"expires_in": seconds})

    def read(self, path: str, reader: Authorize | None) -> Answer:
        """Returns what a GET of a path answers; raises `ApiError` for any status but 200."""
        answer = self.client.ask("GET", path, reader=reader)
        if answer.status != 200:
            raise self.client.refusal(answer)
        return answer

    def pages(self, path: str, query: str, reader: Authorize | None) -> Iterator[Mapping[str, Any]]:
        """Yields the pages of a list of Items, along its `next` links; raises as `read`."""
        token = ""
        while True:
            answer = self.read(path + joined(query, encoded({"token": token or None})), reader)
            if answer.document is None:
                raise self.client.unknown_api(answer)
            yield answer.document
            token = _next_token(answer.document)
            if not token:
                return

    def reader(self) -> Bearer:
        """Returns a token for reading every mosaic."""
        return Bearer(self._minted("/tokens", {}).access_token)

    def _minted(self, path: str, wanted: Mapping[str, int]) -> TokenOut:
        answer = self.client.ask("POST", path, json.dumps(wanted).encode())
        if answer.status != 201:
            raise self.client.refusal(answer)
        try:
            return TokenOut.model_validate(answer.document)
        except ValidationError as error:
            raise self.client.unknown_api(answer) from error

    def drop(self, mosaic: str, *, wait: bool = True, force: bool = False) -> Iterator[int]:
        """See `Target`. Each request deletes for some seconds, until the API answers 204."""
        begun, total = False, 0
        path = mosaic_path(mosaic) + (_FORCE if force else "")
        while (answer := self.client.ask("DELETE", path)).status == 202:
            begun = True
            document = answer.document or {}
            mine = int(document.get("deleted", 0))
            now = total + mine if "total" not in document else int(document["total"])
            yield max(now - total, 0)
            total = max(now, total)
            if document.get("background") and not wait:
                return
        gone = answer.status == 404 and answer.text("detail") is not None
        if answer.status != 204 and not (gone and (begun or answer.repeated)):
            raise self.client.refusal(answer)

    def ingest(
        self, entries: Iterable[Entry], mosaic: str | None, *, force: bool = False
    ) -> Iterator[EntryOutcome]:
        """See `Target`. Requests are sent in parallel, with `force` one after the other.

        Failed entries are sent again.
        """
        path = "/items"
        if mosaic:
            self.get(mosaic)
            path = f"{mosaic_path(mosaic)}/items"
        if force:
            path += _FORCE
        groups = group_adjacent(map(_request_of, entries), _fits)
        for outcomes in map_in_order(groups, partial(self._send, path), 1 if force else _AT_ONCE):
            yield from outcomes

    def _send(self, path: str, requests: Sequence[_Request]) -> list[EntryOutcome]:
        done = {n: EntryOutcome(x.entry, "rejected", (), x.reason) for n, x in enumerate(requests)}
        pending = [n for n, request in enumerate(requests) if not request.reason]
        for _ in self.client.attempts():
            if not pending:
                break
            done |= dict(
                zip(pending, self._post(path, [requests[n] for n in pending]), strict=True)
            )
            pending = [n for n in pending if done[n].status == "failed"]
        return [done[n] for n in range(len(requests))]

    def _post(self, path: str, requests: Sequence[_Request]) -> list[EntryOutcome]:
        features = b",".join(request.body for request in requests)
        body = b'{"type":"FeatureCollection","features":[' + features + b"]}"
        answer = self.client.ask("POST", path, body)
        if answer.status == 413:
            return self._in_halves(path, requests, answer)
        outcomes = (answer.document or {}).get("outcomes")
        if not isinstance(outcomes, list) or len(outcomes) != len(requests):
            known = answer.status >= 400
            raise self.client.refusal(answer) if known else self.client.unknown_api(answer)
        try:
            found = [_outcome(request, o) for request, o in zip(requests, outcomes, strict=True)]
        except (AttributeError, KeyError, TypeError) as error:
            raise self.client.unknown_api(answer) from error
        self._check_age(path, answer, found)
        return found

    def _in_halves(
        self, path: str, requests: Sequence[_Request], answer: Answer
    ) -> list[EntryOutcome]:
        """Sends in two requests what is too large for one: a proxy may take less than Lambda.

        Of one Item that is too large the outcome is returned. With `force`, what follows an Item
        that failed waits for it.
        """
        if len(requests) == 1:
            reason = f"has {len(requests[0].body):,} bytes: {self.client.refusal(answer)}"
            return [EntryOutcome(requests[0].entry, "rejected", (), reason)]
        half = len(requests) // 2
        first, rest = self._post(path, requests[:half]), requests[half:]
        if path.endswith(_FORCE) and any(one.status == "failed" for one in first):
            return first + [EntryOutcome(r.entry, "failed", (), _IN_VAIN) for r in rest]
        return first + self._post(path, rest)

    def _check_age(self, path: str, answer: Answer, found: Sequence[EntryOutcome]) -> None:
        """Raises `ApiError` where the API is of a release that does not know what was sent."""
        if path.endswith(_FORCE) and not (answer.document or {}).get("force"):
            raise ApiError(f"the API at {self.client.url} is older, and does not know --force")
        if any(outcome.reason.startswith(_UNKNOWN_RELAY) for outcome in found):
            raise ApiError(
                f"the API at {self.client.url} is older, and does not know the order of changes: "
                "upgrade it, or use the command of its release"
            )

    def _mosaic(self, answer: Answer, document: Any) -> MosaicOut:
        known = document if isinstance(document, Mapping) else {}
        try:  # members that a later version of the API adds are ignored
            return MosaicOut(**{k: v for k, v in known.items() if k in MosaicOut.model_fields})
        except ValidationError as error:
            raise self.client.unknown_api(answer) from error


def _outcome(request: _Request, outcome: Mapping[str, Any]) -> EntryOutcome:
    newer = [
        Older(one["mosaic"], one["id"], Newer(one["kind"], one["time"]))
        for one in outcome.get("newer", ())
    ]
    return EntryOutcome(
        request.entry,
        str(outcome.get("status")),
        outcome.get("changes", ()),
        str(outcome.get("detail", "")),
        outcome.get("warnings", ()),
        newer,
    )


def _next_token(page: Mapping[str, Any]) -> str:
    """Returns the token of the page that follows; empty after the last."""
    following = (link["href"] for link in page.get("links", ()) if link.get("rel") == "next")
    query = urlsplit(str(next(following, ""))).query
    return parse_qs(query).get("token", [""])[0]


def mosaic_path(mosaic: str) -> str:
    """Returns the path of a mosaic; raises `NotFoundError` for what can be the id of none."""
    if not MOSAIC_ID.fullmatch(mosaic):
        raise NotFoundError(f"there is no mosaic {mosaic[:80]!r}")
    return f"/mosaics/{mosaic}"


def _request_of(entry: Entry) -> _Request:
    if entry.problem:
        return _Request(entry, b"", entry.problem)
    message = entry.message
    try:
        list(read_changes(message))  # a message that is rejected anyway needs no request
        document = message.body if isinstance(message.body, Mapping) else json.loads(message.body)
        body = json.dumps(relayed(message, document), separators=(",", ":")).encode()
    except InvalidItemError as error:
        return _Request(entry, b"", str(error))
    except RecursionError:
        return _Request(entry, b"", "is nested too deeply to be sent")
    except (TypeError, ValueError) as error:
        return _Request(entry, b"", f"cannot be JSON: {error}")
    if len(body) > _REQUEST_BYTES:
        reason = f"has {len(body):,} bytes; at most {_REQUEST_BYTES:,} can be sent to an API"
        return _Request(entry, b"", reason)
    return _Request(entry, body)


def _fits(group: list[_Request], request: _Request) -> bool:
    size = sum(len(other.body) for other in group) + len(request.body)
    return len(group) < _REQUEST_ITEMS and size <= _REQUEST_BYTES
