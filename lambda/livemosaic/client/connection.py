"""`livemosaic.open`: the mosaics of an index, or behind an API, from Python."""

from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import Any, Self

from pydantic import ValidationError

from livemosaic.api.schemas import MosaicOut, NewMosaic
from livemosaic.auth.signing import AwsSignature, Bearer
from livemosaic.client.http import ApiClient
from livemosaic.client.mosaic import Items, OpenMosaic
from livemosaic.client.remote import Api, Remote
from livemosaic.client.target import EntryOutcome
from livemosaic.client.values.items import entries_of, raise_for
from livemosaic.errors import InvalidRequestError
from livemosaic.services import allow_list
from livemosaic.settings import Settings
from livemosaic.storage.allowlist import AllowList


def open_mosaics(
    url: str | None = None,
    *,
    token: str | None = None,
    allow: Sequence[str] | None = None,
    settings: Settings | None = None,
) -> "Connection":
    """Opens the mosaics of an index, `sqlite:///FILE` or `dynamodb://REGION/TABLE`, or of an API,
    `https://HOST[/PREFIX]`; by default the index of LIVEMOSAIC_INDEX.

    `token` is the bearer token of an API, for writing or for private mosaics (LIVEMOSAIC_TOKEN);
    without one, writes are signed with AWS credentials. `allow` are the prefixes of assets that
    may be read here, `/data/scenes` for files, in place of the settings'; an API has an allow-list
    of its own beside it. Use it with `with`, or close it.
    """
    given = settings or Settings()
    if allow is not None:
        given = given.model_copy(update={"allowed_prefixes": tuple(allow)})
    if url is not None and url.startswith(("https://", "http://")):
        secret = given.token.get_secret_value() if given.token else ""
        return Connection(_remote(url, token or secret), allow_list(given))
    from livemosaic.client.embedded import Embedded

    given = given if url is None else given.model_copy(update={"index": url})
    return Connection(Embedded(given), allow_list(given))


def _remote(url: str, token: str) -> ApiClient:
    if not token:
        return ApiClient(url, AwsSignature())
    bearer = Bearer(token)
    return ApiClient(url, bearer, reader=bearer)


class Connection:
    """Mosaics of an index or an API. Iterate over it for their ids, or name one: `mosaics["alps"]`.

    Safe to share by threads, and to use where an event loop runs, as in Jupyter.
    """

    def __init__(self, client: Api, allow: AllowList) -> None:
        self._target = Remote(client)
        self._allow = allow

    @property
    def url(self) -> str:
        """Where the mosaics are."""
        return self._target.client.url

    def __repr__(self) -> str:
        return f"Connection({self.url!r})"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Closes connections and ends threads."""
        self._target.client.close()

    def list(self) -> list[MosaicOut]:
        """Returns the settings of every mosaic that may be seen, by id."""
        return self._target.all()

    def __iter__(self) -> Iterator[str]:
        return (mosaic.id for mosaic in self.list())

    def __getitem__(self, mosaic: str) -> OpenMosaic:
        """Returns a mosaic; whether it exists is known when it is first used."""
        return OpenMosaic(self._target, mosaic, self._allow)

    def create(self, mosaic: str, **settings: Any) -> OpenMosaic:
        """Creates a mosaic; its settings have their names in `POST /mosaics`.

        Raises `AlreadyExistsError` if there is one of that id, `InvalidRequestError` for a setting
        that is wrong.
        """
        try:
            new = NewMosaic(id=mosaic, **settings)
        except ValidationError as error:
            raise InvalidRequestError(_problems(error)) from error
        self._target.create(new)
        return self[mosaic]

    def delete(self, mosaic: str, *, force: bool = False) -> int:
        """Deletes a mosaic and its scenes; raises `NotFoundError` if there is none. Returns how
        many scenes were deleted in requests before the last.

        One that derived mosaics show needs `force`: they go on without it."""
        return sum(self._target.drop(mosaic, force=force))

    def add(self, items: Items, *, force: bool = False) -> Sequence[EntryOutcome]:
        """Puts STAC Items into every mosaic that subscribes to them: see `OpenMosaic.add`."""
        return raise_for([*self._target.ingest(entries_of(items, self._allow), None, force=force)])


def _problems(error: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(map(str, each['loc']))}: {each['msg']} (it is {str(each['input'])[:80]!r})"
        for each in error.errors()
    )
