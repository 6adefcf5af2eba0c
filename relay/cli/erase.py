"""`relay erase`: erases what events of one subject, label or sender's id brought."""

import sys
from typing import Annotated, Any

import typer

from relay.cli.guard import warn
from relay.cli.options import AsJson, Config, Token, Url, read_label
from relay.cli.settings import complete_source


def erase(
    subject: Annotated[str | None, typer.Option(help="Events with this subject.", show_default=False)] = None,
    label: Annotated[
        str | None, typer.Option(metavar="NAME=VALUE", help="Events with this label, as customer=Acme.")
    ] = None,
    external_id: Annotated[
        str | None, typer.Option("--external-id", help="Events with this id of the sender.", show_default=False)
    ] = None,
    source: Annotated[str | None, typer.Option(help="Only of this source.", autocompletion=complete_source)] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Do not ask for confirmation.")] = False,
    url: Url = None,
    token: Token = None,
    config: Config = None,
    as_json: AsJson = False,
) -> None:
    """Erase payloads, headers, rendered texts and labels of events, and cancel what waits of them.

    Ids, times, states and uuids stay, and the chats in Cargo, which are listed. Exit code 1 when an event was left
    because one of its dispatches is under way.
    """
    from relay.cli.client import LONG, connect
    from relay.cli.output import print_json

    given = {"subject": subject, "label": label and read_label(label), "externalId": external_id}
    asked = {name: value for name, value in given.items() if value is not None}
    if len(asked) != 1:
        raise typer.BadParameter("give one of --subject, --label and --external-id")
    if not yes and sys.stdin.isatty():
        of_source = f" of {source}" if source else ""
        [(name, value)] = asked.items()
        typer.confirm(
            f"Erase for good what all events{of_source} with the {name} {value!r} brought?", abort=True, err=True
        )
    document = connect(url, token, config).post("erase", asked | ({"source": source} if source else {}), within=LONG)
    if as_json:
        print_json(document)
    else:
        _print(document)
    if document["left"]:
        raise typer.Exit(1)


def _print(document: dict[str, Any]) -> None:
    from relay.cli.output import print_line

    print_line(f"events erased: {document['erased']}, dispatches cancelled: {document['cancelled']}")
    if document["requests"]:
        print_line(f"refused requests deleted: {document['requests']}")
    for chat in document["chats"]:
        print_line(f"chat {chat} is in Cargo still: delete it there")
    if document["erased"] and not document["compacted"]:
        print_line("the ledger's files may hold old pages still: see Erasing in the README for how to be rid of them")
    for left in document["left"]:
        warn(
            f"relay: event {left['eventId']} is left, because dispatch {left['dispatchId']} is {left['state']}: "
            "erase again when it has ended"
        )
