"""The PMTiles archive of a mosaic, where one was published (docs/pmtiles.md)."""

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, Any, Final, Literal, Self

from fastapi import APIRouter, Depends, Header, Query, Request
from fastapi.responses import RedirectResponse, Response, StreamingResponse

from livemosaic.api.dependencies import CachedMosaic, IfNoneMatchHeader, ServicesDep
from livemosaic.api.middleware import is_head
from livemosaic.api.responses.etag import IfNoneMatch
from livemosaic.api.responses.picture import cache_control
from livemosaic.api.responses.ranges import span_of
from livemosaic.api.schemas import ExportList
from livemosaic.errors import NotFoundError, UnreadableAssetError
from livemosaic.export.tiles.store import MEDIA_TYPE, ArchiveStore, signed
from livemosaic.model.mosaic import Mosaic
from livemosaic.render.named_renders import parameters_of
from livemosaic.services import Services
from livemosaic.storage.objects import AbsentError, ObjectError

router = APIRouter(tags=["tiles"])

_SIGNED: Final = timedelta(hours=1)
_CHUNK: Final = 256 * 1024


@dataclass(frozen=True, slots=True)
class _Opened:
    """An archive that is open, so that it stays the same when another one replaces it."""

    file: IO[bytes]
    size: int
    etag: str

    @classmethod
    def of(cls, path: str) -> Self:
        """Raises `FileNotFoundError`."""
        file = Path(path).open("rb")  # noqa: SIM115 - closed when it was sent
        stat = os.fstat(file.fileno())
        return cls(file, stat.st_size, f'"{stat.st_ino:x}-{stat.st_mtime_ns:x}-{stat.st_size:x}"')

    def bytes(self, start: int, stop: int) -> Iterator[bytes]:
        with self.file:
            self.file.seek(start)
            while start < stop and (chunk := self.file.read(min(_CHUNK, stop - start))):
                start += len(chunk)
                yield chunk


_RESPONSES: Final[dict[int | str, dict[str, Any]]] = {
    200: {"content": {MEDIA_TYPE: {}}, "description": "The archive"},
    206: {"content": {MEDIA_TYPE: {}}, "description": "Bytes of the archive"},
    302: {"description": "The archive is on S3, at a URL that is valid for an hour"},
    304: {"description": "The archive still has an ETag of `If-None-Match`"},
    416: {"description": "The archive ends before the `Range`"},
}


@dataclass(frozen=True, slots=True)
class _Asked:
    """What a request asks of an archive."""

    request: Request
    mosaic: Mosaic
    services: Services
    range: str | None
    if_range: str | None
    if_none_match: Sequence[str]

    def answer(self, place: str, option: str) -> Response:
        """Returns the archive at a place; none if it is empty. `option` of the command makes it."""
        absent = NotFoundError(
            f"mosaic {self.mosaic.id!r} has no archive: "
            f"`livemosaic export {self.mosaic.id}{option}` makes one"
        )
        if not place:
            raise absent
        try:
            if place.startswith("s3://"):
                return self._redirect(place)
            return self._sent(_Opened.of(place))
        except (FileNotFoundError, AbsentError):
            raise absent from None
        except OSError as error:
            what = f"the archive of mosaic {self.mosaic.id!r} cannot be read ({error.strerror})"
            raise UnreadableAssetError(what) from error

    def _redirect(self, place: str) -> Response:
        method: Literal["HEAD", "GET"] = "HEAD" if is_head(self.request.scope) else "GET"
        try:
            url = signed(place, method, _SIGNED)
        except AbsentError:
            raise
        except ObjectError as error:
            raise UnreadableAssetError(
                f"the archive of mosaic {self.mosaic.id!r} {error}"
            ) from error
        return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})

    def _sent(self, opened: _Opened) -> Response:
        headers = {
            "ETag": opened.etag,
            "Accept-Ranges": "bytes",
            "Cache-Control": cache_control(self.mosaic, self.services.settings, brief=False),
        }
        if IfNoneMatch.of(",".join(self.if_none_match)).matches(opened.etag):
            opened.file.close()
            return Response(status_code=304, headers=headers)
        is_same = self.if_range is None or self.if_range == opened.etag
        return _sent(opened, self.range if is_same else None, headers)


async def _asked(
    mosaic: CachedMosaic,
    services: ServicesDep,
    request: Request,
    range_: Annotated[str | None, Header(alias="Range", include_in_schema=False)] = None,
    if_range: Annotated[str | None, Header(include_in_schema=False)] = None,
    if_none_match: IfNoneMatchHeader = None,
) -> _Asked:
    return _Asked(request, mosaic, services, range_, if_range, if_none_match or ())


_AskedDep = Annotated[_Asked, Depends(_asked)]


@router.get(
    "/mosaics/{mosaic}/mosaic.pmtiles",
    response_model=None,
    response_class=Response,
    responses=_RESPONSES,
)
def archive(
    asked: _AskedDep,
    render: Annotated[
        str,
        Query(max_length=100, description="Named render; that of the mosaic if not given"),
    ] = "",
) -> Response:
    """Returns tiles of the mosaic as PMTiles, which `livemosaic export` has published, or bytes of
    them by `Range`.

    404 where none were. Its ETag changes with each export.
    """
    if render:
        parameters_of(asked.mosaic, render)
    store = asked.services.settings.archives
    place = ArchiveStore(store).place_of(asked.mosaic, render) if store else ""
    return asked.answer(place, f" --render {render}" if render else "")


@router.get(
    "/mosaics/{mosaic}/vector.pmtiles",
    response_model=None,
    response_class=Response,
    responses=_RESPONSES,
)
def vector_archive(asked: _AskedDep) -> Response:
    """Returns vector tiles of the mosaic as PMTiles, which `livemosaic export --vector` has
    published, or bytes of them by `Range`.

    404 where none were. Its ETag changes with each export.
    """
    store = asked.services.settings.archives
    place = ArchiveStore(store).of_vectors.place_of(asked.mosaic, "") if store else ""
    return asked.answer(place, " --vector")


@router.get("/mosaics/{mosaic}/exports")
def exports(mosaic: CachedMosaic, services: ServicesDep) -> ExportList:
    """Lists the archives of the mosaic that are made on a schedule: made when, due when, and the
    error of the last attempt."""
    from livemosaic.export.schedule.status import stated

    return ExportList.of(stated(services.settings.archives, mosaic))


def _sent(opened: _Opened, asked: str | None, headers: dict[str, str]) -> Response:
    """Returns the range that is asked for, or everything where several are, or none."""
    span = span_of(asked or "", opened.size)
    start, stop = span or (0, opened.size)
    if start >= stop:
        opened.file.close()
        return Response(
            status_code=416, headers={**headers, "Content-Range": f"bytes */{opened.size}"}
        )
    headers |= {"Content-Length": str(stop - start)}
    if span:
        headers |= {"Content-Range": f"bytes {start}-{stop - 1}/{opened.size}"}
    body, status = opened.bytes(start, stop), 206 if span else 200
    return StreamingResponse(body, status, headers=headers, media_type=MEDIA_TYPE)
