"""Opens the table at a URL; only the adapter that it needs is imported."""

from livemosaic.errors import InvalidRequestError
from livemosaic.index_url import DYNAMODB, SQLITE
from livemosaic.table import Table


def open_table(url: str, *, create: bool = False) -> Table:
    """The table at `sqlite:///file.db`, `sqlite:////absolute/file.db` or `dynamodb://REGION/NAME`.

    An SQLite file is always created where it is missing, a DynamoDB table only with `create`. The
    endpoint of an emulator comes from AWS_ENDPOINT_URL_DYNAMODB, which AWS tools read themselves.
    """
    if match := SQLITE.fullmatch(url):
        from livemosaic.table.sqlite import SqliteTable

        return SqliteTable(match["path"])
    if match := DYNAMODB.fullmatch(url):
        return _open_dynamodb(match["region"], match["name"], create=create)
    raise InvalidRequestError(
        f"no table at {url!r}: use sqlite:///FILE (a fourth slash begins an absolute path) or "
        f"dynamodb://REGION/TABLE"
    )


def _open_dynamodb(region: str, name: str, *, create: bool) -> Table:
    from livemosaic.table.dynamodb import DynamoTable, create_table, make_client

    client = make_client(region)
    try:
        if create:
            create_table(client, name)
    except BaseException:
        client.close()
        raise
    return DynamoTable(client, name)
