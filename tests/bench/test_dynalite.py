"""What the race reads from is what ingestion wrote."""

from bench.dynalite import copied, dynalite
from bench.places import NOBODY, REGION, aws_environment
from livemosaic.table import Key, Put
from livemosaic.table.dynamodb import DynamoTable, make_client

ROWS = {
    Key("a", f"{n:03}"): {"n": n, "raw": bytes([n, 255]), "of": {"list": [1.5, None, "ü"]}}
    for n in range(40)
}


def test_a_copy_has_the_rows_of_its_source_in_their_order(sqlite_table):
    sqlite_table.transact([Put(key, item) for key, item in ROWS.items()])
    with dynalite() as url:
        with aws_environment(NOBODY):
            client = make_client(REGION, url)
        copied(sqlite_table, client, "copy")
        table = DynamoTable(client, "copy")
        first = table.query("a", limit=15)
        rest = table.query("a", after=first.next)
        table.close()
    assert [(row.key, row.item) for row in (*first.rows, *rest.rows)] == list(ROWS.items())
