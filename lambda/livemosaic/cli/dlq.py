"""`livemosaic dlq`: events that could not be ingested, shown and sent back."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any, TypeAlias

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from livemosaic.cli.session import clear_errors, console, progress
from livemosaic.cli.terminal.results import AsJson, print_json
from livemosaic.errors import InvalidItemError
from livemosaic.ingest.events import read_changes
from livemosaic.ingest.events.changes import (
    Deletion,
    ItemChange,
    OffloadedMessage,
    Reference,
    TrackedChange,
    Truncation,
    Upsert,
)

if TYPE_CHECKING:
    from livemosaic.ingest.redrive import ReceivedDeadLetter

_SHOWN = 3
"""Items named for one letter, at most."""

app = typer.Typer(no_args_is_help=True, help="Events that failed for good: list, redrive.")

Queue: TypeAlias = Annotated[
    str,
    typer.Option(
        envvar="LIVEMOSAIC_DEAD_LETTERS",
        metavar="URL",
        help="The dead-letter queue; the output DeadLetterQueueUrl of a deployment.",
    ),
]


@app.command("list")
def list_(
    queue: Queue,
    limit: Annotated[int, typer.Option(min=1, help="How many to show, at most.")] = 100,
    as_json: AsJson = False,
) -> None:
    """List the events that failed for good, with the reason. They stay in the queue.

    Example: `livemosaic --profile prod dlq list --queue https://sqs.REGION.amazonaws.com/…`
    """
    from livemosaic.ingest.redrive import open_queue

    with clear_errors():
        letters = open_queue(queue)
        count = letters.count()
        with closing(letters.letters()) as found:
            shown = sorted(islice(found, limit), key=lambda letter: letter.message.time)
    if as_json:
        print_json([_as_json(letter) for letter in shown])
        return
    table = Table("id", "age", "received", "about", "reason")
    for letter in shown:
        cells = (letter.id, _age(letter), str(letter.received), about(letter), _reason(letter))
        table.add_row(*map(Text, cells))  # text from producers is not markup
    if shown:
        Console().print(table)
    more = count - len(shown)
    rest = f", {more} more with --limit" if len(shown) == limit and more > 0 else ""
    console.print(f"{_number(len(shown))}{rest}")


@app.command()
def redrive(
    queue: Queue,
    to: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Queue to send them to; by default their source queue."),
    ] = None,
    reason: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only letters whose reason contains this text."),
    ] = None,
    id_: Annotated[
        list[str] | None, typer.Option("--id", help="Only this letter; may be repeated.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="List the letters without sending them.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Send the events that failed for good back to be ingested, once the cause is fixed.

    Events that fail again come back, and are left for the next run.

    Examples:

    `livemosaic dlq redrive --reason "outside the allowed prefixes" --dry-run`

    `livemosaic dlq redrive --id 059f36b4-87a3-44ab-83d2-661975830a7d`
    """
    from livemosaic.ingest.redrive import open_queue

    wanted = _chosen(reason, set(id_ or ()))
    done, listed = 0, []
    with clear_errors(), progress() as bar:
        letters = open_queue(queue)
        task = bar.add_task("", total=letters.count())
        found = letters.letters() if dry_run else letters.redrive(to or letters.source(), wanted)
        with closing(found):
            for done, letter in enumerate(filter(wanted, found), 1):
                bar.update(task, completed=done, description=escape(about(letter)))
                if as_json:
                    listed.append(_as_json(letter))
                elif dry_run:
                    typer.echo(f"{letter.id} {about(letter)}: {_reason(letter)}")
    if as_json:
        print_json(listed)
    console.print(f"{_number(done)} {'would be ' if dry_run else ''}sent back")


def _chosen(reason: str | None, ids: set[str]) -> Callable[[ReceivedDeadLetter], bool]:
    def wanted(letter: ReceivedDeadLetter) -> bool:
        return (reason is None or reason in _reason(letter)) and (not ids or letter.id in ids)

    return wanted


def about(letter: ReceivedDeadLetter) -> str:
    """Names the Items that a letter is about."""
    subjects = []
    try:
        for change in read_changes(letter.message):
            subjects.append(_subject(change))  # noqa: PERF401 (the ones before an error count)
    except InvalidItemError:
        subjects.append("unreadable parts")
    more = f" and {len(subjects) - _SHOWN} more" if len(subjects) > _SHOWN else ""
    return (", ".join(subjects[:_SHOWN]) or "nothing") + more


def _subject(change: ItemChange | OffloadedMessage) -> str:
    match change:
        case Upsert(collection=collection, id=name):
            return f"{collection}/{name}"
        case Deletion(collection=collection, id=name):
            return f"deletion of {collection}/{name}"
        case Truncation(collection=collection):
            return f"truncation of {collection}"
        case Reference(href=href) | OffloadedMessage(href=href):
            return href
        case TrackedChange(object_name=name, href=href):
            return name if href else f"removal of {name}"


def _reason(letter: ReceivedDeadLetter) -> str:
    return letter.reason or "kept failing: the log of ingestion says why"


def _age(letter: ReceivedDeadLetter) -> str:
    minutes = int((datetime.now(UTC) - letter.message.time).total_seconds() / 60)
    days, hours = minutes // 1440, minutes // 60
    return f"{days} d" if days else f"{hours} h" if hours else f"{max(minutes, 0)} min"


def _number(letters: int) -> str:
    return f"{letters} dead letter{'' if letters == 1 else 's'}"


def _as_json(letter: ReceivedDeadLetter) -> dict[str, Any]:
    return {
        "id": letter.id,
        "sent": letter.message.time.isoformat(),
        "received": letter.received,
        "about": about(letter),
        "reason": letter.reason,
        "body": letter.body,
    }
