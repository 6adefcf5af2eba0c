"""Does one thing to several dispatches: each is tried, and each that could not be done is said."""

from collections.abc import Iterator, Sequence
from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from relay.cli.guard import warn
from relay.errors import Conflict, NotFound

if TYPE_CHECKING:
    from relay.cli.client import Client

Ids = Annotated[list[str] | None, typer.Argument(metavar="ID", help="Ids of dispatches.", show_default=False)]


class Reason(StrEnum):
    """Why dispatches are parked; `all` of them."""

    ALL = "all"
    UNKNOWN = "unknown"
    GAVE_UP = "gave_up"
    BUDGET = "budget"
    LIMIT = "limit"
    LOOP = "loop"


Parked = Annotated[
    Reason | None,
    typer.Option(
        "--parked", help="Every dispatch that is parked for this reason, in place of ids.", show_default=False
    ),
]


def act(
    verb: str,
    dispatch_ids: Sequence[str],
    parked: Reason | None,
    where: tuple[str | None, str | None, list[Path] | None],
    *,
    as_json: bool,
    body: dict[str, Any] | None = None,
) -> None:
    """POST `verb` with `body` for each dispatch and print what each has become; exit code 1 when one was refused.

    `where` is the url, the token and the configuration that name the relay.
    """
    from relay.cli.client import connect, segment
    from relay.cli.output import print_json, print_line, print_table

    if bool(dispatch_ids) == (parked is not None):
        raise typer.BadParameter("give ids of dispatches, or --parked and a reason", param_hint="ID")
    client = connect(*where)
    done, refused = [], False
    for dispatch_id in dispatch_ids if parked is None else list(_parked(client, parked)):
        try:
            done.append(client.post(f"dispatches/{segment(dispatch_id)}/{verb}", body))
        except (NotFound, Conflict) as error:
            refused = True
            look = f"; `relay show {dispatch_id}` shows what it is" if isinstance(error, Conflict) else ""
            warn(f"relay: {error}{look}")
    if as_json:
        print_json({"dispatches": done})
    elif done:
        print_table(
            ["id", "rule", "state", "run"], [(one["id"], one["rule"], one["state"], one["run"]) for one in done]
        )
    elif not refused:
        print_line("nothing is parked")
    if refused:
        raise typer.Exit(1)


def _parked(client: "Client", reason: Reason) -> Iterator[str]:
    """Their ids; to be read to the end before the first is touched, for what is touched leaves the pages."""
    cursor = None
    while True:
        page = client.get("events", status="parked", limit=500, cursor=cursor)
        for event in page["events"]:
            for dispatch in event["dispatches"]:
                if dispatch["state"] == "parked" and reason.value in {"all", dispatch["parked"]}:
                    yield dispatch["id"]
        cursor = page["cursor"]
        if cursor is None:
            return
