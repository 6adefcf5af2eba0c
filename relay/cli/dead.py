"""`relay dead`: messages that could not be read, and the way back to their queues."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import warn
from relay.cli.options import AsJson, Config, Token, Url
from relay.cli.settings import complete_source

if TYPE_CHECKING:
    from relay.cli.client import Client


def dead(
    letter_ids: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="ID", help="With --requeue: only these letters; the end of an id is enough.", show_default=False
        ),
    ] = None,
    requeue: Annotated[
        bool, typer.Option("--requeue", help="Send them back to the queues from which they came; without ids all.")
    ] = False,
    source: Annotated[str | None, typer.Option(help="Only of this source.", autocompletion=complete_source)] = None,
    limit: Annotated[int, typer.Option(min=1, help="The most letters to list.")] = 50,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """List dead letters, the messages that went to relay.dead; with --requeue send them back.

    Exit code 1 when one could not be sent back.
    """
    from relay.cli.client import connect

    if letter_ids and not requeue:
        raise typer.BadParameter("ids go with --requeue; `relay dead` lists all", param_hint="ID")
    client = connect(url, token, config)
    if requeue:
        return _requeue(client, letter_ids, source, as_json=as_json)
    return _list(client, source, limit, as_json=as_json)


def _list(client: "Client", source: str | None, limit: int, *, as_json: bool) -> None:
    from relay.cli.output import print_json, print_line, print_table, short

    letters: list[Any] = []
    cursor = None
    while len(letters) < limit:
        page = client.get("dead", source=source, cursor=cursor, limit=min(limit - len(letters), 500))
        letters += page["dead"]
        cursor = page["cursor"]
        if cursor is None:
            break
    if as_json:
        return print_json({"dead": letters, "cursor": cursor})
    if not letters:
        return print_line("no dead letters")
    print_table(
        ["id", "at", "source", "reason", "error", "message id", "size", "requeued"],
        [
            (
                *(letter["id"], short(letter["at"]), letter["source"], letter["reason"], letter["error"]),
                *(letter["messageId"], letter["size"], short(letter["requeuedAt"])),
            )
            for letter in letters
        ],
        spare=("message id", "size", "requeued"),
    )
    if cursor:
        print_line("there are more: ask for them with --limit, or narrow it down with --source")
    return None


def _requeue(client: "Client", letter_ids: list[str] | None, source: str | None, *, as_json: bool) -> None:
    from relay.cli.client import LONG
    from relay.cli.output import print_json, print_line, print_table

    asked = {"ids": letter_ids or None, "source": source}
    body = {name: value for name, value in asked.items() if value is not None}
    document = client.post("dead/requeue", body, within=LONG)
    if as_json:
        print_json(document)
    else:
        if document["requeued"]:
            rows = [(letter["id"], letter["source"], letter["queue"]) for letter in document["requeued"]]
            print_table(["id", "source", "sent back to"], rows)
        elif not document["refused"] and not document["missing"]:
            print_line("there is nothing in relay.dead to send back")
        for letter in document["refused"]:
            warn(f"relay: {letter['id'] or 'a letter without an id'} stays in relay.dead: {letter['error']}")
        for letter_id in document["missing"]:
            warn(f"relay: {letter_id} is not in relay.dead: it was sent back or removed before, or a consumer holds it")
    if document["refused"] or document["missing"]:
        raise typer.Exit(1)
