"""The PMTiles archive of a mosaic, where one was published (docs/pmtiles.md)."""

import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from typing import IO, Annotated, Final, Self

from fastapi import APIRouter, Header, Query, Request
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


@router.get(
    "/mosaics/{mosaic}/mosaic.pmtiles",
    response_model=None,
    response_class=Response,
    responses={
        200: {"content": {MEDIA_TYPE: {}}, "description": "The archive"},
        206: {"content": {MEDIA_TYPE: {}}, "description": "Bytes of the archive"},
        302: {"description": "The archive is on S3, at a URL that is valid for an hour"},
        304: {"description": "The archive still has an ETag of `If-None-Match`"},
        416: {"description": "The archive ends before the `Range`"},
    },
)
def archive(
    mosaic: CachedMosaic,
    services: ServicesDep,
    request: Request,
    render: Annotated[
        str,
        Query(max_length=100, description="Named render; that of the mosaic if not given"),
    ] = "",
    range_: Annotated[str | None, Header(alias="Range", include_in_schema=False)] = None,
    if_range: Annotated[str | None, Header(include_in_schema=False)] = None,
    if_none_match: IfNoneMatchHeader = None,
) -> Response:
    """Returns tiles of the mosaic as PMTiles, which `livemosaic export` has published, or bytes of
    them by `Range`.

    404 where none were. Its ETag changes with each export.
    """
    place = _place(services.settings.archives, mosaic, render)
    if place.startswith("s3://"):
        return _redirect(place, request, mosaic, render)
    try:
        opened = _Opened.of(place)
    except FileNotFoundError:
        raise _absent(mosaic, render) from None
    except OSError as error:
        what = f"the archive of mosaic {mosaic.id!r} cannot be read ({error.strerror})"
        raise UnreadableAssetError(what) from error
    headers = {
        "ETag": opened.etag,
        "Accept-Ranges": "bytes",
        "Cache-Control": cache_control(mosaic, services.settings, brief=False),
    }
    if IfNoneMatch.of(",".join(if_none_match or ())).matches(opened.etag):
        opened.file.close()
        return Response(status_code=304, headers=headers)
    is_same = if_range is None or if_range == opened.etag
    return _sent(opened, range_ if is_same else None, headers)


@router.get("/mosaics/{mosaic}/exports")
def exports(mosaic: CachedMosaic, services: ServicesDep) -> ExportList:
    """Lists the archives of the mosaic that are made on a schedule: made when, due when, and the
    error of the last attempt."""
    from livemosaic.export.schedule.status import stated

    return ExportList.of(stated(services.settings.archives, mosaic))


def _place(store: str, mosaic: Mosaic, render: str) -> str:
    if render:
        parameters_of(mosaic, render)
    if not store:
        raise _absent(mosaic, render)
    return ArchiveStore(store).place_of(mosaic, render)


def _redirect(place: str, request: Request, mosaic: Mosaic, render: str) -> Response:
    try:
        url = signed(place, "HEAD" if is_head(request.scope) else "GET", _SIGNED)
    except AbsentError:
        raise _absent(mosaic, render) from None
    except ObjectError as error:
        raise UnreadableAssetError(f"the archive of mosaic {mosaic.id!r} {error}") from error
    return RedirectResponse(url, 302, headers={"Cache-Control": "no-store"})


def _absent(mosaic: Mosaic, render: str) -> NotFoundError:
    option = f" --render {render}" if render else ""
    return NotFoundError(
        f"mosaic {mosaic.id!r} has no archive: `livemosaic export {mosaic.id}{option}` makes one"
    )


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
